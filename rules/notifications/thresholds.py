"""A budget's lower threshold is muted by its higher one."""

from collections.abc import Iterable
from typing import Final

from spanbudget.processors.names_out import BUDGET, BUDGET_CHILD, prometheus_label
from spanbudget.rules.labels import Labels, label_value

THRESHOLD: Final = "llm_budget_threshold"
"""Label of an alert about a threshold of a budget: percent as text, "80"."""
_BUDGET: Final = prometheus_label(BUDGET)
_CHILD: Final = prometheus_label(BUDGET_CHILD)


def highest_thresholds(firing: Iterable[Labels]) -> dict[tuple[str, str], float]:
    """The highest threshold that fires, by (budget, child)."""
    highest: dict[tuple[str, str], float] = {}
    for labels in firing:
        percent = _percent(labels)
        if percent is not None:
            pot = _pot(labels)
            highest[pot] = max(percent, highest.get(pot, percent))
    return highest


def is_muted(labels: Labels, highest: dict[tuple[str, str], float]) -> bool:
    """Whether a higher threshold of the same budget and child fires."""
    percent = _percent(labels)
    return percent is not None and percent < highest.get(_pot(labels), percent)


def _pot(labels: Labels) -> tuple[str, str]:
    return label_value(labels, _BUDGET), label_value(labels, _CHILD)


def _percent(labels: Labels) -> float | None:
    """The threshold; None where there is none, or no budget."""
    text = label_value(labels, THRESHOLD)
    if not text or not label_value(labels, _BUDGET):
        return None
    try:
        percent = float(text)
    except ValueError:
        return None
    return percent if abs(percent) < float("inf") else None
