"""What events mean for one line: pure cases."""

from datetime import UTC, datetime, timedelta

import pytest

from devlib.collect.rule import Evidence
from devlib.collect.told import Before, fold
from devlib.model import Binding, LineState
from devlib.network import Change, ChangeKind

NOW = datetime(2026, 11, 2, 8, 0, tzinfo=UTC)
PORT = "1@a.example"


def change(kind, contact="sip:a", at=0.0, expires=3600.0, **rest):
    moment = NOW + timedelta(seconds=at)
    binding = Binding(PORT, contact, moment + timedelta(seconds=expires), moment, **rest)
    return Change(kind, PORT, moment, binding)


def before(state=LineState.REGISTERED, contact="sip:a", contacts=1, known=-60.0, expires=3000.0, **rest):
    return Before(
        state,
        contact,
        expires_at=NOW + timedelta(seconds=expires),
        contacts=contacts,
        known_at=NOW + timedelta(seconds=known),
        **rest,
    )


R, F, S, E = ChangeKind.REGISTERED, ChangeKind.REFRESHED, ChangeKind.SIGNED_OFF, ChangeKind.EXPIRED


@pytest.mark.parametrize(
    ("known", "changes", "ended", "unclear"),
    [
        (Before(), [change(R)], None, False),
        (Before(), [change(S)], Evidence.SIGNED_OFF, False),
        (before(), [change(S)], Evidence.SIGNED_OFF, False),
        (before(), [change(E)], Evidence.EXPIRY_REPORTED, False),
        (before(), [change(S), change(R)], None, False),
        (before(), [change(R), change(S)], Evidence.SIGNED_OFF, False),
        (before(), [change(S, "*")], Evidence.SIGNED_OFF, False),
        (before(contacts=3), [change(S, "*")], Evidence.SIGNED_OFF, False),
        (before(), [change(R, "sip:b")], None, True),
        (before(contacts=2), [change(S)], Evidence.SIGNED_OFF, True),
        (before(), [change(S, "sip:b")], Evidence.SIGNED_OFF, True),
        (before(), [change(E, "sip:b")], Evidence.EXPIRY_REPORTED, True),
        (before(), [change(R, "sip:b"), change(S, "sip:b")], Evidence.SIGNED_OFF, True),
        (before(contacts=None), [change(F)], None, True),
        (before(LineState.AGED, contacts=0), [change(E)], Evidence.EXPIRY_REPORTED, False),
        (before(LineState.UNREGISTERED, contacts=0), [change(R, "sip:b")], None, False),
    ],
)
def test_events_say_how_a_line_ended_or_that_it_lives(known, changes, ended, unclear):
    """The last event decides; where other contacts may live, the registrar has to be asked."""
    told = fold(known, changes)
    assert told is not None
    assert (told.ended, told.unclear) == (ended, unclear)


def test_an_event_older_than_the_snapshot_is_dropped():
    """What is known is newer than the event; one of the same second is taken again."""
    known = before(known=10)
    assert fold(known, [change(S, at=5)]) is None
    assert fold(known, [change(S, at=9)]) is not None
    told = fold(known, [change(S, at=5), change(F, at=11)])
    assert told is not None
    assert told.ended is None


def test_an_expired_binding_keeps_its_end():
    """The end of what expired is kept, and is never ahead of the moment at which it was told."""
    told = fold(before(), [change(E, at=0, expires=5)])
    assert told is not None
    assert [each.expires_at for each in told.held] == [NOW]


@pytest.mark.parametrize(
    ("known", "event", "mere"),
    [
        (before(user_agent="x", call_id="1"), change(F, user_agent="x", call_id="1"), True),
        (before(user_agent="x", call_id="1"), change(F, user_agent="x", call_id="2"), False),
        (before(user_agent="x", call_id="1"), change(F, user_agent="y", call_id="1"), False),
        (before(expires=30), change(F), False),
        (before(), change(R), False),
        (before(contacts=None), change(F), False),
        (before(LineState.AGED), change(F), False),
    ],
)
def test_a_refresh_that_only_moves_the_expiry(known, event, mere):
    """Only what changes nothing but a far expiry can wait; a restart or new firmware cannot."""
    told = fold(known, [event])
    assert told is not None
    assert told.mere_refresh is mere
