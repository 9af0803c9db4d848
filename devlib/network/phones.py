"""A fleet of simulated SIP phones for trials: they register, refresh, sign off, fall silent, roam and reboot.

One UDP socket on loopback carries all of them; the `line` parameter of a phone's contact tells them apart.
"""

import asyncio
import heapq
import itertools
from collections import deque
from collections.abc import Callable, Coroutine, Iterable
from dataclasses import dataclass, replace
from types import TracebackType
from typing import Self

from pydantic import SecretStr

from devlib.clock import Clock
from devlib.errors import UsageError
from devlib.language import message
from devlib.network.loopback import require_loopback
from devlib.network.phone_behaviour import (
    OK,
    UNAUTHORIZED,
    AfterNotify,
    Door,
    Heard,
    Phone,
    heard,
    is_challenged,
    status_for,
)
from devlib.network.sip import SipMessage, write_request
from devlib.network.sip_digest import Credentials, answer_challenge, strongest
from devlib.network.sip_endpoint import SipEndpoint

_TICK = 0.25  # seconds between two looks for due refreshes
_MAX_GRANTED = 3600.0  # seconds; the trial registrar may cut a longer wish
_HEARD_KEPT = 100_000  # requests
_NOT_FOUND = 404

_Headers = tuple[tuple[str, str], ...]


@dataclass(slots=True)
class _Account:
    phone: Phone
    number: int
    call_id: str
    cseq: int = 0
    present: bool = True
    booting: bool = False
    boots: int = 1
    due: float | None = None
    status: int = 0
    door: Door | None = None


