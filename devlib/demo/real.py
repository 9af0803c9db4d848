"""The demonstration on a real Kamailio: phones register over SIP, fall silent, sign off."""

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from devlib.clock import Clock, SystemClock
from devlib.collect import EXPIRY_SLACK
from devlib.demo.registrar import Registrar, running_registrar
from devlib.demo.seeding import seed_fleet
from devlib.demo.stage import Stage
from devlib.errors import ExportFailed
from devlib.export import ReportFile
from devlib.language import message
from devlib.model import Scope
from devlib.network import Phone, PhoneFleet
from devlib.portal import Portal, connect

_CUSTOMER = "Boulangeries Martin"
_LONG, _SHORT = 600, 4
_SWEPT_AFTER = _SHORT + 3.0
_OK = 200
# A registrar tells its start in whole seconds: what is seen just after it may be of the time before it.
_SETTLED_AFTER = EXPIRY_SLACK.total_seconds() + 1.0


@dataclass(frozen=True, slots=True)
class Cast:
    """Which line port plays which part.

    Args:
        faithful: stay registered.
        silent: a third; stop refreshing, so that their bindings expire.
        leaving: sign off.
    """

    faithful: tuple[str, ...]
    silent: tuple[str, ...]
    leaving: tuple[str, ...]

    @classmethod
    def of(cls, line_ports: Sequence[str]) -> "Cast":
        """Let every third line port fall silent, and every tenth of the rest sign off."""
        silent = tuple(line_ports[::3])
        rest = [each for place, each in enumerate(line_ports) if place % 3]
        return cls(tuple(p for n, p in enumerate(rest) if n % 10), silent, tuple(rest[::10]))

    def phones(self) -> list[Phone]:
        """Return the phones; those that fall silent ask for short registrations."""
        agent = "Yealink SIP-T46S 66.85.0.5"
        steady = [Phone(port, user_agent=agent, expires=_LONG) for port in self.faithful + self.leaving]
        return steady + [Phone(port, user_agent=agent, expires=_SHORT) for port in self.silent]


def show_real_phones(stage: Stage, phones: int) -> ReportFile:
    """Register real phones at a real Kamailio and report what becomes of them.

    Args:
        stage: where.
        phones: how many line ports register.

    Returns:
        The second report, of all sites of one customer.

    Raises:
        ConfigurationError: Kamailio is not installed.
        ExportFailed: the states are not exactly those that the phones' behaviour gives.
    """
    clock = SystemClock()
    report = _show(stage, phones, clock)
    stage.say(message("Kamailio has stopped; what was collected stays, but nothing more can be asked of it."))
    return report


def _show(stage: Stage, phones: int, clock: Clock) -> ReportFile:
    with running_registrar(stage.home / "kamailio", contacts=max(phones * 2, 1_000)) as registrar:
        stage.say(message("A real Kamailio runs on 127.0.0.1, SIP port {port}.", port=registrar.sip_port))
        _write_settings(stage, registrar)
        with connect(settings=stage.settings, clock=clock) as portal:
            services = portal.services
            seed_fleet(services.inventory, services.catalogue, phones)
            return asyncio.run(_play(stage, portal, registrar, clock))


def _write_settings(stage: Stage, registrar: Registrar) -> None:
    text = f'[[networks]]\nkind = "kamailio"\nname = "kamailio"\nrpc_url = "{registrar.rpc_url}"\n'
    (stage.home / "devlib.toml").write_text(text, encoding="utf-8")


async def _play(stage: Stage, portal: Portal, registrar: Registrar, clock: Clock) -> ReportFile:
    with portal.services.inventory.read() as reader:
        line_ports = [row.line_port for batch in reader.line_batches(Scope()) for row in batch]
    cast = Cast.of(line_ports)
    async with PhoneFleet(registrar.address, clock) as fleet:
        answers = await fleet.register(cast.phones())
        registered = sum(code == _OK for code in answers.values())
        stage.say(message("{count} phones registered over SIP.", count=registered))
        await clock.wait(_SETTLED_AFTER)
        await asyncio.to_thread(portal.collect)
        await asyncio.to_thread(stage.report, portal, _CUSTOMER, from_snapshot=True)
        fleet.fall_silent(cast.silent)
        await clock.wait(_SWEPT_AFTER)
        await fleet.sign_off(cast.leaving)
        stage.say(
            message(
                "{silent} phones fell silent and their bindings expired; {leaving} signed off.",
                silent=len(cast.silent),
                leaving=len(cast.leaving),
            )
        )
        await asyncio.to_thread(portal.collect)
        _compare(stage, portal, cast)
        return await asyncio.to_thread(stage.report, portal, _CUSTOMER, from_snapshot=True)


def _compare(stage: Stage, portal: Portal, cast: Cast) -> None:
    found = portal.sql("SELECT line_port, state FROM line_states")
    for state, expected in (
        ("registered", cast.faithful),
        ("aged", cast.silent),
        ("unregistered", cast.leaving),
    ):
        got = set(found.loc[found["state"] == state, "line_port"])
        if got != set(expected):
            raise ExportFailed(
                message(
                    "{count} lines are not {state} as they should be.",
                    count=len(got ^ set(expected)),
                    state=state,
                )
            )
    stage.say(message("Exactly the silent lines are aged, exactly those that signed off are unregistered."))
