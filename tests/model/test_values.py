"""Tables, states and scopes."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import devlib.model
from devlib.model import (
    ANSWERS,
    ARTICLE_COLUMNS,
    DEVICE_LIST,
    EVERYTHING,
    IMPORT_RESULT,
    IMPORT_TEMPLATE,
    LINE_STATES,
    OBSERVATIONS,
    SITE_TYPES,
    SUPPORTED_DEVICES,
    Binding,
    ColumnType,
    Identity,
    LineState,
    Role,
    Scope,
    roll_up,
)

TABLES = (
    OBSERVATIONS,
    LINE_STATES,
    DEVICE_LIST,
    IMPORT_TEMPLATE,
    IMPORT_RESULT,
    SUPPORTED_DEVICES,
    SITE_TYPES,
    *ANSWERS,
)
NOW = datetime(2026, 11, 2, tzinfo=UTC)


@pytest.mark.parametrize("table", TABLES, ids=lambda table: table.name)
def test_every_column_is_declared_whole(table):
    """Columns have distinct names and headers, both languages, a type and a meaning in one sentence."""
    assert len(set(table.names)) == len(table.names)
    for language in ("en", "fr"):
        headers = [column.header(language) for column in table]
        assert all(headers)
        assert len(set(headers)) == len(headers)
    for column in table:
        assert column.name.isidentifier()
        assert isinstance(column.type, ColumnType)
        assert column.meaning.endswith(".")
        assert "'" not in column.french


def test_parts_keep_the_columns_and_their_order():
    """A part holds the same columns, in the order asked for; an unknown one is an error."""
    part = DEVICE_LIST.part("few", "Some.", ("site", "mac"))
    assert part.names == ("site", "mac")
    assert part.column("mac") is DEVICE_LIST.column("mac")
    with pytest.raises(KeyError):
        DEVICE_LIST.part("few", "Some.", ("nothing",))
    assert DEVICE_LIST.names[:4] == ARTICLE_COLUMNS


@given(st.lists(st.sampled_from(LineState)))
def test_roll_up(states):
    """No line gives nothing; else aged wins over unknown, unknown over unregistered, that over registered."""
    order = [LineState.AGED, LineState.UNKNOWN, LineState.UNREGISTERED, LineState.REGISTERED]
    assert roll_up(states) == next((state for state in order if state in states), None)


def test_bindings_end():
    """A binding lives until its end; a permanent one for ever."""
    assert Binding("a@b", "", None).live(NOW)
    assert Binding("a@b", "", NOW + timedelta(seconds=1)).live(NOW)
    assert not Binding("a@b", "", NOW).live(NOW)


def test_scopes_cover_what_they_name():
    """An empty field covers all; a named one covers that only; sites need their customer."""
    assert EVERYTHING.covers_site("P", "C", "S")
    scope = Scope("P", "C", frozenset({"S"}))
    assert scope.covers_customer("P", "C")
    assert scope.covers_site("P", "C", "S")
    assert not scope.covers_site("P", "C", "T")
    assert not scope.covers_site("P", "D", "S")
    assert not scope.covers_customer("Q", "C")
    with pytest.raises(ValueError, match="customer"):
        Scope(sites=frozenset({"S"}))


names = st.sampled_from(["A", "B"])
scopes = st.builds(
    lambda provider, customer, sites: Scope(provider, customer, sites if customer else None),
    st.none() | names,
    st.none() | names,
    st.none() | st.frozensets(names),
)


@given(scopes, names, st.none() | names, names, names, names)
def test_narrowing_never_widens(scope, customer, site, provider, other_customer, other_site):
    """What a narrowed scope covers is what the scope covered, of that customer and site."""
    narrowed = scope.narrowed(customer, site)
    wanted = customer == other_customer and site in (None, other_site)
    covered = scope.covers_site(provider, other_customer, other_site)
    assert narrowed.covers_site(provider, other_customer, other_site) == (wanted and covered)


def test_narrowing_to_nothing_changes_nothing():
    """Without a customer and a site the scope stays."""
    scope = Scope("P", "C", frozenset({"S"}))
    assert scope.narrowed() == scope
    assert scope.narrowed(site="T").sites == frozenset()


def test_a_session_is_the_principal_where_there_is_none():
    """Exports are spaced by session; a program without one by its principal."""
    assert Identity("anna", Role.OPERATOR).session_key == "anna"
    assert Identity("anna", Role.OPERATOR, session="s1").session_key == "s1"


def test_the_public_names():
    """`devlib.model` exports what it says, sorted."""
    assert all(hasattr(devlib.model, name) for name in devlib.model.__all__)
    assert len(set(devlib.model.__all__)) == len(devlib.model.__all__)
