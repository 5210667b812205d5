"""Who made the excess of an episode: what the ledger has of it, against the same hours of the days before."""

from collections.abc import Sequence
from typing import Final

from spanbudget.exporter.anomalies.config import DIMENSIONS
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.anomalies.sums import Router
from spanbudget.exporter.ledger.tallies import LedgerTallies, Tally
from spanbudget.processors import names_out as names
from spanbudget.rules.anomalies.slots import SLOT_MS
from spanbudget.rules.durations import NS_PER_MS

CONTRIBUTOR_DIMENSIONS: Final = (*DIMENSIONS, "operation", "feature", "team")
"""What calls are told apart by, beside the dimensions that are watched; the last three say who calls."""
BEFORE_DAYS: Final = 7
"""Days before an episode whose same hours say what is usual."""
MARGIN_MS: Final = 3_600_000
"""So much more on either side of these hours counts as well: ten minutes alone say little."""
EPISODE_MS_MAX: Final = 86_400_000
"""The last part of a longer episode stands for all of it."""
_DAY_MS: Final = 86_400_000
_SLOT_NS: Final = SLOT_MS * NS_PER_MS

Costs = dict[tuple[str, str], float]
"""(dimension, value) → US dollars."""


class Contributions:
    """Asks the ledger; what was read for one episode is used for others of the same time.

    Args:
        reader: Reads the ledger.
        router: Knows the series of each tally.
        dimensions: What calls are told apart by.
    """

    def __init__(self, reader: LedgerTallies, router: Router, dimensions: Sequence[str]) -> None:
        self._reader = reader
        self._router = router
        self._dimensions = tuple(dimensions)
        self._read: dict[tuple[int, int], list[Tally]] = {}

    def forget(self) -> None:
        """Drops what was read: the next moment may know more."""
        self._read.clear()

    def of(self, name: SeriesName, start_ms: int, end_ms: int, known_from_ms: int) -> tuple[Costs, Costs]:
        """What each value cost in an episode, and what is usual for it in that time.

        Args:
            name: The series.
            start_ms: Begin of the episode, milliseconds since the epoch.
            end_ms: Its end, or now.
            known_from_ms: When the first call was; days before say nothing.
        """
        start_ms = max(start_ms, end_ms - EPISODE_MS_MAX)
        observed = self._costs(name, start_ms, end_ms)
        usual: Costs = {}
        days = 0
        for day in range(1, BEFORE_DAYS + 1):
            since_ms = start_ms - day * _DAY_MS - MARGIN_MS
            until_ms = min(end_ms - day * _DAY_MS + MARGIN_MS, start_ms)
            if since_ms < known_from_ms:
                break
            part = (end_ms - start_ms) / (until_ms - since_ms)
            for key, usd in self._costs(name, since_ms, until_ms).items():
                usual[key] = usual.get(key, 0.0) + usd * part
            days += 1
        return observed, {key: usd / days for key, usd in usual.items()}

    def _costs(self, name: SeriesName, since_ms: int, until_ms: int) -> Costs:
        costs: Costs = {}
        for tally in self._tallies(since_ms, until_ms):
            if name in self._router.series_of(tally):
                for key in self._router.values_of(tally, self._dimensions):
                    if key[0] != name.dimension:
                        costs[key] = costs.get(key, 0.0) + tally.cost / names.PICO
        return costs

    def _tallies(self, since_ms: int, until_ms: int) -> list[Tally]:
        key = (since_ms, until_ms)
        found = self._read.get(key)
        if found is None:
            asked = self._reader.tallies_between(
                since_ms * NS_PER_MS, until_ms * NS_PER_MS, EPISODE_MS_MAX * NS_PER_MS
            )
            found = self._read[key] = list(asked)
        return found
