"""Each door of a configured network, tried by itself: which one works, and what is not known without it."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass, fields

from devlib.clock import Clock
from devlib.config import KamailioSettings, NetworkSettings, SimulatorSettings
from devlib.errors import DevlibError
from devlib.language import Message, message
from devlib.network.opening import open_network
from devlib.network.protocol import Capabilities
from devlib.network.sip import parse_message, write_request
from devlib.network.sip_endpoint import TIMEOUT_STATUS, SipEndpoint
from devlib.network.sip_stream import SipStream, StreamBroken

_MOST_READ = 16 << 10
_GRACE_SECONDS = 1.0  # beyond the part's own limit, which gives the better reason
_WITHOUT = {
    "rpc": message("Without it no line can be asked for one by one, and no phone restarted over RPC."),
    "database": message("Without it bindings are asked for one by one, and the whole table cannot be read."),
    "events": message(
        "Without it a change is seen at the next collection only, and whether a phone signed off or its "
        "binding expired is inferred."
    ),
    "sip_proxy": message("Without it NOTIFY and OPTIONS go to where each binding arrived from."),
}
_WORDS = {
    "user_agent": message("user agents"),
    "instance": message("instances"),
    "snapshot": message("all bindings at once"),
    "delta": message("changes since a moment"),
    "push": message("changes as they happen"),
    "explicit_unregister": message("sign-offs told from expiries"),
    "restart": message("restarts"),
    "whole": message("its whole table cheaply"),
    "probe": message("probes"),
}


@dataclass(frozen=True, slots=True)
class Part:
    """One door of a network.

    Args:
        name: rpc, database, events, sip_proxy; or simulator.
        is_set: whether the settings name it.
        works: whether it answers now.
        detail: one sentence: version, number of bindings, or the reason.
        without: what is not known without it; `None` where it works.
    """

    name: str
    is_set: bool
    works: bool
    detail: Message
    without: Message | None = None


@dataclass(frozen=True, slots=True)
class Examined:
    """A network with its parts.

    Args:
        name: of the network.
        parts: each of them.
        capabilities: what it can tell and do with all that is set.
        seconds: how long it took.
    """

    name: str
    parts: tuple[Part, ...]
    capabilities: Capabilities
    seconds: float

    @property
    def works(self) -> bool:
        """Whether every part that is set answers."""
        return all(each.works for each in self.parts if each.is_set)


def capability_words(capabilities: Capabilities) -> tuple[tuple[str, Message, bool], ...]:
    """Return each capability with its name, its words for people, and whether the network has it."""
    return tuple(
        (each.name, _WORDS[each.name], bool(getattr(capabilities, each.name)))
        for each in fields(capabilities)
        if each.name in _WORDS
    )


async def examine(settings: NetworkSettings, clock: Clock) -> Examined:
    """Try each part of a network at the same time, each within its own limit; does not raise.

    Args:
        settings: one section of `networks`; its secrets are read here and stand in no answer.
        clock: the time.
    """
    start = clock.monotonic()
    network = open_network(settings, clock)
    try:
        if isinstance(settings, SimulatorSettings):
            health = await network.check()
            parts = [Part("simulator", is_set=True, works=health.answers, detail=health.detail)]
        else:
            parts = list(await asyncio.gather(*_kamailio_parts(settings, clock)))
    finally:
        await network.close()
    return Examined(settings.name, tuple(parts), network.capabilities, clock.monotonic() - start)


def _kamailio_parts(settings: KamailioSettings, clock: Clock) -> list[Awaitable[Part]]:
    tries: list[tuple[str, bool, Callable[[KamailioSettings, Clock], Awaitable[Message]]]] = [
        ("rpc", True, _rpc),
        ("database", settings.database is not None, _database),
        ("events", settings.events is not None, _events),
        ("sip_proxy", settings.sip_proxy is not None, _sip_proxy),
    ]
    return [_tried(name, is_set, work, settings, clock) for name, is_set, work in tries]


async def _tried(
    name: str,
    is_set: bool,
    work: Callable[[KamailioSettings, Clock], Awaitable[Message]],
    settings: KamailioSettings,
    clock: Clock,
) -> Part:
    without = _WITHOUT[name]
    if not is_set:
        return Part(name, is_set=False, works=False, detail=message("not set."), without=without)
    try:
        async with asyncio.timeout(settings.seconds + _GRACE_SECONDS):
            return Part(name, is_set=True, works=True, detail=await work(settings, clock))
    except DevlibError as error:
        reason = message("{reason} ({where})", reason=error.what, where=error.where or name)
    except TimeoutError:
        reason = message("no answer within {seconds} s.", seconds=settings.seconds)
    except OSError as error:
        reason = message("cannot be reached: {error}", error=_why(error))
    return Part(name, is_set=True, works=False, detail=reason, without=without)


def _why(error: OSError) -> str:
    # A name that does not resolve has no number of the operating system's.
    known = error.errno is not None and error.errno > 0
    return os.strerror(error.errno) if known and error.errno else error.strerror or type(error).__name__


class _Silent(DevlibError):
    """A part that answers wrongly."""


async def _rpc(settings: KamailioSettings, clock: Clock) -> Message:
    from devlib.network.kamailio import Kamailio  # noqa: PLC0415 - only who has a registrar pays for it

    kamailio = Kamailio(settings.model_copy(update={"database": None}), clock)
    try:
        health = await kamailio.check()
    finally:
        await kamailio.close()
    if not health.answers:
        raise _Silent(health.detail)
    return health.detail


async def _database(settings: KamailioSettings, clock: Clock) -> Message:
    from devlib.network.kamailio_location import Location  # noqa: PLC0415

    count = await Location(settings, clock).check()
    return message("the table {table} holds {count} bindings.", table=settings.table, count=count)


async def _events(settings: KamailioSettings, clock: Clock) -> Message:  # noqa: ARG001 - as the others
    host, port = _address(settings.events or "")
    async with asyncio.timeout(settings.seconds):
        _, writer = await asyncio.open_connection(host, port)
    writer.close()
    with suppress(OSError):
        await writer.wait_closed()
    return message("takes connections.")


async def _sip_proxy(settings: KamailioSettings, clock: Clock) -> Message:
    transport, _, address = (settings.sip_proxy or "").partition(":")
    ask = _options_over_tcp if transport == "tcp" else _options_over_udp
    status = await ask(settings, *_address(address), f"z9hG4bKdoctor{clock.now().timestamp():.6f}")
    if status in (None, TIMEOUT_STATUS):
        raise TimeoutError
    return message("answers OPTIONS with {status}.", status=status)


def _address(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    return host.removeprefix("[").removesuffix("]"), int(port)


def _options(
    settings: KamailioSettings, transport: str, host: str, port: int, own: int, branch: str
) -> bytes:
    here, there = (f"[{each}]" if ":" in each else each for each in (settings.own_host, host))
    headers = [
        ("Via", f"SIP/2.0/{transport} {here}:{own};rport;branch={branch}"),
        ("Max-Forwards", "70"),
        ("From", f"<sip:devlib@{here}>;tag={branch[-6:]}"),
        ("To", f"<sip:{there}:{port}>"),
        ("Call-ID", branch),
        ("CSeq", "1 OPTIONS"),
    ]
    return write_request("OPTIONS", f"sip:{there}:{port}", headers)


async def _options_over_udp(settings: KamailioSettings, host: str, port: int, branch: str) -> int:
    found = await asyncio.get_running_loop().getaddrinfo(host, port, type=2)  # SOCK_DGRAM
    proxy = str(found[0][4][0]), port
    endpoint = SipEndpoint(proxy, settings.seconds, lambda *_: None, settings.own_host)
    await endpoint.open()
    try:
        data = _options(settings, "UDP", host, port, endpoint.port, branch)
        return (await endpoint.ask("OPTIONS", branch, data)).status
    finally:
        endpoint.close()


async def _options_over_tcp(settings: KamailioSettings, host: str, port: int, branch: str) -> int | None:
    stream = SipStream()
    async with asyncio.timeout(settings.seconds):
        reader, writer = await asyncio.open_connection(host, port)
        try:
            own = int(writer.get_extra_info("sockname")[1])
            writer.write(_options(settings, "TCP", host, port, own, branch))
            while data := await reader.read(_MOST_READ):
                for raw in stream.feed(data):
                    heard = parse_message(raw)
                    if heard is not None and heard.status >= 200 and heard.branch == branch:  # noqa: PLR2004
                        return heard.status
        except StreamBroken:
            return None
        finally:
            writer.close()
    return None
