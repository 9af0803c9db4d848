"""Pages of a long list: order, search, and nothing that a browser says becomes SQL."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from devlib.errors import UsageError
from devlib.model import DEVICE_LIST
from devlib.storage import Kind, Order, empty_pages, frame_pages

TEXTS = st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=8)


@settings(deadline=None, max_examples=40)
@given(
    st.lists(st.tuples(TEXTS, st.none() | st.integers(-5, 5)), max_size=40),
    st.sampled_from(["name", "number"]),
    st.booleans(),
)
def test_pages_are_the_sorted_list_in_pieces(rows, column, descending):
    """Pages put together are the whole list, stably sorted, missing values last."""
    frame = pd.DataFrame({"name": [r[0] for r in rows], "number": [r[1] for r in rows]}, dtype=object)
    frame = frame.astype({"number": "Int64"})
    pages = frame_pages(frame)
    assert pages.choose(Order(column, descending)) == len(rows)
    read = [row for first in range(0, len(rows) + 7, 7) for row in pages.rows(first, 7)]
    place = ["name", "number"].index(column)
    there = [row for row in rows if row[place] is not None]
    keys = [row[place].encode() if isinstance(row[place], str) else row[place] for row in there]
    order = sorted(range(len(there)), key=keys.__getitem__, reverse=descending)
    expected = [there[i] for i in order] + [row for row in rows if row[place] is None]
    assert [(name, None if number is None else int(number)) for name, number in read] == expected


@settings(deadline=None, max_examples=40)
@given(st.text(max_size=12))
def test_search_is_a_value_and_never_sql(text):
    """Whatever is searched for, the rows found are those that hold it in any text, in either case."""
    words = ["Lyon", "o'hara", "100%", "a_b", '"quoted"', "'; DROP TABLE x --", "\\", ""]
    pages = frame_pages(pd.DataFrame({"word": words, "number": range(len(words))}))
    wanted = text.strip().lower()
    found = pages.choose(search=text)
    if all(each.isascii() for each in text):
        assert found == sum(wanted in each.lower() for each in words)
    assert len(pages.rows(0, 100)) == found


@pytest.mark.parametrize("name", ["nothing", "word; DROP TABLE x", '"word"', "", "row_number_of_devlib"])
def test_only_columns_of_the_schema_sort(name):
    """A column that is not shown is an error that names those that are."""
    pages = frame_pages(pd.DataFrame({"word": ["a"]}))
    with pytest.raises(UsageError, match="word"):
        pages.choose(Order(name))


def test_values_that_json_cannot_carry():
    """NaN and infinity are empty; moments are ISO 8601 in UTC; long texts are cut; mixed columns are text."""
    frame = pd.DataFrame(
        {
            "real": [1.5, float("nan"), float("inf")],
            "at": pd.to_datetime(["2026-11-02T08:00:00", None, "2026-11-02T08:00:01"]),
            "text": ["x" * 9_000, "", None],
            "mixed": [1, "a", (2, 3)],
        }
    )
    pages = frame_pages(frame)
    assert list(pages.kinds.values()) == [Kind.NUMBER, Kind.MOMENT, Kind.TEXT, Kind.TEXT]
    first, second, third = pages.rows(0, 10)
    assert [first[0], second[0], third[0]] == [1.5, None, None]
    assert [first[1], second[1]] == ["2026-11-02T08:00:00Z", None]
    assert len(first[2]) == 500
    assert [first[3], third[3]] == ["1", "(2, 3)"]


def test_the_database_behind_a_frame_is_shut():
    """No file can be read through the connection of a frame."""
    pages = frame_pages(pd.DataFrame({"word": ["a"]}))
    with pages._opened() as cursor, pytest.raises(Exception, match="disabled"):
        cursor.execute("SELECT * FROM read_text('/etc/hostname')")


def test_an_empty_list_has_its_columns():
    """A declared list without rows has all columns with their kinds."""
    pages = empty_pages(DEVICE_LIST)
    assert list(pages.kinds) == list(DEVICE_LIST.names)
    assert pages.kinds["available_lines"] is Kind.NUMBER
    assert pages.choose() == 0
    assert pages.rows(0, 10) == []
