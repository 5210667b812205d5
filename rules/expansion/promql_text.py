"""Pieces of PromQL over the series of budgets."""

from collections.abc import Sequence
from decimal import Decimal
from typing import Final

from spanbudget.processors import names_out as names
from spanbudget.processors.names_out import Metric, prometheus_label, prometheus_name
from spanbudget.rules.durations import duration_text
from spanbudget.rules.labels import quoted

NAME: Final = prometheus_label(names.BUDGET)
CHILD: Final = prometheus_label(names.BUDGET_CHILD)
MODEL: Final = prometheus_label(names.MODEL)
OUTCOME: Final = prometheus_label(names.OUTCOME)
CONFIDENCE: Final = prometheus_label(names.CONFIDENCE)
BURN_WINDOW: Final = prometheus_label(names.BURN_WINDOW)
QUANTILE: Final = prometheus_label(names.QUANTILE)
BUDGET_LABELS: Final = (NAME, CHILD)

UNPRICED: Final = "unpriced"
"""Value of the confidence of a cost that is not known."""


def number(value: Decimal | int) -> str:
    """A number without an exponent and without zeros that say nothing."""
    return format(Decimal(value).normalize(), "f")


def ratio(percent: Decimal) -> str:
    """A percentage as the ratio that rules compare with."""
    return number(percent / 100)


def series(metric: Metric | str, budgets: Sequence[str], *matchers: str, suffix: str = "") -> str:
    """A selector of the series of one or several budgets.

    Args:
        metric: The metric, or its name in Prometheus.
        budgets: Names of the budgets.
        matchers: Further matchers, such as `equal(…)`.
        suffix: What follows the name: `_bucket`.
    """
    name = metric if isinstance(metric, str) else prometheus_name(metric)
    return f"{name}{suffix}{{{', '.join((one_of(NAME, budgets), *matchers))}}}"


def equal(label: str, value: str) -> str:
    """A matcher of one value."""
    return f"{label}={quoted(value)}"


def one_of(label: str, values: Sequence[str]) -> str:
    """A matcher of any of some values."""
    if len(values) == 1:
        return equal(label, values[0])
    return f"{label}=~{quoted('|'.join(map(literal, values)))}"


def matching(label: str, pattern: str) -> str:
    """A matcher of a name in which `*` stands for any text."""
    if "*" not in pattern:
        return equal(label, pattern)
    return f"{label}=~{quoted('.*'.join(map(literal, pattern.split('*'))))}"


def over(selector: str, range_ms: int) -> str:
    """The selector over a trailing time."""
    return f"{selector}[{duration_text(range_ms)}]"


def highest(selector: str, *labels: str) -> str:
    """Of shared state, which several processes may show: the highest."""
    return f"max by ({', '.join(labels or BUDGET_LABELS)}) ({selector})"


def summed(vector: str, *labels: str) -> str:
    """Of counts, each of which one process holds: the sum by the budget's labels and some more."""
    return f"sum by ({', '.join((*BUDGET_LABELS, *labels))}) ({vector})"


def literal(text: str) -> str:
    """The text as a regular expression that matches just it; Go's `regexp.QuoteMeta` writes the same."""
    return "".join(f"\\{one}" if one in r"\.+*?()|[]{}^$" else one for one in text)
