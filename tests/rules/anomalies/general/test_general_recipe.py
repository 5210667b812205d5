"""The general recipe and the light one, streamed."""

from math import inf, nan

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spanbudget.rules.anomalies.general.knn import NearestWindows
from spanbudget.rules.anomalies.general.recipe import GeneralRecipe, LightRecipe
from spanbudget.rules.anomalies.general.shift_scores import SCALES, Tuning
from spanbudget.rules.anomalies.general.tail import GeneralisedParetoTail
from spanbudget.rules.anomalies.packing import BrokenStateError

SLOT = 600_000
START = 1_767_571_200_000
BOTH = pytest.mark.parametrize("kind", [LightRecipe, GeneralRecipe])


def noise(count, seed=1, level=10.0):
    day = np.sin(np.arange(count) / 144 * 2 * np.pi)
    return (level + day + np.random.default_rng(seed).normal(0, 1, count)).tolist()


def streamed(recipe, values, begin=0):
    scores = []
    for number, value in enumerate(values, begin):
        scores.append(recipe.score_one(value, START + number * SLOT))
        recipe.learn_one(value, START + number * SLOT)
    return scores


def naive_shift(values, block):
    """|Shift| of the last point, none of whose past is lost yet."""
    values = np.asarray(values)
    means = np.convolve(values, np.ones(block) / block, "valid")
    earlier = means[: len(means) - block].astype(np.float32).astype(float)
    return abs(means[-1] - earlier.mean()) / earlier.std()


