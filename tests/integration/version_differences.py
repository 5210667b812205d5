"""Where Prometheus 2.42 and 3 differ, each with an example; docs/rules/prometheus-2-and-3.md has the list."""

import math
from typing import Final, NamedTuple

from generated_series import START_MS, STEP_MS, Generated

from spanbudget.rules.labels import labels_of


class Difference(NamedTuple):
    """One example.

    Attributes:
        expression: Evaluated at a time of a sample.
        old: What 2.42 makes of it: its values in order, or the kind of error.
        new: What 3 makes of it.
        pattern: What else of generated expressions differs for this reason; "" for nothing.
        after_ms: How long after the last sample it is evaluated.
    """

    expression: str
    old: tuple[float, ...] | str
    new: tuple[float, ...] | str
    pattern: str = ""
    after_ms: int = 0


_SUBQUERY: Final = r"\[\w+:\w*\]"
_FIXED: Final = r"@ \d+"
END_OF_EXAMPLES_MS: Final = START_MS + 80 * STEP_MS

DIFFERENCES: Final = (
    Difference("count_over_time(calls_total[1m])", (5.0,), (4.0,), _FIXED),
    Difference("count_over_time(calls_total[1m:15s])", (5.0,), (4.0,), _SUBQUERY),
    Difference("increase(calls_total[15s])", (1.0,), ()),
    Difference("calls_total", (81.0,), (), after_ms=300_000),
    Difference("increase(late_total[10m])", (20.0,), (19.5,), r"^(rate|increase) *\("),
    Difference('words{value=~"two.lines"}', (), (1.0,)),
    Difference("pair > on() words", (9.0,), "execution", r"^\(.* (==|!=|>|<|>=|<=) (on|ignoring)\("),
    Difference("stddev(vector(NaN))", (0.0,), (math.nan,), r"^(stddev|stdvar)\b"),
    Difference("quantile(0.5, vector(Inf))", (math.nan,), (math.inf,), r"^quantile(_over_time)?\b"),
    Difference("topk(-Inf, calls_total)", "execution", ()),
    Difference("holt_winters(calls_total[5m], 0.5, 0.5)", (81.0,), "bad_data"),
    Difference("count_over_time(calls_total[60])", "bad_data", (4.0,)),
    Difference("vector(5m)", "bad_data", (300.0,)),
    Difference('{"calls_total"}', "bad_data", (81.0,)),
    Difference('label_replace(calls_total, "a b", "c", "", "")', "execution", (81.0,)),
)


def example_series() -> Generated:
    """A counter, one that begins shortly before the end, and constants."""
    times = range(START_MS, END_OF_EXAMPLES_MS + 1, STEP_MS)
    late = [at for at in times if at > END_OF_EXAMPLES_MS - 20 * STEP_MS]
    return {
        labels_of({"__name__": "calls_total"}): [(at, float(n)) for n, at in enumerate(times, 1)],
        labels_of({"__name__": "late_total"}): [(at, float(n)) for n, at in enumerate(late, 1)],
        labels_of({"__name__": "words", "value": "two\nlines"}): [(at, 1.0) for at in times],
        labels_of({"__name__": "pair", "side": "a"}): [(at, 1.0) for at in times],
        labels_of({"__name__": "pair", "side": "b"}): [(at, 9.0) for at in times],
    }
