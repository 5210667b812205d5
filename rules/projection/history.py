"""What each budget, and each child of one, spent in each bin of the past."""

from collections import deque
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, NamedTuple

from spanbudget.processors.limits import Pot
from spanbudget.processors.names_out import PICO
from spanbudget.rules.projection.bins import Bins

if TYPE_CHECKING:
    from spanbudget.processors.periods import Window

POTS_MAX: Final = 20_000
"""Most budgets and children that are remembered, about 4 kB each at most; further ones have no history."""


class Past(NamedTuple):
    """The past of a budget, up to a moment.

    Attributes:
        start_ns: Start of its first bin, nanoseconds since the epoch: the one of its first call, or the
            oldest that is kept.
        closed: Spent in each bin before the present one, USD, the oldest first.
        current: Spent in the present bin so far, USD.
    """

    start_ns: int
    closed: tuple[float, ...]
    current: float


class SpendHistory:
    """Adds spend up by bins; bounded in the bins of a budget and in the number of budgets.

    Args:
        bins: How the time of each budget is cut, by its name; a budget that is not there has no history.
        pots_max: Most budgets and children.

    Attributes:
        left_out: Spend of budgets and children that were left out at the bound, in calls of `add`.
    """

    def __init__(self, bins: Mapping[str, Bins], pots_max: int = POTS_MAX) -> None:
        self.bins = bins
        self.left_out = 0
        self._pots_max = pots_max
        self._lines: dict[Pot, _Line] = {}

    def add(self, pot: Pot, at_ns: int, cost: int) -> None:
        """Adds spend.

        Args:
            pot: Who spent it.
            at_ns: When, nanoseconds since the epoch; not later than now, as time moves on with it.
            cost: Pico-USD; negative for a correction.
        """
        line = self._lines.get(pot)
        if line is None:
            bins = self.bins.get(pot.budget)
            if bins is None:
                return
            if len(self._lines) >= self._pots_max:
                self.left_out += 1
                return
            line = self._lines[pot] = _Line(bins, at_ns)
        line.add(at_ns, cost)

    def past(self, pot: Pot, now_ns: int) -> Past | None:
        """What is known of a budget; None where it has spent nothing yet."""
        line = self._lines.get(pot)
        return None if line is None else line.past(now_ns)

    def current(self, pot: Pot, now_ns: int) -> float:
        """Spent in the present bin so far, USD."""
        line = self._lines.get(pot)
        return 0.0 if line is None else line.current(now_ns)


class _Line:
    """The bins of one budget; the last one is the latest that was spent in or asked for."""

    __slots__ = ("_amounts", "_bins", "_last")

    def __init__(self, bins: Bins, at_ns: int) -> None:
        self._bins = bins
        self._last: Window = bins.around(at_ns)
        self._amounts: deque[int] = deque((0,), maxlen=bins.kept)

    def add(self, at_ns: int, cost: int) -> None:
        last = self._last
        if last.start_ns <= at_ns < last.end_ns:
            self._amounts[-1] += cost
        elif at_ns >= last.end_ns:
            self._move_on(at_ns)
            self._amounts[-1] += cost
        else:
            back = self._bins.between(self._bins.around(at_ns).start_ns, last.start_ns)
            if back < self._bins.kept:
                while len(self._amounts) <= back:
                    self._amounts.appendleft(0)
                self._amounts[-1 - back] += cost

    def past(self, now_ns: int) -> Past:
        if now_ns >= self._last.end_ns:
            self._move_on(now_ns)
        *closed, current = self._amounts
        first_ns = self._last.start_ns - len(closed) * self._bins.length_ns
        # The middle of that bin is in it, whatever a change of the clock did to the days between.
        start_ns = self._bins.around(max(0, first_ns + self._bins.length_ns // 2)).start_ns
        return Past(start_ns, tuple(amount / PICO for amount in closed), current / PICO)

    def current(self, now_ns: int) -> float:
        last = self._last
        return self._amounts[-1] / PICO if last.start_ns <= now_ns < last.end_ns else 0.0

    def _move_on(self, at_ns: int) -> None:
        before = self._last
        self._last = self._bins.around(at_ns)
        passed = self._bins.between(before.start_ns, self._last.start_ns)
        self._amounts.extend([0] * min(passed, self._bins.kept))
