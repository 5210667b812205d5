"""What this process's own calls cost, by the dimensions that metrics carry.

A ledger entry can take a call out again (a reversal, when a better span restates a call), but a metric
counter must never go down. So a series keeps its true sums, and shows the highest value that they ever had
when somebody looked: a restatement between two looks shows only its net difference, and a negative difference
is held back until later spend of the same series covers it. How much is held back is `held()`.
"""

import threading
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, TypeAlias

from spanbudget.processors import names_out as names
from spanbudget.processors.call import Labels, LLMCall, PricedCall
from spanbudget.processors.ledger import Entry
from spanbudget.processors.names_out import OTHER, OUTCOME_ERROR, OUTCOME_OK, UNKNOWN

SERIES_LABELS: Final = ("service", "environment", "team", "feature")
"""Labels that are dimensions of the metrics without being asked for; users and sessions are too many."""
SERIES_MAX: Final = 500
"""Most series of one process. Tokens have four points each, and the SDK folds an instrument beyond 2000."""
_CATCH_ALL: Final = 6
"""Series kept free for `other`: two outcomes times three confidences."""
_MEMO_MAX: Final = 8192
"""Most combinations that are remembered; unbounded labels such as a session would fill memory otherwise."""

SeriesSource: TypeAlias = tuple[str | None, str | None, str, str | None, bool, str, Labels]
"""Provider, model, operation, tier, whether it failed, confidence of the cost, labels."""


class SeriesKey(NamedTuple):
    """The dimensions of one series.

    Attributes:
        provider: Normalised provider, `unknown` or `other`.
        model: The model that was priced, `unknown` or `other`.
        operation: `chat`, `embeddings`, …
        tier: Service tier, `unknown` where it is not reported.
        outcome: `ok` or `error`.
        confidence: Confidence of the cost: `exact`, `estimated` or `unpriced`.
        labels: The configured attribution labels in their configured order, `unknown` where a call has none.
    """

    provider: str
    model: str
    operation: str
    tier: str
    outcome: str
    confidence: str
    labels: Labels


class Exemplar(NamedTuple):
    """The last sampled call of a series: one whose trace a backend has.

    Attributes:
        trace_id: 128-bit trace id.
        span_id: 64-bit span id.
        end_ns: End of the call, nanoseconds since the epoch.
    """

    trace_id: int
    span_id: int
    end_ns: int


class SeriesTotal(NamedTuple):
    """What a series shows; none of its numbers ever decreases.

    Attributes:
        cost: Pico-USD.
        input: Uncached prompt tokens.
        cache_read: Prompt tokens read from a cache.
        cache_write: Prompt tokens written to a cache.
        output: Output tokens.
        requests: Calls.
        exemplar: The last sampled call, None where there was none.
    """

    cost: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    requests: int = 0
    exemplar: Exemplar | None = None


_ZERO: Final = SeriesTotal()


@dataclass(slots=True)
class _Series:
    """The true sums of a series, and what it showed last."""

    cost: int = 0
    input: int = 0
    cache_read: int = 0
    cache_write: int = 0
    output: int = 0
    requests: int = 0
    sampled: LLMCall | None = None
    shown: SeriesTotal = _ZERO

    def show(self) -> SeriesTotal:
        """The highest value that each sum ever showed."""
        shown, call = self.shown, self.sampled
        self.shown = SeriesTotal(
            max(shown.cost, self.cost),
            max(shown.input, self.input),
            max(shown.cache_read, self.cache_read),
            max(shown.cache_write, self.cache_write),
            max(shown.output, self.output),
            max(shown.requests, self.requests),
            Exemplar(call.trace_id, call.span_id, call.end_ns) if call else None,
        )
        return self.shown


class SeriesKeys:
    """Decides which dimensions the series of a call has; values beyond a limit become `other`.

    A value that was admitted stays admitted and one that was not never is, so a reversal always meets the
    series of its call.

    Args:
        labels: The attribution labels that become dimensions, in this order.
        max_label_values: Most distinct values of one dimension, at least 1.
        series_max: Most series, None for `SERIES_MAX`; calls of further ones go to a series that is `other`
            in every dimension.
    """

    def __init__(
        self, labels: Sequence[str], max_label_values: int, *, series_max: int | None = None
    ) -> None:
        self._labels = tuple(labels)
        self._values_max = max_label_values
        self._series_max = (SERIES_MAX if series_max is None else series_max) - _CATCH_ALL
        self._known: set[SeriesKey] = set()
        self._values: dict[str, set[str]] = {}

    def key_of(self, source: SeriesSource) -> tuple[SeriesKey, tuple[str, ...]]:
        """The series of a combination, and the dimensions that overflowed."""
        provider, model, operation, tier, failed, confidence, labels = source
        own = dict(labels)
        over: list[str] = []
        key = SeriesKey(
            self._admit("provider", provider, over),
            self._admit("model", model, over),
            self._admit("operation", operation, over),
            self._admit("tier", tier, over),
            OUTCOME_ERROR if failed else OUTCOME_OK,
            confidence,
            tuple((name, self._admit(name, own.get(name), over)) for name in self._labels),
        )
        if key not in self._known and len(self._known) >= self._series_max:
            others = tuple((name, OTHER) for name in self._labels)
            key = SeriesKey(OTHER, OTHER, OTHER, OTHER, key.outcome, key.confidence, others)
            over.append("series")
        self._known.add(key)
        return key, tuple(over)

    def _admit(self, dimension: str, value: str | None, over: list[str]) -> str:
        """The value itself, or `other` where its dimension has enough values without it."""
        if value is None:
            return UNKNOWN
        values = self._values.setdefault(dimension, set())
        if value in values:
            return value
        if len(values) >= self._values_max:
            over.append(dimension)
            return OTHER
        values.add(value)
        return value


