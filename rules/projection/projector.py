"""Projects all budgets again and again: what is learned and what lies ahead is kept from bin to bin."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, NamedTuple

from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.limits import Pot
from spanbudget.processors.names_out import PICO
from spanbudget.processors.periods import Period, Window
from spanbudget.rules.projection.bins import Bins, bins_of, is_endless
from spanbudget.rules.projection.history import Past, SpendHistory
from spanbudget.rules.projection.outlook import Ends, Now, Outlook

if TYPE_CHECKING:
    from spanbudget.rules.projection.model import SpendModel

PROJECTED_FROM: Final = 0.1
"""The part of a window that must have passed before its end is projected by run-rate: earlier ones jump."""
FITS_AT_ONCE: Final = 50
"""Most models that are brought up to date at one moment, 15 ms; the others go on with the ones they have."""
_SHARED_MAX: Final = 256
_MEMO_MAX: Final = 20_000

Fit = Callable[[Sequence[float], int], "SpendModel"]
"""`model.fit`, which needs numpy: whoever projects decides when that is imported."""


class Foreseen(NamedTuple):
    """What is expected of a budget.

    Attributes:
        ends: Spend at the end of its window; None where that does not end, or it is too early to say.
        exhausted_ns: When the limit on money will be reached, by the median, nanoseconds since the epoch;
            None where the window ends before, or not within a year.
    """

    ends: Ends | None
    exhausted_ns: int | None


@dataclass(slots=True)
class _Memo:
    """What is kept of a budget from one moment to the next.

    Attributes:
        window: The window that the outlook is for.
        outlook: What lies ahead.
        seen: What the closed bins of the window brought, USD.
        model_ns: Start of the bin that the model was made in.
    """

    window: Window
    outlook: Outlook
    seen: tuple[float, ...]
    model_ns: int


class Projector:
    """Projects budgets.

    Args:
        periods: The period of each budget, by its name.
        fit: Learns a model.

    Attributes:
        history: What it goes by; whoever knows of spend adds it.
    """

    def __init__(self, periods: Mapping[str, Period], fit: Fit) -> None:
        bins = {name: bins_of(period) for name, period in periods.items()}
        self.history = SpendHistory({name: one for name, one in bins.items() if one is not None})
        self._fit = fit
        self._memos: dict[Pot, _Memo] = {}
        self._edges: dict[tuple[Bins, int, int], list[int]] = {}
        self._at_ns = 0
        self._fits_left = FITS_AT_ONCE

    def foresee(self, state: BudgetState, now_ns: int) -> Foreseen | None:
        """What is expected of a budget, or of one child; None where there is nothing to go by.

        Args:
            state: Its state now.
            now_ns: Nanoseconds since the epoch.
        """
        found = self.outlook(state, now_ns)
        if found is None:
            return None
        outlook, now = found
        limit = None if state.limit_cost is None else outlook.exhausted_ns(now, state.limit_cost / PICO)
        return Foreseen(None if is_endless(state.window) else outlook.end(now), limit)

    def outlook(self, state: BudgetState, now_ns: int) -> tuple[Outlook, Now] | None:
        """What lies ahead of a budget, and where it stands; None where there is nothing to go by."""
        pot = Pot(state.budget, state.child)
        bins = self.history.bins.get(pot.budget)
        window = state.window
        if bins is None or state.is_rolling or not window.start_ns <= now_ns < window.end_ns:
            return None
        memo = self._memo(pot, bins, window, now_ns)
        if memo is None:
            return None
        outlook, spent = memo.outlook, state.spent.cost / PICO
        elapsed = (now_ns - window.start_ns) / (window.end_ns - window.start_ns)
        if elapsed < PROJECTED_FROM * (1 - outlook.trust) and not is_endless(window):
            return None
        current = self.history.current(pot, now_ns)
        rated = sum(memo.seen) + current if is_endless(window) else spent
        return outlook, Now(now_ns, spent, rated, memo.seen, current)

    def _memo(self, pot: Pot, bins: Bins, window: Window, now_ns: int) -> _Memo | None:
        if now_ns != self._at_ns:
            self._at_ns, self._fits_left = now_ns, FITS_AT_ONCE
        memo = self._memos.get(pot)
        if memo is not None and memo.window == window:
            edges = memo.outlook.edges
            is_current = memo.model_ns == edges[0] or self._fits_left <= 0
            if edges[0] <= now_ns < edges[1] and is_current:
                return memo
        past = self.history.past(pot, now_ns)
        if past is None:
            if is_endless(window):
                return None
            past = Past(window.start_ns, (), 0.0)
        if len(self._memos) >= _MEMO_MAX:
            self._memos.clear()
        memo = self._memos[pot] = self._looked(memo, past, bins, window, now_ns)
        return memo

    def _looked(self, memo: _Memo | None, past: Past, bins: Bins, window: Window, now_ns: int) -> _Memo:
        edges = self._edges_of(bins, window, now_ns)
        model, model_ns = (memo.outlook.model, memo.model_ns) if memo is not None else (None, edges[0])
        if model is None or (model_ns != edges[0] and self._fits_left > 0):
            self._fits_left -= 1
            model = self._fit(past.closed, bins.season) if past.closed else None
            model_ns = edges[0]
        in_window = bins.between(max(past.start_ns, window.start_ns), edges[0])
        seen = past.closed[len(past.closed) - in_window :] if in_window > 0 else ()
        # Run-rate counts from the first call on, and from a bin ago where that is in this one.
        start_ns = max(window.start_ns, min(past.start_ns, edges[0] - bins.length_ns))
        first = bins.between(model_ns, edges[0])
        return _Memo(window, Outlook(bins, start_ns, edges, model, first=max(0, first)), seen, model_ns)

    def _edges_of(self, bins: Bins, window: Window, now_ns: int) -> list[int]:
        """The edges of the bins ahead; budgets of one period share them, as a year has many."""
        end_ns = 0 if is_endless(window) else window.end_ns
        start_ns = bins.around(now_ns).start_ns
        key = (bins, start_ns, end_ns)
        edges = self._edges.get(key)
        if edges is None:
            if len(self._edges) >= _SHARED_MAX:
                self._edges.clear()
            edges = self._edges[key] = bins.edges(now_ns, window.end_ns)
        return edges
