"""Filters in a link: written and read without loss, and harmless whatever somebody writes there."""

from hypothesis import given, settings
from hypothesis import strategies as st

from devlib.clock import FakeClock
from devlib.model import LineState
from devlib.ui.figures import age_of, share_text, tiles_of
from devlib.ui.link import SEEN, LineQuery

FIELDS = ("customer", "site", "states", "types", "firmware", "search", "unseen", "other")
PLAIN = st.none() | st.text(max_size=5) | st.integers()
VALUES = PLAIN | st.lists(PLAIN | st.lists(PLAIN, max_size=2), max_size=3)
NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=30).map(str.strip).filter(bool)


@settings(deadline=None, max_examples=60)
@given(
    st.builds(
        LineQuery,
        customer=st.none() | NAMES,
        site=st.none() | NAMES,
        states=st.lists(st.sampled_from([s.value for s in LineState]), unique=True).map(tuple),
        types=st.lists(NAMES, unique=True, max_size=3).map(tuple),
        search=st.just("") | NAMES,
        unseen=st.sampled_from(["", *SEEN]),
    )
)
def test_a_link_gives_the_query_back(query):
    """What is written into a link is what is read from it."""
    assert LineQuery.from_link("?" + query.to_link()) == query
    assert LineQuery.from_values(query.to_values()) == query


@settings(deadline=None, max_examples=60)
@given(st.text(max_size=300))
def test_any_link_is_read(text):
    """No link fails; what is no filter is left out."""
    query = LineQuery.from_link(text)
    assert set(query.states) <= {s.value for s in LineState}
    assert query.unseen in {"", *SEEN}
    query.line_filter(FakeClock())


@settings(deadline=None, max_examples=60)
@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=4))
def test_any_message_is_read(values):
    """No values of a browser fail."""
    LineQuery.from_values(values)


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 10**7), st.integers(0, 10**7))
def test_a_share_that_is_not_all_is_never_100(part, more):
    """99.99 % is not shown as 100 %, and everything is."""
    text = share_text(part, part + more, "en")
    assert (text == "100.0%") == (more == 0 and part > 0)


def test_tiles_and_age_in_both_languages():
    """Numbers, shares and ages are written as people of the language write them."""
    counts = {"registered": 9_999, "aged": 1, "unregistered": 0, "unknown": 0}
    assert [tile.value for tile in tiles_of(counts, "en")] == ["99.9%", "9,999", "1", "0", "0"]
    assert tiles_of(counts, "fr")[1].value == "9\u202f999"
    clock = FakeClock()
    observed = clock.now()
    clock.advance(59 * 60)
    assert not age_of(observed, clock.now(), "en").stale
    clock.advance(3 * 3600)
    assert age_of(observed, clock.now(), "en").stale
    assert age_of(None, clock.now(), "en").stale
