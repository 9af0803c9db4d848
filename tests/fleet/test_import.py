"""The bulk import: modes, repetition, the result file, and what others do meanwhile."""

import csv
import io
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from devlib.clock import FakeClock
from devlib.errors import FileUnreadable, NotFound, UsageError
from devlib.fleet import ImportMode, ImportReport, Outcome, assign_line, import_devices
from devlib.fleet.bulk import _Import
from devlib.model import IMPORT_RESULT, Catalogue, Mac, NewDevice, Scope, User
from devlib.storage import Inventory, NewLine, open_inventory
from devlib.validation import Code

HEADER = "Site,Device Type,MAC Address,Device Name\n"
GOOD = f"{HEADER}Lyon,Yealink T46S,001565000001,One\nlyon,t46s,001565000002,Two\n"
BAD = "Paris,Yealink T46S,001565000003,Three\nChambéry,Cisco 8851,020000000004,Four\n"

Import = Callable[..., ImportReport]


@pytest.fixture
def run(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> Import:
    """A function that imports a text for the customer."""

    def run(text: str, mode: ImportMode = ImportMode.ALL_OR_NOTHING, **more: object) -> ImportReport:
        source = io.BytesIO(text.encode())
        return import_devices(inventory, catalogue, scope, "Bakery", source, mode=mode, **more)

    return run


def _macs(inventory: Inventory, catalogue: Catalogue) -> list[int]:
    with inventory.read() as reader:
        found = (row.mac.value & 0xFFFFFF for row in reader.devices(Scope(None, "Bakery"), catalogue))
        return sorted(found)


def test_good_file_is_imported(run: Import, inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """A file without faults goes in whole, in the words of the inventory and the catalogue."""
    report = run(GOOD)
    assert report.outcomes == {Outcome.ADDED: 2}
    assert (report.rows, report.added, report.refused) == (2, 2, 0)
    with inventory.read() as reader:
        device = reader.device(scope, Mac(0x001565000002))
    assert (device.site, device.device_type, device.name) == ("Lyon", "Yealink T46S", "Two")


def test_imported_device_is_ready_to_assign(
    run: Import, inventory: Inventory, catalogue: Catalogue, scope: Scope
) -> None:
    """An imported device can have a line assigned at once (article)."""
    run(GOOD)
    mac = Mac(0x001565000001)
    line = assign_line(inventory, catalogue, scope, mac, NewLine("2001@example.org", User("anna")))
    assert line.port == 1
    with inventory.read() as reader:
        assert reader.device(scope, mac).lines == (line,)


def test_check_changes_nothing(run: Import, inventory: Inventory, catalogue: Catalogue) -> None:
    """A check counts what would be added and what is wrong, and adds nothing."""
    report = run(GOOD + BAD, ImportMode.CHECK)
    assert report.outcomes == {Outcome.VALID: 2, Outcome.REFUSED: 2}
    assert report.codes == {Code.SITE_UNKNOWN: 1, Code.TYPE_NOT_APPROVED_FOR_SITE: 1}
    assert [each.row for each in report.problems] == [4, 5]
    assert _macs(inventory, catalogue) == []


def test_all_or_nothing(run: Import, inventory: Inventory, catalogue: Catalogue) -> None:
    """One refused row keeps all rows out."""
    report = run(GOOD + BAD)
    assert report.outcomes == {Outcome.REFUSED: 2, Outcome.NOT_IMPORTED: 2}
    assert _macs(inventory, catalogue) == []


def test_valid_rows(run: Import, inventory: Inventory, catalogue: Catalogue) -> None:
    """On request the rows that are right go in although others are refused."""
    report = run(GOOD + BAD, ImportMode.VALID_ROWS)
    assert report.outcomes == {Outcome.ADDED: 2, Outcome.REFUSED: 2}
    assert _macs(inventory, catalogue) == [1, 2]


def test_repeating_an_import_is_harmless(run: Import, inventory: Inventory, catalogue: Catalogue) -> None:
    """The second import of a file finds every device present and changes nothing."""
    run(GOOD)
    report = run(GOOD)
    assert report.outcomes == {Outcome.PRESENT: 2}
    assert report.refused == 0
    assert _macs(inventory, catalogue) == [1, 2]


def test_foreign_devices_are_not_told_of(run: Import) -> None:
    """A MAC of another customer is refused without a word about whose it is."""
    report = run("Site,Device Type,MAC Address\nLyon,Yealink T46S,001565FFFFFF\n")
    assert report.codes == {Code.ALREADY_EXISTS_OTHER_SITE: 1}
    text = str([str(each) for each in report.sentences()])
    assert "Kiel" not in text
    assert "Clinic" not in text


def test_customer_outside_the_scope(inventory: Inventory, catalogue: Catalogue, scope: Scope) -> None:
    """Nobody imports for a customer outside the scope."""
    source = io.BytesIO(GOOD.encode())
    with pytest.raises(NotFound):
        import_devices(inventory, catalogue, scope, "Clinic", source)


def test_unreadable_file(run: Import) -> None:
    """A file that is no table is refused as a whole."""
    with pytest.raises(FileUnreadable):
        run("just a sentence\n")


def test_empty_template_is_harmless(run: Import) -> None:
    """The template itself can be imported: it has no rows."""
    report = run("Site,Device Type,MAC Address,Device Name,Description\n")
    assert (report.rows, report.outcomes) == (0, {})
    assert [str(each) for each in report.sentences()] == ["The file holds no rows."]


@pytest.mark.parametrize("language", ["en", "fr"])
def test_result_file(run: Import, tmp_path: Path, language: str) -> None:
    """The result file has one row for each row, with headers in the asker's language and no live formula."""
    path = tmp_path / "folder" / "result.csv"
    text = GOOD + BAD + '"=cmd|x",Yealink T46S,+1,a\nLyon,T46S,00-15-65-00-00-01,\n'
    report = run(text, ImportMode.VALID_ROWS, result=path, language=language)
    assert report.result == path
    rows = list(csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline="")))
    assert rows[0] == [column.header(language) for column in IMPORT_RESULT]
    assert [row[0] for row in rows[1:]] == ["2", "3", "4", "5", "6", "7"]
    assert [row[4] for row in rows[1:]] == ["added", "added", "refused", "refused", "refused", "refused"]
    assert rows[3][5:7] == ["SITE_UNKNOWN", "site"]
    assert rows[5][1:4] == ["'+1", "Yealink T46S", "'=cmd|x"]
    assert rows[6][5] == "DUPLICATE_IN_FILE"
    assert not [cell for row in rows for cell in row if cell.startswith(("=", "+", "-", "@"))]


