"""A fleet of simulated SIP phones for trials: they register, refresh, sign off, fall silent and reboot.

One UDP socket on loopback carries all of them; the `line` parameter of a phone's contact tells them apart.
"""

import asyncio
import heapq
import itertools
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from types import TracebackType
from typing import Self

from devlib.clock import Clock
from devlib.errors import UsageError
from devlib.language import message
from devlib.network.loopback import require_loopback
from devlib.network.sip import SipMessage, write_request
from devlib.network.sip_endpoint import SipEndpoint

_TICK = 0.25  # seconds between two looks for due refreshes
_MAX_GRANTED = 3600.0  # seconds; the trial registrar may cut a longer wish
_OK = 200


@dataclass(frozen=True, slots=True)
class Phone:
    """One line of a simulated phone.

    Args:
        line_port: `user@domain` under which it registers.
        user_agent: what it says of itself; may be hostile, that is what trials are for.
        instance: `+sip.instance` without angle brackets; empty for none.
        expires: seconds for which it asks to be registered; it refreshes at half of them.
        notify_status: its answer to a check-sync; `None` for silence. 200 is followed by a reboot.
        boot_seconds: seconds between that answer and its new REGISTER.
    """

    line_port: str
    user_agent: str = "devlib trial phone/1.0"
    instance: str = ""
    expires: int = 3600
    notify_status: int | None = 200
    boot_seconds: float = 0.0


@dataclass(slots=True)
class _Account:
    phone: Phone
    number: int
    call_id: str
    cseq: int = 0
    present: bool = True
    boots: int = 1
    due: float | None = None


