"""What the events of one line mean, beside what was known of it: pure, without network and without lake."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from devlib.collect.rule import EXPIRY_SLACK, Evidence
from devlib.model import Binding, LineState
from devlib.network import Change, ChangeKind

REFRESH_AHEAD = timedelta(seconds=60)
"""A mere refresh is put off while the expiry that readers see is farther ahead than this."""

_EVERY_CONTACT = "*"  # RFC 3261 §10.2.2: a sign-off of all contacts at once
_ENDED = {ChangeKind.SIGNED_OFF: Evidence.SIGNED_OFF, ChangeKind.EXPIRED: Evidence.EXPIRY_REPORTED}


@dataclass(frozen=True, slots=True)
class Before:
    """What the lake knows of a line, as the events find it.

    Args:
        state: the last known one; `None` for a line never observed.
        contact: of the binding that spoke for it.
        user_agent: its user agent.
        call_id: its Call-ID.
        expires_at: its end, UTC; `None` for a permanent one.
        contacts: live contacts; `None` where the network could not be asked last.
        known_at: when the state was observed, UTC.
    """

    state: LineState | None = None
    contact: str | None = None
    user_agent: str | None = None
    call_id: str | None = None
    expires_at: datetime | None = None
    contacts: int | None = 0
    known_at: datetime | None = None

    @property
    def live(self) -> frozenset[str]:
        """The contacts that are live and known by name."""
        registered = self.state is LineState.REGISTERED and self.contact is not None
        return frozenset({self.contact or ""}) if registered else frozenset()


@dataclass(frozen=True, slots=True)
class Told:
    """What events leave of a line.

    Args:
        held: the bindings that the events told of and that count now; an expired one stands for its end.
        ended: how the last one ended; `None` where one lives. Where that is unclear, it holds only if the
            registrar has no binding any more.
        at: when the last event happened, UTC.
        unclear: whether other contacts may live beside these: then the registrar has to be asked.
        mere_refresh: whether nothing but the expiry moved, and readers' expiry is still far ahead.
    """

    held: tuple[Binding, ...]
    ended: Evidence | None
    at: datetime
    unclear: bool
    mere_refresh: bool


def fold(before: Before, changes: Sequence[Change]) -> Told | None:
    """Return what events of one line mean; `None` where what is known is newer than all of them.

    Events count whole seconds, so that one of the second before the known moment may be newer than it: such
    a one is taken again, which changes nothing.

    Args:
        before: what is known.
        changes: of this line, in the order in which they happened.
    """
    oldest = None if before.known_at is None else before.known_at - EXPIRY_SLACK
    new = [each for each in changes if oldest is None or each.at >= oldest]
    if not new:
        return None
    contacts = _Contacts(before)
    for each in new:
        contacts.take(each)
    last = new[-1]
    if contacts.live:
        ends = [_ENDED[each.kind] for each in new if each.kind in _ENDED]
        return Told(
            tuple(contacts.bindings[name] for name in contacts.live if name in contacts.bindings),
            ends[-1] if ends and contacts.unclear else None,
            last.at,
            contacts.unclear,
            all(_is_mere(each, before) for each in new),
        )
    ended = _ENDED[last.kind]
    return Told(_remains(last), ended, last.at, contacts.unclear, mere_refresh=False)


def _remains(last: Change) -> tuple[Binding, ...]:
    """Return the binding that expired, so that its end is kept; of a sign-off nothing remains."""
    if last.kind is not ChangeKind.EXPIRED:
        return ()
    # The registrar's clock may be ahead of ours: what it says has ended must not look live here.
    ends = min(last.binding.expires_at or last.at, last.at)
    return (replace(last.binding, expires_at=ends),)


class _Contacts:
    """The live contacts of one line while its events are gone through."""

    def __init__(self, before: Before) -> None:
        self.live = set(before.live)
        self.bindings: dict[str, Binding] = {}
        count = before.contacts
        # Where the network could not be asked last, whatever was registered may still be there.
        self.unclear = count is None and before.state is LineState.REGISTERED
        self._others = 0 if count is None else max(count - len(self.live), 0)

    def take(self, change: Change) -> None:
        """Go one event further."""
        contact = change.binding.contact
        if change.kind in _ENDED:
            self._end(contact)
            return
        # A new contact may have taken an older one's place (RFC 5626) or stand beside it.
        self.unclear |= bool(self.live - {contact}) or self._others > 0
        self.live.add(contact)
        self.bindings[contact] = change.binding

    def _end(self, contact: str) -> None:
        if contact == _EVERY_CONTACT:
            self.live.clear()
            self._others, self.unclear = 0, False
            return
        known = contact in self.live
        self.live.discard(contact)
        self.unclear |= self._others > 0 or bool(self.live) or (not known and bool(self.bindings))


def _is_mere(change: Change, before: Before) -> bool:
    binding = change.binding
    return (
        change.kind is ChangeKind.REFRESHED
        and before.state is LineState.REGISTERED
        and before.contacts is not None
        and (binding.contact, binding.user_agent, binding.call_id)
        == (before.contact, before.user_agent, before.call_id)
        and (before.expires_at is None or before.expires_at - change.at > REFRESH_AHEAD)
    )
