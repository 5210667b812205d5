"""Series for comparisons with Prometheus: two hours of every kind of samples that rules can meet.

The same seed makes the same series. Times are around the end of 28 February of a leap year, for the functions
of the calendar; most samples stand on multiples of 15 s, so that windows begin and end on samples.
"""

import math
import random
from collections.abc import Callable, Iterator
from typing import Final, TypeAlias

from remote_write import Sample

from spanbudget.rules.labels import Labels, labels_of
from spanbudget.rules.series import STALE_NAN

START_MS: Final = 1_709_159_400_000
"""2024-02-28T22:30:00Z."""
END_MS: Final = START_MS + 7_200_000
STEP_MS: Final = 15_000

TEAMS: Final = ("search", "checkout", "data-science")
MODELS: Final = ("gpt-5", "claude-opus-4.5", "gemini-3-pro")
OUTCOMES: Final = ("success", "error")
BOUNDS: Final = ("0.1", "0.5", "1", "2.5", "10", "+Inf")

Generated: TypeAlias = dict[Labels, list[Sample]]


def generated_series(seed: int) -> Generated:
    """All series of a seed."""
    rng = random.Random(seed)
    series: Generated = {}
    for add in (_counters, _gauges, _sparse, _odd_values, _histograms, _bad_histograms, _info, _texts):
        for labels, samples in add(rng):
            series[labels] = samples
    return series


def _labels(name: str, **labels: str) -> Labels:
    return labels_of({"__name__": name, **labels})


def _times(first_ms: int = START_MS, end_ms: int = END_MS, step_ms: int = STEP_MS) -> range:
    return range(first_ms, end_ms + 1, step_ms)


def _sampled(times: Iterator[int] | range, value: Callable[[], float]) -> list[Sample]:
    return [(at, value()) for at in times]


def _constant(value: float, step_ms: int = STEP_MS) -> list[Sample]:
    return [(at, value) for at in _times(step_ms=step_ms)]


def _counting(rng: random.Random, step: Callable[[], float], reset: float) -> Callable[[], float]:
    """The next value of a counter that starts anew with some probability."""
    total = step() * rng.choice((0, 1, 500))

    def following() -> float:
        nonlocal total
        total = step() if rng.random() < reset else total + step()
        return total

    return following


def _walk(rng: random.Random, start: float, step: float) -> Callable[[], float]:
    value = start

    def following() -> float:
        nonlocal value
        value += rng.gauss(0, step)
        return value

    return following


