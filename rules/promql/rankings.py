"""`topk` and `bottomk`: the elements with the highest or lowest values, with all their labels.

Which of equal elements stay, and in which order, is decided by the heap of Go's library; so it is the same.
Source: Prometheus 3, promql/engine.go, `aggregationK`; Go, container/heap.
"""

import math
from dataclasses import dataclass
from typing import Final

from spanbudget.processors.errors import EvaluationError
from spanbudget.rules.labels import EMPTY, Labels
from spanbudget.rules.promql.context import Context, ScalarPlan, VectorPlan
from spanbudget.rules.promql.projections import Projection
from spanbudget.rules.promql.values import Vector

_COUNT_MAX: Final = 9223372036854774784.0
"""The highest double below 2^63: Prometheus counts elements in 64 bits."""


@dataclass(frozen=True, slots=True)
class Ranking:
    """The first elements of each group, the first one first.

    Attributes:
        vector: The elements.
        group: What those of one group have in common; None for one group of all.
        parameter: How many of each group.
        highest: Whether the highest values come first, or the lowest.
    """

    vector: VectorPlan
    group: Projection | None
    parameter: ScalarPlan
    highest: bool

    def evaluate(self, context: Context) -> Vector:
        """See `VectorPlan.evaluate`."""
        wanted = self.parameter.evaluate(context)
        vector = self.vector.evaluate(context)
        most = min(_whole(wanted), len(vector))
        if most < 1:
            return []
        groups: dict[Labels, Vector] = {}
        for element in vector:
            key = EMPTY if self.group is None else self.group[element[0]]
            groups.setdefault(key, []).append(element)
        return [element for group in groups.values() for element in first(group, most, highest=self.highest)]


def _whole(wanted: float) -> int:
    if math.isnan(wanted):
        message = "Parameter value is NaN; topk and bottomk need a number of elements"
        raise EvaluationError(message)
    if wanted < 1:
        return 0
    if wanted >= _COUNT_MAX:
        message = f"Scalar value {wanted:g} overflows int64; topk and bottomk need a smaller number"
        raise EvaluationError(message)
    return int(wanted)


def first(elements: Vector, most: int, *, highest: bool) -> Vector:
    """The elements with the highest values (or the lowest), in that order; NaN comes last."""
    # The heap has on top what would go first; by the sign, that is always the lowest.
    sign = 1.0 if highest else -1.0
    heap: list[tuple[float, tuple[Labels, float]]] = []
    for element in elements:
        rank = sign * element[1]
        if len(heap) < most:
            heap.append((rank, element))
            _rise(heap)
        elif heap[0][0] < rank or (math.isnan(heap[0][0]) and not math.isnan(rank)):
            heap[0] = (rank, element)
            _sink(heap)
    numbers = [item for item in heap if not math.isnan(item[0])]
    numbers.sort(key=lambda item: -item[0])
    rest = [item for item in reversed(heap) if math.isnan(item[0])]
    return [element for _, element in numbers + rest]


def _less(one: float, other: float) -> bool:
    return one < other or math.isnan(one)


def _rise(heap: list[tuple[float, tuple[Labels, float]]]) -> None:
    """Moves the last item up to its place."""
    child = len(heap) - 1
    while child:
        parent = (child - 1) // 2
        if not _less(heap[child][0], heap[parent][0]):
            return
        heap[parent], heap[child] = heap[child], heap[parent]
        child = parent


def _sink(heap: list[tuple[float, tuple[Labels, float]]]) -> None:
    """Moves the first item down to its place."""
    parent = 0
    while (child := 2 * parent + 1) < len(heap):
        if child + 1 < len(heap) and _less(heap[child + 1][0], heap[child][0]):
            child += 1
        if not _less(heap[child][0], heap[parent][0]):
            return
        heap[parent], heap[child] = heap[child], heap[parent]
        parent = child
