"""Series in memory: what rules look at. Bounded in number and in history.

Times are milliseconds since the epoch, as in Prometheus. Old samples of a series are thinned out: of every
step of time the lowest, the highest and the last one stay, each with its own time and value. So `increase`,
`min_over_time`, `max_over_time` and values at a moment stay what they were, to within a step.
"""

import math
import struct
from array import array
from bisect import bisect_right
from collections.abc import Iterable, Mapping, Sequence
from typing import Final, NamedTuple, Protocol

from spanbudget.rules.labels import METRIC_NAME, Labels, Matcher, label_value

STALE_NAN: Final[float] = struct.unpack("<d", struct.pack("<Q", 0x7FF0000000000002))[0]
"""The value that ends a series: it has no value from here on, not even within the look-back."""
LOOK_BACK_MS: Final = 300_000
"""How old the last sample of a series may be to be its value; a sample of exactly this age is too old."""
SERIES_MAX: Final = 100_000
"""Series of one store; further ones are refused and counted."""
STEPS_MS: Final = ((86_400_000, 1_800_000), (7_200_000, 300_000), (600_000, 60_000))
"""(age from which, length of a step): samples older than a day are one of each half hour, and so on."""
_BRIDGED_MS: Final = 2 * STEPS_MS[0][1]
"""The longest time between two samples that thinning may have left."""
_THIN_AT: Final = 900
"""Samples from which a series is looked at for thinning, and again after as many new ones as stayed."""


def is_stale(value: float) -> bool:
    """Whether a value is the mark that ends a series; any other not-a-number is a value."""
    return math.isnan(value) and struct.pack("<d", value) == _STALE_BYTES


_STALE_BYTES: Final = struct.pack("<Q", 0x7FF0000000000002)


class Samples(NamedTuple):
    """The samples of one series in a stretch of time; stale marks are not among them.

    Attributes:
        times: Milliseconds since the epoch, ascending.
        values: As many values.
        drops: False where the values certainly never fall from one to the next; True where they may.
    """

    times: Sequence[int]
    values: Sequence[float]
    drops: bool = True


