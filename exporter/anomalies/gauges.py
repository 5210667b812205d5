"""What rules and instruments see of the series that are watched."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from operator import attrgetter
from typing import Final

from spanbudget.exporter.anomalies.config import MONEY
from spanbudget.exporter.anomalies.line import Line
from spanbudget.exporter.anomalies.seen import Seen
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.instruments import Point
from spanbudget.processors import names_out as names
from spanbudget.processors.names_out import Metric, prometheus_label, prometheus_name
from spanbudget.rules.labels import METRIC_NAME, Labels, labels_of

SHOWN_MAX: Final = 500
"""Series that are exported, the most unusual ones: one instrument has up to three points of each."""
ABOVE: Final = 1.001
"""Rules ask for more than 1, and a score of just 1 is an alert."""
_MEMO_MAX: Final = 50_000
_METRICS: Final[Mapping[str, Metric]] = {prometheus_name(metric): metric for metric in names.ANOMALY_METRICS}
_SCORE, _EXCESS, _EXPECTED, _STATE = _METRICS
_Value = tuple[str, str, str, str, float]
"""Name in Prometheus, signal, a further attribute and its value, and the value in the metric's unit."""


class AnomalyGauges:
    """Turns what detectors said into samples."""

    def __init__(self) -> None:
        self._labels: dict[tuple[SeriesName, str, str, str], Labels] = {}

    def samples(self, lines: Iterable[Line], wants: Callable[[str], bool]) -> Iterator[tuple[Labels, float]]:
        """The series that rules read.

        Args:
            lines: The series that are watched.
            wants: Whether any rule reads a metric of this Prometheus name.
        """
        wanted = frozenset(filter(wants, _METRICS))
        if not wanted:
            return
        if len(self._labels) > _MEMO_MAX:
            self._labels.clear()
        for line in lines:
            for metric, signal, attribute, text, value in _values(line):
                if metric in wanted:
                    yield self._series(line.name, metric, signal, attribute, text), value

    def points(self, lines: Iterable[Line]) -> Iterator[Point]:
        """The same for the instruments, of the most unusual series."""
        most = sorted(lines, key=attrgetter("score"), reverse=True)[:SHOWN_MAX]
        for line in most:
            for metric, signal, attribute, text, value in _values(line):
                yield _METRICS[metric], _attributes(line.name, signal, attribute, text), value

    def _series(self, name: SeriesName, metric: str, signal: str, attribute: str, text: str) -> Labels:
        key = name, metric, signal, text
        labels = self._labels.get(key)
        if labels is None:
            attributes = _attributes(name, signal, attribute, text)
            told = {prometheus_label(one): said for one, said in attributes.items()}
            labels = self._labels[key] = labels_of({METRIC_NAME: metric, **told})
        return labels


def _attributes(name: SeriesName, signal: str, attribute: str, text: str) -> dict[str, str]:
    told = {
        names.BUDGET: name.budget,
        names.BUDGET_CHILD: name.child,
        names.ANOMALY_DIMENSION: name.dimension,
        names.ANOMALY_VALUE: name.value,
        names.ANOMALY_SIGNAL: signal,
    }
    return {**told, attribute: text} if attribute else told


def _values(line: Line) -> Iterator[_Value]:
    for source, seen in line.seen.items():
        # Outside of an episode the detectors of money take turns at being the highest.
        signal = seen.episode.signal if seen.episode else "spend" if source == MONEY else source
        yield _SCORE, signal, "", "", shown_score(seen)
        yield _STATE, signal, names.ANOMALY_STATUS, seen.status, 1.0
        if seen.excess_usd is not None:
            yield _EXCESS, signal, "", "", seen.excess_usd
            for bound, value in (("low", seen.low), ("expected", seen.expected), ("high", seen.high)):
                if value is not None:
                    yield _EXPECTED, signal, names.ANOMALY_BOUND, bound, value


def shown_score(seen: Seen) -> float:
    """The score, which is above the alert level only where an alert is meant."""
    return max(seen.score, ABOVE) if seen.alarms else min(seen.score, 1.0)