class PhoneFleet:
    """Many phones on one socket; use it with `async with`.

    Args:
        registrar: IP address and UDP port; a loopback address.
        clock: drives refreshes and reboots; SIP's own timers run on the event loop.
        window: REGISTERs under way at once.
        limit_seconds: seconds after which a REGISTER counts as unanswered (timer F of RFC 3261).
        password: answers the registrar's challenge, with the user part of the line port as the user's name.
        listen: is given each request that arrives, at once.

    Raises:
        UsageError: the registrar is not on this machine.
    """

    def __init__(
        self,
        registrar: tuple[str, int],
        clock: Clock,
        *,
        window: int = 256,
        limit_seconds: float = 8.0,
        password: SecretStr | None = None,
        listen: Callable[[Heard], None] | None = None,
    ) -> None:
        require_loopback(registrar[0])
        self._host = registrar[0]
        self._clock = clock
        self._window = window
        self._password = password
        self._listen = listen
        self._heard: deque[Heard] = deque(maxlen=_HEARD_KEPT)
        self._endpoint = SipEndpoint(registrar, limit_seconds, self._serve)
        self._accounts: dict[str, _Account] = {}
        self._by_number: dict[int, _Account] = {}
        self._by_device: dict[str, set[str]] = {}
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

    @property
    def present(self) -> tuple[str, ...]:
        """Line ports of the phones that have power and have not signed off."""
        return tuple(port for port, each in self._accounts.items() if each.present)

    @property
    def registered(self) -> int:
        """Number of lines that are present and whose last REGISTER was answered with 200."""
        return sum(each.present and each.status == OK for each in self._accounts.values())

    @property
    def heard(self) -> tuple[Heard, ...]:
        """The last 100 000 requests that arrived, in their order, also those to phones without power."""
        return tuple(self._heard)

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

    async def roam(self, phones: Iterable[Phone]) -> dict[str, int]:
        """Let DECT handsets move to another base, which registers them; nobody signs them off at the old one.

        The contact at the old base stays with the registrar until it expires: a ghost, which answers 404.

        Args:
            phones: as the new base registers them, under line ports that the fleet has.

        Returns:
            SIP status by line port; 408 where the registrar did not answer.
        """
        moving = list(phones)
        for phone in moving:
            account = self._account(phone.line_port)
            del self._by_number[account.number]
            account.number = next(self._numbers)
            self._by_number[account.number] = account
            account.call_id, account.cseq = self._call_id(account.number, account.boots), 0
        return await self.register(moving)

    def _account(self, line_port: str) -> _Account:
        try:
            return self._accounts[line_port]
        except KeyError:
            raise UsageError(
                message("No phone of this fleet has the line port {line_port}.", line_port=line_port[:80]),
                remedy=message("Register it first."),
            ) from None

    def _call_id(self, number: int, boots: int) -> str:
        return f"{self._name}-{number}-{boots}"

    def _admit(self, phone: Phone) -> _Account:
        known = self._accounts.get(phone.line_port)
        number = known.number if known else next(self._numbers)
        account = _Account(phone, number, call_id=self._call_id(number, 1))
        if known:
            account = replace(account, call_id=known.call_id, cseq=known.cseq, boots=known.boots)
            self._by_device.get(known.phone.device, set()).discard(phone.line_port)
        if phone.challenge is not None:
            realm = phone.challenge.realm or phone.line_port.rpartition("@")[2]
            account.door = Door(phone.challenge, realm, self._call_id(number, account.boots))
        self._accounts[phone.line_port] = self._by_number[number] = account
        if phone.device:
            self._by_device.setdefault(phone.device, set()).add(phone.line_port)
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
        if account.present:
            account.due = self._clock.monotonic() + min(phone.expires, _MAX_GRANTED) / 2
            heapq.heappush(self._due, (account.due, account.number))
        answer = await self._send_register(account)
        if answer.status == UNAUTHORIZED and (proof := self._proof(account, answer)):
            answer = await self._send_register(account, (("Authorization", proof),))
        account.status = answer.status
        return answer.status

    async def _send_register(self, account: _Account, more: _Headers = ()) -> SipMessage:
        account.cseq += 1
        branch = f"z9hG4bK{account.call_id}-{account.cseq}"
        return await self._endpoint.ask("REGISTER", branch, self._register_bytes(account, branch, more))

    def _proof(self, account: _Account, answer: SipMessage) -> str | None:
        asked = strongest(answer.all("www-authenticate"))
        if asked is None or self._password is None:
            return None
        user, _, domain = account.phone.line_port.rpartition("@")
        credentials = Credentials(user, self._password)
        return answer_challenge(asked, "REGISTER", f"sip:{domain}", credentials, cnonce=account.call_id)

    def _register_bytes(self, account: _Account, branch: str, more: _Headers) -> bytes:
        phone = account.phone
        user, _, domain = phone.line_port.rpartition("@")
        host = f"[{self._host}]" if ":" in self._host else self._host
        here = f"{host}:{self._endpoint.port}"
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
            ("Expires", str(phone.expires if account.present else 0)),
            ("User-Agent", phone.user_agent),
            *more,
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
                account = self._by_number.get(number)  # a handset that roamed has another number
                if account is not None and account.due == due and not account.booting:
                    ready.append(account)
            if ready:
                self._start(self._register_all(ready))

    async def _reboot(self, accounts: Iterable[_Account]) -> None:
        lines = list(accounts)
        seconds = max(account.phone.boot_seconds for account in lines)
        if seconds > 0:
            for account in lines:
                account.booting = True
        await self._clock.wait(seconds)
        for account in lines:
            account.booting = False
            account.boots += 1
            account.call_id, account.cseq = self._call_id(account.number, account.boots), 0
        # One that was registered anew or roamed meanwhile is no longer this one.
        await self._register_all(
            [each for each in lines if each.present and self._accounts[each.phone.line_port] is each]
        )

    def _serve(self, request: SipMessage, address: tuple[str, int]) -> None:
        if request.method == "ACK":
            return
        account = self._addressed(request.uri)
        dead = account is not None and (not account.present or account.booting)
        new = self._endpoint.first_time(request)
        answer, authorized = None, False
        if not dead and not new:
            answer = self._endpoint.answer_again(request, address)
        elif not dead:
            answer, authorized = self._answer(account, request, address)
        line_port = account.phone.line_port if account else ""
        entry = heard(request, self._clock.now(), line_port, answer, repeated=not new, authorized=authorized)
        self._heard.append(entry)
        if self._listen is not None:
            self._listen(entry)

    def _answer(
        self, account: _Account | None, request: SipMessage, address: tuple[str, int]
    ) -> tuple[int | None, bool]:
        """Answer a request that is new; return the status, and whether it proved a password."""
        if account is None:
            self._endpoint.answer(request, _NOT_FOUND, address)
            return _NOT_FOUND, False
        door = account.door if is_challenged(account.phone, request.method) else None
        if door is not None and not door.opens(request):
            self._endpoint.answer(request, UNAUTHORIZED, address, [("WWW-Authenticate", door.ask())])
            return UNAUTHORIZED, False
        status = status_for(account.phone, request)
        if status is not None:
            self._endpoint.answer(request, status, address)
        if request.method == "NOTIFY" and status == OK:
            self._obey(account)
        return status, door is not None

    def _obey(self, account: _Account) -> None:
        phone = account.phone
        if phone.after_notify is AfterNotify.IGNORES:
            return
        names = self._by_device.get(phone.device) or {phone.line_port}
        lines = [self._accounts[each] for each in sorted(names)]
        if phone.after_notify is AfterNotify.DIES:
            self.fall_silent(each.phone.line_port for each in lines)
        else:
            self._start(self._reboot(lines))

    def _addressed(self, uri: str) -> _Account | None:
        _, _, parameter = uri.partition(";line=")
        number = parameter.partition(";")[0]
        if number.isascii() and number.isdigit() and len(number) < len("1000000000"):
            return self._by_number.get(int(number))
        return None
