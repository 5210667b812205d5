"""Expressions have the results that a real Prometheus gives them, to 1e-12."""

import random
from collections.abc import Callable

import pytest
from agreement import Agreement, same
from edge_expressions import DIFFERENT_BY_CHOICE, REFUSED_EARLIER, REFUSED_HERE, edge_expressions
from generated_expressions import ExpressionMaker, Tree
from generated_series import END_MS, START_MS, STEP_MS, generated_series
from prometheus_server import PrometheusServer

# The first test to run builds Prometheus, where that has not been done yet.
pytestmark = [pytest.mark.server, pytest.mark.timeout(3600)]

SEEDS = (1, 2, 3)
EXPRESSIONS = 560
SHOWN = 10


def moments(seed: int) -> list[int]:
    """Four times: on samples and beside them, at the look-back's end, and one that is anywhere."""
    rng = random.Random(seed)
    on_a_sample = START_MS + STEP_MS * rng.randrange(20, 480)
    return [
        on_a_sample,
        on_a_sample + rng.choice((-1, 1)),
        END_MS + rng.choice((299_999, 300_000)),
        rng.randrange(START_MS, END_MS + 600_000),
    ]


@pytest.mark.parametrize("seed", SEEDS)
def test_generated_expressions_have_the_results_of_prometheus_3(
    prometheus_3: PrometheusServer, seed: int, say: Callable[[str], None]
) -> None:
    agreement = Agreement(prometheus_3, generated_series(seed))
    for index, tree in enumerate(ExpressionMaker(seed).make(EXPRESSIONS)):
        for at_ms in moments(seed * 100_000 + index):
            agreement.compare(tree, at_ms)
    say(f"Prometheus 3, seed {seed}: {agreement.summary()}")
    assert not agreement.differences, agreement.told(SHOWN)
    assert agreement.cases >= 2000


def test_expressions_at_the_edges_have_the_results_of_prometheus_3(
    prometheus_3: PrometheusServer, say: Callable[[str], None]
) -> None:
    agreement = Agreement(prometheus_3, generated_series(0))
    for index, text in enumerate(edge_expressions()):
        for at_ms in moments(index):
            agreement.compare(Tree(text), at_ms)
    say(f"Prometheus 3, edges: {agreement.summary()}")
    assert not agreement.differences, agreement.told(SHOWN)


def test_what_is_refused_or_different_by_choice_is_just_that(prometheus_3: PrometheusServer) -> None:
    agreement = Agreement(prometheus_3, generated_series(0))
    at_ms = START_MS + 3_600_000
    kinds = {
        text: tuple(answer.kind for answer in agreement.both(text, at_ms))
        for text in (*REFUSED_HERE, *REFUSED_EARLIER)
    }
    assert {kinds[text][0] for text in REFUSED_HERE} <= {"bad_data", "execution"}
    assert {kinds[text][1] for text in REFUSED_HERE} <= {"scalar", "vector"}
    assert {kinds[text] for text in REFUSED_EARLIER} == {("bad_data", "execution")}
    for text in DIFFERENT_BY_CHOICE:
        ours, theirs = agreement.both(text, at_ms)
        assert ours.kind == theirs.kind
        assert not same(ours, theirs, text, 0.0), f"{text} is no longer different: let the tests compare it"
