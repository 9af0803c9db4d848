"""DECT stations and handsets, and findings: what phones say against what the inventory says."""

import json

import pandas as pd
import pytest
from portal_home import PROVIDER, home, mac_of

from devlib.cli import main
from devlib.errors import NotAllowed, NotFound
from devlib.model import (
    DECT_HANDSETS,
    DECT_STATIONS,
    EVERYTHING,
    FINDINGS,
    UNRECOGNISED,
    LineType,
    NewDevice,
    Role,
    Scope,
    User,
)
from devlib.portal import Portal
from devlib.storage import NewLine

__all__ = ["home"]

LYON, NICE = mac_of(3), mac_of(6)
HANDSET = "31@lyon.bakery.example"


def snom(mac):
    """Return what a Snom base of this MAC says."""
    return f"snomM700/05.20.0001 (MAC={mac.digits}; SER= 00000; HW=255)"


@pytest.fixture
def quiet(home):
    """The home with every line registered as its device says; nothing to find."""
    simulator = home.simulator
    with home.services.inventory.read() as reader:
        rows = [row for batch in reader.line_batches(EVERYTHING) for row in batch]
    for row in rows:
        said = (
            f"snomM700/05.20.0001 (MAC={row.mac.replace(':', '')}; SER= 00000; HW=255)"
            if row.device_type == "Snom M700"
            else f"Yealink SIP-T46S 66.85.0.5 {row.mac.lower()}"
        )
        simulator.register(row.line_port, user_agent=said)
    return home


def collect(home):
    """Let a minute pass and collect."""
    home.clock.advance(60)
    home.portal().collect()
    return home.clock.now().replace(tzinfo=None)


def found(frame):
    """Return the findings as (kind, severity, line port)."""
    return list(zip(frame["kind"], frame["severity"], frame["line_port"], strict=True))


def test_a_quiet_fleet_has_no_findings(quiet):
    """Every phone says what the inventory says: nothing is reported, and the columns are there."""
    collect(quiet)
    frame = quiet.portal().findings()
    assert list(frame.columns) == list(FINDINGS.names)
    assert frame.empty
    assert list(quiet.portal().unrecognised().columns) == list(UNRECOGNISED.names)


@pytest.mark.parametrize("call", ["findings", "dect_handsets", "unrecognised", "dect_stations"])
def test_before_any_collection_the_columns_are_there(home, call):
    """An empty lake gives the stations of the inventory, and otherwise empty frames."""
    tables = {
        "findings": FINDINGS,
        "dect_handsets": DECT_HANDSETS,
        "unrecognised": UNRECOGNISED,
        "dect_stations": DECT_STATIONS,
    }
    frame = getattr(home.portal(), call)()
    assert list(frame.columns) == list(tables[call].names)
    assert len(frame) == (4 if call == "dect_stations" else 0)


def test_a_phone_with_the_mac_of_another_device_is_a_finding(quiet):
    """High where the inventory has that MAC; it says which device, where it was read, and since when."""
    port = "11@lyon.bakery.example"
    collect(quiet)
    quiet.simulator.register(port, user_agent=f"Yealink SIP-T46S 66.85.0.5 {mac_of(2)}")
    since = collect(quiet)
    observed = collect(quiet)
    (row,) = quiet.portal().findings().to_dict("records")
    assert row["kind"] == "other mac"
    assert row["severity"] == "high"
    assert (row["line_port"], row["mac"], row["device_type"]) == (port, str(mac_of(1)), "Yealink T46S")
    assert (row["inventory_says"], row["phone_says"]) == (str(mac_of(1)), str(mac_of(2)))
    assert (row["read_from"], row["known_as"]) == ("user agent", "Bakery / Lyon / Yealink T46S")
    assert (row["state"], row["since"], row["observed_at"]) == ("registered", since, observed)
    assert row["provider"] == PROVIDER


def test_an_unknown_mac_is_less_grave_and_read_from_the_instance(quiet):
    """A MAC that the inventory does not have may be a replaced phone that nobody entered."""
    quiet.simulator.register(
        "11@lyon.bakery.example",
        user_agent="Yealink SIP-T46S 66.85.0.5",
        instance="urn:uuid:00000000-0000-1000-8000-805ec0ffffff",
    )
    collect(quiet)
    (row,) = quiet.portal().findings("Bakery", "Lyon").to_dict("records")
    assert (row["kind"], row["severity"], row["phone_says"]) == ("other mac", "medium", "80:5E:C0:FF:FF:FF")
    assert (row["read_from"], pd.isna(row["known_as"])) == ("instance", True)
    assert quiet.portal().findings("Bakery", "Nice").empty


def test_a_mac_of_another_customer_is_unknown_to_this_one(quiet):
    """Who may not see a device is not told that it exists."""
    quiet.simulator.register("11@lyon.bakery.example", user_agent=f"Yealink SIP-T46S 66.85.0.5 {mac_of(7)}")
    collect(quiet)
    (theirs,) = quiet.portal(Role.VIEWER, Scope(PROVIDER, "Bakery"), "bea").findings().to_dict("records")
    assert (theirs["severity"], pd.isna(theirs["known_as"])) == ("medium", True)
    (ours,) = quiet.portal().findings("Bakery").to_dict("records")
    assert (ours["severity"], ours["known_as"]) == ("high", "Clinic / Kiel / Yealink T46S")
    assert quiet.portal(Role.VIEWER, Scope(PROVIDER, "Clinic"), "cal").findings().empty


