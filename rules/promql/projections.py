"""What stays of label sets: grouping, matching, and results that are no longer their metric.

A projection is a dictionary that computes what it does not hold, so that rules that are evaluated again and
again over the same series look it up at the speed of the interpreter.
"""

from collections.abc import Collection
from typing import Final

from spanbudget.rules.labels import METRIC_NAME, Labels, labels_of
from spanbudget.rules.promql.functions.relabelling import refuse_duplicates
from spanbudget.rules.promql.values import Vector

METRIC_LABELS: Final = frozenset({METRIC_NAME, "__type__", "__unit__"})
"""The labels that say which metric it is; they go where a value is no longer that of the metric."""
_REMEMBERED_MAX: Final = 10_000
"""Label sets that one projection holds; of more it computes some anew at every evaluation."""


class Projection(dict[Labels, Labels]):
    """Label set → what stays of it; forgets all when it holds too many.

    Args:
        names: The labels that it is about.
        keep: Whether they are those that stay, or those that go.
    """

    def __init__(self, names: Collection[str], *, keep: bool) -> None:
        super().__init__()
        self._names = frozenset(names)
        self._keep = keep

    def __missing__(self, labels: Labels) -> Labels:
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        names, keep = self._names, self._keep
        made = tuple([pair for pair in labels if (pair[0] in names) is keep])
        self[labels] = made
        return made


def keeping(names: Collection[str]) -> Projection:
    """Only these labels."""
    return Projection(names, keep=True)


def dropping(names: Collection[str]) -> Projection:
    """All but these labels and the metric's name."""
    return Projection(METRIC_LABELS.union(names), keep=False)


class Grafts(dict[tuple[Labels, Labels], Labels]):
    """(label set, label set of the one side) → the first with some labels of the second.

    Args:
        base: What stays of the first.
        names: The labels that are taken from the second; where it lacks one, the result has none either.
    """

    def __init__(self, base: Projection, names: Collection[str]) -> None:
        super().__init__()
        self._base = base
        self._names = frozenset(names)

    def __missing__(self, pair: tuple[Labels, Labels]) -> Labels:
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        labels, one = pair
        own = [own for own in self._base[labels] if own[0] not in self._names]
        made = labels_of(own + [taken for taken in one if taken[0] in self._names])
        self[pair] = made
        return made


def refuse_twins(vector: Vector) -> Vector:
    """The vector itself, if each of its label sets is there once.

    Raises:
        EvaluationError: Two elements have the same one, in general because they were told apart by the
            metric's name alone.
    """
    if len({labels for labels, _ in vector}) < len(vector):
        refuse_duplicates(vector)  # the slow one says which
    return vector
