"""The general recipe of anomalies: time per point in true streaming, and what it finds beside other methods.

    python benchmarks/general_recipe.py [--series N] [--seed N]

The time is this thread's own, `score_one` then `learn_one` for each point of a long series whose rings are
full, the median of rounds, beside a rolling z of numpy over as many points. What is found is judged on the
generated corpus of `general_corpus.py`, which says how.
"""

import argparse
import statistics

import numpy as np
from general_corpus import EVENTS, FROM, Case, Values, corpus, judge
from measure import JSON, Figure, chosen, tell, thread_us

from spanbudget.rules.anomalies.general.recipe import GeneralRecipe, LightRecipe
from spanbudget.rules.anomalies.general.shift_scores import Tuning

SLOT_MS = 600_000
START_MS = 1_767_571_200_000  # a Monday
ROUNDS = chosen(1, 7)
FULL = chosen(600, 5_500)
POINTS = chosen(200, 2_000)
WINDOW = 4_000
BUDGETS = (1.0, 0.25)


class RollingZ:
    """|z| of a point against the points before it, in a ring of numpy: the usual peer."""

    def __init__(self) -> None:
        self._points = np.zeros(WINDOW)
        self._count = 0

    def score_one(self, value: float, _at_ms: int) -> float:
        """The score, 0 for the first points."""
        points = self._points[: self._count]
        spread = float(points.std()) if self._count > 100 else 0.0
        return abs(value - float(points.mean())) / spread if spread else 0.0

    def learn_one(self, value: float, _at_ms: int) -> None:
        """Takes the point."""
        self._points[self._count % WINDOW] = value
        self._count += 1


def series(count: int) -> list[float]:
    rng = np.random.default_rng(5)
    return list(map(float, 10 + np.sin(np.arange(count) / 144 * 2 * np.pi) + rng.normal(0, 1, count)))


def us_per_point(detector: LightRecipe | RollingZ) -> float:
    """Microseconds of a point, the median of rounds after the rings are full."""
    values = iter(series(FULL + ROUNDS * POINTS))
    at_ms = START_MS

    def stream(count: int) -> None:
        nonlocal at_ms
        for _ in range(count):
            value = next(values)
            detector.score_one(value, at_ms)
            detector.learn_one(value, at_ms)
            at_ms += SLOT_MS

    stream(FULL)
    return statistics.median(thread_us(lambda: stream(POINTS), POINTS) for _ in range(ROUNDS))


def streamed(detector: LightRecipe, values: Values, begin: int, end: int) -> list[float]:
    """The scores of points, each learned after its score."""
    scores = []
    for at, value in enumerate(values[begin:end].tolist(), begin):
        at_ms = START_MS + at * SLOT_MS
        scores.append(detector.score_one(value, at_ms))
        detector.learn_one(value, at_ms)
    return scores


def recipe_scores(kind: type[LightRecipe], clean: list[Values], cases: list[Case]) -> list[list[Values]]:
    """Scores of the clean series and of the cases; the weeks that both share are learned once."""
    tuning = Tuning(rest=0)  # the protocol rests, and the same for all
    scores = []
    states = []
    for values in clean:
        detector = kind(tuning)
        first = streamed(detector, values, 0, FROM)
        states.append(detector.state())
        scores.append(np.array(first + streamed(detector, values, FROM, len(values))))
    of_cases = []
    for case in cases:
        detector = kind.restore(states[case.series], tuning)
        of_cases.append(np.array([0.0] * FROM + streamed(detector, case.values, FROM, len(case.values))))
    return [scores, of_cases]


def rolled(values: Values, window: int) -> tuple[Values, Values]:
    """Mean and deviation of the up to `window` points before each point."""
    at = np.arange(len(values))
    begin = np.maximum(0, at - window)
    ones, squares = np.r_[0, np.cumsum(values - 50)], np.r_[0, np.cumsum((values - 50) ** 2)]
    count = np.maximum(1, at - begin)
    mean = (ones[at] - ones[begin]) / count
    return mean + 50, np.sqrt(np.maximum((squares[at] - squares[begin]) / count - mean**2, 1e-12))


def gaussian(values: Values) -> Values:
    """Windowed Gaussian: |z| of the point against the last 4,000."""
    mean, spread = rolled(values, WINDOW)
    return np.abs(values - mean) / spread


def gaussian_day(values: Values) -> Values:
    """The same against one day."""
    mean, spread = rolled(values, 144)
    return np.abs(values - mean) / spread


def same_time(values: Values) -> Values:
    """|z| against the same time of up to the last 14 days."""
    z = np.zeros(len(values))
    for at in range(3 * 144, len(values)):
        earlier = values[max(at % 144, at - 14 * 144) : at : 144]
        z[at] = abs(values[at] - earlier.mean()) / (earlier.std() + 0.1)
    return z


def ewma(values: Values) -> Values:
    """Residual against an exponentially weighted mean, alpha 0.1, in its own deviations."""
    level, variance = float(values[0]), 1.0
    z = np.zeros(len(values))
    for at, value in enumerate(values.tolist()):
        apart = value - level
        z[at] = abs(apart) / np.sqrt(variance)
        level += 0.1 * apart
        variance += 0.005 * (apart * apart - variance)
    return z


def found(per_noise: int, seed: int) -> list[Figure]:
    clean, cases = corpus(per_noise, seed)
    scored: dict[str, list[list[Values]]] = {
        "general recipe": recipe_scores(GeneralRecipe, clean, cases),
        "light recipe": recipe_scores(LightRecipe, clean, cases),
    }
    peers = {
        "windowed Gaussian (4,000 points)": gaussian, "rolling z of one day": gaussian_day,
        "z against the time of day": same_time, "EWMA residual z": ewma,
    }  # fmt: skip
    for name, method in peers.items():
        scored[name] = [[method(values) for values in clean], [method(case.values) for case in cases]]
    figures = []
    if not JSON:
        names = ("alarms a week", "method", "F1", "precision", "recall", *EVENTS)
        print(f"\n{len(clean)} series, {len(cases)} events\n\n| {' | '.join(names)} |")
        print("|" + " --- |" * len(names))
    for budget in BUDGETS:
        for name, (of_clean, of_cases) in scored.items():
            result = judge(of_clean, cases, of_cases, budget)
            figures.append(Figure(f"{name}: F1 at {budget:g} alarms a week", "", result.f1, "", 3))
            if not JSON:
                measures = (result.f1, result.precision, result.recall, *result.recalls.values())
                print(f"| {budget:g} | {name} | " + " | ".join(f"{each:.2f}" for each in measures) + " |")
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--series", type=int, default=chosen(2, 6), help="series of each kind of noise, 2 or more"
    )
    parser.add_argument("--seed", type=int, default=7)
    given = parser.parse_args()
    light, general = LightRecipe(), GeneralRecipe()
    each = "µs per point"
    tell(
        [
            Figure("light recipe, true streaming", "≤ 10", us_per_point(light), each, 1),
            Figure("general recipe, true streaming", "≤ 200", us_per_point(general), each, 1),
            Figure("rolling z of numpy over 4,000 points", "", us_per_point(RollingZ()), each, 1),
            Figure("state of the light recipe", "≤ 200", len(light.state()) / 1e3, "kB", 1),
            Figure("state of the general recipe", "≤ 200", len(general.state()) / 1e3, "kB", 1),
        ]
    )
    figures = found(given.series, given.seed)
    if JSON:
        tell(figures)


if __name__ == "__main__":
    main()
