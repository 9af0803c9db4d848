"""A real Kamailio, followed, and killed in the middle: nothing is called gone that is not, and it goes on."""

import asyncio
import threading
import time
from contextlib import contextmanager

import pytest

from devlib.clock import SystemClock
from devlib.collect import FlushKind
from devlib.config import KamailioSettings, Settings
from devlib.demo.location_tables import make_location_tables
from devlib.demo.registrar import Options, running_registrar
from devlib.model import EVERYTHING, Identity, LineState, Mac, NewDevice, Role, User
from devlib.network import Phone, PhoneFleet
from devlib.portal import Portal, open_services
from devlib.storage import NewLine

pytestmark = pytest.mark.kamailio

PATIENCE = 20.0
PER_DEVICE = 4


def phone(port, expires=3600):
    """Return the phone of a line; wherever it registers from, it is the same one (RFC 5626)."""
    return Phone(port, instance=f"urn:uuid:00000000-0000-1000-8000-{int(port[:4]):012x}", expires=expires)


class Place:
    """A home whose lines register at a real Kamailio."""

    def __init__(self, folder, registrar, lines, database=""):
        self.registrar = registrar
        self.ports = [f"{2000 + n}@lab.example" for n in range(lines)]
        given = {"kind": "kamailio", "name": "lab", "rpc_url": registrar.rpc_url, "seconds": 2.0}
        given |= {"events": registrar.events} if registrar.events else {}
        given |= {"database": database} if database else {}
        settings = Settings(
            home=folder / "home", account="tester", networks=(KamailioSettings.model_validate(given),)
        )
        self.services = open_services(settings, SystemClock())
        self._seed()
        self.done = []
        self._stop = threading.Event()

    def _seed(self):
        catalogue = self.services.catalogue
        kind = catalogue.get("Yealink T46S").name
        macs = [Mac(0x805EC0 << 24 | n) for n in range(-(-len(self.ports) // PER_DEVICE))]
        assigned = [
            (macs[n // PER_DEVICE], NewLine(port, User(f"user{n}"), port=n % PER_DEVICE + 1))
            for n, port in enumerate(self.ports)
        ]
        with self.services.inventory.write() as writer:
            writer.add_provider("P")
            writer.add_customer("P", "C")
            writer.add_site(EVERYTHING, "C", "S", [kind])
            writer.add_devices(EVERYTHING, "C", [NewDevice(mac, kind, "S") for mac in macs])
            writer.assign_lines(EVERYTHING, catalogue, assigned)

    def portal(self):
        """Return a portal that may do everything."""
        return Portal(Identity("tester", Role.SERVICE_PROVIDER, EVERYTHING), self.services)

    def phones(self, work):
        """Run `work` with a fleet of phones of this registrar."""

        async def run():
            async with PhoneFleet(self.registrar.address, SystemClock()) as fleet:
                return await work(fleet)

        return asyncio.run(run())

    def register(self, ports=None, expires=3600):
        """Let phones register."""

        async def work(fleet):
            answers = await fleet.register(phone(port, expires) for port in ports or self.ports)
            assert set(answers.values()) == {200}

        self.phones(work)

    def sign_off(self, port):
        """Let a phone register and say goodbye."""

        async def work(fleet):
            await fleet.register([phone(port)])
            await fleet.sign_off([port])

        self.phones(work)

    def row(self, port):
        """Return what the lake knows of a line."""
        sql = f"SELECT * FROM line_states WHERE line_port = '{port}'"
        return self.portal().sql(sql).iloc[0]

    def count(self, condition):
        """Count observations."""
        return int(self.portal().sql(f"SELECT count(*) AS n FROM observations WHERE {condition}")["n"][0])

    def until(self, condition):
        """Wait until something is so; return how many seconds that took."""
        start = time.monotonic()
        while not condition():
            assert time.monotonic() - start < PATIENCE, [str(each) for each in self.done[-5:]]
            time.sleep(0.02)
        return time.monotonic() - start

    @contextmanager
    def followed(self):
        """Follow in a thread of its own, as `devlib follow` does in a process."""

        def tell(flush):
            self.done.append(flush)
            return not self._stop.is_set()

        thread = threading.Thread(target=lambda: self.portal().follow(tell))
        thread.start()
        try:
            yield
        finally:
            self._stop.set()
            if not self.registrar_answers():
                self.registrar.start()
            # Following ends with the next thing that is done.
            self.sign_off(self.ports[0])
            thread.join(PATIENCE)
            assert not thread.is_alive()
            self.services.close()

    def registrar_answers(self):
        """Return whether the registrar answers."""
        network = self.services.networks.served[0].open()

        async def ask():
            try:
                return (await network.check()).answers
            finally:
                await network.close()

        return asyncio.run(ask())


@contextmanager
def place(folder, lines, *, events=True, database=""):
    options = Options(events=events, database=database)
    with running_registrar(folder / "kamailio", options=options, contacts=lines) as registrar:
        yield Place(folder, registrar, lines, database)


def test_a_registrar_killed_in_the_middle_of_a_collection(kamailio, tmp_path):
    """What it did not answer is unknown; what it has forgotten stays unknown until it registers again."""
    with place(tmp_path, 3000, events=False) as lab:
        lab.register()
        states = lab.services.collector.collect(EVERYTHING).states
        assert states[LineState.REGISTERED] == 3000

        def progress(done, total):
            if 0 < done < total:
                lab.registrar.kill()

        states = lab.services.collector.collect(EVERYTHING, progress).states
        assert states[LineState.UNKNOWN] == 1000
        assert states[LineState.REGISTERED] == 2000
        lab.registrar.start()
        states = lab.services.collector.collect(EVERYTHING).states
        assert states == {**dict.fromkeys(LineState, 0), LineState.UNKNOWN: 3000}
        forgotten = lab.row(lab.ports[0])
        assert (forgotten["evidence"], forgotten["state_before"]) == ("registrar restarted", "registered")
        assert "restarted" in forgotten["reason"]
        lab.register(lab.ports[:100])
        lab.services.collector.collect(EVERYTHING)
        assert lab.count("state = 'unregistered'") == 0
        assert lab.row(lab.ports[0])["state"] == "registered"
        assert lab.row(lab.ports[100])["state"] == "unknown"
        lab.services.close()


def test_a_followed_registrar_is_killed_and_comes_back(kamailio, tmp_path):
    """Changes arrive by themselves; a kill makes unknown, never gone; it goes on by itself."""
    with place(tmp_path, 40) as lab, lab.followed():
        lab.until(lambda: any(each.kind is FlushKind.RECONCILED for each in lab.done))
        port, other, third = lab.ports[1:4]
        lab.register([port])
        lab.until(lambda: lab.row(port)["state"] == "registered")
        lab.register([other, third])
        lab.sign_off(port)
        lab.until(lambda: lab.row(port)["evidence"] == "signed off")
        lab.register([lab.ports[4]], expires=1)
        lab.until(lambda: lab.row(lab.ports[4])["evidence"] == "expiry reported")
        assert lab.row(lab.ports[4])["state"] == "aged"
        lab.until(lambda: lab.row(other)["state"] == "registered")
        lab.registrar.kill()
        lab.until(lambda: lab.row(other)["state"] == "unknown")
        assert lab.row(other)["state_before"] == "registered"
        lab.registrar.start()
        lab.until(lambda: lab.row(other)["evidence"] == "registrar restarted")
        assert lab.row(port)["evidence"] == "signed off"
        lab.register([other])
        lab.until(lambda: lab.row(other)["state"] == "registered")
        assert lab.row(third)["state"] == "unknown"
        assert lab.count(f"state = 'unregistered' AND line_port IN ('{other}', '{third}') "
                         "AND evidence <> 'never seen'") == 0  # fmt: skip


@pytest.mark.postgresql
def test_a_followed_registrar_with_a_database_forgets_nothing(kamailio, postgresql, tmp_path):
    """After a kill its bindings are there again; changes go on arriving."""
    database = postgresql.new_database()
    make_location_tables(database)
    with place(tmp_path, 40, database=database) as lab, lab.followed():
        lab.until(lambda: any(each.kind is FlushKind.RECONCILED for each in lab.done))
        lab.register(lab.ports[1:])
        lab.until(lambda: lab.row(lab.ports[-1])["state"] == "registered")
        lab.registrar.kill()
        lab.until(lambda: any(each.kind is FlushKind.LOST for each in lab.done))
        lab.registrar.start()
        known = len(lab.done)
        lab.until(lambda: any(each.kind is FlushKind.RECONCILED for each in lab.done[known:]))
        lab.until(lambda: lab.row(lab.ports[-1])["state"] == "registered")
        listed = ", ".join(f"'{port}'" for port in lab.ports[1:])
        gone = f"state = 'unregistered' AND evidence <> 'never seen' AND line_port IN ({listed})"
        assert lab.count(gone) == 0
        lab.sign_off(lab.ports[2])
        lab.until(lambda: lab.row(lab.ports[2])["evidence"] == "signed off")
