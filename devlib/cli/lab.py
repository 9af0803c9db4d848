"""The command that plays a fleet of SIP phones to a registrar on this machine."""

import asyncio
import json
import signal
import threading
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TextIO

from pydantic import SecretStr

from devlib.cli.command import CUSTOMER, DONE, FAILED, SITE, Argument, Call, Command, argument
from devlib.clock import SystemClock
from devlib.config import Secret
from devlib.errors import UsageError
from devlib.language import Message, message
from devlib.network import (
    Cast,
    Challenge,
    Credentials,
    Heard,
    Parts,
    PhoneFleet,
    Trial,
    TrialLine,
    cast,
    made_up_lines,
    require_loopback,
    with_own_instance,
)

_STATUS_SECONDS = 10.0
_OK = 200
_SHARES = ("silent", "refuse", "challenge", "never_back", "ignore", "age", "leave", "roam")


def lab_phones(call: Call) -> int:
    """Play the phones until the time is over, Ctrl+C or SIGTERM."""
    given = call.arguments
    registrar = _registrar(given.registrar)
    require_loopback(registrar[0])
    _require_sense(vars(given))
    actors = cast(_lines(call), _parts(call), _challenge(call))
    password = _secret(given.password_env, given.password_file)
    with _log(given.log) as write:
        run = _Run(call, write)
        return asyncio.run(run.play(registrar, actors, password))


def _registrar(text: str) -> tuple[str, int]:
    host, _, port = text.rpartition(":")
    if not host or not port.isascii() or not port.isdigit() or not 0 < int(port[:6]) <= 65_535:  # noqa: PLR2004
        raise UsageError(
            message("{text} is no registrar.", text=text[:80]),
            remedy=message("Give it as host:port, for example 127.0.0.1:5060."),
        )
    return host.removeprefix("[").removesuffix("]"), int(port)


def _require_sense(given: Mapping[str, Any]) -> None:
    least = {"phones": 1, "expires": 1, "boot": 0, "pace": 0.01, "seconds": 0} | dict.fromkeys(_SHARES, 0)
    for name, smallest in least.items():
        if given[name] is not None and not given[name] >= smallest:
            raise UsageError(
                message(
                    "--{name} is {value}; it must be at least {least}.",
                    name=name.replace("_", "-"),
                    value=given[name],
                    least=smallest,
                )
            )
    if not 300 <= given["refuse_status"] <= 699:  # noqa: PLR2004 - RFC 3261 §7.2: final, and no success
        raise UsageError(message("--refuse-status must be a SIP status from 300 to 699."))


def _lines(call: Call) -> list[TrialLine]:
    given = call.arguments
    if given.from_inventory:
        with call.open_portal() as portal:
            lines = portal.trial_lines(given.customer, given.site)
    else:
        lines = list(made_up_lines(given.phones, given.domain, min(given.roam, given.phones)))
    if given.handset_instance:
        lines = [with_own_instance(line) if line.elsewhere else line for line in lines]
    return [line.timed(given.expires, given.boot) for line in lines]


def _parts(call: Call) -> Parts:
    given = vars(call.arguments)
    return Parts(**{name: given[name] for name in _SHARES}, refuse_status=given["refuse_status"])


def _challenge(call: Call) -> Challenge | None:
    given = call.arguments
    if not given.challenge:
        return None
    password = _secret(given.challenge_password_env, given.challenge_password_file)
    if password is None:
        raise UsageError(
            message("Phones that ask for a password need one."),
            remedy=message("Give --challenge-password-env NAME or --challenge-password-file PATH."),
        )
    return Challenge(Credentials(given.challenge_user, password), algorithm=given.algorithm)


def _secret(env: str | None, file: str | None) -> SecretStr | None:
    if not env and not file:
        return None
    found = Secret(file=Path(file)) if file else Secret(env=env)
    return SecretStr(found.reveal())


@contextmanager
def _log(path: str | None) -> Iterator[Callable[[Heard], None]]:
    """Give a function that writes what was heard, one JSON object a line, at once."""
    if path is None:
        yield lambda _: None
        return
    try:
        file: TextIO = Path(path).open("a", encoding="utf-8", buffering=1)  # noqa: SIM115 - closed below
    except OSError as error:
        raise UsageError(
            message("The log cannot be written: {error}", error=error.strerror or error),
            where=path,
            remedy=message("Name a file in a folder where this account may write."),
        ) from None
    with file:
        yield lambda heard: print(json.dumps(heard.values(), ensure_ascii=False), file=file)


