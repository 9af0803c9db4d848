"""One laboratory for each network: the same acts on simulated time and on a real Kamailio."""

from collections.abc import AsyncIterator
from typing import Protocol

import pytest
from kamailio_fixture import kamailio

from devlib.clock import Clock, FakeClock, SystemClock
from devlib.config import KamailioSettings, SimulatorSettings
from devlib.network import Network, Phone, PhoneFleet, RestartOutcome, Simulator, open_network
from devlib.network.loopback import free_ports

__all__ = ["kamailio"]

_CODES = {
    RestartOutcome.AUTH_NEEDED: 401,
    RestartOutcome.REFUSED: 481,
    RestartOutcome.NO_ANSWER: None,
    RestartOutcome.UNROUTABLE: 480,
}


class Lab(Protocol):
    """A network, and hands to play the phones in it."""

    network: Network
    clock: Clock

    async def register(
        self,
        line_port: str,
        *,
        expires: int = 3600,
        user_agent: str = "Trial/1.0",
        instance: str = "",
        on_notify: RestartOutcome = RestartOutcome.ACCEPTED,
    ) -> None: ...
    async def sign_off(self, line_port: str) -> None: ...
    async def fall_silent(self, line_port: str) -> None: ...
    async def pass_seconds(self, seconds: float) -> None: ...
    async def until_rebooted(self, line_port: str) -> None: ...
    async def break_network(self) -> None: ...


class SimulatorLab:
    """The simulator, on a clock that the test moves."""

    def __init__(self) -> None:
        self.clock = FakeClock()
        self.network = Simulator(SimulatorSettings(seed=7), self.clock)

    async def register(
        self,
        line_port,
        *,
        expires=3600,
        user_agent="Trial/1.0",
        instance="",
        on_notify=RestartOutcome.ACCEPTED,
    ):
        self.network.register(line_port, expires=expires, user_agent=user_agent, instance=instance or None)
        if on_notify is not RestartOutcome.ACCEPTED:
            self.network.answer_restart(line_port, on_notify, _CODES[on_notify])

    async def sign_off(self, line_port):
        self.network.sign_off(line_port)

    async def fall_silent(self, line_port):
        self.network.fall_silent(line_port)

    async def pass_seconds(self, seconds):
        self.clock.advance(seconds)

    async def until_rebooted(self, line_port):
        self.clock.advance(31)

    async def break_network(self):
        self.network.registrar_down()


class KamailioLab:
    """A real Kamailio, with real phones on real time."""

    def __init__(self, settings: KamailioSettings, fleet: PhoneFleet, clock: Clock) -> None:
        self.clock = clock
        self.fleet = fleet
        self.settings = settings
        self.network = open_network(settings, clock)

    async def register(
        self,
        line_port,
        *,
        expires=3600,
        user_agent="Trial/1.0",
        instance="",
        on_notify=RestartOutcome.ACCEPTED,
    ):
        code = _CODES.get(on_notify, 200)
        phone = Phone(line_port, user_agent, instance, expires, code)
        assert await self.fleet.register([phone]) == {line_port: 200}

    async def sign_off(self, line_port):
        assert await self.fleet.sign_off([line_port]) == {line_port: 200}

    async def fall_silent(self, line_port):
        self.fleet.fall_silent([line_port])

    async def pass_seconds(self, seconds):
        await self.clock.wait(seconds)

    async def until_rebooted(self, line_port):
        for _ in range(100):
            if self.fleet.boots[line_port] > 1:
                break
            await self.clock.wait(0.02)
        await self.clock.wait(0.1)

    async def break_network(self):
        await self.network.close()
        (port,) = free_ports(1)
        settings = self.settings.model_copy(update={"rpc_url": f"http://127.0.0.1:{port}/RPC"})
        self.network = open_network(settings, self.clock)


@pytest.fixture(
    params=[
        "simulator",
        pytest.param("kamailio", marks=pytest.mark.kamailio),
        pytest.param("kamailio over its proxy", marks=pytest.mark.kamailio),
    ]
)
async def lab(request: pytest.FixtureRequest) -> AsyncIterator[Lab]:
    """Each network in turn; what holds for one must hold for the other."""
    if request.param == "simulator":
        yield SimulatorLab()
        return
    registrar = request.getfixturevalue("kamailio")
    clock = SystemClock()
    settings = KamailioSettings(
        kind="kamailio",
        name="trial",
        rpc_url=registrar.rpc_url,
        sip_proxy=registrar.sip_proxy if "proxy" in request.param else None,
        probe_seconds=2.0,
    )
    async with PhoneFleet(registrar.address, clock) as fleet:
        played = KamailioLab(settings, fleet, clock)
        yield played
        # The registrar serves the whole session: what is left here would stand in the next snapshot.
        await fleet.sign_off(tuple(fleet.boots))
        await played.network.close()