class Series:
    """The history of one label set.

    Attributes:
        labels: The label set, the metric's name included.
    """

    __slots__ = ("_dropped_ms", "_stale", "_thin_at", "_thinned_ms", "labels", "times", "values")

    def __init__(self, labels: Labels) -> None:
        self.labels = labels
        self.times = array("q")
        self.values = array("d")
        self._dropped_ms = -(2**62)  # the last time at which the value fell
        self._stale = False
        self._thin_at = _THIN_AT
        self._thinned_ms = -(2**62)  # up to then samples may have been taken out

    def append(self, at_ms: int, value: float) -> bool:
        """Adds a sample after the last one; one of the same time or earlier is refused.

        Returns:
            False where it was refused.
        """
        times, values = self.times, self.values
        if times and at_ms <= times[-1]:
            return False
        if value != value:  # noqa: PLR0124 - not a number, which is neither below nor above its neighbours
            self._stale = self._stale or is_stale(value)
            self._dropped_ms = at_ms
        elif times and not value >= values[-1]:
            self._dropped_ms = at_ms
        times.append(at_ms)
        values.append(value)
        return True

    def at(self, at_ms: int, look_back_ms: int = LOOK_BACK_MS) -> tuple[int, float] | None:
        """The last sample in `(at_ms - look_back_ms, at_ms]`: (its time, its value).

        Between two samples that thinning has left the series goes on: there the last one counts, however old.

        Returns:
            None where there is none, or where the series had ended by then.
        """
        times = self.times
        if not times:
            return None
        index = len(times) - 1
        if times[index] > at_ms:
            index = bisect_right(times, at_ms) - 1
            if index < 0:
                return None
        if times[index] <= at_ms - look_back_ms and not self._goes_on(index):
            return None
        value = self.values[index]
        if self._stale and is_stale(value):
            return None
        return times[index], value

    def _goes_on(self, index: int) -> bool:
        """Whether samples that followed this one may have been taken out."""
        following = index + 1
        if following >= len(self.times) or self.times[index] > self._thinned_ms:
            return False
        return self.times[following] - self.times[index] <= _BRIDGED_MS

    def between(self, after_ms: int, until_ms: int) -> Samples:
        """The samples in `(after_ms, until_ms]`, without stale marks."""
        times = self.times
        first = bisect_right(times, after_ms)
        last = len(times) if times and times[-1] <= until_ms else bisect_right(times, until_ms)
        own_times, own_values = times[first:last], self.values[first:last]
        if self._stale and any(map(math.isnan, own_values)):
            kept = [
                (at, value) for at, value in zip(own_times, own_values, strict=True) if not is_stale(value)
            ]
            own_times = array("q", (at for at, _ in kept))
            own_values = array("d", (value for _, value in kept))
            return Samples(own_times, own_values)
        return Samples(own_times, own_values, self._stale or self._dropped_ms > after_ms)

    def forget(self, now_ms: int, keep_ms: int, *, keep_last: bool = False) -> bool:
        """Drops samples older than `keep_ms`, and thins the rest out where it has grown.

        Args:
            now_ms: Milliseconds since the epoch.
            keep_ms: Milliseconds.
            keep_last: Keeps the last one of those that are older, so that the value at `keep_ms` stays known.

        Returns:
            False where nothing is left.
        """
        times = self.times
        expired = max(bisect_right(times, now_ms - keep_ms) - keep_last, 0)
        if expired > len(times) // 4 or (expired and expired == len(times)):
            del self.times[:expired], self.values[:expired]
        if len(self.times) >= self._thin_at:
            self.times, self.values = thinned(self.times, self.values, now_ms)
            self._thinned_ms = now_ms - STEPS_MS[-1][0]
            self._thin_at = max(_THIN_AT, len(self.times) * 5 // 4)
        return bool(self.times)


def thinned(
    times: Sequence[int], values: Sequence[float], now_ms: int
) -> tuple["array[int]", "array[float]"]:
    """The samples that stay: of each step the lowest, the highest and the last one; see `STEPS_MS`.

    A lowest one that is the first of its step and not below what came before tells nothing, nor does a
    highest one that is not above: where values only rise, or only fall, one sample of each step stays.
    """
    kept_times, kept_values = array("q"), array("d")
    first = 0
    for age_ms, step_ms in STEPS_MS:
        end = bisect_right(times, now_ms - age_ms)
        while first < end:
            last = bisect_right(times, (times[first] // step_ms + 1) * step_ms - 1, first, end)
            before = kept_values[-1] if kept_values else math.nan
            for index in _telling(values, first, last, before):
                kept_times.append(times[index])
                kept_values.append(values[index])
            first = last
    kept_times.extend(times[first:])
    kept_values.extend(values[first:])
    return kept_times, kept_values


def _telling(values: Sequence[float], first: int, end: int, before: float) -> list[int]:
    """The indexes in `[first, end)` of the lowest, the highest and the last value, and of every mark."""
    if end - first == 1:
        return [first]
    indexes = range(first, end)
    marks = [index for index in indexes if math.isnan(values[index])]
    numbers = [index for index in indexes if not math.isnan(values[index])] if marks else indexes
    told = {end - 1, *marks}
    if numbers:
        lowest = min(numbers, key=values.__getitem__)
        # Of equal highest ones the last, so that what follows it is where the value fell.
        highest = max(reversed(numbers), key=values.__getitem__)
        if lowest != first or not before <= values[first]:
            told.add(lowest)
        if highest != first or not before >= values[first]:
            told.add(highest)
    return sorted(told)


class Storage(Protocol):
    """Where expressions find series."""

    def select(self, matchers: tuple[Matcher, ...]) -> Sequence[Series]:
        """The series that meet every condition, in a stable order."""
        ...


class _Family:
    """The series of one metric, with indexes by the labels that somebody asked for."""

    __slots__ = ("_found", "_indexes", "series")

    def __init__(self) -> None:
        self.series: dict[Labels, Series] = {}
        self._indexes: dict[str, dict[str, list[Series]]] = {}
        self._found: dict[tuple[Matcher, ...], Sequence[Series]] = {}

    def add(self, labels: Labels) -> Series:
        series = self.series[labels] = Series(labels)
        for name, index in self._indexes.items():
            index.setdefault(label_value(labels, name), []).append(series)
        self._found.clear()
        return series

    def remove(self, gone: Iterable[Labels]) -> None:
        for labels in gone:
            del self.series[labels]
        self._indexes.clear()
        self._found.clear()

    def select(self, matchers: tuple[Matcher, ...]) -> Sequence[Series]:
        found = self._found.get(matchers)
        if found is None:
            found = self._found[matchers] = tuple(
                series
                for series in self._candidates(matchers)
                if all(matcher.matches(label_value(series.labels, matcher.name)) for matcher in matchers)
            )
        return found

    def _candidates(self, matchers: tuple[Matcher, ...]) -> Iterable[Series]:
        """The series of the condition that the fewest meet, of those that list values; else all."""
        listed = [
            [series for text in texts for series in self._index(one.name).get(text, ())]
            for one in matchers
            if one.name != METRIC_NAME and (texts := one.texts) is not None
        ]
        if not listed:
            return self.series.values()
        return min(listed, key=len)

    def _index(self, name: str) -> dict[str, list[Series]]:
        index = self._indexes.get(name)
        if index is None:
            index = self._indexes[name] = {}
            for labels, series in self.series.items():
                index.setdefault(label_value(labels, name), []).append(series)
        return index


class SeriesStore:
    """All series of one evaluator; for one thread.

    Args:
        keep_ms: How long samples stay, by metric name; other metrics keep `default_keep_ms`.
        default_keep_ms: Milliseconds; at least the look-back, or series vanish between two looks.
        series_max: Most series; further ones are refused.

    Attributes:
        refused: Samples of series that were refused.
    """

    def __init__(
        self,
        keep_ms: Mapping[str, int] | None = None,
        *,
        default_keep_ms: int = 2 * LOOK_BACK_MS,
        series_max: int = SERIES_MAX,
    ) -> None:
        self._keep_ms = dict(keep_ms or {})
        self._default_keep_ms = default_keep_ms
        self._series_max = series_max
        self._families: dict[str, _Family] = {}
        self._count = 0
        self.refused = 0

    def __len__(self) -> int:
        return self._count

    def append(self, labels: Labels, at_ms: int, value: float) -> bool:
        """Adds a sample; see `Series.append`. A new series beyond the most is refused and counted."""
        name = label_value(labels, METRIC_NAME)
        family = self._families.get(name)
        if family is None:
            family = self._families[name] = _Family()
        series = family.series.get(labels)
        if series is None:
            if self._count >= self._series_max:
                self.refused += 1
                return False
            series = family.add(labels)
            self._count += 1
        return series.append(at_ms, value)

    def select(self, matchers: tuple[Matcher, ...]) -> Sequence[Series]:
        """See `Storage.select`."""
        for matcher in matchers:
            if matcher.name == METRIC_NAME and matcher.operator == "=":
                family = self._families.get(matcher.value)
                return family.select(matchers) if family is not None else ()
        return [series for family in list(self._families.values()) for series in family.select(matchers)]

    def forget(self, now_ms: int) -> None:
        """Drops what is too old, and series that have nothing left."""
        for name, family in list(self._families.items()):
            keep_ms = self._keep_ms.get(name, self._default_keep_ms)
            gone = [labels for labels, series in family.series.items() if not series.forget(now_ms, keep_ms)]
            if gone:
                family.remove(gone)
                self._count -= len(gone)
            if not family.series:
                del self._families[name]

    def bytes_used(self) -> int:
        """The memory of all samples, bytes."""
        families = self._families.values()
        return sum(16 * len(series.times) for family in families for series in family.series.values())
