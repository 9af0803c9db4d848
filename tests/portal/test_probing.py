"""Probing through the portal and by command: one outcome for each line, audited, and failure is data."""

import json

import pytest
from portal_home import home, mac_of

from devlib.cli import main
from devlib.errors import NotAllowed, NotFound, UsageError
from devlib.model import Role, Scope
from devlib.network import ReachOutcome

__all__ = ["home"]

LINES = [f"{number}{port}@lyon.bakery.example" for number in (1, 2, 3) for port in (1, 2)]


@pytest.fixture
def played(home):
    """Bakery's site Lyon by hand: one line silent, one signed off, the others answer."""
    for line_port in LINES:
        home.simulator.register(line_port)
    home.simulator.fall_silent(LINES[0])
    home.simulator.sign_off(LINES[1])
    return home


def test_every_line_of_a_place_has_one_outcome(played):
    """Registered and answers, registered but silent, and not registered are told apart for each line."""
    found = played.portal().probe("Bakery", "Lyon")
    assert [line.line_port for line in found] == LINES
    assert [line.outcome for line in found] == [
        ReachOutcome.SILENT,
        ReachOutcome.NOT_REGISTERED,
        *[ReachOutcome.ANSWERS] * 4,
    ]
    assert {line.network for line in found} == {"simulator"}
    assert {(line.customer, line.site) for line in found} == {("Bakery", "Lyon")}


def test_a_device_is_probed_by_its_address(played):
    """One device's lines, and no others."""
    found = played.portal().probe(mac=mac_of(1))
    assert [line.line_port for line in found] == LINES[:2]
    assert {line.mac for line in found} == {str(mac_of(1))}
    assert {line.mac for line in played.portal().probe("Bakery", "Lyon")[:2]} == {str(mac_of(1))}


def test_a_registrar_that_is_down_is_an_outcome(played):
    """Nothing is known of the lines of a network that does not answer, and each says why."""
    told = []
    played.simulator.registrar_down()
    found = played.portal().probe("Bakery", "Lyon", progress=lambda done, of: told.append((done, of)))
    assert {line.outcome for line in found} == {ReachOutcome.UNREACHABLE}
    assert all(line.reach.reason for line in found)
    assert told == [(number, 6) for number in range(1, 7)]


def test_a_network_that_breaks_in_the_middle_costs_only_the_rest(played, monkeypatch):
    """What was found before a fault stays; the other lines get its reason."""
    whole = type(played.simulator).probe

    async def breaking(self, line_ports):
        number = 0
        async for reach in whole(self, line_ports):
            yield reach
            number += 1
            if number == 2:
                raise RuntimeError("wire cut")

    monkeypatch.setattr(type(played.simulator), "probe", breaking)
    found = played.portal().probe("Bakery", "Lyon")
    outcomes = [line.outcome for line in found]
    assert outcomes.count(ReachOutcome.UNREACHABLE) == 4
    assert sum("wire cut" in str(line.reach.reason) for line in found) == 4


def test_a_probe_is_audited_with_its_counts(played):
    """The audit says who probed what, and how it ended."""
    played.portal(name="night shift").probe("Bakery", "Lyon")
    entry = played.portal().audit()[0]
    assert (entry.principal, entry.act, entry.target) == ("night shift", "probe", "Bakery / Lyon")
    assert entry.detail == "4 answers, 1 silent, 1 not registered"


def test_scope_and_role_bound_a_probe(played):
    """A viewer may not send anything to phones, and nobody reaches a device outside the scope."""
    with pytest.raises(NotAllowed):
        played.portal(Role.VIEWER).probe("Bakery", "Lyon")
    inside = played.portal(Role.CUSTOMER_ADMINISTRATOR, Scope("Test Telecom", "Clinic"))
    with pytest.raises(NotFound):
        inside.probe(mac=mac_of(1))
    with pytest.raises(NotFound):
        inside.probe("Bakery")
    assert {line.customer for line in inside.probe()} == {"Clinic"}


def test_a_probe_is_of_a_device_or_of_a_place(played):
    """Both at once would leave open which is meant."""
    with pytest.raises(UsageError):
        played.portal().probe("Bakery", mac=mac_of(1))


@pytest.fixture
def run(home, monkeypatch, capsys):
    """Run `devlib probe` on the small home; gives exit code, standard output and standard error."""
    (home.folder / "devlib.toml").write_text('[[networks]]\nkind = "simulator"\nseed = 7\ngaps = false\n')
    monkeypatch.setenv("DEVLIB_HOME", str(home.folder))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    monkeypatch.setattr("devlib.network.simulator._PROBE_SECONDS", 0.0)

    def call(*words):
        code = main(["probe", *(str(word) for word in words)])
        said = capsys.readouterr()
        return code, said.out, said.err

    return call


def test_the_command_shows_a_table_and_counts(run):
    """People get one row for each line and a sentence with counts; what the simulator says is named so."""
    code, out, err = run("--customer", "Bakery", "--site", "Lyon")
    assert code == 0
    assert all(line_port in out for line_port in LINES)
    assert "6 lines probed: " in out
    assert "simulator" in err


def test_the_command_gives_programs_json(run):
    """JSON holds the counts of every outcome and one object for each line."""
    code, out, _ = run("--customer", "Bakery", "--json")
    found = json.loads(out)
    assert code == 0
    assert len(found["lines"]) == sum(found["counts"].values()) == 12
    assert set(found["counts"]) == {outcome.value for outcome in ReachOutcome}
    assert {"line_port", "outcome", "code", "seconds", "user_agent", "reason"} <= set(found["lines"][0])


def test_the_exit_code_of_one_device_says_whether_it_answers(run, monkeypatch):
    """0 where all its lines answer, 1 where one does not, 3 where the network could not be asked."""
    from devlib.network import Reach, Simulator

    for outcome, code in (
        (ReachOutcome.ANSWERS, 0),
        (ReachOutcome.SILENT, 1),
        (ReachOutcome.NOT_REGISTERED, 1),
        (ReachOutcome.UNREACHABLE, 3),
    ):

        async def probe(self, line_ports, outcome=outcome):
            for line_port in line_ports:
                yield Reach(line_port, outcome)

        monkeypatch.setattr(Simulator, "probe", probe)
        assert run(mac_of(1))[0] == code


def test_hostile_user_agents_stay_text(run, monkeypatch):
    """What a phone says of itself cannot write control sequences to the terminal."""
    from devlib.network import Reach, Simulator

    async def probe(self, line_ports):
        for line_port in line_ports:
            yield Reach(line_port, ReachOutcome.ANSWERS, 200, 0.01, "\x1b[31mred\x07[bold]x[/bold]")

    monkeypatch.setattr(Simulator, "probe", probe)
    _, out, _ = run(mac_of(1))
    assert "\x1b[31mred" not in out
    assert "\x07" not in out
    assert "[bold]" in out
