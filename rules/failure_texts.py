"""What promtool writes where a test of rules fails."""

import math
import re
from collections.abc import Sequence
from typing import Final

from spanbudget.rules.durations import duration_text
from spanbudget.rules.labels import Labels
from spanbudget.rules.templates.verbs import quoted

_PLAIN_NAME: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_INDENT: Final = " " * 12


def alerts_failure(
    test_name: str,
    alert_name: str,
    eval_ms: int,
    expected: Sequence[tuple[Labels, Labels]],
    got: Sequence[tuple[Labels, Labels]],
) -> str:
    """The alerts that were expected, and those that there are."""
    name = f"    name: {test_name},\n" if test_name else ""
    return (
        f"{name}    alertname: {alert_name}, time: {duration_text(eval_ms)}, \n"
        f"        exp:{_indented(_alerts(expected), _INDENT)}, \n"
        f"        got:{_indented(_alerts(got), _INDENT)}"
    )


def samples_failure(
    expression: str,
    eval_ms: int,
    expected: Sequence[tuple[Labels, float]],
    got: Sequence[tuple[Labels, float]],
) -> str:
    """The samples that were expected, and those that there are."""
    return (
        f"    expr: {quoted(expression)}, time: {duration_text(eval_ms)},\n"
        f"        exp: {_samples(expected)}\n        got: {_samples(got)}"
    )


def _alerts(alerts: Sequence[tuple[Labels, Labels]]) -> str:
    if not alerts:
        return "[]"
    parts = (
        f"{index}:" + _indented(f"\nLabels:{_labels(labels)}\nAnnotations:{_labels(annotations)}", "  ")
        for index, (labels, annotations) in enumerate(alerts)
    )
    return "[\n" + ",\n".join(parts) + "\n]"


def _indented(text: str, indent: str) -> str:
    """All lines but the first one, further to the right."""
    return text.replace("\n", "\n" + indent)


def _samples(samples: Sequence[tuple[Labels, float]]) -> str:
    return ", ".join(f"{_labels(labels)} {_scientific(value)}" for labels, value in samples) or "nil"


def _labels(labels: Labels) -> str:
    pairs = (
        f"{name if _PLAIN_NAME.fullmatch(name) else quoted(name)}={quoted(value)}" for name, value in labels
    )
    return f"{{{', '.join(pairs)}}}"


def _scientific(value: float) -> str:
    """As few digits as tell the value apart, always with an exponent: `1.5E+02`."""
    if not math.isfinite(value):
        return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"
    return next(
        (text for places in range(17) if float(text := f"{value:.{places}E}") == value), f"{value:.16E}"
    )
