"""The overview: figures, both languages, hostile names, empty and stale data."""

import pandas as pd
import pytest
from portal_home import home

from devlib.ui import overview
from devlib.ui.figures import verdict_of

__all__ = ["home"]


def test_figures_are_those_of_sql(home):
    """The tiles add up to the lines of the scope, by state."""
    home.portal().collect()
    shown = overview("en", home.portal())
    found = home.portal().sql("SELECT state, count(*) AS n FROM line_states GROUP BY state")
    for state, count in found.to_numpy().tolist():
        assert f"{state}={count}" in repr(shown)
        assert f"<b class='{state}'>{count}</b>" in shown._repr_html_()
    assert "24 lines" in repr(shown)


@pytest.mark.parametrize(("language", "title"), [("en", "Line states"), ("fr", "États des lignes")])
def test_both_languages(home, language, title):
    """Title and states are in the reader's language."""
    home.portal().collect()
    html = overview(language, home.portal())._repr_html_()
    assert title in html
    assert f'lang="{language}"' in html


def test_the_simulator_is_named(home):
    """States that no phone gave are never shown without saying so."""
    home.portal().collect()
    assert "simulator" in overview("en", home.portal())._repr_html_()


def test_names_are_inert(home):
    """A site called like markup is text."""
    home.portal().add_site("<img src=x onerror=alert(1)>", "Bakery")
    home.portal().add("00:15:65:00:00:01", "<img src=x onerror=alert(1)>", "8851", customer="Bakery")
    from devlib.model import User
    from devlib.storage import NewLine

    home.portal().assign("001565000001", NewLine("1@x.example", User("u")))
    home.portal().collect()
    html = overview("en", home.portal())._repr_html_()
    assert "<img" not in html
    assert "&lt;img" in html


def test_stale_data_look_different(home):
    """Data older than an hour are marked; their age is always shown."""
    home.portal().collect()
    assert 'class="stale"' not in overview("en", home.portal())._repr_html_()
    home.clock.advance(7200)
    html = overview("en", home.portal())._repr_html_()
    assert 'class="stale"' in html
    assert "120 minutes old" in html


def test_no_snapshot_says_what_to_do(home):
    """Before the first collection the page names the command."""
    assert "devlib collect" in overview("en", home.portal())._repr_html_()


def test_the_verdict_names_the_worst_sites():
    """One sentence says whether every site is well, else how many are not and the worst of them first."""
    counts = pd.DataFrame(
        {
            "site": ["Lyon", "Nice", "Kiel", "Bonn"], "lines": [10, 10, 10, 5], "registered": [10, 4, 9, 0],
            "unknown": [0, 5, 0, 5], "aged": [0, 1, 1, 0], "unregistered": [0, 0, 0, 0],
        }
    )  # fmt: skip
    ill = verdict_of(counts, "en")
    assert not ill.well
    # Nice: 4 of the 5 that could be asked; nothing is known of Bonn, so it is neither well nor ill.
    assert ill.text.endswith("1 of 3 – Nice (80.0%)")
    well = verdict_of(counts[counts["site"].isin(["Lyon", "Kiel"])], "fr")
    assert well.well
    assert verdict_of(counts[counts["site"] == "Bonn"], "en") is None
    assert verdict_of(counts.head(0), "en") is None
