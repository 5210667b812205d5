"""Every function of PromQL that is supported, by its name.

What is in no table here is refused, but for `absent`, `absent_over_time` and `timestamp`: they need to see
the expression, not just its value, and are the evaluator's.
"""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Final, TypeAlias

from spanbudget.rules.promql.functions import rates, regressions, vectors
from spanbudget.rules.promql.functions.dates import DATES
from spanbudget.rules.promql.functions.histograms import histogram_fraction, histogram_quantile
from spanbudget.rules.promql.functions.numbers import NUMBERS
from spanbudget.rules.promql.functions.over_time import OVER_TIME, quantile_over_time
from spanbudget.rules.promql.functions.relabelling import label_join, label_replace
from spanbudget.rules.promql.functions.windows import RangeWindow
from spanbudget.rules.promql.values import Value
from spanbudget.rules.series import Samples

RangeFunction: TypeAlias = Callable[[Samples, RangeWindow, Sequence[float]], float | None]
"""(samples of one series, the range, the scalar arguments) → its value; None where there is none."""
NumberFunction: TypeAlias = Callable[..., float | None]
"""(value, the scalar arguments) → the new value of one element; None where the element falls away."""
VectorFunction: TypeAlias = Callable[[Sequence[Value], int], Value]
"""(all arguments, the time of evaluation in milliseconds) → the value."""


def _of_values(function: Callable[[Sequence[float]], float]) -> RangeFunction:
    """A function of nothing but values as one of a range."""

    def of_range(samples: Samples, _window: RangeWindow, _args: Sequence[float]) -> float | None:
        return function(samples.values) if samples.values else None

    return of_range


RANGE_FUNCTIONS: Final[Mapping[str, RangeFunction]] = MappingProxyType(
    {
        "changes": rates.changes,
        "delta": rates.delta,
        "deriv": regressions.deriv,
        "idelta": rates.idelta,
        "increase": rates.increase,
        "irate": rates.irate,
        "predict_linear": regressions.predict_linear,
        "quantile_over_time": quantile_over_time,
        "rate": rates.rate,
        "resets": rates.resets,
        **{name: _of_values(function) for name, function in OVER_TIME.items()},
    }
)
"""Of a range of one series; the scalar arguments come in their order, without the range."""

NUMBER_FUNCTIONS: Final[Mapping[str, NumberFunction]] = MappingProxyType({**NUMBERS, **DATES})
"""Of the value of each element; only `clamp` has elements fall away."""

DATE_FUNCTIONS: Final = frozenset(DATES)
"""Of the number functions those that, without an argument, are of the time of evaluation in seconds."""

VECTOR_FUNCTIONS: Final[Mapping[str, VectorFunction]] = MappingProxyType(
    {
        "histogram_fraction": histogram_fraction,
        "histogram_quantile": histogram_quantile,
        "label_join": label_join,
        "label_replace": label_replace,
        "pi": vectors.pi,
        "scalar": vectors.scalar,
        "sort": vectors.sort,
        "sort_desc": vectors.sort_desc,
        "time": vectors.time,
        "vector": vectors.vector_of,
    }
)
"""Of everything at once."""

NAME_KEEPERS: Final = frozenset(
    {"first_over_time", "last_over_time", "label_join", "label_replace", "sort", "sort_desc"}
)
"""Functions whose results keep the metric's name; all others drop it."""
