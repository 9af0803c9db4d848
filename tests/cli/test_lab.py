"""`devlib lab-phones`: phones that register at a real Kamailio, live, are restarted, and end in order."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from kamailio_fixture import kamailio
from portal_home import home, mac_of

from devlib.cli import main
from devlib.clock import FakeClock, SystemClock
from devlib.config import KamailioSettings
from devlib.demo.registrar import Options, running_registrar
from devlib.errors import UsageError
from devlib.model import identify
from devlib.network import (
    AfterNotify,
    Parts,
    Trial,
    cast,
    made_up_lines,
    open_network,
    trial_line,
    with_own_instance,
)

__all__ = ["home", "kamailio"]

_PROGRAM = "import sys; from devlib.cli import main; sys.exit(main(sys.argv[1:]))"


@contextmanager
def lab(folder, *words, **environment):
    """The command in a process of its own, once its phones are registered; gives it and its first values."""
    known = os.environ | {"DEVLIB_HOME": str(folder), "DEVLIB_LANGUAGE": "en"} | environment
    command = [sys.executable, "-c", _PROGRAM, "--json", "lab-phones", *map(str, words)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=known) as process:
        try:
            yield process, json.loads(process.stdout.readline())
        finally:
            if process.poll() is None:
                process.terminate()


def ended(process, number=signal.SIGTERM):
    """Stop it as an operator does; return its exit code and its last values."""
    process.send_signal(number)
    last = process.stdout.read().strip().split("\n")[-1]
    return process.wait(20), json.loads(last)


def network(registrar):
    """Return the registrar as a network."""
    given = {"kind": "kamailio", "name": "trial", "rpc_url": registrar.rpc_url}
    return open_network(KamailioSettings.model_validate(given), SystemClock())


def asked(registrar, work):
    """Run `work` with the registrar as a network."""

    async def run():
        found = network(registrar)
        try:
            return await work(found)
        finally:
            await found.close()

    return asyncio.run(run())


def test_the_shares_are_given_to_whole_phones():
    """Each part has as many phones as wished, all lines of one phone play the same, the rest reboot."""
    lines = [trial_line(f"{n}@lab.test", "Yealink T46S", f"805EC00000{n // 2:02X}") for n in range(40)]
    found = cast(lines, Parts(silent=2, refuse=3, never_back=4, ignore=1, age=2, leave=1))
    phones = [line.phone for line in found.lines]
    assert sum(each.notify_status is None for each in phones) == 4
    assert sum(each.notify_status == 403 for each in phones) == 6
    assert sum(each.after_notify is AfterNotify.DIES for each in phones) == 8
    assert sum(each.after_notify is AfterNotify.IGNORES for each in phones) == 2
    assert [len(each) for each in (*found.aging, *found.leaving)] == [2, 2, 2]
    parts = {}
    for each in phones:
        parts.setdefault(each.device, set()).add((each.notify_status, each.after_notify))
    assert all(len(each) == 1 for each in parts.values())


@pytest.mark.parametrize("parts", [Parts(silent=9, refuse=2), Parts(roam=3), Parts(age=11)])
def test_more_parts_than_phones_are_refused(parts):
    """A trial with fewer phones than it says would prove nothing."""
    with pytest.raises(UsageError, match="left for it"):
        cast(list(made_up_lines(10, "lab.test", 2)), parts)


def test_made_up_phones_say_what_real_ones_say():
    """Every made-up phone is recognised, with the MAC of its device where its kind says one."""
    lines = list(made_up_lines(200, "lab.test", 30))
    assert len({line.phone.line_port for line in lines}) == 200
    for line in lines:
        said = identify(line.phone.user_agent, line.phone.instance)
        assert said.vendor is not None, line.phone.user_agent
        assert said.mac is None or said.mac.digits == line.phone.device.replace(":", "").upper()
    assert sum(bool(line.elsewhere) for line in lines) == 30
    assert len({line.phone.device for line in lines if line.elsewhere}) == 3


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["192.0.2.1:5060"], "this machine"),
        (["registrar.example:5060"], "this machine"),
        (["127.0.0.1"], "host:port"),
        (["127.0.0.1:99999"], "host:port"),
        (["127.0.0.1:5060", "--phones", "0"], "--phones"),
        (["127.0.0.1:5060", "--roam", "-1"], "--roam"),
        (["127.0.0.1:5060", "--pace", "nan"], "--pace"),
        (["127.0.0.1:5060", "--refuse-status", "200"], "300 to 699"),
        (["127.0.0.1:5060", "--challenge", "1"], "--challenge-password-env"),
        (["127.0.0.1:5060", "--password-env", "NOT_SET_HERE"], "NOT_SET_HERE"),
        (["127.0.0.1:5060", "--log", "/nowhere/at/all.jsonl"], "log"),
    ],
)
def test_wrong_words_are_told_before_anything_is_sent(monkeypatch, tmp_path, capsys, words, said):
    """A registrar elsewhere and senseless numbers are refused, with what to do."""
    monkeypatch.setenv("DEVLIB_HOME", str(tmp_path))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    assert main(["lab-phones", *words]) != 0
    assert said in capsys.readouterr().err


async def test_one_phone_after_the_other_goes_and_handsets_move():
    """At each pace one phone ages or leaves and one handset moves; it never stops moving."""

    class Fleet:
        present = ("a",)

        def __init__(self):
            self.done = []
            self.enough = asyncio.Event()

        def fall_silent(self, ports):
            self.done.append(("silent", *ports))

        async def sign_off(self, ports):
            self.done.append(("off", *ports))

        async def roam(self, phones):
            self.done += [("roam", each.line_port, each.device[-1]) for each in phones]
            await asyncio.sleep(0)
            if len(self.done) >= 11:
                self.enough.set()
            return {each.line_port: 200 for each in phones}

    fleet, clock = Fleet(), FakeClock()
    actors = cast(list(made_up_lines(6, "lab.test", 2)), Parts(age=2, leave=1, roam=2))
    trial = Trial(fleet, actors, clock, 5.0)
    life = asyncio.create_task(trial.go_on())
    await fleet.enough.wait()
    life.cancel()
    await asyncio.gather(life, return_exceptions=True)
    assert [each[0] for each in fleet.done if each[0] != "roam"] == ["silent", "off", "silent"]
    moves = [each[1:] for each in fleet.done if each[0] == "roam"][:8]
    assert moves[:2] == [("2000004@lab.test", "2"), ("2000005@lab.test", "0")]
    assert moves[:2] == moves[6:]
    assert trial.happened["aged"] == 2
    assert trial.happened["left"] == 1


@pytest.mark.kamailio
def test_phones_register_are_restarted_and_end_in_order(kamailio, tmp_path):
    """Every part answers as it says; SIGTERM ends the run with a goodbye; the log has each request once."""
    parts = ["--silent", 1, "--refuse", 1, "--challenge", 1, "--never-back", 1, "--boot", 0]
    words = [f"127.0.0.1:{kamailio.sip_port}", "--phones", 6, "--domain", "one.test", "--sign-off", *parts]
    words += ["--log", tmp_path / "heard.jsonl", "--challenge-password-env", "WORD"]
    ports = [f"{2_000_000 + n}@one.test" for n in range(6)]

    async def restart_all(found):
        before = await found.lookup(ports)
        outcomes = await asyncio.gather(*(found.restart(port, limit_seconds=2) for port in ports))
        await asyncio.sleep(0.3)
        after = await found.lookup(ports)
        ids = [
            [held.bindings[port][0].call_id for port in ports if held.bindings[port]]
            for held in (before, after)
        ]
        return [each.outcome.value for each in outcomes], ids

    with lab(tmp_path, *words, WORD="secret") as (process, first):
        assert (first["registered"], first["lines"]) == (6, 6)
        outcomes, (before, after) = asked(kamailio, restart_all)
        code, last = ended(process)
    assert outcomes == ["no answer", "refused", "auth needed", "accepted", "accepted", "accepted"]
    assert [old != new for old, new in zip(before, after, strict=True)] == [False] * 4 + [True] * 2
    assert code == 0
    assert last["reboots"] == 2
    held = asked(kamailio, lambda found: found.lookup(ports)).bindings
    # The one that never came back could not say goodbye.
    assert [port for port in ports if held[port]] == [ports[3]]
    entries = [json.loads(line) for line in (tmp_path / "heard.jsonl").read_text().splitlines()]
    new = [each for each in entries if not each["repeated"]]
    assert sorted(each["line_port"] for each in new) == ports
    assert {each["method"] for each in entries} == {"NOTIFY"}
    assert last["heard"] == len(entries)
    assert len({(each["line_port"], each["branch"]) for each in entries}) == 6


@pytest.mark.kamailio
def test_without_a_goodbye_the_bindings_stay(kamailio, tmp_path):
    """Ctrl+C ends it in order; without --sign-off the registrar still holds the bindings."""
    words = [f"127.0.0.1:{kamailio.sip_port}", "--phones", 2, "--domain", "stay.test", "--expires", 60]
    with lab(tmp_path, *words) as (process, _):
        code, last = ended(process, signal.SIGINT)
    assert (code, last["registered"]) == (0, 2)
    port = "2000000@stay.test"
    assert len(asked(kamailio, lambda found: found.lookup([port])).bindings[port]) == 1


@pytest.mark.kamailio
def test_phones_prove_a_password_and_fail_without_one(kamailio, tmp_path, monkeypatch, capsys):
    """With digest at the registrar: registered with the password, exit code 1 and a sentence without it."""
    monkeypatch.setenv("DEVLIB_HOME", str(tmp_path))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    (tmp_path / "word").write_text("word\n")
    with running_registrar(tmp_path / "k", options=Options(password="word")) as registrar:
        words = ["lab-phones", f"127.0.0.1:{registrar.sip_port}", "--phones", "3", "--seconds", "0"]
        assert main([*words, "--password-file", str(tmp_path / "word")]) == 0
        assert "3 of 3 lines registered" in capsys.readouterr().out
        assert main(words) == 1
    said = capsys.readouterr()
    assert "0 of 3 lines registered" in said.out
    assert "3 phones were not registered: 401" in said.err


def test_the_inventory_gives_lines_types_and_chains(home):
    """Each assigned line registers as its device; handsets know the other bases of their chain and scope."""
    lines = home.portal().trial_lines("Bakery")
    assert len(lines) == 12
    said = {identify(each.phone.user_agent, each.phone.instance).vendor for each in lines}
    assert said == {"Yealink", "Snom"}
    handsets = [each for each in lines if each.elsewhere]
    assert {each.phone.device for each in handsets} == {str(mac_of(3)), str(mac_of(6))}
    assert {each.device for line in handsets for each in line.elsewhere} == {str(mac_of(3)), str(mac_of(6))}
    assert not [each for each in home.portal().trial_lines("Bakery", "Lyon") if each.elsewhere]
    own = with_own_instance(handsets[0])
    assert own.phone.instance == own.elsewhere[0].instance != ""
