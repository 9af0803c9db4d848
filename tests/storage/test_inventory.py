"""The inventory's contract: the same answers from both databases."""

from collections.abc import Iterator

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert
from sqlalchemy.exc import IntegrityError

from devlib.clock import FakeClock
from devlib.errors import Conflict, NotFound, UsageError
from devlib.model import EVERYTHING, Catalogue, LineType, Mac, NewDevice, Scope, User
from devlib.storage import (
    DeviceFilter,
    DeviceOrder,
    DeviceRow,
    Inventory,
    LineRow,
    NewLine,
    Page,
    Place,
    Reader,
)
from devlib.storage.schema import devices, lines

T46, W60, CISCO = "Yealink T46S", "Yealink W60B", "Cisco 8851"
ANNA = User("anna", "Anna", "Lund", "+33412345678", "2001")
BAKERY = Scope("Telecom", "Bakery")
LYON = Scope("Telecom", "Bakery", frozenset({"Lyon"}))


@pytest.fixture
def fleet(inventory: Inventory, catalogue: Catalogue) -> Inventory:
    """Two providers with a customer of the same name, and a third customer; four devices, three lines."""
    with inventory.write() as writer:
        for provider in ("Telecom", "Autre"):
            writer.add_provider(provider)
            writer.add_customer(provider, "Bakery")
            writer.add_site(Scope(provider), "Bakery", "Lyon", [T46, CISCO])
        writer.add_site(BAKERY, "Bakery", "Évian", [T46, W60])
        writer.add_customer("Telecom", "Clinic")
        writer.add_site(EVERYTHING, "Clinic", "Kiel", [T46])
        writer.add_device(BAKERY, "Bakery", NewDevice(Mac(0xA00000000001), T46, "lyon", name="Été 100%"))
        writer.add_device(BAKERY, "Bakery", NewDevice(Mac(0xA00000000002), CISCO, "Lyon", name="Zoë"))
        base = NewDevice(Mac(0x00A000000003), W60, "ÉVIAN", base_station_id="7", chain_id="9")
        writer.add_device(BAKERY, "Bakery", base)
        writer.add_device(EVERYTHING, "Clinic", NewDevice(Mac(0xA00000000004), T46, "Kiel"))
        for port in (2, 1):
            line = NewLine(f"{port}@x.example", ANNA, port=port)
            writer.assign_line(BAKERY, catalogue, Mac(0xA00000000001), line)
        writer.assign_line(EVERYTHING, catalogue, Mac(0xA00000000004), NewLine("k@x.example", ANNA))
    return inventory


@pytest.fixture
def reader(fleet: Inventory) -> Iterator[Reader]:
    """A reader of that fleet."""
    with fleet.read() as opened:
        yield opened


def _macs(rows: Iterator[DeviceRow]) -> list[str]:
    return [str(row.mac)[-2:] for row in rows]


def test_scopes_cut_organisation(reader: Reader) -> None:
    """Providers, customers and sites outside the scope do not appear, whatever their names."""
    assert [each.name for each in reader.providers(EVERYTHING)] == ["Autre", "Telecom"]
    assert [each.name for each in reader.providers(Scope(customer="Clinic"))] == ["Telecom"]
    found = [(each.provider, each.name) for each in reader.customers(EVERYTHING)]
    assert found == [("Autre", "Bakery"), ("Telecom", "Bakery"), ("Telecom", "Clinic")]
    assert [each.name for each in reader.customers(LYON)] == ["Bakery"]
    assert [each.name for each in reader.sites(BAKERY)] == ["Lyon", "Évian"]
    assert [each.approved_types for each in reader.sites(LYON)] == [(CISCO, T46)]
    assert reader.sites(LYON, "Clinic") == []