def test_another_maker_and_another_model_are_findings(quiet):
    """Another maker is graver than another model; aliases of the same model are none."""
    register = quiet.simulator.register
    register("11@lyon.bakery.example", user_agent="Cisco-CP-8851-3PCC/12.0.3")
    register("12@lyon.bakery.example", user_agent="Yealink SIP-T54W 96.86.0.70")
    register("21@lyon.bakery.example", user_agent="Yealink T46S 66.85.0.5")
    collect(quiet)
    frame = quiet.portal().findings()
    assert found(frame) == [
        ("other vendor", "medium", "11@lyon.bakery.example"),
        ("other model", "low", "12@lyon.bakery.example"),
    ]
    assert list(frame["phone_says"]) == ["Cisco 8851-3PCC", "Yealink T54W"]
    assert set(frame["inventory_says"]) == {"Yealink T46S"}
    assert set(frame["read_from"]) == {"user agent"}


def test_two_phones_on_a_line_are_a_finding_unless_it_is_shared(quiet):
    """More than one live binding: an old contact or a second phone; of a shared line it is wanted."""
    with quiet.services.inventory.write() as writer:
        shared = NewLine("99@lyon.bakery.example", User("shared"), LineType.SHARED, port=3)
        writer.assign_lines(EVERYTHING, quiet.services.catalogue, [(mac_of(1), shared)])
    since = collect(quiet)
    for port in ("12@lyon.bakery.example", "99@lyon.bakery.example"):
        for number in (1, 2):
            quiet.simulator.register(
                port,
                user_agent=f"Yealink SIP-T46S 66.85.0.5 {mac_of(1)}",
                contact=f"sip:x@192.0.2.{number}",
                beside=True,
            )
    now = collect(quiet)
    (row,) = quiet.portal().findings().to_dict("records")
    assert (row["kind"], row["line_port"]) == ("several bindings", "12@lyon.bakery.example")
    assert int(row["phone_says"]) > 1
    assert row["inventory_says"] == "1"
    assert row["since"] == now > since


def test_an_unrecognised_agent_is_counted_and_no_finding(quiet):
    """A phone that nobody knows contradicts nothing."""
    for port in ("11@lyon.bakery.example", "12@lyon.bakery.example"):
        quiet.simulator.register(port, user_agent="=cmd|' /C calc'!A0")
    collect(quiet)
    assert quiet.portal().findings().empty
    assert quiet.portal().unrecognised().to_dict("records") == [
        {"user_agent": "=cmd|' /C calc'!A0", "lines": 2}
    ]


def test_a_finding_that_was_mended_is_gone_and_begins_anew(quiet):
    """Since means the last time without a break; what no longer holds is not reported."""
    port, wrong = "11@lyon.bakery.example", f"Yealink SIP-T46S 66.85.0.5 {mac_of(2)}"
    quiet.simulator.register(port, user_agent=wrong)
    collect(quiet)
    quiet.simulator.register(port, user_agent=f"Yealink SIP-T46S 66.85.0.5 {mac_of(1)}")
    collect(quiet)
    assert quiet.portal().findings().empty
    quiet.simulator.register(port, user_agent=wrong)
    again = collect(quiet)
    quiet.simulator.registrar_down()
    collect(quiet)
    (row,) = quiet.portal().findings().to_dict("records")
    assert (row["since"], row["state"]) == (again, "unknown")


def test_a_handset_at_another_base_of_its_chain_is_no_finding(quiet):
    """It is at home in the chain; the stations tell where it is, and the ghost counts nowhere."""
    collect(quiet)
    before = quiet.portal().dect_stations("Bakery")
    assert list(before["mac"]) == [str(LYON), str(NICE)]
    assert list(before["handsets_here"]) == [2, 2]
    quiet.simulator.register(HANDSET, user_agent=snom(NICE), contact="sip:31@192.0.2.9", beside=True)
    since = collect(quiet)
    collect(quiet)
    frame = quiet.portal().findings()
    assert found(frame) == [("ghosts", "low", HANDSET)]
    stations = quiet.portal().dect_stations("Bakery").set_index("base_station_id")
    assert dict(stations["handsets_here"]) == {"RPN3": 1, "RPN6": 3}
    assert dict(stations["handsets_assigned"]) == {"RPN3": 2, "RPN6": 2}
    assert dict(stations["ghosts"]) == {"RPN3": 0, "RPN6": 1}
    assert {str(stations[name].dtype) for name in ("ghosts", "handsets_here", "handsets_assigned")} == {
        "Int64"
    }
    assert set(stations["state"]) == {"registered"}
    handset = quiet.portal().dect_handsets("Bakery").set_index("line_port").loc[HANDSET]
    assert (handset["home_base"], handset["home_station_id"]) == (str(LYON), "RPN3")
    assert (handset["current_base"], handset["current_station_id"]) == (str(NICE), "RPN6")
    assert (handset["since"], handset["ghosts"], handset["state"]) == (since, 1, "registered")
    assert int(quiet.portal().sql("SELECT sum(bindings) AS n FROM line_states")["n"][0]) == 24


