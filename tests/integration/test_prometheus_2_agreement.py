"""The second opinion: Debian's Prometheus 2.42 says the same, but for changes that are listed."""

import math
import random
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
from agreement import Agreement
from generated_expressions import ExpressionMaker
from generated_series import END_MS, START_MS, STEP_MS, generated_series
from prometheus_server import Answer, Failure, PrometheusServer
from version_differences import DIFFERENCES, END_OF_EXAMPLES_MS, Difference, example_series

pytestmark = [pytest.mark.server, pytest.mark.timeout(3600)]

LIST = Path(__file__).parents[2] / "docs" / "rules" / "prometheus-2-and-3.md"


def values(answer: Answer | Failure) -> tuple[float, ...] | str:
    if isinstance(answer, Failure):
        return answer.kind
    return tuple(sorted(points[-1][1] for _, points in answer.series))


def is_same(found: tuple[float, ...] | str, expected: tuple[float, ...] | str) -> bool:
    if isinstance(found, str) or isinstance(expected, str):
        return found == expected
    return len(found) == len(expected) and all(
        math.isclose(one, other, rel_tol=1e-12) or (math.isnan(one) and math.isnan(other))
        for one, other in zip(found, expected, strict=True)
    )


@pytest.fixture
def examples(prometheus_2: PrometheusServer, prometheus_3: PrometheusServer) -> tuple[Agreement, Agreement]:
    return Agreement(prometheus_2, example_series()), Agreement(prometheus_3, example_series())


def test_each_listed_difference_is_one_and_rules_follow_prometheus_3(
    examples: tuple[Agreement, Agreement],
) -> None:
    two, three = examples
    found = []
    for example in DIFFERENCES:
        at_ms = END_OF_EXAMPLES_MS + example.after_ms
        ours, old = two.both(example.expression, at_ms)
        _, new = three.both(example.expression, at_ms)
        if not (is_same(values(old), example.old) and is_same(values(new), example.new)):
            found.append(f"{example.expression}: 2 has {values(old)}, 3 has {values(new)}")
        if not is_same(values(ours), example.new):
            found.append(f"{example.expression}: here {values(ours)}")
    assert not found, "\n".join(found)


def test_the_list_for_readers_has_every_difference() -> None:
    text = LIST.read_text(encoding="utf-8")
    assert not [example.expression for example in DIFFERENCES if f"`{example.expression}`" not in text]


def test_generated_expressions_have_the_results_of_prometheus_2_but_for_the_list(
    prometheus_2: PrometheusServer, say: Callable[[str], None]
) -> None:
    series = {
        labels: samples
        for labels, samples in generated_series(7).items()
        if ("value", "two\nlines") not in labels
    }
    agreement = Agreement(prometheus_2, series)
    rng = random.Random(7)
    for tree in ExpressionMaker(7).make(2_000):
        for _ in range(2):
            # Beside every sample: ranges that are closed on the left hold the same ones as half-open ranges.
            on_a_sample = START_MS + STEP_MS * rng.randrange(20, (END_MS - START_MS) // STEP_MS + 30)
            agreement.compare(tree, on_a_sample + 7_123)
    by_reason: Counter[str] = Counter(reason(found) for found in agreement.differences)
    say(f"Prometheus 2.42: {agreement.summary()}, but for {dict(by_reason)}")
    agreement.differences = [found for found in agreement.differences if not reason(found)]
    assert not agreement.differences, agreement.told(10)


def reason(found: str) -> str:
    """The example of the difference that explains another one, "" where none does."""
    expression = found.partition("\n")[0]
    return next((known.expression for known in DIFFERENCES if explains(known, expression)), "")


def explains(known: Difference, expression: str) -> bool:
    return bool(known.pattern) and re.search(known.pattern, expression) is not None