class _Run:
    """One run of the command."""

    def __init__(self, call: Call, write: Callable[[Heard], None]) -> None:
        self._call = call
        self._write = write
        self._counted: Counter[str] = Counter()
        self._clock = SystemClock()

    async def play(self, registrar: tuple[str, int], actors: Cast, password: SecretStr | None) -> int:
        given = self._call.arguments
        stopped = asyncio.Event()
        async with PhoneFleet(registrar, self._clock, password=password, listen=self._listen) as fleet:
            trial = Trial(fleet, actors, self._clock, given.pace)
            with _stopping(stopped):
                answers = await trial.begin()
                self._tell_refused(answers)
                self._tell(fleet, trial)
                life = asyncio.create_task(trial.go_on())
                await self._until(stopped, fleet, trial)
                life.cancel()
                await asyncio.gather(life, return_exceptions=True)
                if given.sign_off:
                    await trial.sign_off()
            self._tell(fleet, trial)
        return DONE if set(answers.values()) <= {_OK} else FAILED

    async def _until(self, stopped: asyncio.Event, fleet: PhoneFleet, trial: Trial) -> None:
        seconds = self._call.arguments.seconds
        end = None if seconds is None else self._clock.monotonic() + seconds
        while not stopped.is_set():
            left = _STATUS_SECONDS if end is None else min(end - self._clock.monotonic(), _STATUS_SECONDS)
            if left <= 0:
                return
            try:
                await asyncio.wait_for(stopped.wait(), left)
            except TimeoutError:
                self._tell(fleet, trial)

    def _listen(self, heard: Heard) -> None:
        self._counted["heard"] += 1
        self._counted["repeated"] += heard.repeated
        self._write(heard)

    def _tell_refused(self, answers: dict[str, int]) -> None:
        for status, count in sorted(Counter(answers.values()).items()):
            if status != _OK:
                text = message("{count} phones were not registered: {status}", count=count, status=status)
                self._call.out.warn(text)

    def _tell(self, fleet: PhoneFleet, trial: Trial) -> None:
        reboots = sum(fleet.boots.values()) - len(fleet.boots)
        values = {
            "registered": fleet.registered,
            "lines": len(fleet.boots),
            "aged": trial.happened["aged"],
            "left": trial.happened["left"],
            "roamed": trial.happened["roamed"],
            "reboots": reboots,
            "heard": self._counted["heard"],
            "repeated": self._counted["repeated"],
        }
        self._call.out.record(values, _status(values))


def _status(values: dict[str, int]) -> Message:
    return message(
        "{registered} of {lines} lines registered; {aged} fell silent, {left} signed off, {roamed} moves, "
        "{reboots} reboots; {heard} requests heard, {repeated} of them again",
        **values,
    )


@contextmanager
def _stopping(stopped: asyncio.Event) -> Iterator[None]:
    """Let Ctrl+C and SIGTERM end the trial in order."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    loop = asyncio.get_running_loop()
    before = {each: signal.getsignal(each) for each in (signal.SIGINT, signal.SIGTERM)}
    for each in before:
        loop.add_signal_handler(each, stopped.set)
    try:
        yield
    finally:
        for each, handler in before.items():
            loop.remove_signal_handler(each)
            signal.signal(each, handler)


def _count(flag: str, text: Message) -> Argument:
    return argument(flag, type=int, default=0, metavar="N", help=text)


COMMANDS = (
    Command(
        "lab-phones",
        message("play a fleet of SIP phones to a registrar on this machine, for trials"),
        lab_phones,
        (
            argument("registrar", help=message("host:port of the registrar; loopback only")),
            argument("--phones", type=int, default=10, help=message("how many phones, each with one line")),
            argument("--domain", default="lab.test", help=message("domain of their line ports")),
            argument(
                "--from-inventory",
                action="store_true",
                help=message("instead of these: the assigned lines of the inventory, as their devices"),
            ),
            CUSTOMER,
            SITE,
            argument("--expires", type=int, default=3600, help=message("seconds for which they register")),
            argument("--boot", type=float, default=5.0, help=message("seconds that a reboot takes")),
            _count("--silent", message("phones that are deaf to a restart")),
            _count("--refuse", message("phones that refuse a restart")),
            argument("--refuse-status", type=int, default=403, help=message("SIP status of their refusal")),
            _count("--challenge", message("phones that ask for a password before they restart")),
            _count("--never-back", message("phones that accept a restart and never come back")),
            _count("--ignore", message("phones that accept a restart and do nothing")),
            _count("--age", message("phones that lose their power, one after the other")),
            _count("--leave", message("phones that sign off, one after the other")),
            _count("--roam", message("DECT handsets that move from base to base")),
            argument(
                "--pace",
                type=float,
                default=1.0,
                help=message("seconds between two of these happenings"),
            ),
            argument(
                "--handset-instance",
                action="store_true",
                help=message("handsets keep one +sip.instance, so that they leave no ghost behind"),
            ),
            argument("--password-env", help=message("environment variable with the registrar's password")),
            argument("--password-file", help=message("file with the registrar's password")),
            argument(
                "--challenge-user",
                default="",
                help=message("user that phones ask for; by default the line port's"),
            ),
            argument(
                "--challenge-password-env", help=message("environment variable with the phones' password")
            ),
            argument("--challenge-password-file", help=message("file with the phones' password")),
            argument(
                "--algorithm",
                choices=("MD5", "SHA-256"),
                default="SHA-256",
                help=message("digest of their challenge"),
            ),
            argument("--seconds", type=float, help=message("how long; by default until Ctrl+C")),
            argument(
                "--sign-off",
                action="store_true",
                help=message("sign off at the end; by default the bindings stay until they expire"),
            ),
            argument("--log", help=message("file for one JSON line for each request heard")),
        ),
    ),
)
