"""Fleets of real SIP phones behind a real Kamailio, restarted by the command; processes are killed."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from contextlib import contextmanager
from itertools import pairwise

import pytest
from kamailio_fixture import kamailio
from pydantic import SecretStr

from devlib.clock import SystemClock
from devlib.config import KamailioSettings, Settings
from devlib.demo.registrar import Options, running_registrar
from devlib.model import EVERYTHING, Mac, NewDevice, User
from devlib.network import AfterNotify, Challenge, Credentials, Phone, PhoneFleet
from devlib.portal import open_services
from devlib.storage import NewLine, StepState

__all__ = ["kamailio"]

pytestmark = [pytest.mark.kamailio, pytest.mark.slow, pytest.mark.timeout(600)]

RATE = 60
BOOT = 4.0
PATIENCE = 240.0
COMMAND = "import sys; from devlib.cli import main; raise SystemExit(main(sys.argv[1:]))"
KINDS = ("silent", "refuses", "challenges", "never back")
OUTCOMES = {
    "silent": "no answer",
    "refuses": "refused",
    "challenges": "refused",
    "never back": "accepted but unconfirmed",
    "good": "confirmed",
}


def mac(number):
    return Mac(0x805EC0 << 24 | number)


def line_port(number):
    return f"{20000 + number}@lab.example"


def kind_of(number, each):
    """Return what the numbered phone does; the first ones, the canaries, are good."""
    place = number - 10
    return KINDS[place // each] if 0 <= place < each * len(KINDS) else "good"


def phone(number, each, expires):
    kind = kind_of(number, each)
    more = {
        "silent": {"notify_status": None},
        "refuses": {"notify_status": 481},
        "challenges": {"challenge": Challenge(Credentials("devlib", SecretStr("secret")))},
        "never back": {"after_notify": AfterNotify.DIES if number % 2 else AfterNotify.IGNORES},
        "good": {},
    }[kind]
    return Phone(
        line_port(number),
        instance=f"urn:uuid:00000000-0000-1000-8000-{mac(number).value:012x}",
        expires=expires,
        boot_seconds=1.0,
        **more,
    )


class Phones:
    """A fleet of phones in a thread of its own, as it would be outside of devlib."""

    def __init__(self, registrar, phones):
        self._registrar = registrar
        self._phones = phones
        self._ready, self._stop = threading.Event(), None
        self._thread = threading.Thread(target=lambda: asyncio.run(self._live()))
        self.fleet = None
        # Without retransmissions, and without the second half of a login.
        self.notifies = []

    def _hear(self, heard):
        if heard.method == "NOTIFY" and not heard.repeated and not heard.authorized:
            self.notifies.append(heard)

    async def _live(self):
        self._stop = asyncio.Event()
        self._loop = asyncio.get_running_loop()
        address = self._registrar.address
        async with PhoneFleet(address, SystemClock(), listen=self._hear) as self.fleet:
            assert set((await self.fleet.register(self._phones)).values()) == {200}
            self._ready.set()
            await self._stop.wait()

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(PATIENCE)
        return self

    def __exit__(self, *failure):
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join(PATIENCE)

    def moments(self):
        """Return when the NOTIFYs of each line arrived, in seconds."""
        found = {}
        for each in self.notifies:
            found.setdefault(each.line_port, []).append(each.at.timestamp())
        return found


class Lab:
    """A home whose devices register at a real Kamailio, and the command on it."""

    def __init__(self, folder, registrar, count, each, *, expires, more=""):
        self.registrar, self.count, self.each = registrar, count, each
        self.home = folder / "home"
        self.home.mkdir()
        (self.home / "devlib.toml").write_text(
            '[[networks]]\nkind = "kamailio"\nname = "lab"\nseconds = 2.0\n'
            f'rpc_url = "{registrar.rpc_url}"\nevents = "{registrar.events}"\n'
            f'sip_proxy = "{registrar.sip_proxy}"\nrestart_rate = {RATE}.0\nconnections = 32\n{more}'
        )
        network = KamailioSettings(kind="kamailio", name="lab", rpc_url=registrar.rpc_url)
        settings = Settings(home=self.home, account="tester", networks=(network,))
        self.services = open_services(settings, SystemClock())
        self._seed()
        self._started = []
        self.phones = Phones(registrar, [phone(n, each, expires) for n in range(count)])

    def _seed(self):
        catalogue = self.services.catalogue
        kind = catalogue.get("Yealink T46S").name
        with self.services.inventory.write() as writer:
            writer.add_provider("P")
            writer.add_customer("P", "C")
            writer.add_site(EVERYTHING, "C", "S", [kind])
            writer.add_devices(EVERYTHING, "C", [NewDevice(mac(n), kind, "S") for n in range(self.count)])
            lines = [(mac(n), NewLine(line_port(n), User(f"u{n}"), port=1)) for n in range(self.count)]
            writer.assign_lines(EVERYTHING, catalogue, lines)

    def command(self, *words):
        """Start `devlib` with these words."""
        process = subprocess.Popen(
            [sys.executable, "-c", COMMAND, "--json", *words],
            env=os.environ | {"DEVLIB_HOME": str(self.home)},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self._started.append(process)
        return process

    def close(self):
        """End what is still running."""
        for process in self._started:
            if process.poll() is None:
                process.kill()
                process.communicate()
        self.services.close()

    def restart(self, *more):
        """Start `devlib restart` of everything."""
        words = ["--customer", "C", "--yes", "--stop-after", "0", "--stop-share", "0", "--rate", str(RATE)]
        words += ["--boot-seconds", str(BOOT), "--grace", "12"]
        return self.command("restart", *words, *more)

    def until_notified(self, count, process):
        """Wait until so many NOTIFYs have arrived."""
        end = time.monotonic() + PATIENCE
        while len(self.phones.notifies) < count:
            if process.poll() is not None or time.monotonic() > end:
                process.kill()
                pytest.fail(f"{len(self.phones.notifies)} NOTIFYs: {process.communicate()}")
            time.sleep(0.01)

    def steps(self):
        """Return the devices of the one run by number."""
        with self.services.inventory.read() as reader:
            return {int(step.mac[-5:].replace(":", ""), 16): step for step in reader.restart_steps(1)}


@contextmanager
def lab_of(folder, count, each, *, expires=3600, more=""):
    options = Options(events=True)
    place = folder / "kamailio"
    with running_registrar(place, answer_limit=4.0, options=options, contacts=count) as registrar:
        made = Lab(folder, registrar, count, each, expires=expires, more=more)
        try:
            with made.phones:
                yield made
        finally:
            made.close()


def check_outcomes(lab, expected=OUTCOMES):
    """Each phone has the outcome that fits what it does."""
    assert len(lab.steps()) == lab.count
    moments, boots = lab.phones.moments(), lab.phones.fleet.boots
    wrong = [
        f"{kind_of(number, lab.each)}: {step}; heard {moments.get(line_port(number))}, "
        f"started {boots[line_port(number)]} times"
        for number, step in lab.steps().items()
        if step.outcome != expected[kind_of(number, lab.each)]
    ]
    assert not wrong, f"{len(wrong)}: " + "\n".join(wrong[:5])


def check_rate(lab):
    """No second had more NOTIFYs than the set rate: as they were sent, and as the phones count them.

    On a busy machine phones take what arrived together late; by how much they lag behind is known.
    """
    sent = {step.line_port: step.sent_at.timestamp() for step in lab.steps().values() if step.sent_at}
    moments = sorted(sent.values())
    assert min(later - earlier for earlier, later in pairwise(moments)) >= 1 / RATE - 0.001
    lags = [times[-1] - sent[port] for port, times in lab.phones.moments().items()]
    assert min(lags) >= 0
    heard = sorted(each.at.timestamp() for each in lab.phones.notifies)
    most, first = 0, 0
    for last, moment in enumerate(heard):
        while heard[first] <= moment - 1.0:
            first += 1
        most = max(most, last - first + 1)
    assert most <= RATE * (1 + max(lags)) + 1


def test_a_fleet_is_restarted_although_its_process_is_killed(kamailio, tmp_path):
    """1 000 phones, of which 80 fail in four ways; after kill -9 in the middle, each has its right outcome.

    No phone boots twice. A second NOTIFY goes only to a phone that was being sent the first one when the
    process died, and not before it has had time to boot.
    """
    with lab_of(tmp_path, 1_000, 20) as lab:
        process = lab.restart()
        lab.until_notified(450, process)
        process.kill()
        process.communicate()
        left = {number for number, step in lab.steps().items() if step.state is StepState.SENDING}
        process = lab.command("restart", "--resume", "1")
        out, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, err
        said = json.loads(out.splitlines()[-1])
        assert (said["state"], said["left"]) == ("done", 0)
        check_outcomes(lab)
        assert {name: count for name, count in said["outcomes"].items() if count} == {
            "confirmed": 920, "refused": 40, "no answer": 20, "accepted but unconfirmed": 20,
        }  # fmt: skip
        check_rate(lab)
        moments = lab.phones.moments()
        assert len(moments) == 1_000
        twice = {port: times for port, times in moments.items() if len(times) > 1}
        assert set(twice) <= {line_port(number) for number in left}
        assert all(later - earlier >= BOOT for times in twice.values() for earlier, later in pairwise(times))
        assert max(lab.phones.fleet.boots.values()) == 2


@pytest.mark.long
def test_a_fleet_with_logins_is_restarted(kamailio, tmp_path):
    """Phones that ask for a login are confirmed where it is configured, at one NOTIFY for each phone."""
    login = 'notify_user = "devlib"\nnotify_password = "secret"\n'
    with lab_of(tmp_path, 300, 5, more=login) as lab:
        process = lab.restart()
        _, err = process.communicate(timeout=PATIENCE)
        assert process.returncode == 1, err
        check_outcomes(lab, OUTCOMES | {"challenges": "confirmed"})
        check_rate(lab)
        assert Counter(len(times) for times in lab.phones.moments().values()) == {1: 300}


@pytest.mark.long
def test_a_registrar_that_is_killed_in_the_middle(kamailio, tmp_path):
    """Nothing wrong is recorded while it is away or has forgotten phones, and the run goes on by itself."""
    with lab_of(tmp_path, 300, 5, expires=20) as lab:
        process = lab.restart("--rate", "50", "--patience", "60")
        lab.until_notified(100, process)
        lab.registrar.kill()
        time.sleep(3)
        ended = {number: step for number, step in lab.steps().items() if step.outcome}
        assert [step for n, step in ended.items() if step.outcome != OUTCOMES[kind_of(n, 5)]] == []
        assert process.poll() is None
        lab.registrar.start()
        out, err = process.communicate(timeout=PATIENCE)
        assert json.loads(out.splitlines()[-1])["state"] == "done", err
        check_outcomes(lab)
        assert max(lab.phones.fleet.boots.values()) == 2