def test_site_is_found_in_any_case(reader: Reader) -> None:
    """A site is found by its name in any case and any Unicode form; elsewhere it does not exist."""
    assert reader.site(BAKERY, "Bakery", " E\u0301VIAN ").name == "Évian"
    for scope, customer, name in (
        (LYON, "Bakery", "Évian"),
        (BAKERY, "Clinic", "Kiel"),
        (BAKERY, "Bakery", "x"),
    ):
        with pytest.raises(NotFound):
            reader.site(scope, customer, name)


def test_customer_of_two_providers_must_be_told_apart(fleet: Inventory) -> None:
    """A customer's name that two providers use is refused where the scope does not say whose."""
    with fleet.write() as writer, pytest.raises(UsageError):
        writer.add_site(EVERYTHING, "Bakery", "Nice")


def test_device_with_its_lines(reader: Reader) -> None:
    """A device is read with its lines by port; outside the scope it does not exist."""
    device = reader.device(LYON, Mac(0xA00000000001))
    assert (device.name, device.provider, device.customer, device.site) == (
        "Été 100%",
        "Telecom",
        "Bakery",
        "Lyon",
    )
    assert [(line.port, line.line_port, line.user) for line in device.lines] == [
        (1, "1@x.example", ANNA),
        (2, "2@x.example", ANNA),
    ]
    for mac in (Mac(0xA00000000004), Mac(0x00A000000003), Mac(1)):
        with pytest.raises(NotFound, match=str(mac)):
            reader.device(LYON, mac)


@pytest.mark.parametrize(
    ("where", "expected"),
    [
        (DeviceFilter(), ["01", "02", "03", "04"]),
        (DeviceFilter(search="a0:00:00:00:00:0"), ["01", "02", "04"]),
        (DeviceFilter(search="00a0-0000"), ["03"]),
        (DeviceFilter(search="ÉTÉ"), ["01"]),
        (DeviceFilter(search="zoË"), ["02"]),
        (DeviceFilter(search="0%"), ["01"]),
        (DeviceFilter(search="_"), []),
        (DeviceFilter(search="w60"), ["03"]),
        (DeviceFilter(device_type="cisco cp-8851"), ["02"]),
        (DeviceFilter(site="ÉVIAN"), ["03"]),
        (DeviceFilter(customer="Clinic"), ["04"]),
        (DeviceFilter(min_available=15), ["04"]),
        (DeviceFilter(min_available=10, site="lyon"), ["01", "02"]),
        (DeviceFilter(search="'; DROP TABLE devices; --"), []),
    ],
)
def test_filters(reader: Reader, catalogue: Catalogue, where: DeviceFilter, expected: list[str]) -> None:
    """Filters find parts of MACs in any writing, and texts in any case; what they find is counted alike."""
    assert sorted(_macs(reader.devices(EVERYTHING, catalogue, where))) == expected
    assert reader.count(EVERYTHING, catalogue, where) == len(expected)


def test_line_counts(reader: Reader, catalogue: Catalogue) -> None:
    """Total lines come from the catalogue, assigned ones from the inventory."""
    row = next(reader.devices(LYON, catalogue, DeviceFilter(search="été")))
    assert (row.total_lines, row.assigned_lines, row.available_lines) == (16, 2, 14)
    unknown = next(reader.devices(LYON, Catalogue([]), DeviceFilter(search="été")))
    assert (unknown.total_lines, unknown.assigned_lines, unknown.available_lines) == (0, 2, 0)


@pytest.mark.parametrize(
    ("page", "expected"),
    [
        (Page(DeviceOrder.MAC), ["03", "01", "02", "04"]),
        (Page(DeviceOrder.MAC, descending=True, limit=2), ["04", "02"]),
        (Page(DeviceOrder.SITE), ["01", "02", "03", "04"]),
        (Page(DeviceOrder.AVAILABLE_LINES), ["03", "02", "01", "04"]),
        (Page(DeviceOrder.DEVICE_TYPE, limit=2, offset=1), ["01", "04"]),
        (Page(DeviceOrder.NAME, offset=2), ["02", "01"]),
    ],
)
def test_pages(reader: Reader, catalogue: Catalogue, page: Page, expected: list[str]) -> None:
    """The device list is sorted and cut in the database, equally on both."""
    assert _macs(reader.devices(EVERYTHING, catalogue, page=page)) == expected