def _counters(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    """Money in fractions and calls in whole numbers; with resets, with pauses, begun late, ended early."""
    for team in TEAMS:
        for model in MODELS:
            money = _counting(rng, lambda: rng.expovariate(40), 0.01)
            first = START_MS + STEP_MS * rng.choice((0, 0, 1, 7, 200))
            yield (
                _labels("llm_cost_usd_total", team=team, model=model),
                _sampled(_times(first), money),
            )
            for outcome in OUTCOMES:
                calls = _counting(rng, lambda: float(rng.randrange(4)), 0.02)
                samples = _sampled(_times(step_ms=rng.choice((15_000, 30_000, 60_000))), calls)
                labels = _labels("llm_requests_total", team=team, model=model, outcome=outcome)
                yield labels, _interrupted(rng, samples)


def _interrupted(rng: random.Random, samples: list[Sample]) -> list[Sample]:
    """Now and then longer than the look-back without samples, or ended by a stale mark for a while."""
    first = rng.randrange(len(samples) // 2)
    gap_ms = rng.choice((0, 240_000, 300_000, 315_000, 900_000))
    after = samples[first][0] + gap_ms
    mark = [(samples[first][0] + 1, STALE_NAN)] if rng.random() < 0.4 else []
    return [*samples[: first + 1], *mark, *(sample for sample in samples[first + 1 :] if sample[0] > after)]


def _gauges(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    for team in TEAMS:
        limit = float(rng.choice((1, 50, 1000)))
        yield _labels("llm_budget_limit_usd", budget=team), _constant(limit)
        for window in ("1h", "6h"):
            burn = _walk(rng, rng.uniform(-2, 4), 0.3)
            yield _labels("llm_budget_burn_rate", budget=team, window=window), _sampled(_times(), burn)
        spent = _walk(rng, rng.uniform(0, limit), limit / 50)
        yield _labels("llm_budget_spent_usd", budget=team), _sampled(_times(), spent)
    for zone in ("a", "b", "c", "d"):
        drift = _walk(rng, 0, 3)
        moments = [at + rng.randrange(-4_000, 4_000) for at in _times(step_ms=20_000)]  # no regular spacing
        yield _labels("drift", zone=zone, team=rng.choice(TEAMS)), _sampled(iter(moments), drift)


def _sparse(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    """Few samples each: one alone, two, every five minutes to the millisecond, and some at random."""
    middle = START_MS + 3_600_000
    yield _labels("sparse", kind="one"), [(middle, 7.5)]
    yield _labels("sparse", kind="two"), [(middle, 3.0), (middle + 60_000, 4.0)]
    yield _labels("sparse", kind="edge"), _sampled(_times(step_ms=300_000), lambda: rng.gauss(0, 10))
    yield _labels("sparse", kind="odd-edge"), _sampled(_times(step_ms=299_999), lambda: rng.gauss(0, 10))
    moments = sorted(rng.sample(range(START_MS, END_MS), 25))
    yield _labels("sparse", kind="random"), _sampled(iter(moments), lambda: rng.gauss(0, 10))
    ended = _sampled(_times(end_ms=middle), lambda: rng.gauss(0, 10))
    yield _labels("sparse", kind="ended"), [*ended, (middle + STEP_MS, STALE_NAN)]
    blinking = _sampled(_times(), lambda: STALE_NAN if rng.random() < 0.3 else rng.gauss(0, 10))
    yield _labels("sparse", kind="blinking"), blinking


def _odd_values(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    """What floating-point numbers can be: each kind in one series, and mixed with ordinary values."""
    odd = {
        "nan": math.nan, "inf": math.inf, "minus-inf": -math.inf, "zero": 0.0, "minus-zero": -0.0,
        "huge": 1.5e308, "tiny": 2.3e-308, "big-integer": 2.0**53,
    }  # fmt: skip
    for kind, value in odd.items():
        yield _labels("odd", kind=kind), _constant(value, step_ms=30_000)
    for kind in ("nan", "inf", "minus-inf"):
        times = _times(step_ms=30_000)
        mixed = [(at, odd[kind] if rng.random() < 0.2 else rng.gauss(0, 5)) for at in times]
        yield _labels("mixed", kind=kind), mixed
    yield _labels("mixed", kind="none"), _sampled(_times(step_ms=30_000), lambda: rng.gauss(0, 5))
    # A large level and small steps: what cancels must not lose its digits.
    yield _labels("level"), _sampled(_times(), _walk(rng, 1e9, 0.001))


def _histograms(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    for model in MODELS:
        counts = [0.0] * len(BOUNDS)
        rows = []
        for at in _times(step_ms=30_000):
            for _ in range(rng.randrange(6)):
                first = rng.randrange(len(BOUNDS))
                counts = [count + (index >= first) for index, count in enumerate(counts)]
            rows.append((at, list(counts)))
        for index, bound in enumerate(BOUNDS):
            labels = _labels("latency_seconds_bucket", model=model, le=bound)
            yield labels, [(at, row[index]) for at, row in rows]
        yield _labels("latency_seconds_count", model=model), [(at, row[-1]) for at, row in rows]
        total = _counting(rng, lambda: rng.expovariate(1), 0)
        yield _labels("latency_seconds_sum", model=model), _sampled(_times(step_ms=30_000), total)


def _bad_histograms(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    """Without +Inf, with one bucket, with counts that fall, with a bound that is no number, empty, NaN."""
    broken = {
        "no-inf": {"1": 3.0, "2": 9.0},
        "only-inf": {"+Inf": 4.0},
        "falling": {"1": 10.0, "2": 8.0, "4": 12.0, "+Inf": 11.0},
        "nearly-level": {"1": 10.0, "2": 10.0 - 1e-13, "+Inf": 10.0},
        "no-number": {"1": 3.0, "many": 4.0, "+Inf": 5.0},
        "empty": {"1": 0.0, "+Inf": 0.0},
        "nan": {"1": 1.0, "2": math.nan, "+Inf": 5.0},
        "negative-bounds": {"-2": 2.0, "-1": 3.0, "0": 5.0, "+Inf": 5.0},
        "same-bound": {"1": 1.0, "1.0": 2.0, "2": 4.0, "+Inf": 8.0},
    }
    for kind, buckets in broken.items():
        for bound, count in buckets.items():
            labels = _labels("broken_bucket", kind=kind, le=bound)
            yield labels, _constant(count, step_ms=60_000)


def _info(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    """Constant 1, with labels to join; one team is there twice, which cannot be joined."""
    for team, owner in (("search", "ada"), ("checkout", "bob"), ("data-science", "eve")):
        labels = _labels("team_info", team=team, owner=owner, tier=rng.choice(("gold", "tin")))
        yield labels, _constant(1.0, step_ms=60_000)
    for owner in ("ada", "bob"):
        yield _labels("twice_info", team="search", owner=owner), _constant(1.0)


def _texts(rng: random.Random) -> Iterator[tuple[Labels, list[Sample]]]:
    """Label values that matching and replacing must get right."""
    regions = ("eu-west-1", "eu.west.1", "EU", "münchen", "日本")
    values = (*regions, "two\nlines", 'quo"te', "back\\slash", "a$1b", " ")
    for value in values:
        yield _labels("text", value=value), _sampled(_times(), _walk(rng, 1, 1))
    yield _labels("text"), _sampled(_times(), _walk(rng, 1, 1))
