"""The end of the demo: what was counted beside what is true, and the verdict."""

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text

from spanbudget.exporter.demo.receiver import Receiver
from spanbudget.exporter.demo.truth import Comparison
from spanbudget.exporter.demo.watch import budget_table
from spanbudget.processors import names_out as names
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.money import display_usd, pico_to_float

LINES_MAX: Final = 5
"""Examples that are shown of one kind of difference."""
_FAMILIES: Final = ("llm.budget.", "spanbudget.")
_TOLERANCE_USD: Final = 1e-9
"""Far below the cheapest call, and far above what adding floats may lose."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run of the demo came to.

    Attributes:
        seconds: How long it took.
        found: The ledger beside the provider's log.
        arrived: What the OTLP receiver has.
        states: The budgets at the end.
        failures: Applications that did not end well.
    """

    seconds: float
    found: Comparison
    arrived: Receiver
    states: Sequence[BudgetState]
    failures: Sequence[str]
    problems: list[str] = field(default_factory=list, init=False)

    def __post_init__(self) -> None:
        found = self.found
        self.problems.extend(self.failures)
        self.problems.extend(_examples("exact in the ledger, but not true", found.wrong))
        self.problems.extend(_examples("answered, but not in the ledger", found.missing))
        self.problems.extend(_examples("in the ledger, but never answered", found.surplus))
        if not found.calls:
            self.problems.append("nothing was counted")
        if not self.metrics_agree:
            self.problems.append(f"the metrics say {self.metric_usd} USD, the ledger {self.ledger_usd} USD")

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not self.problems

    @property
    def ledger_usd(self) -> float:
        """Cost in the ledger, USD."""
        return pico_to_float(self.found.cost)

    @property
    def held_usd(self) -> float:
        """Cost that counters still show although a better span restated it, USD."""
        return self.arrived.total(names.COUNTERS_HELD_USD.name)

    @property
    def metric_usd(self) -> float:
        """Cost in the metrics that arrived, less what they hold back, USD."""
        return self.arrived.total(names.COST_USD.name) - self.held_usd

    @property
    def metrics_agree(self) -> bool:
        """Whether the sum of `llm.cost.usd` is the ledger's."""
        return math.isclose(self.metric_usd, self.ledger_usd, rel_tol=1e-12, abs_tol=_TOLERANCE_USD)


def print_summary(console: Console, outcome: Outcome) -> None:
    """Writes the summary."""
    found = outcome.found
    table = Table.grid(padding=(0, 2))
    table.add_column(no_wrap=True)
    table.add_column(style="bold", no_wrap=True)
    table.add_column(overflow="fold")
    complete = bool(found.calls) and not found.missing and not found.surplus
    merged = outcome.arrived.by_attribute(names.SPANS_MERGED.name, names.REASON)
    for good, title, text in (
        (complete, "Calls", _calls_text(found)),
        (not found.wrong, "Tokens", _tokens_text(found)),
        (outcome.metrics_agree, "Cost", _cost_text(outcome)),
        (None, "Merged", _merged_text(merged)),
        (None, "Unpriced", _unpriced_text(found)),
        (None, "Received", _received_text(outcome)),
    ):
        table.add_row("" if good is None else _verdict(good=good), title, text)
    console.print(Text(f"SpanBudget demo: two applications, one ledger, {outcome.seconds:.1f} s", "bold"))
    console.print(table)
    console.print()
    console.print(budget_table(outcome.states))
    console.print()
    for problem in outcome.problems:
        console.print(Text(problem, "red"))
    console.print(_verdict(good=outcome.ok))


def _verdict(*, good: bool) -> Text:
    return Text("OK", "bold green") if good else Text("FAILED", "bold red")


def _tokens_text(found: Comparison) -> str:
    text = f"{found.equal} calls exact and equal to the provider's bill"
    if found.wrong:
        text += f", {len(found.wrong)} exact and different"
    if found.flagged:
        text += f", {found.flagged} flagged: {_counts(found.reasons)}"
    return text


def _calls_text(found: Comparison) -> str:
    errors = f"{found.failed} of them with an error"
    return f"{found.answered} requests answered, {errors}; {found.calls} calls counted"


def _cost_text(outcome: Outcome) -> str:
    found = outcome.found
    estimated = f" ({display_usd(found.estimated)} of it estimated)" if found.estimated else ""
    held = f" ({_usd(outcome.held_usd)} more is held back by counters)" if outcome.held_usd else ""
    _, priced, usd = outcome.arrived.span_figures()
    return (
        f"{display_usd(found.cost)} in the ledger{estimated}, {_usd(outcome.metric_usd)} as llm.cost.usd by"
        f" OTLP{held}, {_usd(usd)} on {priced} spans"
    )


def _received_text(outcome: Outcome) -> str:
    """What arrived, with the metrics of one family as one name."""
    families = Counter(_family(name) for name in outcome.arrived.metric_names())
    told = [f"{name} ({count})" if name.endswith("*") else name for name, count in families.items()]
    return f"{outcome.arrived.span_figures()[0]} spans and {families.total()} metrics: {', '.join(told)}"


def _family(metric: str) -> str:
    return next((f"{family}*" for family in _FAMILIES if metric.startswith(family)), metric)


def _merged_text(merged: Mapping[str, float]) -> str:
    counts = {reason: int(count) for reason, count in merged.items() if count}
    if not counts:
        return "no span described a call a second time"
    return f"{sum(counts.values())} spans that describe a call once more: {_counts(counts)}"


def _unpriced_text(found: Comparison) -> str:
    if not found.unpriced:
        return "none"
    counts = {f"{model} ({reason})": count for (model, reason), count in found.unpriced.items()}
    return f"{sum(counts.values())} calls, never shown as 0: {_counts(counts)}"


def _counts(counts: Mapping[str, int]) -> str:
    ordered = sorted(counts.items(), key=lambda item: (-item[1], item[0]))
    return ", ".join(f"{name} {count}" for name, count in ordered)


def _usd(amount: float) -> str:
    return display_usd(round(amount * names.PICO))


def _examples(what: str, lines: Sequence[str]) -> list[str]:
    more = [f"... and {len(lines) - LINES_MAX} more"] if len(lines) > LINES_MAX else []
    return [f"{what}: {line}" for line in lines[:LINES_MAX]] + more
