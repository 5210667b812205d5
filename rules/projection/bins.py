"""Bins: stretches of time, short against a budget's window, in which its spend is added up.

Windows of a week or longer are seen by local days, which have the rhythm of a week; a day by half-hours,
which have the rhythm of a day; an hour by five minutes.
"""

from bisect import bisect_right
from collections.abc import Sequence
from functools import lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from spanbudget.processors.periods import INSTANT_MAX_NS, NS_PER_SECOND, Period, Window

_DAY_NS: Final = 86_400 * NS_PER_SECOND
_EDGES_MAX: Final = 800
"""Most bins that are looked ahead, two years of days: no window is longer."""
HORIZON_NS: Final = 366 * _DAY_NS
"""How far ahead a limit without an end is looked for, a year."""


class Bins(NamedTuple):
    """How time is cut.

    Attributes:
        length_ns: Length of a bin, nanoseconds; a local day may be an hour longer or shorter.
        season: Bins after which spend repeats its rhythm.
        kept: Most bins that are remembered, the current one among them.
        zone: Time zone of days; "" where bins are cut at multiples of their length.
    """

    length_ns: int
    season: int
    kept: int
    zone: str = ""

    def around(self, at_ns: int) -> Window:
        """The bin that an instant, nanoseconds since the epoch, is in."""
        if self.zone:
            return _days(self.zone).window(at_ns)
        start_ns = at_ns - at_ns % self.length_ns
        return Window(start_ns, start_ns + self.length_ns)

    def between(self, since_ns: int, until_ns: int) -> int:
        """How many bins begin in `[since_ns, until_ns)`, for the starts of two bins."""
        return round((until_ns - since_ns) / self.length_ns)

    def edges(self, now_ns: int, end_ns: int) -> list[int]:
        """Start of the bin around `now_ns`, and the ends of it and of all up to `end_ns`, cut there."""
        bin_ = self.around(now_ns)
        edges = [bin_.start_ns]
        end_ns = min(end_ns, now_ns + HORIZON_NS)
        while bin_.end_ns < end_ns and len(edges) < _EDGES_MAX:
            edges.append(bin_.end_ns)
            bin_ = self.around(bin_.end_ns)
        edges.append(max(end_ns, edges[-1] + 1))
        return edges

    def parts(self, edges: Sequence[int]) -> list[float]:
        """What part of a whole bin lies between each two of the edges, above 0 and at most 1."""
        lengths = (after - before for before, after in pairwise(edges))
        return [1.0 if length >= self.length_ns * _WHOLE else length / self.length_ns for length in lengths]


@lru_cache(maxsize=64)
def _days(zone: str) -> Period:
    return Period("daily", zone)


_WHOLE: Final = 0.9
"""A bin of at least this part of its length is a whole one: a day of 23 hours is a day."""


def bins_of(period: Period) -> Bins | None:
    """How the time of a budget is cut; None for a rolling period, whose window has no end."""
    match period.kind:
        case "rolling":
            return None
        case "hourly":
            return Bins(300 * NS_PER_SECOND, season=12, kept=12 * 24)  # a day
        case "daily":
            return Bins(1_800 * NS_PER_SECOND, season=48, kept=48 * 14)  # two weeks
        case _:
            return Bins(_DAY_NS, season=7, kept=92, zone=period.zone)  # a quarter


def part_passed(edges: Sequence[int], now_ns: int) -> tuple[int, float]:
    """Which of the bins between some edges an instant is in, and the part of it that has passed."""
    number = min(max(bisect_right(edges, now_ns) - 1, 0), len(edges) - 2)
    start_ns, end_ns = edges[number], edges[number + 1]
    return number, min(max((now_ns - start_ns) / (end_ns - start_ns), 0.0), 1.0)


def is_endless(window: Window) -> bool:
    """Whether a window never ends: that of a total."""
    return window.end_ns >= INSTANT_MAX_NS
