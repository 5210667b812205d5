"""Functions of whole vectors and of no argument: order, scalars, the time."""

import math
from collections.abc import Sequence
from typing import cast

from spanbudget.rules.labels import EMPTY
from spanbudget.rules.promql.values import Value, Vector


def sort(args: Sequence[Value], _at_ms: int) -> Vector:
    """The vector by ascending value; not-a-number comes last."""
    (vector,) = cast("tuple[Vector]", tuple(args))
    return sorted(vector, key=lambda element: (math.isnan(element[1]), element[1]))


def sort_desc(args: Sequence[Value], _at_ms: int) -> Vector:
    """The vector by descending value; not-a-number comes last."""
    (vector,) = cast("tuple[Vector]", tuple(args))
    return sorted(vector, key=lambda element: (math.isnan(element[1]), -element[1]))


def scalar(args: Sequence[Value], _at_ms: int) -> float:
    """The value of the vector's only element; not a number where it has none or several."""
    (vector,) = cast("tuple[Vector]", tuple(args))
    return vector[0][1] if len(vector) == 1 else math.nan


def vector_of(args: Sequence[Value], _at_ms: int) -> Vector:
    """A vector of one element without labels."""
    (value,) = cast("tuple[float]", tuple(args))
    return [(EMPTY, value)]


def time(_args: Sequence[Value], at_ms: int) -> float:
    """The time of evaluation, seconds since the epoch."""
    return at_ms / 1000


def pi(_args: Sequence[Value], _at_ms: int) -> float:
    """The number pi."""
    return math.pi
