"""Where the series that are watched come from: new ones, and those that learnt before a restart."""

import json
from collections.abc import Mapping
from typing import Final

from spanbudget.exporter.anomalies.detectors import detectors_of
from spanbudget.exporter.anomalies.line import Line
from spanbudget.exporter.anomalies.plan import Plan
from spanbudget.exporter.anomalies.records import KeptAnomalies, SavedState
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.anomalies.states import packed, unpacked
from spanbudget.processors.errors import AlertStoreError

AHEAD_MS: Final = 86_400_000
"""What was learnt of a time so far ahead came from a wrong clock, and is worth nothing."""
HISTORY: Final = SeriesName("")
"""Stands for the watch itself: its state says which budgets have their past, and when the first call was."""


class Nursery:
    """Makes lines.

    Args:
        plan: What is watched.
        kept: What was learnt before.
        now_ms: Milliseconds since the epoch.
        floor_ms: Where reading begins for budgets that have no past here; a multiple of a slot.

    Attributes:
        until_ms: End of the last slot that all lines know: where reading begins.
        lines: Those that learnt before.
        weights: How much they spend.
        gone: Series whose states are worth nothing any more.
        relearned: How many series learn anew because their state cannot be read.
        told_from_ms: What ended before was told by another process, or is too old to be told.
        first_ms: When the first call was, as far as it is known; milliseconds since the epoch.
    """

    def __init__(self, plan: Plan, kept: KeptAnomalies, now_ms: int, floor_ms: int) -> None:
        self._plan = plan
        self._definitions = {name: plan.definition(name) for name in plan.totals}
        self.lines: dict[SeriesName, Line] = {}
        self.weights: dict[SeriesName, float] = {}
        self.gone: set[SeriesName] = set()
        self.relearned = 0
        self.first_ms: int | None = None
        known_ms, known = self._history(kept.states, now_ms)
        self._known_ms = known_ms
        self.told_from_ms = known_ms or now_ms
        self._fresh = {name for name, text in self._definitions.items() if known.get(name) != text}
        for name, saved in kept.states.items():
            if name != HISTORY:
                self._take_up(name, saved, known_ms)
        self.until_ms = floor_ms if self._fresh else max(floor_ms, known_ms)

    def line(self, name: SeriesName, until_ms: int) -> Line:
        """A new line, which knows nothing."""
        return Line(name, detectors_of(self._plan, name, {}), until_ms)

    def is_news(self, name: SeriesName, slot_ms: int) -> bool:
        """Whether a slot is a new one for the budget of a series, which has not read it before a restart."""
        return slot_ms >= self._known_ms or name.budget in self._fresh

    def saved(self, line: Line, weight: float) -> SavedState:
        """What is kept of a line."""
        learnt = line.learnt(self._definitions[line.name.budget], weight)
        return SavedState(line.until_ms, packed(learnt))

    def history(self, until_ms: int, without: frozenset[str] = frozenset()) -> SavedState:
        """What is kept of the watch itself; budgets may be left out that are to learn anew."""
        known = {name: text for name, text in self._definitions.items() if name not in without}
        told = {"budgets": known, "first_ms": self.first_ms}
        return SavedState(until_ms, json.dumps(told).encode())

    def _history(self, states: Mapping[SeriesName, SavedState], now_ms: int) -> tuple[int, dict[str, str]]:
        saved = states.get(HISTORY)
        if saved is None or saved.slot_ms > now_ms + AHEAD_MS:
            return 0, {}
        try:
            told = json.loads(saved.state)
            self.first_ms = told["first_ms"]
            return saved.slot_ms, dict(told["budgets"])
        except (ValueError, KeyError, TypeError):
            return 0, {}

    def _take_up(self, name: SeriesName, saved: SavedState, known_ms: int) -> None:
        if name.budget not in self._definitions or name.budget in self._fresh:
            self.gone.add(name)
            return
        try:
            learnt = unpacked(saved.state)
            detectors = detectors_of(self._plan, name, learnt.parts)
        except AlertStoreError:
            self.relearned += 1
            self.lines[name], self.weights[name] = self.line(name, known_ms), 0.0
        else:
            self.lines[name] = Line(name, detectors, saved.slot_ms, learnt.marks)
            self.weights[name] = learnt.weight
