"""Many `ul.lookup` over a few connections: who is asked next, what was answered, and when to give up."""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from devlib.clock import Clock
from devlib.errors import NetworkUnreachable
from devlib.language import Message, message
from devlib.model import Binding
from devlib.network.json_rpc import RpcAnswer, read_answer
from devlib.network.kamailio_answers import Unreadable, holds_none, read_bindings
from devlib.network.protocol import NO_LINE_PORT, Answers, is_line_port, network_form
from devlib.network.rpc_client import RpcClient

UNREADABLE = message("The registrar's answer makes no sense.")
_TOO_SLOW = message("The registrar answers too slowly; the rest was not asked.")

_QUESTION = '{"jsonrpc":"2.0","method":"ul.lookup","params":["%s",%s],"id":1}'


@dataclass(frozen=True, slots=True)
class Place:
    """What is the same for every lookup of one registrar.

    Args:
        registrar: name of the network.
        client: asks it.
        table: name of the usrloc table.
        clock: turns what is left of a binding into the moment of its end.
    """

    registrar: str
    client: RpcClient
    table: str
    clock: Clock

    def now(self) -> int:
        """Return seconds since 1970."""
        return int(self.clock.now().timestamp())

    async def ask(self, asked: str) -> tuple[int, bytes]:
        """Ask for one line port; return HTTP status and body.

        Raises:
            NetworkUnreachable: there was no answer in time, or none that is HTTP.
        """
        question = _QUESTION % (self.table, json.dumps(asked))
        return await self.client.post(question.encode("ascii"))

    def bindings(self, answer: RpcAnswer, line_port: str, now: int) -> tuple[Binding, ...]:
        """Return the live bindings in an answer of `ul.lookup`; empty where the registrar holds none.

        Raises:
            NetworkUnreachable: the answer is an error.
            Unreadable: it makes no sense.
        """
        if answer.fault is None:
            return read_bindings(answer.result, line_port, self.registrar, now)
        if holds_none(answer.fault):
            return ()
        raise NetworkUnreachable(
            message("The registrar answers with an error: {fault}", fault=answer.fault),
            where=self.client.where,
        )


class Sweep:
    """One lookup of many line ports, shared by the connections that do it.

    Args:
        place: of the registrar.
        line_ports: as the caller writes them.
        patience: failures in a row after which the rest is not asked.
        seconds: time after which the rest is not asked, however many answers there were.
    """

    def __init__(self, place: Place, line_ports: Iterable[str], patience: int, seconds: float) -> None:
        self.answers = Answers()
        self._place = place
        self._patience = patience
        self._end = place.clock.monotonic() + seconds
        asked: dict[str, list[str]] = {}
        for line_port in line_ports:
            if is_line_port(line_port):
                asked.setdefault(network_form(line_port), []).append(line_port)
            else:
                self.answers.unanswered[line_port] = NO_LINE_PORT
        self.size = len(asked)
        self._waiting: Iterator[tuple[str, list[str]]] = iter(asked.items())
        self._failures = 0  # in a row
        self._given_up: Message | None = None

    async def work(self) -> None:
        """Ask for what waits, until nothing does."""
        for asked, spellings in self._waiting:
            if self._given_up is None and self._place.clock.monotonic() > self._end:
                self._given_up = _TOO_SLOW
            if self._given_up is not None:
                self._unanswered(spellings, self._given_up)
                continue
            try:
                status, body = await self._place.ask(asked)
                self._read(spellings, status, body)
            except Unreadable:
                self._fail(spellings, UNREADABLE)
            except NetworkUnreachable as error:
                self._fail(spellings, error.what)

    def _read(self, spellings: list[str], status: int, body: bytes) -> None:
        answer = read_answer(status, body, self._place.client.where)
        now = self._place.now()
        for line_port in spellings:
            self.answers.bindings[line_port] = self._place.bindings(answer, line_port, now)
        self._failures = 0

    def _fail(self, spellings: list[str], why: Message) -> None:
        self._unanswered(spellings, why)
        self._failures += 1
        if self._failures >= self._patience:
            self._given_up = why

    def _unanswered(self, spellings: list[str], why: Message) -> None:
        for line_port in spellings:
            self.answers.unanswered[line_port] = why
