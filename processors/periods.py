"""Periods and their windows: which stretch of time a budget's spend belongs to.

Spend is kept by the start of its window, so a new window starts at 0 by itself: there is no reset job.
Calendar windows follow the wall clock of an IANA time zone. A window starts at the first instant whose local
time is not before the boundary, also where the boundary is skipped or comes twice; so for every zone the
windows are contiguous, never empty, and each instant is in exactly one.
"""

from bisect import bisect_left
from calendar import monthrange
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from typing import Final, Literal, NamedTuple, TypeAlias, get_args
from zoneinfo import ZoneInfo

PeriodKind: TypeAlias = Literal["hourly", "daily", "weekly", "monthly", "yearly", "total", "rolling"]
WeekDay: TypeAlias = Literal["monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday"]

NS_PER_SECOND: Final = 1_000_000_000
INSTANT_MAX_NS: Final = 2**63 - 1
"""End of time (the year 2262): instants are signed 64-bit nanoseconds in every store."""
ROLLING_SECONDS_MIN: Final = 60
ROLLING_SECONDS_MAX: Final = 400 * 86_400
"""A year and a month: above it a rolling sum would outlive the ledger's default retention."""
SLICES_TARGET: Final = 1_440
"""Slices of a rolling window: the over-count is at most 1/1440 of its time, a minute for a day."""

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_SECOND: Final = timedelta(seconds=1)
_HOUR_SECONDS: Final = 3_600
_WEEK_DAYS: Final[tuple[str, ...]] = get_args(WeekDay)
_MACHINE_ZONES: Final = ("localtime", "posixrules", "Factory")
_OTHER_TREES: Final = ("posix/", "right/")


class Window(NamedTuple):
    """A half-open stretch of time.

    Attributes:
        start_ns: First instant inside, UTC nanoseconds since the epoch.
        end_ns: First instant after it, UTC nanoseconds since the epoch.
    """

    start_ns: int
    end_ns: int


def zone_info(name: str) -> ZoneInfo:
    """Finds an IANA time zone; names that mean another zone on each machine are refused.

    Raises:
        ValueError: There is no such zone.
    """
    unknown = f"{name!r} is not an IANA time zone"
    if name in _MACHINE_ZONES or name.startswith(_OTHER_TREES):
        raise ValueError(unknown)
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise ValueError(unknown) from error


@dataclass(frozen=True, slots=True)
class Period:
    """How time is cut into windows.

    Attributes:
        kind: `hourly` to `yearly` follow the wall clock, `total` never ends, `rolling` is the last
            `rolling_seconds` at every moment.
        zone: IANA time zone of the wall clock; it means nothing to `total` and `rolling`.
        week_start: First day of a `weekly` window.
        anchor_day: Day on which a `monthly` or `yearly` window starts, 1 to 31; a month that is too short
            starts on its last day.
        anchor_month: Month in which a `yearly` window starts, 1 to 12.
        rolling_seconds: Length of a `rolling` window, 1 minute to 400 days; 0 for the other kinds.

    Raises:
        ValueError: A value is out of range, or there is no such zone.
    """

    kind: PeriodKind
    zone: str = "UTC"
    week_start: WeekDay = "monday"
    anchor_day: int = 1
    anchor_month: int = 1
    rolling_seconds: int = 0
    _zone: ZoneInfo = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if self.kind not in get_args(PeriodKind):
            raise ValueError(f"{self.kind!r} is not a kind of period")
        if self.week_start not in _WEEK_DAYS:
            raise ValueError(f"{self.week_start!r} is not a day of the week")
        if not 1 <= self.anchor_day <= 31 or not 1 <= self.anchor_month <= 12:
            raise ValueError(f"anchor day {self.anchor_day} or month {self.anchor_month} is not in a year")
        if self.kind == "rolling" and not ROLLING_SECONDS_MIN <= self.rolling_seconds <= ROLLING_SECONDS_MAX:
            raise ValueError(f"a rolling window lasts 1 minute to 400 days, not {self.rolling_seconds} s")
        if self.kind != "rolling" and self.rolling_seconds:
            raise ValueError(f"only a rolling window has a length, not a {self.kind} one")
        object.__setattr__(self, "_zone", zone_info(self.zone))

    @property
    def text(self) -> str:
        """The canonical text, equal exactly where the windows are cut by the same rule."""
        match self.kind:
            case "total":
                return "total"
            case "rolling":
                return f"rolling:{self.rolling_seconds}s"
            case "weekly":
                return f"weekly:{self.week_start}@{self.zone}"
            case "monthly":
                return f"monthly:{self.anchor_day}@{self.zone}"
            case "yearly":
                return f"yearly:{self.anchor_month:02d}-{self.anchor_day:02d}@{self.zone}"
            case _:
                return f"{self.kind}@{self.zone}"

    @property
    def slice_seconds(self) -> int:
        """Length of a slice of a rolling window: 1/1440 of it in whole seconds, at least 1; else 0."""
        return max(1, round(self.rolling_seconds / SLICES_TARGET)) if self.kind == "rolling" else 0

    def window(self, at_ns: int) -> Window:
        """The window that an instant belongs to; for a rolling period the slice.

        Args:
            at_ns: UTC nanoseconds since the epoch. Instants before 1970 belong to the window of the first
                instant, instants from `INSTANT_MAX_NS` on to the window of the last one.
        """
        at_ns = min(max(at_ns, 0), INSTANT_MAX_NS - 1)
        if self.kind == "total":
            return Window(0, INSTANT_MAX_NS)
        at = at_ns // NS_PER_SECOND
        if self.kind == "rolling":
            start = at - at % self.slice_seconds
            return Window(start * NS_PER_SECOND, (start + self.slice_seconds) * NS_PER_SECOND)
        start, end = _wall_hour(at, self._zone) if self.kind == "hourly" else self._days(at)
        return Window(start * NS_PER_SECOND, end * NS_PER_SECOND)

    def slices(self, now_ns: int) -> range:
        """Starts of the totals whose sum is the spend at `now_ns`, oldest first, in nanoseconds.

        For a rolling period these are all slices that touch `[now - length, now]`, at most 2160. Their sum
        never misses spend that is inside; it may hold spend that is up to one slice too old. Every other
        period has one total, its window's.
        """
        window = self.window(now_ns)
        if self.kind != "rolling":
            return range(window.start_ns, window.start_ns + 1)
        oldest = self.window(now_ns - self.rolling_seconds * NS_PER_SECOND).start_ns
        return range(oldest, window.end_ns, self.slice_seconds * NS_PER_SECOND)

    def span(self, now_ns: int) -> Window:
        """The time that the spend at `now_ns` is from: the window, or all slices of a rolling one."""
        return Window(self.slices(now_ns).start, self.window(now_ns).end_ns)

    def _days(self, at: int) -> tuple[int, int]:
        day = self._first_day(_local(at, self._zone).date())
        following = self._next_day(day)
        # A clock that falls back over midnight shows an old day again: the new window has begun already.
        while (end := _day_start(following, self._zone)) <= at:
            day, following = following, self._next_day(following)
        return _day_start(day, self._zone), end

    def _first_day(self, day: date) -> date:
        match self.kind:
            case "weekly":
                return day - timedelta(days=(day.weekday() - _WEEK_DAYS.index(self.week_start)) % 7)
            case "monthly":
                first = self._anchored(day.year, day.month)
                return first if first <= day else self._anchored(*_month_after(day.year, day.month, -1))
            case "yearly":
                first = self._anchored(day.year, self.anchor_month)
                return first if first <= day else self._anchored(day.year - 1, self.anchor_month)
            case _:
                return day

    def _next_day(self, first: date) -> date:
        match self.kind:
            case "weekly":
                return first + timedelta(days=7)
            case "monthly":
                return self._anchored(*_month_after(first.year, first.month, 1))
            case "yearly":
                return self._anchored(first.year + 1, self.anchor_month)
            case _:
                return first + timedelta(days=1)

    def _anchored(self, year: int, month: int) -> date:
        return date(year, month, min(self.anchor_day, monthrange(year, month)[1]))