def attributes_of(key: SeriesKey) -> dict[str, str]:
    """The attributes of a series' data points."""
    attributes = {
        names.PROVIDER: key.provider,
        names.MODEL: key.model,
        names.OPERATION: key.operation,
        names.TIER: key.tier,
        names.OUTCOME: key.outcome,
        names.CONFIDENCE: key.confidence,
    }
    for label, value in key.labels:
        attributes[names.LABEL_ATTRIBUTES.get(label, label)] = value
    return attributes


class SeriesBook:
    """Accumulates the ledger entries that this process itself booked.

    One thread adds (the pipeline's worker), any thread reads. Calls whose series is not all their own, see
    `SeriesKeys`, are counted in `overflowed()`.

    Args:
        labels: The attribution labels that become dimensions, in this order.
        max_label_values: Most distinct values of one dimension, at least 1.
    """

    def __init__(self, labels: Sequence[str], max_label_values: int) -> None:
        self._keys = SeriesKeys(labels, max_label_values)
        self._memo: dict[SeriesSource, tuple[_Series, tuple[str, ...]]] = {}
        self._series: dict[SeriesKey, _Series] = {}
        self._overflowed: Counter[str] = Counter()
        self._reading = threading.Lock()

    def add(self, entry: Entry, *, sampled: bool = False) -> None:
        """Adds a booked call, or takes a reversed one out.

        Args:
            entry: An entry that the ledger took, not a duplicate.
            sampled: True where the span of the call has the sampled flag, so that an exemplar may name it.
        """
        priced = entry.priced
        call = priced.call
        source = (
            call.provider, call.model, call.operation, call.tier, call.failed, priced.confidence, call.labels
        )  # fmt: skip
        series, overflowed = self._memo.get(source) or self._find(source)
        usage = call.usage
        if entry.kind == "reversal":
            self._reverse(series, priced)
            return
        series.cost += priced.cost or 0
        series.input += usage.input or 0
        series.cache_read += usage.cache_read or 0
        series.cache_write += usage.cache_write or 0
        series.output += usage.output or 0
        series.requests += 1
        if sampled:
            series.sampled = call
        if overflowed:
            self._overflowed.update(overflowed)

    def seed(self, labels: Mapping[str, str]) -> None:
        """Opens a series at 0, so that a configured budget has a counter before its first call."""
        own = tuple(sorted(labels.items()))
        self._find((None, None, UNKNOWN, None, False, "exact", own))

    def totals(self) -> list[tuple[SeriesKey, SeriesTotal]]:
        """What every series shows now."""
        with self._reading:
            return [(key, series.show()) for key, series in list(self._series.items())]

    def held(self) -> int:
        """Cost in pico-USD which series still show although it was reversed."""
        with self._reading:
            return sum(max(0, series.shown.cost - series.cost) for series in list(self._series.values()))

    def overflowed(self) -> dict[str, int]:
        """Calls by the dimension in which they went to `other`; `series` where there were too many series."""
        return dict(self._overflowed)

    @staticmethod
    def _reverse(series: _Series, priced: PricedCall) -> None:
        usage = priced.call.usage
        series.cost -= priced.cost or 0
        series.input -= usage.input or 0
        series.cache_read -= usage.cache_read or 0
        series.cache_write -= usage.cache_write or 0
        series.output -= usage.output or 0
        series.requests -= 1

    def _find(self, source: SeriesSource) -> tuple[_Series, tuple[str, ...]]:
        """The series of a combination, opened where it is new, and the dimensions that overflowed."""
        key, over = self._keys.key_of(source)
        series = self._series.setdefault(key, _Series())
        if len(self._memo) >= _MEMO_MAX:
            self._memo.clear()
        found = self._memo[source] = (series, over)
        return found