def test_result_folder_that_cannot_be_written(
    run: Import, inventory: Inventory, catalogue: Catalogue, tmp_path: Path
) -> None:
    """A result file that cannot be written is found out before anything is imported."""
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(UsageError):
        run(GOOD, result=tmp_path / "file" / "result.csv")
    assert _macs(inventory, catalogue) == []


def test_progress_is_told(run: Import) -> None:
    """Progress is told on the way, and at the end with the number of all rows."""
    rows = "".join(f"Lyon,Yealink T46S,0015650{number:05x},\n" for number in range(1, 2501))
    told: list[tuple[int, int | None]] = []
    run(HEADER + rows, progress=lambda *each: told.append(each))
    assert told == [(1000, None), (2000, None), (2500, 2500)]


def test_report_in_plain_values(run: Import) -> None:
    """The report becomes JSON values with texts in either language."""
    values = run(GOOD + BAD, ImportMode.CHECK).values("fr")
    assert values["outcomes"] == {"valid": 2, "refused": 2}
    assert values["problems"][0]["code"] == "SITE_UNKNOWN"


class _Meanwhile(_Import):
    """An import between whose check and transaction something happens."""

    def happens(self, what: Callable[[Inventory], None]) -> None:
        self._what = what

    def _check(self, source: object, progress: object) -> tuple[int, int]:
        checked = super()._check(source, progress)
        self._what(self._inventory)
        return checked