@dataclass(slots=True)
class WindowMemo:
    """Remembers the last window of a period, so that the common case is two comparisons."""

    period: Period
    _last: Window = field(default_factory=lambda: Window(0, 0))

    def window(self, at_ns: int) -> Window:
        """See `Period.window`."""
        last = self._last
        if last.start_ns <= at_ns < last.end_ns:
            return last
        self._last = last = self.period.window(at_ns)
        return last


def _month_after(year: int, month: int, months: int) -> tuple[int, int]:
    years, index = divmod(month - 1 + months, 12)
    return year + years, index + 1


def _local(at: int, zone: ZoneInfo) -> datetime:
    """The wall clock at a second since the epoch, without its zone."""
    return (_EPOCH + timedelta(seconds=at)).astimezone(zone).replace(tzinfo=None)


def _day_start(day: date, zone: ZoneInfo) -> int:
    """The first second, since the epoch, whose local time is not before the day's midnight."""
    midnight = datetime.combine(day, time())
    # Midnight comes once: both are equal. Twice: the first comes first. Never: the clock jumps over it
    # between `after` and `before`, which read it with the offsets after and before the jump.
    before = (midnight.replace(tzinfo=zone) - _EPOCH) // _SECOND
    after = (midnight.replace(tzinfo=zone, fold=1) - _EPOCH) // _SECOND
    if before <= after:
        return before
    return after + bisect_left(range(after, before), True, key=lambda at: _local(at, zone) >= midnight)


def _wall_hour(at: int, zone: ZoneInfo) -> tuple[int, int]:
    """The wall hour around a second, in seconds since the epoch.

    A clock that jumps by whole hours keeps the grid of hours. One that jumps by another amount (Lord Howe
    by 30 minutes) cuts the hour at the jump.
    """
    phase = _phase(at, zone)
    start = at - (at + phase) % _HOUR_SECONDS
    end = start + _HOUR_SECONDS
    if _phase(start, zone) != phase:
        start += bisect_left(range(start, at), True, key=lambda second: _phase(second, zone) == phase)
    if _phase(end - 1, zone) != phase:
        end = at + bisect_left(range(at, end), True, key=lambda second: _phase(second, zone) != phase)
    return start, end


def _phase(at: int, zone: ZoneInfo) -> int:
    """How far the local clock is past UTC's full hour, 0 to 3599 seconds."""
    return ((_local(at, zone) - _EPOCH.replace(tzinfo=None)) // _SECOND - at) % _HOUR_SECONDS