class PhoneFleet:
    """Many phones on one socket; use it with `async with`.

    Args:
        registrar: IP address and UDP port; a loopback address.
        clock: drives refreshes and reboots; SIP's own timers run on the event loop.
        window: REGISTERs under way at once.
        limit_seconds: seconds after which a REGISTER counts as unanswered (timer F of RFC 3261).

    Raises:
        UsageError: the registrar is not on this machine.
    """

    def __init__(
        self, registrar: tuple[str, int], clock: Clock, *, window: int = 256, limit_seconds: float = 8.0
    ) -> None:
        require_loopback(registrar[0])
        self._host = registrar[0]
        self._clock = clock
        self._window = window
        self._endpoint = SipEndpoint(registrar, limit_seconds, self._serve)
        self._accounts: dict[str, _Account] = {}
        self._by_number: dict[int, _Account] = {}
        self._numbers = itertools.count(1)
        self._due: list[tuple[float, int]] = []
        self._tasks: set[asyncio.Task[object]] = set()
        # Tells the Call-IDs and branches of two fleets apart without asking for randomness.
        self._name = ""

    async def __aenter__(self) -> Self:
        await self._endpoint.open()
        self._name = f"{self._endpoint.port}{int(self._clock.now().timestamp() * 1e6):x}"
        self._start(self._refresh_forever())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._endpoint.close()

    @property
    def boots(self) -> dict[str, int]:
        """How often each line's phone has started, by line port; 1 when it never rebooted."""
        return {line_port: account.boots for line_port, account in self._accounts.items()}

    async def register(self, phones: Iterable[Phone]) -> dict[str, int]:
        """Register phones, which from then on refresh by themselves.

        Args:
            phones: a phone whose line port is known already takes its place.

        Returns:
            SIP status by line port; 408 where the registrar did not answer.
        """
        accounts = [self._admit(phone) for phone in phones]
        return await self._register_all(accounts)

    async def sign_off(self, line_ports: Iterable[str]) -> dict[str, int]:
        """Let phones say goodbye (REGISTER with Expires 0, RFC 3261 §10.2.2).

        Returns:
            SIP status by line port; 408 where the registrar did not answer.
        """
        accounts = [self._account(line_port) for line_port in line_ports]
        for account in accounts:
            account.present, account.due = False, None
        return await self._register_all(accounts)

    def fall_silent(self, line_ports: Iterable[str]) -> None:
        """Let phones lose their power: no refresh, no goodbye, no answer to anything."""
        for line_port in line_ports:
            account = self._account(line_port)
            account.present, account.due = False, None

    def _account(self, line_port: str) -> _Account:
        try:
            return self._accounts[line_port]
        except KeyError:
            raise UsageError(
                message("No phone of this fleet has the line port {line_port}.", line_port=line_port[:80]),
                remedy=message("Register it first."),
            ) from None

    def _admit(self, phone: Phone) -> _Account:
        known = self._accounts.get(phone.line_port)
        number = known.number if known else next(self._numbers)
        account = _Account(phone, number, call_id=f"{self._name}-{number}-1")
        if known:
            account.call_id, account.cseq, account.boots = known.call_id, known.cseq, known.boots
        self._accounts[phone.line_port] = self._by_number[number] = account
        return account

    def _start(self, work: Coroutine[object, object, object]) -> None:
        task: asyncio.Task[object] = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _register_all(self, accounts: Iterable[_Account]) -> dict[str, int]:
        found: dict[str, int] = {}
        waiting = iter(accounts)

        async def work() -> None:
            for account in waiting:
                found[account.phone.line_port] = await self._register_one(account)

        await asyncio.gather(*(work() for _ in range(self._window)))
        return found

    async def _register_one(self, account: _Account) -> int:
        phone = account.phone
        account.cseq += 1
        branch = f"z9hG4bK{account.call_id}-{account.cseq}"
        expires = phone.expires if account.present else 0
        if account.present:
            account.due = self._clock.monotonic() + min(phone.expires, _MAX_GRANTED) / 2
            heapq.heappush(self._due, (account.due, account.number))
        return await self._endpoint.ask("REGISTER", branch, self._register_bytes(account, branch, expires))

    def _register_bytes(self, account: _Account, branch: str, expires: int) -> bytes:
        phone = account.phone
        user, _, domain = phone.line_port.rpartition("@")
        here = f"{self._host}:{self._endpoint.port}"
        contact = f"<sip:{user}@{here};line={account.number}>"
        if phone.instance:
            contact += f';+sip.instance="<{phone.instance}>";reg-id=1'
        headers = [
            ("Via", f"SIP/2.0/UDP {here};rport;branch={branch}"),
            ("Max-Forwards", "70"),
            ("From", f"<sip:{phone.line_port}>;tag={account.number}"),
            ("To", f"<sip:{phone.line_port}>"),
            ("Call-ID", account.call_id),
            ("CSeq", f"{account.cseq} REGISTER"),
            ("Contact", contact),
            ("Expires", str(expires)),
            ("User-Agent", phone.user_agent),
        ]
        if phone.instance:
            headers.append(("Supported", "gruu, outbound"))
        return write_request("REGISTER", f"sip:{domain}", headers)

    async def _refresh_forever(self) -> None:
        while True:
            await self._clock.wait(_TICK)
            now = self._clock.monotonic()
            ready = []
            while self._due and self._due[0][0] <= now:
                due, number = heapq.heappop(self._due)
                if (account := self._by_number[number]).due == due:
                    ready.append(account)
            if ready:
                self._start(self._register_all(ready))

    async def _reboot(self, account: _Account) -> None:
        await self._clock.wait(account.phone.boot_seconds)
        account.boots += 1
        account.call_id, account.cseq = f"{self._name}-{account.number}-{account.boots}", 0
        await self._register_one(account)

    def _serve(self, request: SipMessage, address: tuple[str, int]) -> None:
        account = self._addressed(request.uri)
        if request.method == "ACK" or (account is not None and not account.present):
            return
        if account is None:
            self._endpoint.answer(request, 404, address)
        elif request.method == "OPTIONS":
            self._endpoint.answer(request, _OK, address)
        elif request.method != "NOTIFY":
            self._endpoint.answer(request, 405, address)
        elif account.phone.notify_status is not None:
            self._notified(account, request, address)

    def _notified(self, account: _Account, request: SipMessage, address: tuple[str, int]) -> None:
        status = account.phone.notify_status or _OK
        event = request.header("event").partition(";")[0].strip().lower()
        if status == _OK and event != "check-sync":
            status = 489
        # The same NOTIFY sent twice is one wish, hence one reboot.
        if self._endpoint.first_time(request) and status == _OK:
            self._start(self._reboot(account))
        self._endpoint.answer(request, status, address)

    def _addressed(self, uri: str) -> _Account | None:
        _, _, parameter = uri.partition(";line=")
        number = parameter.partition(";")[0]
        if number.isascii() and number.isdigit() and len(number) < len("1000000000"):
            return self._by_number.get(int(number))
        return None