@pytest.mark.parametrize(
    ("mode", "device_type", "expected"),
    [
        (ImportMode.ALL_OR_NOTHING, "Yealink T46S", {Outcome.ADDED: 1, Outcome.PRESENT: 1}),
        (ImportMode.ALL_OR_NOTHING, "Cisco 8851", {Outcome.REFUSED: 1, Outcome.NOT_IMPORTED: 1}),
        (ImportMode.VALID_ROWS, "Cisco 8851", {Outcome.ADDED: 1, Outcome.REFUSED: 1}),
    ],
)
def test_device_added_between_check_and_import(
    inventory: Inventory,
    catalogue: Catalogue,
    scope: Scope,
    mode: ImportMode,
    device_type: str,
    expected: object,
) -> None:
    """A device that somebody adds after the check is present or refused, as if it had been there."""

    def add(inventory: Inventory) -> None:
        with inventory.write() as writer:
            writer.add_device(scope, "Bakery", NewDevice(Mac(0x001565000002), device_type, "Lyon"))

    job = _Meanwhile(inventory, catalogue, scope, "Bakery", mode)
    job.happens(add)
    with job.spool:
        job.run(io.BytesIO(GOOD.encode()), None)
        assert job.report().outcomes == expected


def test_approval_withdrawn_between_check_and_import(
    inventory: Inventory, catalogue: Catalogue, scope: Scope
) -> None:
    """A type that is no longer approved when the transaction begins keeps its rows out."""

    def withdraw(inventory: Inventory) -> None:
        with inventory.write() as writer:
            writer.withdraw_types(scope, "Bakery", "Lyon", ["Yealink T46S"])

    job = _Meanwhile(inventory, catalogue, scope, "Bakery", ImportMode.VALID_ROWS)
    job.happens(withdraw)
    with job.spool:
        job.run(io.BytesIO(GOOD.encode()), None)
        report = job.report()
    assert report.codes == {Code.TYPE_NOT_APPROVED_FOR_SITE: 2}
    assert _macs(inventory, catalogue) == []


_ROWS = st.lists(
    st.tuples(
        st.sampled_from(["Lyon", "CHAMBÉRY", "Paris", ""]),
        st.sampled_from(["Yealink T46S", "Cisco 8851", "Toaster"]),
        st.sampled_from(["001565000001", "00:15:65:00:00:01", "001565000002", "001565FFFFFF", "4.1E+11"]),
    ),
    max_size=12,
)


@settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(rows=_ROWS)
def test_import_twice_is_import_once(
    rows: list[tuple[str, ...]], catalogue: Catalogue, tmp_path: Path, organise: Callable[[Inventory], None]
) -> None:
    """Of any file, what a check calls valid goes in, and neither a check nor a repetition adds anything."""
    with open_inventory(f"sqlite:///{tmp_path}/{uuid4().hex}.db", FakeClock()) as inventory:
        organise(inventory)
        text = "\n".join(["Site,Device Type,MAC Address", *map(",".join, rows), ""])

        def run(mode: ImportMode) -> ImportReport:
            source = io.BytesIO(text.encode())
            return import_devices(inventory, catalogue, Scope(None, "Bakery"), "Bakery", source, mode=mode)

        checked = run(ImportMode.CHECK)
        assert _macs(inventory, catalogue) == []
        first = run(ImportMode.VALID_ROWS)
        assert first.added == checked.outcomes.get(Outcome.VALID, 0) == len(_macs(inventory, catalogue))
        again = run(ImportMode.VALID_ROWS)
        assert again.added == 0
        assert again.rows == first.rows == len(rows)
        assert len(_macs(inventory, catalogue)) == first.added
