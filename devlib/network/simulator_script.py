"""Lines of the simulator that a test or a demonstration plays by hand, over what chance would do."""

from dataclasses import dataclass, replace


@dataclass(slots=True)
class ScriptedLine:
    """One registration by hand; moments are seconds since 1970, UTC.

    Args:
        since: when it registered.
        expires: seconds of each registration, refreshed at half of them; `None` for a permanent binding.
        user_agent: what it says of itself.
        contact: where it can be reached.
        instance: `+sip.instance`.
        silent_since: when it lost its power.
        gone_since: when it signed off.
    """

    since: float
    expires: float | None
    user_agent: str | None
    contact: str | None
    instance: str | None
    silent_since: float | None = None
    gone_since: float | None = None

    def sign_off(self) -> float | None:
        """Return when the line said goodbye while it held a binding; `None` where it did not."""
        gone = self.gone_since
        if gone is None or replace(self, gone_since=None).last_register(gone) is None:
            return None
        return gone

    def last_register(self, moment: float) -> float | None:
        """Return when the binding that exists at `moment` was last refreshed; `None` where there is none."""
        if moment < self.since or (self.gone_since is not None and moment >= self.gone_since):
            return None
        if self.expires is None:
            return self.since
        awake = moment if self.silent_since is None else min(moment, self.silent_since)
        step = self.expires / 2
        last = self.since + (awake - self.since) // step * step
        return last if last + self.expires > moment else None
