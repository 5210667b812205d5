"""Distances to the nearest past windows against a naive computation."""

from math import sqrt

import numpy as np
import pytest

from spanbudget.rules.anomalies.general.knn import DISTANCE_MAX, NEIGHBOURS, WINDOW, WINDOWS, NearestWindows


def filled(values, floor=0.0):
    detector = NearestWindows(floor)
    for value in values:
        detector.learn(value)
    return detector


def naive(values, value):
    points = np.float32(values).astype(float)[-(WINDOWS + 2 * (WINDOW - 1)) :]
    judged = np.append(points[1 - WINDOW :], value)
    past = points[: 1 - WINDOW]
    squares = [np.mean((past[at : at + WINDOW] - judged) ** 2) for at in range(len(past) - WINDOW + 1)]
    return np.mean(np.sqrt(np.sort(squares)[:NEIGHBOURS])) / past.std(), len(squares)


@pytest.mark.parametrize("count", [200, 2_013, 2_014, 5_000])
def test_a_distance_is_what_its_definition_says(count):
    values = 3 + np.random.default_rng(1).normal(0, 1, count)
    expected, windows = naive(values, 9.0)
    assert windows == min(count - 2 * (WINDOW - 1), WINDOWS)
    assert filled(values.tolist()).distance(9.0) == pytest.approx(expected, rel=1e-9)


def test_a_pattern_that_was_seen_before_is_near_and_a_new_one_is_far():
    values = np.tile([0.0, 1.0, 4.0, 1.0, 0.0], 60)
    detector = filled(values.tolist())
    assert detector.distance(0.0) == pytest.approx(0)
    assert detector.distance(4.0) == pytest.approx(4 / sqrt(8) / values[:-7].std(), rel=0.01)


def test_there_is_no_distance_before_there_are_enough_windows():
    detector = filled([1.0] * 113)
    assert not detector.ready
    assert detector.distance(1e9) == 0.0
    detector.learn(1.0)
    assert detector.ready
    assert detector.distance(1e9) > 0


def test_constant_series_have_defined_distances():
    assert filled([0.0] * 300).distance(0.0) == 0.0
    assert filled([0.0] * 300).distance(1.0) == DISTANCE_MAX
    assert filled([0.0] * 300, floor=1.0).distance(1.0) == pytest.approx(1 / sqrt(8))
    assert filled([10.0] * 300).distance(10.1) == pytest.approx(10 / sqrt(8))


def test_the_largest_values_have_finite_distances():
    values = np.random.default_rng(2).choice([-1e30, 1e30], 300)
    assert 0 <= filled(values.tolist()).distance(1e30) < 10
