"""What phones say, read column by column, is what `identify` reads of each phone."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from devlib.collect.identifying import device_names, said_in
from devlib.collect.rule import device_name_sql
from devlib.model.identification import identify

_NIL = "urn:uuid:00000000-0000-1000-8000-"
_MACS = st.one_of(
    st.from_regex(r"[0-9A-Fa-f]{12}", fullmatch=True),
    st.sampled_from(["000000000000", "FFFFFFFFFFFF", "010000000001", "805EC000000a"]),
)
_AGENTS = st.one_of(
    st.none(),
    st.sampled_from(
        ["", "Yealink SIP-T46S 66.85.0.5", "snom821/873_19_20130321", "Softphone", "Cisco-CP8841/11"]
    ),
    _MACS.map(lambda mac: f"Yealink SIP-T46S 66.85.0.5 {mac}"),
    st.text(max_size=40),
)
_STARTS = (
    _NIL,
    f"<{_NIL}",
    _NIL.upper(),
    "urn:uuid:00000000-0000-0000-0000-",
    "urn:uuid:00000000-0000-0000-8000-",
)
_INSTANCES = st.one_of(
    st.none(),
    st.builds("{}{}{}".format, st.sampled_from(_STARTS), _MACS, st.sampled_from(["", ">", "\n", "0", " "])),
    st.builds("urn:uu\u0131d:00000000-0000-1000-8000-{}".format, _MACS),
    st.uuids().map(lambda each: each.urn),
    st.text(max_size=60),
)
_NAMES = st.one_of(st.just(""), _MACS.map(lambda mac: f"SEP{mac}"), _MACS.map(lambda mac: f"SEP{mac}0"))
_SAYINGS = ("user_agent", "instance", "named")


def _table(sayings):
    schema = pa.schema([(name, pa.string()) for name in _SAYINGS])
    return pa.Table.from_pylist([dict(zip(_SAYINGS, each, strict=True)) for each in sayings], schema)


@given(st.lists(st.tuples(_AGENTS, _INSTANCES, _NAMES), max_size=8))
def test_columns_say_what_each_phone_says(sayings):
    """Whatever phones say: what `identify` finds in each, in the order of the sayings."""
    found = said_in(_table(sayings)).to_pylist()
    assert len(found) == len(sayings)
    for row, saying in zip(found, sayings, strict=True):
        said = identify(*saying)
        assert row["said_vendor"] == said.vendor
        assert row["said_model"] == said.model
        assert row["firmware"] == said.firmware
        assert row["said_mac"] == (None if said.mac is None else str(said.mac))
        assert row["said_mac_from"] == (None if said.mac is None else said.mac_from)


@pytest.mark.parametrize("parts", [1, 2])
def test_sayings_may_come_in_parts(parts):
    """DuckDB gives a large answer in several pieces."""
    one = _table([("Yealink SIP-T46S 66.85.0.5", f"{_NIL}805ec0000001", "")])
    (row, *_) = said_in(pa.concat_tables([one] * parts)).to_pylist()
    assert (row["said_vendor"], row["said_mac"]) == ("Yealink", "80:5E:C0:00:00:01")


_BEFORE = st.sampled_from(["x=", "X", "\u00e9", "\n"])
_CONTACTS = st.one_of(
    st.none(),
    st.text(max_size=30),
    st.builds("sip:1@192.0.2.1;{}SEP{}{}".format, _BEFORE, _MACS, st.text(max_size=3)),
)


@given(st.lists(_CONTACTS, max_size=6))
def test_device_names_are_those_that_the_rule_compares(contacts):
    """Arrow finds in contacts what DuckDB finds, or what is identified would not be asked for."""
    with duckdb.connect() as connection:
        connection.register("given", pa.table({"contact": pa.array(contacts, pa.string())}))
        sql = f"SELECT {device_name_sql('contact')} AS name FROM given"
        by_sql = connection.sql(sql).to_arrow_table().column("name").to_pylist()
    assert device_names(pa.array(contacts, pa.string())).to_pylist() == by_sql
