"""Views of lines: the same with the index and without, of now or of a moment, within the present scope."""

from datetime import timedelta

import pytest

from devlib.errors import NotAllowed
from devlib.model import EVERYTHING, Identity, LineState, Role, Scope
from devlib.portal import VIEW_COLUMNS, sign_in
from devlib.storage import LineFilter

pytestmark = pytest.mark.here


def index(home):
    """Write the index of the newest states, as the dashboards' server does."""
    services = home.services
    columns = ("provider", *VIEW_COLUMNS)
    return services.line_indexes.write(
        services.lake, services.lake.current(EVERYTHING), columns, services.clock.now()
    )


def shown(view):
    """Return everything that a view shows, but not from where."""
    return view.pages.choose(), view.pages.rows(0, 500), view.counts, view.oldest, view.version


VIEWS = [
    {},
    {"customer": "Bakery"},
    {"customer": "Clinic", "site": "Lyon"},
    {"line_filter": LineFilter(states=(LineState.REGISTERED,))},
    {"line_filter": LineFilter(search="LYON")},
    {"line_filter": LineFilter(search="80:5e:c0")},
    {"line_filter": LineFilter(condition="port = 1")},
    {"line_filter": LineFilter(device_types=("Snom M700",), search="kiel")},
]


@pytest.mark.parametrize("asked", VIEWS)
@pytest.mark.parametrize("scope", [EVERYTHING, Scope("Test Telecom", "Clinic")])
def test_the_index_changes_nothing_but_the_time(home, asked, scope):
    """Rows, counts, age and version of a view are the same whether an index is there or not."""
    home.portal().collect()
    if scope.customer and asked.get("customer") not in (None, scope.customer):
        return
    portal = home.portal(Role.VIEWER, scope)
    before, choices = shown(portal.view_lines(**asked)), portal.line_choices()
    index(home)
    assert shown(portal.view_lines(**asked)) == before
    assert portal.line_choices() == choices
    assert before[0] > 0


def test_an_index_that_trails_is_looked_at_again(home):
    """For two minutes after a newer snapshot its index stands in, and the view says that there is more."""
    home.portal().collect()
    index(home)
    home.clock.advance(600)
    home.portal().collect()
    portal = home.portal()
    newest = portal.lake_version()
    behind = portal.view_lines()
    assert behind.version != newest
    assert behind.oldest == home.clock.now().replace(tzinfo=None) - timedelta(seconds=600)
    home.clock.advance(121)
    assert portal.view_lines().version == newest
    index(home)
    view = portal.view_lines()
    assert (view.version, view.oldest) == (newest, portal.view_lines(at=home.clock.now()).oldest)


def test_an_index_of_long_ago_is_never_shown(home):
    """However new a snapshot is, an index of data a quarter of an hour older does not stand in for it."""
    home.portal().collect()
    index(home)
    home.clock.advance(16 * 60)
    home.portal().collect()
    assert home.portal().view_lines().version == home.portal().lake_version()


def test_a_moment_shows_the_states_of_then(home):
    """A view of a moment is of the snapshot before it, whatever came after; before the first nothing."""
    home.portal().collect()
    then = home.portal().view_lines()
    home.clock.advance(3600)
    home.portal().collect()
    index(home)
    moment = home.clock.now() - timedelta(minutes=10)
    past = home.portal().view_lines(at=moment)
    assert shown(past) == shown(then)
    assert past.oldest < home.portal().view_lines().oldest
    nothing = home.portal().view_lines(at=moment - timedelta(days=1))
    assert (nothing.pages.choose(), nothing.oldest) == (0, None)


def test_a_scope_that_shrank_ends_a_view(home):
    """Pages of a view are refused from the moment on that its reader may not see all of it any more."""
    home.portal().collect()
    with home.services.inventory.write() as writer:
        writer.put_identity(Identity("ann", Role.VIEWER, Scope("Test Telecom")))
    portal = sign_in(home.services, "ann")
    for indexed in (False, True):
        if indexed:
            index(home)
        view = portal.view_lines()
        assert view.pages.rows(0, 1)
        with home.services.inventory.write() as writer:
            writer.put_identity(Identity("ann", Role.VIEWER, Scope("Test Telecom", "Clinic")))
        with pytest.raises(NotAllowed):
            view.pages.rows(0, 1)
        with home.services.inventory.write() as writer:
            writer.put_identity(Identity("ann", Role.VIEWER, Scope("Test Telecom")))