def test_locate_looks_everywhere(reader: Reader) -> None:
    """A MAC is located wherever it is; unknown ones are left out, however many are asked for."""
    found = reader.locate(range(0xA00000000000, 0xA00000000000 + 12_000))
    assert sorted(mac & 0xFF for mac in found) == [1, 2, 4]
    site = reader.site(EVERYTHING, "Clinic", "Kiel")
    assert found[0xA00000000004] == Place(site.id, "Kiel", "Clinic", "Telecom", T46)


def test_line_batches(fleet: Inventory) -> None:
    """Every assigned line of the scope comes once, sorted, with everything around it."""
    with fleet.read() as reader:
        batches = list(reader.line_batches(EVERYTHING, size=2))
        assert [len(batch) for batch in batches] == [2, 1]
        found = [row for batch in batches for row in batch]
        assert [(row.customer, row.port) for row in found] == [("Bakery", 1), ("Bakery", 2), ("Clinic", 1)]
        key = reader.device(LYON, Mac(0xA00000000001)).lines[0].key
        assert found[0] == LineRow(
            key, "Telecom", "Bakery", "Lyon", "A0:00:00:00:00:01", "Été 100%", T46, 1, "1@x.example",
            "Primary", "anna", "Anna", "Lund", "+33412345678", "2001", "", "",
        )  # fmt: skip
        assert list(reader.line_batches(Scope("Autre"))) == []


def test_stream_is_one_moment_and_lets_others_write(fleet: Inventory, catalogue: Catalogue) -> None:
    """Rows that are still being read are those of their moment, and a writer need not wait for them."""
    with fleet.read() as reader:
        batches = reader.line_batches(EVERYTHING, size=1)
        first = next(batches)
        with fleet.write() as writer:
            writer.remove_device(EVERYTHING, Mac(0xA00000000004))
        assert len(first) + sum(map(len, batches)) == 3
        assert sum(map(len, reader.line_batches(EVERYTHING))) == 2
        next(reader.devices(EVERYTHING, catalogue))


def test_names_are_there_once(fleet: Inventory) -> None:
    """Providers, customers and sites cannot be added twice; names of sites are compared without case."""
    with fleet.write() as writer:
        for add in (
            lambda: writer.add_provider("Telecom"),
            lambda: writer.add_customer("Telecom", "Bakery"),
            lambda: writer.add_site(BAKERY, "Bakery", "  LYON "),
        ):
            with pytest.raises(Conflict):
                add()
        for name in ("", "  ", "a\x00b"):
            with pytest.raises(UsageError):
                writer.add_provider(name)
        with pytest.raises(NotFound):
            writer.add_customer("Nobody", "Bakery")
        with pytest.raises(NotFound):
            writer.add_site(BAKERY, "Clinic", "Kiel 2")
        assert len(writer.customers(EVERYTHING)) == 3


def test_approvals_and_the_switch(fleet: Inventory) -> None:
    """Types are approved and withdrawn; the report of a provider is switched on and off."""
    with fleet.write() as writer:
        writer.approve_types(BAKERY, "Bakery", "lyon", [W60, T46])
        writer.withdraw_types(BAKERY, "Bakery", "lyon", [CISCO, "never approved"])
        writer.set_line_state_export("Telecom", enabled=True)
        with pytest.raises(NotFound):
            writer.set_line_state_export("Nobody", enabled=True)
    with fleet.read() as reader:
        assert reader.site(BAKERY, "Bakery", "Lyon").approved_types == (T46, W60)
        assert [each.line_state_export for each in reader.providers(EVERYTHING)] == [False, True]


