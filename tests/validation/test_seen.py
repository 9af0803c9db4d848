"""Duplicates in files of any length: the answers, the disk, the memory."""

import errno
import json
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib.errors import StorageUnavailable
from devlib.validation import seen as seen_module
from devlib.validation.seen import SeenMacs


@given(
    st.lists(st.lists(st.integers(1, 60), max_size=20), max_size=12),
    st.integers(1, 25),
    st.sampled_from([4, 12, 20]),
)
def test_first_rows_are_exact(chunks, spill_after, filter_bits):
    """However small the memory and however full the filter, the first row of every address is exact."""
    first, row = {}, 0
    with SeenMacs(spill_after, filter_bits) as seen:
        for numbers in chunks:
            rows = list(range(row, row + len(numbers)))
            row += len(numbers)
            expected = [first.setdefault(number, own) for number, own in zip(numbers, rows, strict=True)]
            assert seen.first_rows(numbers, rows) == expected


def test_the_largest_addresses_survive_the_disk():
    """Addresses keep all their 48 bits in a run."""
    numbers = [2**48 - 1, 2**48 - 2, 1]
    with SeenMacs(spill_after=2, filter_bits=8) as seen:
        assert seen.first_rows(numbers, [5, 6, 7]) == [5, 6, 7]
        assert seen.first_rows([*numbers, 2], [8, 9, 10, 11]) == [5, 6, 7, 11]


@pytest.mark.parametrize(("number", "said"), [(errno.ENOSPC, "full"), (errno.EIO, "cannot be written")])
def test_a_full_disk_says_so(monkeypatch, number, said):
    """Where the temporary file cannot grow, the error says what to do."""

    class FullFile:
        """A file on a disk without room."""

        def seek(self, *_place):
            """Return the end."""
            return 0

        def write(self, _data):
            """Fail as the system does."""
            raise OSError(number, "of the system")

        def close(self):
            """Do nothing."""

    monkeypatch.setattr(seen_module.tempfile, "TemporaryFile", lambda **_options: FullFile())
    with SeenMacs(spill_after=1) as seen, pytest.raises(StorageUnavailable, match=said) as caught:
        seen.first_rows([1], [1])
    assert caught.value.remedy is not None


MEMORY_CHECK = '''
import io, json, resource, sys
from devlib.validation import check_rows, open_table
from devlib.validation.encoding import BLOCK
from validation.files import APPROVED, HEADER, catalogue, fleet

class Endless(io.RawIOBase):
    """A bulk file of any length that is made while it is read; the last rows repeat the first."""

    def __init__(self, rows):
        self._blocks = self._make(rows)
        self._rest = b""

    def _make(self, rows):
        yield HEADER.encode() + b"\\n"
        for start in range(0, rows, 4096):
            numbers = range(start, min(start + 4096, rows))
            macs = (0x020000000001 + (each if each < rows - 5 else rows - each) for each in numbers)
            yield "".join(f"Montréal,{APPROVED[0]},{mac:012X},,\\n" for mac in macs).encode()

    def read(self, size=-1):
        while len(self._rest) < size:
            block = next(self._blocks, None)
            if block is None:
                break
            self._rest += block
        given, self._rest = self._rest[:size], self._rest[size:]
        return given

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024

rows = int(sys.argv[1])
before = peak()
refused = []
with open_table(Endless(rows)) as table:
    count = 0
    for row in check_rows(table, fleet(), catalogue(), spill_after=int(sys.argv[2])):
        count += 1
        if row.refused:
            refused.append((row.row, row.problems[0].message.values["row"]))
print(json.dumps([count, refused, peak() - before]))
'''


def test_memory_does_not_grow_with_the_file():
    """Over millions of rows, with most addresses on disk, memory stays bounded and the answers exact."""
    rows = 2_000_000
    tests = Path(__file__).parents[1]
    result = subprocess.run(
        [sys.executable, "-c", MEMORY_CHECK, str(rows), "100000"],
        check=True,
        capture_output=True,
        text=True,
        cwd=tests.parent,
        env={"PYTHONPATH": f"{tests}:{tests.parent}"},
    )
    count, refused, peak = json.loads(result.stdout)
    assert count == rows
    assert refused == [[rows + 2 - back, back + 2] for back in range(5, 0, -1)]
    # The filter takes 64 MiB, a run of 100,000 about 25; nothing of it depends on the number of rows.
    assert peak < 130
