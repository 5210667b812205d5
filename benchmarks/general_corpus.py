"""A labelled corpus of generated series, and the protocol by which detectors are compared on it.

Every series has three weeks of ten-minute points: two to warm up, one to judge. Each kind of event is put
once into the third week of each series; the same series without it is its clean twin. All detectors rest for
100 points after an alarm, and each one's threshold is set on the clean twins of the *other* half of the
series so that it raises at most so many alarms per series-week: they are compared at equal noise. A hit is an
alarm inside of the event, or within an hour after it, where the clean twin has none up to then.
"""

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

DAY: Final = 144
WEEK: Final = 7 * DAY
LENGTH: Final = 3 * WEEK
FROM: Final = 2 * WEEK
GRACE: Final = 6
REST: Final = 100
NOISES: Final = ("white", "autocorrelated", "heavy-tailed", "seasonal", "weekly", "seasonal heavy-tailed")
EVENTS: Final = ("level shift", "spike", "drift", "variance change", "season lost")


class Case(NamedTuple):
    """A series with one event.

    Attributes:
        series: Number of its clean twin.
        event: Kind of the event.
        values: The points.
        start: First point of the event.
        end: Point after its last one.
    """

    series: int
    event: str
    values: Values
    start: int
    end: int


class Found(NamedTuple):
    """What a detector did at one budget of alarms.

    Attributes:
        f1: Harmonic mean of precision and recall.
        precision: Hits / (hits + false alarms of the judged week).
        recall: Hits / events.
        recalls: Recall of each kind of event.
    """

    f1: float
    precision: float
    recall: float
    recalls: Mapping[str, float]


def noise_of(kind: str, rng: np.random.Generator) -> Values:
    """Noise of deviation 1 at the most of times, and mean 0."""
    if kind == "autocorrelated":
        steps = rng.normal(0, np.sqrt(1 - 0.8**2), LENGTH)
        values = np.empty(LENGTH)
        last = 0.0
        for at, step in enumerate(steps):
            last = 0.8 * last + step
            values[at] = last
        return values
    if "heavy" in kind:
        return (rng.lognormal(0, 0.8, LENGTH) - np.exp(0.32)) / 1.3
    return rng.normal(0, 1, LENGTH)


def season_of(kind: str, rng: np.random.Generator) -> Values:
    """What repeats: a day with a height of 2 to 4 deviations, a weekend that is lower."""
    at = np.arange(LENGTH)
    if not kind.startswith(("seasonal", "weekly")):
        return np.zeros(LENGTH)
    day = rng.uniform(1, 2) * np.sin(2 * np.pi * (at / DAY + rng.uniform()))
    if kind == "weekly":
        day = np.where(at // DAY % 7 >= 5, day - 2.5, day)
    return day


def event_on(event: str, noise: Values, season: Values, rng: np.random.Generator) -> tuple[Values, int, int]:
    """The series with an event, and where it begins and ends."""
    start = FROM + int(rng.integers(DAY // 2, WEEK - DAY - 1))
    sign = rng.choice((-1.0, 1.0))
    values = noise + season
    if event == "spike":
        end = start + int(rng.integers(1, 4))
        values[start:end] += sign * rng.uniform(5, 9)
    elif event == "level shift":
        end = start + DAY
        values[start:end] += sign * rng.uniform(1.5, 3)
    elif event == "drift":
        end = start + DAY
        values[start:end] += sign * rng.uniform(3, 5) * np.linspace(0, 1, DAY)
    elif event == "variance change":
        end = start + DAY
        values[start:end] = season[start:end] + rng.uniform(2, 3.5) * noise[start:end]
    else:
        end = start + DAY
        values[start:end] = noise[start:end] + season[start - 1]
    return values, start, end


def corpus(per_noise: int, seed: int) -> tuple[list[Values], list[Case]]:
    """The clean series and the cases.

    Args:
        per_noise: Series of each kind of noise, at least 2, so that both halves have some.
        seed: Of all that is drawn.
    """
    rng = np.random.default_rng(seed)
    clean: list[Values] = []
    cases = []
    for kind in NOISES * per_noise:
        noise, season = noise_of(kind, rng), season_of(kind, rng)
        for event in EVENTS:
            if event != "season lost" or season.any():
                values, start, end = event_on(event, noise, season, rng)
                cases.append(Case(len(clean), event, 50 + values, start, end))
        clean.append(50 + noise + season)
    return clean, cases


def alarms(scores: Values, threshold: float) -> list[int]:
    """Points at which there is an alarm, in the judged week."""
    found = []
    after = FROM
    for at in map(int, np.flatnonzero(scores >= threshold)):
        if at >= after:
            found.append(at)
            after = at + REST + 1
    return found


def threshold_of(clean: Sequence[Values], per_week: float) -> float:
    """The lowest threshold at which the clean series raise no more alarms than the budget."""
    allowed = per_week * len(clean)
    low, high = 0.0, max(float(scores[FROM:].max()) for scores in clean) * 1.001 + 1e-9
    for _ in range(40):
        middle = (low + high) / 2
        if sum(len(alarms(scores, middle)) for scores in clean) <= allowed:
            high = middle
        else:
            low = middle
    return high


def judge(clean: Sequence[Values], cases: Sequence[Case], scored: Sequence[Values], per_week: float) -> Found:
    """What a detector found.

    Args:
        clean: Its scores of the clean series.
        cases: The cases.
        scored: Its scores of the cases.
        per_week: Alarms that are allowed per series-week.
    """
    halves: list[list[Values]] = [[], []]
    for number, twin in enumerate(clean):
        halves[number // len(NOISES) % 2].append(twin)
    thresholds = [threshold_of(half, per_week) for half in reversed(halves)]
    hits = dict.fromkeys(EVENTS, 0)
    false = 0
    for case, scores in zip(cases, scored, strict=True):
        threshold = thresholds[case.series // len(NOISES) % 2]
        inside = [at for at in alarms(scores, threshold) if case.start <= at < case.end + GRACE]
        outside = len(alarms(scores, threshold)) - len(inside)
        before = (
            [at for at in alarms(clean[case.series], threshold) if case.start <= at <= inside[0]]
            if inside
            else []
        )
        hit = bool(inside) and not before
        hits[case.event] += hit
        false += outside + len(inside) - hit
    counts = {event: sum(case.event == event for case in cases) for event in EVENTS}
    total = sum(hits.values())
    recall = total / len(cases)
    precision = total / (total + false) if total else 0.0
    f1 = 2 * precision * recall / (precision + recall) if total else 0.0
    return Found(f1, precision, recall, {event: hits[event] / max(1, counts[event]) for event in EVENTS})