def residuals(values, *, split):
    """What is left of each value without the level of its time of day."""
    levels: dict[tuple[int, bool], float] = {}
    latest, left = values[0], []
    for number, value in enumerate(values):
        weekend = split and (START // 86_400_000 + number // 144 + 3) % 7 >= 5
        key = number % 144, weekend
        left.append(value - levels.get(key, latest))
        levels[key] = np.float32(
            levels[key] + 0.25 * (value - levels[key]) if key in levels else value
        ).item()
        latest += 0.25 * (value - latest)
    return left


def test_the_scores_are_the_sums_of_their_features():
    values = noise(1_500)
    values[-6:] = [value + 3 for value in values[-6:]]
    left, left_split = residuals(values, split=False), residuals(values, split=True)
    shifts = [
        naive_shift(left, 4) / SCALES[0], naive_shift(values, 20) / SCALES[1],
        naive_shift(values, 36) / SCALES[2], naive_shift(left_split, 12) / SCALES[3],
    ]  # fmt: skip
    assert streamed(LightRecipe(), values)[-1] * 1.6 == pytest.approx(sum(shifts), rel=1e-4)

    nearest, distance_tail, shift_tail = NearestWindows(), GeneralisedParetoTail(), GeneralisedParetoTail()
    surprises = []
    whole12 = 0.0
    for number, value in enumerate(values):
        distance = nearest.distance(value)
        if number >= 114:
            whole12 = naive_shift(left[: number + 1], 12)
            surprises = [tail.surprise(of) for tail, of in ((distance_tail, distance), (shift_tail, whole12))]
            distance_tail.learn(distance)
            shift_tail.learn(whole12)
        nearest.learn(value)
    expected = (sum(shifts) + sum(surprises) / 2.3) / 2.47
    assert streamed(GeneralRecipe(Tuning(rest=0)), values)[-1] == pytest.approx(expected, rel=1e-4)


@BOTH
def test_a_restored_recipe_goes_on_exactly_and_its_state_stays_small(kind):
    values = noise(5_600)
    tuning = Tuning(past=4_000)
    recipe = kind(tuning)
    streamed(recipe, values[:5_417])
    state = recipe.state()
    assert len(state) <= 150_000
    restored = kind.restore(state, tuning)
    assert streamed(restored, values[5_417:], 5_417) == streamed(recipe, values[5_417:], 5_417)
    assert restored.state() == recipe.state()


@BOTH
@pytest.mark.parametrize("stop", [0, 1, 130, 161])
def test_a_recipe_that_was_stopped_early_or_resting_goes_on_exactly(kind, stop):
    values = noise(150) + [60.0] * 3 + noise(60, seed=2)
    recipe = kind()
    streamed(recipe, values[:stop])
    restored = kind.restore(recipe.state())
    assert streamed(restored, values[stop:], stop) == streamed(recipe, values[stop:], stop)


@BOTH
def test_a_state_of_something_else_is_refused(kind):
    state = kind().state()
    other = GeneralRecipe if kind is LightRecipe else LightRecipe
    for restoring in (
        lambda: other.restore(state),
        lambda: kind.restore(state, Tuning(past=500)),
        lambda: kind.restore(state + b"\0"),
        lambda: kind.restore(state[:-5]),
        lambda: kind.restore(b""),
    ):
        with pytest.raises(BrokenStateError):
            restoring()


@BOTH
def test_a_score_reads_neither_the_future_nor_changes_anything(kind):
    values = noise(400)
    recipe, asked = kind(), kind()
    streamed(recipe, values)
    for number, value in enumerate(values):
        for other in (value, 1e9, -5.0, nan):
            asked.score_one(other, START + number * SLOT)
        asked.learn_one(value, START + number * SLOT)
    assert asked.state() == recipe.state()


@BOTH
def test_learning_without_scoring_is_the_same(kind):
    values = noise(400)
    recipe, quiet = kind(), kind()
    streamed(recipe, values)
    for number, value in enumerate(values):
        quiet.learn_one(value, START + number * SLOT)
    assert quiet.state() == recipe.state()


@BOTH
@pytest.mark.parametrize("nothing", [nan, inf, -inf, 1e31])
def test_what_is_no_value_is_no_point(kind, nothing):
    values = noise(300)
    recipe = kind()
    streamed(recipe, values)
    before = recipe.state()
    assert recipe.score_one(nothing, START) == 0.0
    recipe.learn_one(nothing, START)
    assert recipe.state() == before


@BOTH
def test_a_shift_alarms_once_and_then_there_is_rest(kind):
    values = noise(2_000) + noise(150, seed=2, level=18.0)
    scores = streamed(kind(), values)
    alarms = [number for number, score in enumerate(scores) if score >= 1 and number >= 2_000]
    assert alarms
    first = alarms[0]
    assert first < 2_006
    assert scores[first + 1 : first + 101] == [0.0] * 100
    assert streamed(kind(Tuning(rest=0)), values)[first + 1] >= 1


@BOTH
def test_only_rises_count_where_only_they_matter(kind):
    for level, alarms in ((2.0, False), (18.0, True)):
        values = noise(2_000) + noise(40, seed=2, level=level)
        scores = streamed(kind(Tuning(rises_only=True, rest=0)), values)
        assert (max(scores[2_000:2_006]) >= 1) == alarms
        assert max(streamed(kind(Tuning(rest=0)), values)[2_000:2_006]) >= 1


@BOTH
@pytest.mark.parametrize("value", [0.0, 0.1, 5.0, -3e29])
def test_constant_series_never_alarm(kind, value):
    assert max(streamed(kind(), [value] * 600)) < 1


@BOTH
def test_a_constant_series_does_not_alarm_for_a_hair(kind):
    values = [0.1] * 400
    values[300:] = [0.1 * (1 + 1e-5 * (number % 3)) for number in range(100)]
    assert max(streamed(kind(), values)) < 1


@BOTH
def test_ordinary_noise_seldom_alarms(kind):
    alarms = 0
    for seed in range(3):
        scores = streamed(kind(), np.random.default_rng(seed).normal(100, 15, 3 * 1_008).tolist())
        alarms += sum(score >= 1 for score in scores[432:])
    assert alarms <= 15  # in less than 8 weeks that are judged


@BOTH
@settings(max_examples=25)
@given(
    st.lists(
        st.one_of(st.sampled_from([0.0, 1.0, nan, inf, -1e30, 1e30, 1e-30]), st.floats(allow_nan=True)),
        min_size=1, max_size=40,
    ),
    st.lists(st.integers(-(10**13), 10**13), min_size=1, max_size=7),
)  # fmt: skip
def test_any_input_has_a_score(kind, values, times):
    recipe = kind()
    streamed(recipe, noise(160))
    for number in range(200):
        value, at_ms = values[number % len(values)], times[number % len(times)]
        assert 0 <= recipe.score_one(value, at_ms) <= 15
        recipe.learn_one(value, at_ms)
    kind.restore(recipe.state())
