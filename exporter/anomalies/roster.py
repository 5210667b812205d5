"""Which series are watched where there are too many: totals first, then those that spend most."""

from collections.abc import Callable, Mapping
from heapq import nlargest
from typing import Final

from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.rules.anomalies.slots import DAY_SLOTS

_HALF_LIFE_SLOTS: Final = 7 * DAY_SLOTS
"""Spend of a week ago counts half."""
_FADE: Final = 0.5 ** (1 / _HALF_LIFE_SLOTS)
_AHEAD: Final = 1.5
"""A newcomer must spend so much more than who gives way: two that are alike would take turns for ever."""


class Roster:
    """Chooses, slot by slot; the same slots make the same choice.

    Args:
        most: Most series.
        weights: Series that were watched, with what they spent lately; too many are too many.

    Attributes:
        weights: The series that are watched, with what they spent lately, US dollars.
        left_out: How many series of the last slot are not watched.
    """

    def __init__(self, most: int, weights: Mapping[SeriesName, float]) -> None:
        self.weights = dict(nlargest(most, weights.items(), key=_rank))
        self.left_out = 0
        self._most = most
        self._waiting: dict[SeriesName, float] = {}

    def take(
        self,
        spend: Mapping[SeriesName, float],
        stays: Callable[[SeriesName], bool],
        ages: Callable[[SeriesName], bool],
    ) -> tuple[list[SeriesName], list[SeriesName]]:
        """Takes note of a slot.

        Args:
            spend: US dollars by series.
            stays: Whether a series must not give way.
            ages: Whether the slot is a new one for a series, so that what it spent before counts less.

        Returns:
            The series that are watched from now on, and those that are not any more.
        """
        for weights in (self.weights, self._waiting):
            for name in weights:
                weights[name] *= _FADE if ages(name) else 1.0
        for name, usd in spend.items():
            weights = self.weights if name in self.weights else self._waiting
            weights[name] = weights.get(name, 0.0) + usd
        came = self._fill()
        left, more = self._swap(stays)
        self.left_out = sum(name not in self.weights for name in spend)
        if len(self._waiting) > 2 * self._most:
            self._waiting = dict(nlargest(self._most, self._waiting.items(), key=_rank))
        return [*came, *more], left

    def _fill(self) -> list[SeriesName]:
        room = self._most - len(self.weights)
        if not self._waiting or room <= 0:
            return []
        came = nlargest(room, self._waiting.items(), key=_rank)
        for name, weight in came:
            self.weights[name] = weight
            del self._waiting[name]
        return [name for name, _ in came]

    def _swap(self, stays: Callable[[SeriesName], bool]) -> tuple[list[SeriesName], list[SeriesName]]:
        left: list[SeriesName] = []
        came: list[SeriesName] = []
        if not self._waiting:
            return left, came
        lightest = sorted(self.weights.items(), key=_rank)
        heaviest = nlargest(len(lightest), self._waiting.items(), key=_rank)
        weak = (one for one in lightest if not stays(one[0]))
        for newcomer in heaviest:
            oldest = next(weak, None)
            if oldest is None or not _outranks(newcomer, oldest):
                break
            (new, weight), (old, faded) = newcomer, oldest
            del self.weights[old], self._waiting[new]
            self.weights[new], self._waiting[old] = weight, faded
            left.append(old)
            came.append(new)
        return left, came


def _rank(one: tuple[SeriesName, float]) -> tuple[bool, float, SeriesName]:
    name, weight = one
    return not name.dimension, weight, name


def _outranks(newcomer: tuple[SeriesName, float], other: tuple[SeriesName, float]) -> bool:
    (new, weight), (old, faded) = newcomer, other
    if bool(new.dimension) != bool(old.dimension):
        return not new.dimension
    return weight > _AHEAD * faded