def test_macs_are_there_once(fleet: Inventory, catalogue: Catalogue) -> None:
    """A MAC that exists is named; where it is, only to those who may see it; the transaction can go on."""
    with fleet.write() as writer:
        with pytest.raises(Conflict, match=r"A0:00:00:00:00:02.*Lyon"):
            writer.add_device(BAKERY, "Bakery", NewDevice(Mac(0xA00000000002), T46, "Évian"))
        new = [NewDevice(Mac(number), T46, "Lyon") for number in (5, 0xA00000000004)]
        with pytest.raises(Conflict, match="A0:00:00:00:00:04") as caught:
            writer.add_devices(BAKERY, "Bakery", new)
        assert "Kiel" not in str(caught.value)
        with pytest.raises(Conflict, match="twice"):
            writer.add_devices(BAKERY, "Bakery", [new[0], new[0]])
        with pytest.raises(NotFound, match="Paris"):
            writer.add_device(BAKERY, "Bakery", NewDevice(Mac(6), T46, "Paris"))
        with pytest.raises(NotFound):
            writer.add_device(LYON, "Bakery", NewDevice(Mac(6), T46, "Évian"))
        assert writer.add_devices(BAKERY, "Bakery", []) == 0
        assert writer.count(EVERYTHING, catalogue) == 4


def test_lowest_free_port_is_taken(fleet: Inventory, catalogue: Catalogue) -> None:
    """Without a port the lowest free one is taken, until none is left."""
    mac = Mac(0x00A000000003)
    with fleet.write() as writer:
        writer.assign_line(BAKERY, catalogue, mac, NewLine("third@x.example", ANNA, LineType.SHARED, 3))
        ports = [
            writer.assign_line(BAKERY, catalogue, mac, NewLine(f"{n}@y.example", ANNA)).port for n in range(7)
        ]
        assert ports == [1, 2, 4, 5, 6, 7, 8]
        with pytest.raises(Conflict, match="8"):
            writer.assign_line(BAKERY, catalogue, mac, NewLine("more@x.example", ANNA))


def test_ports_and_line_ports_are_taken_once(fleet: Inventory, catalogue: Catalogue) -> None:
    """A taken port and a taken line port are conflicts that name them; the transaction can go on."""
    mac = Mac(0xA00000000001)
    with fleet.write() as writer:
        with pytest.raises(Conflict, match="Port 2"):
            writer.assign_line(BAKERY, catalogue, mac, NewLine("new@x.example", ANNA, port=2))
        with pytest.raises(Conflict, match=r"k@x\.example"):
            writer.assign_line(BAKERY, catalogue, mac, NewLine("k@X.Example", ANNA))
        for port in (0, 17):
            with pytest.raises(UsageError):
                writer.assign_line(BAKERY, catalogue, mac, NewLine("new@x.example", ANNA, port=port))
        with pytest.raises(UsageError):
            writer.assign_line(BAKERY, catalogue, mac, NewLine("no address", ANNA))
        with pytest.raises(NotFound):
            writer.assign_line(BAKERY, catalogue, Mac(0xA00000000004), NewLine("new@x.example", ANNA))
        assert writer.assign_line(BAKERY, catalogue, mac, NewLine("new@x.example", ANNA)).port == 3


def test_many_lines_at_once(fleet: Inventory, catalogue: Catalogue) -> None:
    """Lines are assigned in bulk under the same rules as one by one."""
    first, second = Mac(0xA00000000002), Mac(0x00A000000003)
    with fleet.write() as writer:
        new = [(first, NewLine("a@x.example", ANNA, port=1)), (second, NewLine("b@x.example", ANNA, port=8))]
        assert writer.assign_lines(BAKERY, catalogue, new) == 2
        for mac, line, error in (
            (first, NewLine("k@x.example", ANNA, port=2), Conflict),
            (first, NewLine("c@x.example", ANNA, port=1), Conflict),
            (first, NewLine("c@x.example", ANNA), UsageError),
            (second, NewLine("c@x.example", ANNA, port=9), UsageError),
            (Mac(0xA00000000004), NewLine("c@x.example", ANNA, port=2), NotFound),
        ):
            with pytest.raises(error):
                writer.assign_lines(BAKERY, catalogue, [(mac, line)])
    with fleet.read() as reader:
        assert sum(map(len, reader.line_batches(EVERYTHING))) == 5


