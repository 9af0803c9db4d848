"""A Kamailio registrar, asked over JSON-RPC: lookups on a few keep-alive connections, restart by NOTIFY."""

import asyncio
from collections.abc import AsyncIterator, Iterable
from datetime import datetime

from devlib.clock import Clock
from devlib.config import KamailioSettings
from devlib.errors import CapabilityMissing, NetworkUnreachable
from devlib.language import message
from devlib.model import Binding
from devlib.network.hostile import clean_integer, clean_text
from devlib.network.json_rpc import RpcAnswer, read_answer
from devlib.network.kamailio_answers import Unreadable, next_hop, read_dump
from devlib.network.kamailio_lookup import UNREADABLE, Place, Sweep
from devlib.network.protocol import (
    CHECK_SYNC,
    Answers,
    Capabilities,
    Change,
    Health,
    RestartAnswer,
    RestartOutcome,
    network_form,
    require_restartable,
)
from devlib.network.rpc_client import Limits, NoAnswerInTime, RpcClient

MOST_DUMPED = 5_000  # contacts; `ul.dump` is quadratic beyond (SIP study §2)

_DUMP = Limits.of(seconds=30.0, answer_bytes=16 << 20)  # 5 000 contacts are about 3 MB
_SUCCESS_CLASS = 2  # RFC 3261 §21.2
_OUTCOMES = {
    401: RestartOutcome.AUTH_NEEDED,
    407: RestartOutcome.AUTH_NEEDED,
    408: RestartOutcome.NO_ANSWER,
    404: RestartOutcome.UNROUTABLE,
    410: RestartOutcome.UNROUTABLE,
    430: RestartOutcome.UNROUTABLE,
    478: RestartOutcome.UNROUTABLE,
    480: RestartOutcome.UNROUTABLE,
    503: RestartOutcome.UNROUTABLE,
}


