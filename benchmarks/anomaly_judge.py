"""How detectors are judged: an equal alert budget, hits that an untouched twin does not have, episodes."""

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from anomaly_cases import KINDS, WEEK, Case, Floats

GAP: Final = 36
"""Slots: alarms less than 6 hours apart are one episode."""
AFTER: Final = 6
"""Slots after the end of an event in which an alarm still counts."""
SOON: Final = 60
"""Minutes in which a model switch should be found."""
RESAMPLES: Final = 1_000


class Scores(NamedTuple):
    """The scores of one method in one round.

    Attributes:
        clean: Of each untouched series, all slots.
        planted: Of each case, from its begin to `AFTER` slots after its end.
    """

    clean: list[Floats]
    planted: list[Floats]


class Member(NamedTuple):
    """One method of a detector.

    Attributes:
        rounds: Its scores in each round.
        share: Its part of the alert budget.
        at_least: The lowest threshold it is ever given; with `fixed` the only one.
        fixed: Whether the protocol sets no threshold.
    """

    rounds: Sequence[Scores]
    share: float = 1.0
    at_least: float = -np.inf
    fixed: bool = False


@dataclass
class Row:
    """What one detector did at one budget.

    Attributes:
        hits: Whether each case was hit, by series and kind.
        false: Episodes in week 2 of the untouched series, by series.
        delays: Minutes to the alarm of each hit, by kind.
        soon: Whether each model switch was found within an hour.
    """

    hits: dict[int, dict[str, list[bool]]] = field(
        default_factory=lambda: defaultdict(lambda: defaultdict(list))
    )
    false: dict[int, list[int]] = field(default_factory=lambda: defaultdict(list))
    delays: dict[str, list[int]] = field(default_factory=lambda: defaultdict(list))
    soon: list[bool] = field(default_factory=list)

    def recall(self, kind: str) -> float:
        """Share of the cases of a kind that were hit."""
        return float(np.mean([hit for kinds in self.hits.values() for hit in kinds.get(kind, ())]))

    def delay(self, kind: str) -> float:
        """Median minutes to the alarm of the hits of a kind; NaN without any."""
        return float(np.median(self.delays[kind])) if self.delays[kind] else np.nan

    def figures(self) -> tuple[float, float, float, float]:
        """F1, P, R, false episodes per series and week."""
        return _figures(*self._sums())

    def interval(self) -> tuple[float, float]:
        """5 % and 95 % of F1, over series drawn anew."""
        hits, counts, false = self._sums()
        rng = np.random.default_rng(0)
        drawn = [
            _figures(hits[at], counts[at], false[at])[0]
            for at in rng.integers(0, len(hits), (RESAMPLES, len(hits)))
        ]
        low, high = np.quantile(drawn, (0.05, 0.95))
        return float(low), float(high)

    def _sums(self) -> tuple[Floats, Floats, Floats]:
        """By series: hits of each kind, cases of each kind, mean false episodes."""
        kinds = [kind for kind in KINDS if any(kind in known for known in self.hits.values())]
        hits = np.array([[sum(self.hits[number][kind]) for kind in kinds] for number in self.false], float)
        counts = np.array([[len(self.hits[number][kind]) for kind in kinds] for number in self.false], float)
        return hits, counts, np.array([np.mean(false) for false in self.false.values()])


def _figures(hits: Floats, counts: Floats, false: Floats) -> tuple[float, float, float, float]:
    recall = float(np.mean(hits.sum(axis=0) / np.maximum(counts.sum(axis=0), 1)))
    wrong = float(np.mean(false))
    precision = recall / (recall + wrong) if recall else 0.0
    f1 = 2 * precision * recall / (precision + recall) if recall else 0.0
    return f1, precision, recall, wrong


def judge(members: Sequence[Member], planted: Sequence[Sequence[Case]], budget: float, splits: int) -> Row:
    """What a detector does whose members alarm each at a threshold of its own.

    Args:
        members: At least one.
        planted: The cases of each round.
        budget: Episodes per series and week.
        splits: Random halves of the series.
    """
    row = Row()
    count = len(members[0].rounds[0].clean)
    for number, events in enumerate(planted):
        for split in range(splits):
            order = np.random.default_rng((number, split)).permutation(count)
            halves = order[: count // 2].tolist(), order[count // 2 :].tolist()
            for own, other in (halves, halves[::-1]):
                limits = [
                    one.at_least
                    if one.fixed
                    else max(
                        _threshold([one.rounds[number].clean[k] for k in other], budget * one.share),
                        one.at_least,
                    )
                    for one in members
                ]
                _count(row, [one.rounds[number] for one in members], limits, events, set(own))
    return row


def _count(
    row: Row, scores: Sequence[Scores], limits: Sequence[float], events: Sequence[Case], own: set[int]
) -> None:
    """Judges the series of one half."""
    clean = {
        number: np.any([one.clean[number] > limit for one, limit in zip(scores, limits, strict=True)], axis=0)
        for number in own
    }
    for number in sorted(own):
        row.false[number].append(episodes(clean[number][WEEK:]))
    for at, case in enumerate(events):
        if case.number not in own:
            continue
        alarms = np.any([one.planted[at] > limit for one, limit in zip(scores, limits, strict=True)], axis=0)
        first = int(np.argmax(alarms))
        twin = clean[case.number][case.start : case.start + first + 1]
        hit = bool(alarms.any() and not twin.any())
        row.hits[case.number][case.kind].append(hit)
        if hit:
            row.delays[case.kind].append(10 * first)
        if case.kind == "switch":
            row.soon.append(hit and 10 * first <= SOON)


def episodes(alarms: npt.NDArray[np.bool_]) -> int:
    """Episodes of a row of alarms."""
    at = np.flatnonzero(alarms)
    return 0 if len(at) == 0 else 1 + int((np.diff(at) >= GAP).sum())


def _threshold(clean: Sequence[Floats], budget: float) -> float:
    """The lowest score that, alarmed above, makes at most `budget` episodes per series in week 2."""
    levels = np.unique(np.concatenate([one[WEEK:] for one in clean]))
    low, high = 0, len(levels) - 1
    while low < high:
        middle = (low + high) // 2
        if np.mean([episodes(one[WEEK:] > levels[middle]) for one in clean]) <= budget:
            high = middle
        else:
            low = middle + 1
    return float(levels[low])