def test_keys_of_lines_are_never_used_again(fleet: Inventory, catalogue: Catalogue) -> None:
    """A line that is assigned after all others were released has a key that none ever had."""
    mac = Mac(0xA00000000001)
    with fleet.write() as writer:
        old = [writer.release_line(BAKERY, mac, port).key for port in (1, 2)]
        old += [line.key for line in writer.remove_device(EVERYTHING, Mac(0xA00000000004)).lines]
        with pytest.raises(NotFound, match="free already"):
            writer.release_line(BAKERY, mac, 1)
    with fleet.write() as writer:
        assert writer.assign_line(BAKERY, catalogue, mac, NewLine("1@x.example", ANNA)).key > max(old)


@pytest.mark.parametrize(
    "values",
    [{"mac": 0}, {"mac": 1 << 48}, {"mac": 0xA00000000001}, {"site_id": 10**6}, {"name": None}],
)
def test_database_itself_refuses_wrong_devices(
    fleet: Inventory, clock: FakeClock, values: dict[str, object]
) -> None:
    """What must be true of a device holds in the database, not only in the code before it."""
    texts = dict.fromkeys(("device_type", "name", "description", "base_station_id", "chain_id"), "")
    with fleet.read() as reader:
        site = reader.sites(LYON)[0].id
    good = {"site_id": site, "mac": 77, "created_at": clock.now(), **texts}
    with fleet.write() as writer:
        writer.connection.execute(insert(devices).values(good))
    with pytest.raises(Conflict), fleet.write() as writer:
        writer.connection.execute(insert(devices).values(good | {"mac": 78} | values))


@pytest.mark.parametrize(
    "values", [{"port": 0}, {"port": 1}, {"line_port": "k@x.example"}, {"device_id": 10**6}]
)
def test_database_itself_refuses_wrong_lines(fleet: Inventory, values: dict[str, object]) -> None:
    """What must be true of a line holds in the database, not only in the code before it."""
    texts = dict.fromkeys(
        ("line_type", "user_id", "first_name", "last_name", "phone_number", "extension"), ""
    )
    with fleet.read() as reader:
        device = reader.device(LYON, Mac(0xA00000000001)).id
    good = {"device_id": device, "port": 9, "line_port": "n@x.example", **texts}
    with fleet.write() as writer, pytest.raises(IntegrityError), writer.connection.begin_nested():
        writer.connection.execute(insert(lines).values(good | values))


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(acts=st.lists(st.tuples(st.booleans(), st.integers(1, 3), st.none() | st.integers(0, 9)), max_size=20))
def test_ports_follow_a_model(
    fleet: Inventory, catalogue: Catalogue, acts: list[tuple[bool, int, int | None]]
) -> None:
    """Whatever is assigned and released, the lines are those of a plain dictionary."""
    mac, held, total = Mac(0x00A000000003), {}, 8
    with fleet.write() as writer:
        for line in writer.device(BAKERY, mac).lines:
            writer.release_line(BAKERY, mac, line.port)
        for assign, number, port in acts:
            if assign:
                lowest = next((p for p in range(1, total + 1) if p not in held), None)
                wanted = lowest if port is None else port
                fits = wanted is not None and 1 <= wanted <= total
                possible = fits and wanted not in held and number not in held.values()
                try:
                    line = writer.assign_line(
                        BAKERY, catalogue, mac, NewLine(f"{number}@m.example", ANNA, port=port)
                    )
                except (Conflict, UsageError):
                    assert not possible
                else:
                    assert possible
                    held[line.port] = number
            elif port in held:
                assert writer.release_line(BAKERY, mac, port).line_port == f"{held.pop(port)}@m.example"
        assert {line.port: line.line_port for line in writer.device(BAKERY, mac).lines} == {
            port: f"{number}@m.example" for port, number in sorted(held.items())
        }
