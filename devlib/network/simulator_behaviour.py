"""How simulated phones, sites and registrars behave: pure functions of seed, name and moment.

Nothing is remembered, so a clock may stand at any moment and the same network is found there again. Moments
are whole seconds since 1970, UTC.
"""

from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b

_HOUR, _DAY = 3_600, 86_400
_MINUTE = 60
_EPOCH_WEEKDAY = 3  # 1970-01-01 was a Thursday
_WORKDAYS = 5
_OUTAGE_BLOCK = 4 * _DAY
_OUTAGE_PERCENT = 12  # of the sites, in each block of four days
_GAP_PERCENT = 25  # of the registrars, on each day
_CACHE_LIMIT = 65_536


class Habit(Enum):
    """What one device does over days."""

    STEADY = "refreshes"
    DYING = "loses its power now and then, for a day or more"
    LEAVING = "signs off each evening and at the weekend"
    FLAPPING = "comes and goes within the hour"
    NEVER = "was never connected"
    PERMANENT = "has a binding without end, set by hand"


_SHARES = (  # per thousand, summed up
    (900, Habit.STEADY),
    (930, Habit.DYING),
    (960, Habit.LEAVING),
    (980, Habit.FLAPPING),
    (995, Habit.NEVER),
    (1000, Habit.PERMANENT),
)


def roll(seed: int, *names: object) -> int:
    """Return 64 bits that are the same for the same seed and names, on every machine."""
    text = "\x1f".join(map(str, (seed, *names)))
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest())


@dataclass(frozen=True, slots=True)
class Temper:
    """The character of one device.

    Args:
        habit: what it does.
        expires: seconds of each registration; it refreshes at half of them.
        phase: seconds by which its refreshes are shifted.
        cycle: seconds after which its life repeats (a failure, or a reboot).
        dead: seconds at the start of each cycle in which it is off.
        opens: second of the day from which a leaving device is there.
        closes: second of the day at which it signs off.
    """

    habit: Habit
    expires: int
    phase: int
    cycle: int
    dead: int
    opens: int
    closes: int

    @classmethod
    def of(cls, bits: int) -> "Temper":
        """Return the character that 64 random bits give."""
        share = bits % 1000
        habit = next(habit for limit, habit in _SHARES if share < limit)
        bits //= 1000
        cycle, dead = (15 + bits % 26) * _DAY, 0
        expires = _HOUR
        if habit is Habit.DYING:
            cycle, dead = (6 + bits % 8) * _DAY, 26 * _HOUR + bits % (34 * _HOUR)
        elif habit is Habit.FLAPPING:
            cycle = (40 + bits % 61) * _MINUTE
            dead, expires = cycle // 2, 10 * _MINUTE
        opens = 6 * _HOUR + 30 * _MINUTE + bits % 5_400
        closes = 17 * _HOUR + bits // 64 % 7_200
        return cls(habit, expires, bits // 4096 % (40 * _DAY), cycle, dead, opens, closes)

    def on(self, moment: int) -> bool:
        """Return whether the device has power and would refresh at `moment`."""
        return (moment + self.phase) % self.cycle >= self.dead

    def boot(self, moment: int) -> tuple[int, int]:
        """Return the number of the boot that `moment` belongs to, and the seconds since it."""
        if self.habit is Habit.LEAVING:
            return moment // _DAY, moment % _DAY - self.opens
        number, since = divmod(moment + self.phase, self.cycle)
        return number, since - self.dead

    def last_register(self, moment: int, outage: tuple[int, int] | None) -> int | None:
        """Return when the binding that exists at `moment` was last refreshed; `None` where there is none.

        Args:
            moment: now.
            outage: start and end of the site's outage nearest to `moment`, if any.
        """
        earliest = 0
        if self.habit is not Habit.STEADY:
            if self.habit is Habit.NEVER:
                return None
            if self.habit is Habit.LEAVING:
                earliest = self._session_start(moment)
                if earliest > moment:
                    return None
        step = self.expires // 2
        last = moment - (moment + self.phase) % step
        # A registration lives for two steps: the last refresh or the one before it may still hold.
        for refresh in (max(last, earliest), last - step):
            if refresh < earliest:
                continue
            if self.on(refresh) and not (outage and outage[0] <= refresh < outage[1]):
                return refresh
        return None

    def sign_off(self, registered: int) -> int | None:
        """Return when a device that was registered at `registered` says goodbye; `None` if it never does."""
        if self.habit is not Habit.LEAVING:
            return None
        return registered // _DAY * _DAY + self.closes

    def _session_start(self, moment: int) -> int:
        day, second = divmod(moment, _DAY)
        weekday = (day + _EPOCH_WEEKDAY) % 7
        if weekday >= _WORKDAYS or not self.opens <= second < self.closes:
            return moment + 1
        return day * _DAY + self.opens


class Weather:
    """The outages of sites and the gaps of registrars.

    Args:
        seed: of the whole network.
        registrars: how many stand behind it.
    """

    def __init__(self, seed: int, registrars: int) -> None:
        self._seed = seed
        self._registrars = registrars
        self._outages: dict[tuple[str, int], tuple[int, int] | None] = {}

    def outage(self, site: str, moment: int) -> tuple[int, int] | None:
        """Return start and end of the outage of `site` in these four days, or `None`.

        It never reaches into the next block, except that phones come back after it, at their own time.
        """
        key = (site, moment // _OUTAGE_BLOCK)
        try:
            return self._outages[key]
        except KeyError:
            if len(self._outages) >= _CACHE_LIMIT:
                self._outages.clear()
            found = self._outages[key] = self._roll_outage(*key)
            return found

    def _roll_outage(self, site: str, block: int) -> tuple[int, int] | None:
        bits = roll(self._seed, "outage", site, block)
        if bits % 100 >= _OUTAGE_PERCENT:
            return None
        bits //= 100
        seconds = 2 * _HOUR + bits % (7 * _HOUR)
        # Neither the first hour nor the last two: a refresh before it and the return after it stay inside.
        start = _HOUR + (bits // 65_536) % (_OUTAGE_BLOCK - seconds - 3 * _HOUR)
        start += block * _OUTAGE_BLOCK
        return start, start + seconds

    def registrar(self, site: str) -> int:
        """Return the number of the registrar that serves `site`, from 0."""
        return roll(self._seed, "registrar", site) % self._registrars

    def unreachable(self, moment: int) -> frozenset[int]:
        """Return the numbers of the registrars in one of their gaps (20 to 40 minutes) at `moment`."""
        return frozenset(each for each in range(self._registrars) if self._in_gap(each, moment))

    def _in_gap(self, registrar: int, moment: int) -> bool:
        day, second = divmod(moment, _DAY)
        bits = roll(self._seed, "gap", registrar, day)
        if bits % 100 >= _GAP_PERCENT:
            return False
        bits //= 100
        seconds = 20 * _MINUTE + bits % (20 * _MINUTE)
        start = bits // 4096 % (_DAY - seconds)
        return start <= second < start + seconds