def test_a_handset_at_a_base_of_another_chain_is_a_finding(quiet):
    """The same chain ID of another customer is another chain."""
    quiet.simulator.register(HANDSET, user_agent=snom(mac_of(9)))
    collect(quiet)
    kinds = {(kind, port) for kind, _, port in found(quiet.portal().findings())}
    assert ("other mac", HANDSET) in kinds


def test_a_base_without_any_life_has_no_state_of_others(quiet):
    """A new base has no state; one whose handsets all aged there is aged."""
    with quiet.services.inventory.write() as writer:
        new = NewDevice(mac_of(40), "Snom M700", "Lyon", base_station_id="12", chain_id="1356802345")
        writer.add_device(EVERYTHING, "Bakery", new)
    for port in ("31", "32"):
        quiet.simulator.register(f"{port}@lyon.bakery.example", user_agent=snom(LYON), expires=90)
        quiet.simulator.fall_silent(f"{port}@lyon.bakery.example")
    collect(quiet)
    collect(quiet)
    stations = quiet.portal().dect_stations("Bakery", "Lyon").set_index("mac")
    assert list(stations.index) == [str(mac_of(40)), str(LYON)]
    assert stations.loc[str(LYON), "state"] == "aged"
    assert pd.isna(stations.loc[str(mac_of(40)), "state"])
    only = quiet.portal().dect_stations(station="12")
    assert list(only["mac"]) == [str(mac_of(40))]
    assert quiet.portal().dect_handsets(station="rpn3")["line_port"].tolist() == [
        "31@lyon.bakery.example",
        "32@lyon.bakery.example",
    ]


def test_a_site_shows_handsets_that_came_from_another_site(quiet):
    """The stations of one site count every handset of the customer that is there."""
    quiet.simulator.sign_off(HANDSET)
    quiet.simulator.register(HANDSET, user_agent=snom(NICE))
    collect(quiet)
    (row,) = quiet.portal().dect_stations("Bakery", "Nice").to_dict("records")
    assert (row["handsets_assigned"], row["handsets_here"]) == (2, 3)
    nice = quiet.portal(Role.VIEWER, Scope(PROVIDER, "Bakery", frozenset({"Nice"})), "nina")
    (row,) = nice.dect_stations().to_dict("records")
    assert row["handsets_here"] == 2, "the handset of a site that she may not see"
    with pytest.raises(NotFound):
        nice.dect_stations("Clinic")


def test_every_look_is_authorised_and_audited(quiet):
    """Whose identity is taken away sees no finding; each look is in the audit."""
    quiet.portal().findings("Bakery")
    quiet.portal().dect_stations()
    acts = quiet.portal().audit()
    assert {"findings Bakery / *", "DECT stations * / *"} <= {each.target for each in acts}
    portal = Portal(quiet.portal().identity, quiet.services)
    portal._gate._read = lambda: (_ for _ in ()).throw(NotAllowed("gone"))
    for look in (portal.findings, portal.dect_stations, portal.dect_handsets, portal.unrecognised):
        with pytest.raises(NotAllowed):
            look()


def test_the_commands_show_them(quiet, monkeypatch, capsys):
    """`devlib dect` and `devlib findings`, for people and for programs; hostile text stays text."""
    monkeypatch.setenv("DEVLIB_HOME", str(quiet.folder))
    monkeypatch.setenv("DEVLIB_LANGUAGE", "en")
    quiet.simulator.register("11@lyon.bakery.example", user_agent="\x1b[31m[red]<script>")
    quiet.simulator.register(
        "12@lyon.bakery.example",
        user_agent="Snom =1+1",
        instance="urn:uuid:00000000-0000-1000-8000-805ec0000002",
    )
    collect(quiet)

    def run(*words):
        code = main(list(words))
        said = capsys.readouterr()
        return code, said.out, said.err

    code, out, _ = run("findings")
    assert code == 0
    assert "other mac" in out
    assert "other vendor" in out
    assert "1 registered lines" in out
    assert "\x1b" not in out
    code, out, _ = run("--json", "findings", "--unrecognised")
    assert json.loads(out) == [{"user_agent": "[31m[red]<script>", "lines": 1}]
    code, out, _ = run("dect", "--station", "RPN3", "--customer", "Bakery")
    assert "RPN3" in out
    assert "RPN6" not in out
    code, out, _ = run("--json", "dect", "--station", "rpn3", "--handsets", "--customer", "Bakery")
    assert [each["line_port"] for each in json.loads(out)] == [HANDSET, "32@lyon.bakery.example"]
    code, _, err = run("dect", "--station", "77")
    assert code != 0
    assert "77" in err
