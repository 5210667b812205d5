"""Series in the notation of promtool's rule tests, and results as text."""

import re

import pytest

from spanbudget.rules.labels import METRIC_NAME, Labels, labels_of, shown
from spanbudget.rules.promql.aggregations import shown_value
from spanbudget.rules.promql.expression import parse_expression
from spanbudget.rules.series import STALE_NAN, SeriesStore

MINUTE_MS = 60_000


def read_labels(text: str) -> Labels:
    name, _, rest = text.partition("{")
    pairs = dict(re.findall(r'(\w+)="([^"]*)"', rest))
    return labels_of({METRIC_NAME: name, **pairs})


def read_values(text: str) -> list[float | None]:
    values: list[float | None] = []
    for word in text.split():
        expanding = re.fullmatch(r"(-?[\d.]+)([+-][\d.]+)x(\d+)", word)
        if expanding:
            start, step, times = expanding.groups()
            values += [float(start) + float(step) * index for index in range(int(times) + 1)]
        elif word == "_":
            values.append(None)
        else:
            values.append(STALE_NAN if word == "stale" else float(word))
    return values


def loaded(series: str) -> SeriesStore:
    """One series a line, its samples a minute apart from 0 on; `_` is none, `stale` a mark."""
    store = SeriesStore(default_keep_ms=2**60)
    for line in filter(None, map(str.strip, series.splitlines())):
        labels, values = re.fullmatch(r"(\w*(?:\{[^}]*\})?)\s+(.*)", line).groups()
        for index, value in enumerate(read_values(values)):
            if value is not None:
                store.append(read_labels(labels), index * MINUTE_MS, value)
    return store


def as_text(value) -> list[str]:
    if isinstance(value, float):
        return [shown_value(value)]
    if isinstance(value, str):
        return [value]
    return [
        f"{shown(labels)} {shown_value(point) if isinstance(point, float) else list(point.values)}"
        for labels, point in value
    ]


@pytest.fixture(scope="session")
def evaluate():
    """(series, expression, minutes after 0) → the result's lines."""

    def lines(series: str, expression: str, minutes: float = 0, **options) -> list[str]:
        parsed = parse_expression(expression)
        return as_text(parsed.evaluate(loaded(series), int(minutes * MINUTE_MS), **options))

    return lines