class Kamailio:
    """A Kamailio with `jsonrpcs`; its connections stay open between two calls, and `close` ends them.

    It belongs to the event loop that first asks through it.

    Args:
        settings: where it is.
        clock: turns what is left of a binding into the moment of its end.
    """

    def __init__(self, settings: KamailioSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self._client = RpcClient(settings)
        self._place = Place(settings.name, self._client, settings.table, clock)
        self._capabilities = Capabilities(user_agent=True, instance=True, snapshot=True, restart=True)

    @property
    def name(self) -> str:
        """The name of the network in `devlib.toml`."""
        return self._settings.name

    @property
    def capabilities(self) -> Capabilities:
        """What Kamailio tells over RPC: no changes, and nothing of a binding that is gone."""
        return self._capabilities

    async def lookup(self, line_ports: Iterable[str]) -> Answers:
        """Return the live bindings of `line_ports`, asked one by one with `ul.lookup`.

        After several failures in a row, without any answer between, the rest is not asked: a dead registrar
        costs one time limit or two, not one for each line port. One that answers now and then is given up
        after `lookup_seconds`.
        """
        settings = self._settings
        sweep = Sweep(self._place, line_ports, 2 * settings.connections, settings.lookup_seconds)
        workers = min(self._settings.connections, sweep.size)
        await asyncio.gather(*(sweep.work() for _ in range(workers)))
        return sweep.answers

    async def snapshot(self) -> AsyncIterator[Binding]:
        """Yield every live binding, read with `ul.dump`; its line ports are as the registrar writes them.

        Raises:
            CapabilityMissing: more than 5 000 contacts; a dump would hold up the registrar for minutes.
            NetworkUnreachable: the registrar does not answer as it should.
        """
        count = await self._count()
        if count is None or count > MOST_DUMPED:
            raise CapabilityMissing(
                message(
                    "The registrar holds {count} contacts; more than {most} cannot be read in one go.",
                    count="?" if count is None else count,
                    most=MOST_DUMPED,
                ),
                where=self.name,
                remedy=message("Look up the line ports of the inventory instead."),
            )
        answer = await self._client.call("ul.dump", [], limits=_DUMP)
        try:
            for binding in read_dump(answer.result, self.name, self._place.now()):
                yield binding
        except Unreadable:
            raise NetworkUnreachable(UNREADABLE, where=self._client.where) from None

    async def changes(self, since: datetime) -> AsyncIterator[Change]:
        """Refuse: over RPC Kamailio tells nothing of what is gone.

        Raises:
            CapabilityMissing: always.
        """
        raise CapabilityMissing(
            message("Kamailio keeps no list of changes (asked for since {since}).", since=since.isoformat()),
            where=self.name,
            remedy=message("Compare two snapshots of the suite instead."),
        )
        yield  # type: ignore[unreachable]  # makes this a generator, as the protocol wants

    async def check(self) -> Health:
        """Return whether Kamailio answers, its version and its number of contacts; does not raise."""
        start = self._clock.monotonic()
        try:
            version = await self._client.call("core.version", [])
            count = await self._count()
        except NetworkUnreachable as error:
            return Health(self.name, False, error.what, None, self._clock.monotonic() - start)
        if count is None:
            detail = message(
                "The table {table} has no statistics: check `table`.", table=self._settings.table
            )
        else:
            detail = message("{version} answers.", version=clean_text(version.result, 80) or "?")
        return Health(self.name, count is not None, detail, count, self._clock.monotonic() - start)

    async def restart(
        self, line_port: str, event: str = CHECK_SYNC, limit_seconds: float = 8.0
    ) -> RestartAnswer:
        """Ask a phone to restart: NOTIFY through `tm.t_uac_wait`, routed by the registrar to all contacts.

        Raises:
            UsageError: line port or event is not of that form; nothing was sent.
        """
        require_restartable(line_port, event)
        try:
            status, body = await self._place.ask(network_form(line_port))
            held = read_answer(status, body, self._client.where)
            if not self._place.bindings(held, line_port, self._place.now()):
                return RestartAnswer(line_port, RestartOutcome.NOT_REGISTERED)
        except NetworkUnreachable as error:
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(error.what))
        except Unreadable:
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(UNREADABLE))
        return await self._notify(line_port, event, next_hop(held.result), limit_seconds)

    async def _notify(
        self, line_port: str, event: str, hop: str | None, limit_seconds: float
    ) -> RestartAnswer:
        address = network_form(line_port)
        headers = (
            f"From: <sip:devlib@{address.rpartition('@')[2]}>\r\nTo: <sip:{address}>\r\n"
            f"Event: {event}\r\nSubscription-State: terminated\r\n"
        )
        params = ["NOTIFY", f"sip:{address}", hop or ".", ".", headers]
        try:
            # A NOTIFY that reached the phone twice would be two restarts.
            limits = Limits.of(limit_seconds)
            answer = await self._client.call("tm.t_uac_wait", params, limits=limits, once=True)
        except NoAnswerInTime:
            # The registrar answered a moment ago, so that it is the phone that keeps silent.
            return RestartAnswer(line_port, RestartOutcome.NO_ANSWER)
        except NetworkUnreachable as error:
            return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(error.what))
        return _classify(line_port, answer)

    async def close(self) -> None:
        """Close the connections; calling twice is harmless."""
        await self._client.close()

    async def _count(self) -> int | None:
        table = self._settings.table
        answer = await self._client.call("stats.fetchn", [f"usrloc:{table}_contacts"])
        counts = answer.result
        return clean_integer(counts.get(f"usrloc.{table}_contacts")) if isinstance(counts, dict) else None


def _classify(line_port: str, answer: RpcAnswer) -> RestartAnswer:
    """Read the result of `tm.t_uac_wait`: an array of changing length, code and reason first."""
    if answer.fault is not None:
        return RestartAnswer(line_port, RestartOutcome.UNROUTABLE, reason=answer.fault)
    result = answer.result
    code = clean_integer(result[0]) if isinstance(result, list) and result else None
    if code is None:
        return RestartAnswer(line_port, RestartOutcome.UNREACHABLE, reason=str(UNREADABLE))
    reason = clean_text(result[1], 200) if isinstance(result, list) and len(result) > 1 else None
    accepted = code // 100 == _SUCCESS_CLASS
    outcome = RestartOutcome.ACCEPTED if accepted else _OUTCOMES.get(code, RestartOutcome.REFUSED)
    return RestartAnswer(line_port, outcome, code, reason or "")
