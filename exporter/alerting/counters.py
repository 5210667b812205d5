"""The counters that rules see: of all processes, as the ledger has them.

A counter never goes down: where a restated call takes money out, it stays where it is until later spend has
covered the difference, as the exported one does. What burn rates are made of are the true sums.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from spanbudget.exporter.budget_series import BudgetKey
from spanbudget.exporter.ledger.tallies import Tally
from spanbudget.exporter.series import SeriesKey, SeriesKeys, attributes_of
from spanbudget.processors import names_out as names
from spanbudget.processors.call import NO_USAGE, LLMCall
from spanbudget.processors.limits import Pot
from spanbudget.processors.names_out import Metric, prometheus_label, prometheus_name
from spanbudget.rules.labels import BUCKET, METRIC_NAME, Labels, labels_of
from spanbudget.rules.projection.history import SpendHistory

LINES_MAX: Final = 50_000
"""Most counters; further ones are left out and counted."""
_MEMO_MAX: Final = 20_000

PotsOf = Callable[[Tally], tuple[Pot, ...]]
"""The budgets, and children, that count the calls of a tally."""


@dataclass(slots=True)
class _Line:
    """One counter.

    Attributes:
        name: The metric's Prometheus name.
        labels: Of its series.
        divisor: Makes the metric's unit of the sums.
        true: The sum.
        shown: The highest that the sum ever was.
    """

    name: str
    labels: Labels
    divisor: int
    true: int = 0
    shown: int = 0

    def add(self, amount: int) -> None:
        self.true += amount
        self.shown = max(self.shown, self.true)


class LedgerCounters:
    """Adds up tallies of the ledger.

    Args:
        keys: Decides which dimensions series have.
        pots_of: Knows the budgets of a tally.
        wanted: Whether anybody reads a metric of this Prometheus name.
        history: Is told of the spend of budgets.

    Attributes:
        spent: True spend by budget and child, pico-USD.
        left_out: Counters that were left out at the bound.
    """

    def __init__(
        self, keys: SeriesKeys, pots_of: PotsOf, wanted: Callable[[str], bool], history: SpendHistory
    ) -> None:
        self._history = history
        self._keys = keys
        self._pots_of = pots_of
        self._wanted = wanted
        self._lines: dict[tuple[Metric, object, str], _Line | None] = {}
        self._attributes: dict[object, Mapping[str, str]] = {}
        self.spent: dict[Pot, int] = {}
        self.left_out = 0

    def add(self, tallies: Iterable[Tally], now_ns: int) -> None:
        """Adds tallies; a reversal's are negative.

        Args:
            tallies: What came into the ledger.
            now_ns: Nanoseconds since the epoch; what tells no time, or a later one, was spent then.
        """
        for tally in tallies:
            at_ns = min(tally.bucket_ns or now_ns, now_ns)
            source = (
                tally.provider, tally.model, tally.operation, tally.tier, tally.failed, tally.confidence,
                tally.labels,
            )  # fmt: skip
            key, _ = self._keys.key_of(source)
            self._add_series(key, tally)
            for pot in self._pots_of(tally):
                self.spent[pot] = self.spent.get(pot, 0) + tally.cost
                self._history.add(pot, at_ns, tally.cost)
                self._add_budget(pot, key, tally)

    def recall(self, tallies: Iterable[Tally]) -> None:
        """Tells the history of tallies from before the time that counters begin at."""
        for tally in tallies:
            for pot in self._pots_of(tally):
                self._history.add(pot, tally.bucket_ns, tally.cost)

    def samples(self, wanted: frozenset[str] | None = None) -> Iterator[tuple[Labels, float]]:
        """The value of every counter, or of those metrics that are asked for."""
        for line in self._lines.values():
            if line is not None and (wanted is None or line.name in wanted):
                yield line.labels, line.shown / line.divisor if line.divisor > 1 else float(line.shown)

    def _add_series(self, key: SeriesKey, tally: Tally) -> None:
        self._bump(names.COST_USD, key, tally.cost)
        self._bump(names.REQUESTS, key, tally.requests)
        counts = (tally.input, tally.cache_read, tally.cache_write, tally.output)
        for kind, count in zip(names.TOKEN_TYPES, counts, strict=True):
            self._bump(names.TOKENS, key, count, names.TOKEN_TYPE, kind)
        timed = key._replace(tier="", confidence="", labels=())
        self._add_durations(names.REQUEST_DURATION, timed, tally)

    def _add_budget(self, pot: Pot, key: SeriesKey, tally: Tally) -> None:
        whole = BudgetKey(*pot, key.model, key.outcome, key.confidence)
        self._bump(names.BUDGET_COST_USD, whole, tally.cost)
        self._bump(names.BUDGET_CALLS, whole, tally.requests)
        self._add_durations(names.BUDGET_REQUEST_DURATION, whole._replace(confidence=""), tally)

    def _add_durations(self, metric: Metric, key: SeriesKey | BudgetKey, tally: Tally) -> None:
        if not any(self._wanted(f"{prometheus_name(metric)}_{part}") for part in ("bucket", "sum", "count")):
            return
        total = 0
        for bound, count in zip(_BOUNDS, tally.durations, strict=True):
            total += count
            self._bump(metric, key, total, BUCKET, bound, part="_bucket", divisor=1)
        self._bump(metric, key, tally.duration_ns, part="_sum")
        self._bump(metric, key, total, part="_count", divisor=1)

    def _bump(
        self,
        metric: Metric,
        key: SeriesKey | BudgetKey,
        amount: int,
        attribute: str = "",
        value: str = "",
        *,
        part: str = "",
        divisor: int | None = None,
    ) -> None:
        at = (metric, key, part + value)
        line = self._lines.get(at)
        if line is None:
            if at in self._lines:
                return  # known, and nobody reads it
            name = prometheus_name(metric) + part
            line = self._lines[at] = self._new(name, key, attribute, value, divisor or metric.divisor)
            if line is None:
                return
        line.add(amount)

    def _new(
        self, name: str, key: SeriesKey | BudgetKey, attribute: str, value: str, divisor: int
    ) -> _Line | None:
        if not self._wanted(name):
            return None
        if len(self._lines) >= LINES_MAX:
            self.left_out += 1
            return None
        attributes = self._attributes.get(key)
        if attributes is None:
            attributes = attributes_of(key) if isinstance(key, SeriesKey) else key.attributes()
            attributes = {prometheus_label(one): text for one, text in attributes.items()}
            self._attributes[key] = attributes
        told = {METRIC_NAME: name, **attributes, prometheus_label(attribute): value}
        return _Line(name, labels_of(told), divisor)


_BOUNDS: Final = (*(f"{bound:g}" for bound in names.DURATION_BOUNDS_SECONDS), "+Inf")


def call_of(tally: Tally) -> LLMCall:
    """A call of a tally, as far as budgets look at calls."""
    return LLMCall(
        trace_id=1,
        span_id=1,
        parent_id=0,
        scope="",
        provider=tally.provider,
        model=tally.model,
        request_model=tally.request_model,
        response_model=tally.response_model,
        operation=tally.operation,
        aggregate=False,
        tier=tally.tier,
        usage=NO_USAGE,
        usage_confidence="exact",
        reasons=(),
        start_ns=tally.bucket_ns,
        end_ns=tally.bucket_ns,
        failed=tally.failed,
        response_id=None,
        labels=tally.labels,
    )
