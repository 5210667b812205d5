"""The tail of scores against scipy's generalised Pareto distribution."""

from math import log1p, log10

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import genpareto

from spanbudget.rules.anomalies.general.tail import (
    FIRST_FIT,
    FIT_EACH,
    KEPT,
    SIGMA_MIN,
    XI_MAX,
    GeneralisedParetoTail,
    log_survival,
)
from spanbudget.rules.anomalies.packing import Packer, Unpacker


def filled(scores):
    tail = GeneralisedParetoTail()
    for score in scores:
        tail.learn(score)
    return tail


@given(st.floats(0, 1e4), st.sampled_from([0.0, 1e-6, 0.01, 0.2, 0.5]), st.floats(1e-3, 1e3))
def test_the_survival_of_a_pareto_tail_is_its_closed_form(excess, xi, sigma):
    expected = -log1p(xi * excess / sigma) / xi if xi > 0 else -excess / sigma
    assert log_survival(excess, xi, sigma) == pytest.approx(expected, rel=1e-8, abs=1e-12)


@pytest.mark.parametrize("count", [FIRST_FIT, 700, KEPT, KEPT + 3 * FIT_EACH])
def test_a_surprise_is_the_tail_fitted_by_moments(count):
    scores = np.float32(np.random.default_rng(6).pareto(4, count)).astype(float)
    tail = filled(scores.tolist())
    ordered = np.sort(scores[-KEPT:])
    many = max(10, -(-len(ordered) // 50))
    threshold = ordered[-many - 1]
    excess = ordered[-many:] - threshold
    xi = np.clip((1 - excess.mean() ** 2 / excess.var()) / 2, 0, XI_MAX)
    sigma = excess.mean() * (1 - xi)
    for score in (threshold + 0.01, threshold * 2, threshold * 10):
        expected = -log10(many / len(ordered)) - genpareto.logsf(score, xi, threshold, sigma) / np.log(10)
        assert tail.surprise(score) == pytest.approx(expected, rel=1e-9)


def test_below_the_tail_a_surprise_is_the_part_of_scores_as_large():
    tail = filled([float(score) for score in range(100)])
    assert tail.surprise(0.0) == 0.0
    assert tail.surprise(50.0) == pytest.approx(-log10(0.5))
    assert tail.surprise(88.5) == pytest.approx(-log10(0.11))


@settings(max_examples=30)
@given(
    st.lists(st.floats(0, 1e6, width=32), min_size=FIRST_FIT, max_size=130),
    st.floats(0, 1e6),
    st.floats(0, 1e6),
)
def test_a_larger_score_is_no_less_of_a_surprise(scores, one, other):
    tail = filled(scores)
    low, high = sorted((one, other))
    assert 0 <= tail.surprise(low) <= tail.surprise(high)


def test_nothing_surprises_before_the_first_fit():
    assert filled([1.0] * (FIRST_FIT - 1)).surprise(1e6) == 0.0


@pytest.mark.parametrize("score", [0.0, 3.0])
def test_scores_that_are_all_alike_are_no_surprise(score):
    tail = filled([score] * 500)
    assert tail.surprise(score) == 0.0
    assert tail.surprise(score + 1) == pytest.approx(-log10(0.02) + 1 / (SIGMA_MIN * np.log(10)))


@pytest.mark.parametrize("stop", [0, 99, 130, KEPT + 20, KEPT + FIT_EACH + 33])
def test_a_restored_tail_goes_on_exactly(stop):
    scores = np.random.default_rng(8).exponential(1, stop + 120).tolist()
    running = filled(scores[:stop])
    packer = Packer()
    running.pack(packer)
    restored = GeneralisedParetoTail()
    restored.unpack(Unpacker(packer.packed()))
    for score in scores[stop:]:
        assert [restored.surprise(each) for each in (score, 3 * score)] == [
            running.surprise(each) for each in (score, 3 * score)
        ]
        running.learn(score)
        restored.learn(score)
