import itertools
import math
import random

from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.labels import Matcher, alternatives, labels_of, whole_match
from spanbudget.rules.series import LOOK_BACK_MS, STALE_NAN, STEPS_MS, Series, SeriesStore, is_stale, thinned

NOW_MS = 1_790_000_000_000
DAY_MS = 86_400_000


def series(*samples: tuple[int, float]) -> Series:
    made = Series(labels_of({"__name__": "up"}))
    for at_ms, value in samples:
        assert made.append(at_ms, value)
    return made


def test_a_sample_of_exactly_the_look_back_is_too_old():
    one = series((0, 7.0))
    assert one.at(LOOK_BACK_MS - 1) == (0, 7.0)
    assert one.at(LOOK_BACK_MS) is None
    assert one.at(-1) is None


def test_a_series_has_no_value_after_its_mark_until_it_begins_again():
    one = series((0, 1.0), (1_000, STALE_NAN), (3_000, 2.0))
    assert [one.at(at) for at in (0, 999, 1_000, 2_999, 3_000)] == [
        (0, 1.0),
        (0, 1.0),
        None,
        None,
        (3_000, 2.0),
    ]
    assert list(one.between(-1, 5_000).values) == [1.0, 2.0]


def test_a_number_that_is_none_is_a_value_and_no_mark():
    one = series((0, math.nan))
    found = one.at(10)
    assert found is not None
    assert math.isnan(found[1])
    assert not is_stale(found[1])


def test_ranges_are_open_at_their_left_end():
    one = series((0, 1.0), (10, 2.0), (20, 3.0))
    assert list(one.between(0, 20).times) == [10, 20]


def test_samples_of_the_past_are_refused():
    one = series((10, 1.0))
    assert not one.append(10, 2.0)
    assert not one.append(9, 2.0)
    assert list(one.values) == [1.0]


def test_a_range_knows_whether_its_values_fall():
    one = series((0, 5.0), (10, 1.0), (20, 2.0))
    assert one.between(-1, 20).drops
    assert one.between(5, 20).drops  # it may not know better, but it must not say that they do not
    assert not one.between(10, 20).drops


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=300), st.integers(1, 3_000_000))
def test_thinning_keeps_the_extremes_and_the_last_value_of_each_step(values, every_ms):
    times = [NOW_MS - 3 * DAY_MS + index * every_ms for index in range(len(values))]
    kept_times, kept_values = thinned(times, values, NOW_MS)
    assert list(kept_times) == sorted(set(kept_times))
    assert min(kept_values) == min(values)
    assert max(kept_values) == max(values)
    assert (kept_times[-1], kept_values[-1]) == (times[-1], values[-1])
    assert set(zip(kept_times, kept_values, strict=True)) <= set(zip(times, values, strict=True))


def test_what_a_counter_with_resets_grew_by_survives_thinning():
    """Each half hour has at most one reset: then lowest, highest and last value tell the same increase."""
    rng = random.Random(1)
    times, values, level = [], [], 0.0
    for minute in range(3 * 24 * 60):
        level = 0.0 if minute % 77 == 40 else level + rng.random()
        times.append(NOW_MS - 4 * DAY_MS + minute * 60_000)
        values.append(level)

    def grown(numbers) -> float:
        return sum(b - a if b >= a else b for a, b in itertools.pairwise(numbers))

    kept_times, kept_values = thinned(times, values, NOW_MS)
    assert len(kept_times) < len(times) / 8
    assert math.isclose(grown(list(kept_values)), grown(values), rel_tol=1e-9)


def test_a_week_of_samples_each_15_seconds_stays_small():
    one = Series(labels_of({"__name__": "spent"}))
    for index in range(7 * 24 * 240):
        one.append(index * 15_000, float(index % 5_000))
        if index % 100 == 0:
            one.forget(index * 15_000, 7 * DAY_MS)
    assert len(one.times) < 2_500
    assert one.times[0] <= DAY_MS // 2


def test_where_values_only_rise_one_sample_of_each_step_stays():
    one = Series(labels_of({"__name__": "total"}))
    for index in range(3 * 24 * 60):
        one.append(index * 60_000, float(index))
    one.forget(one.times[-1], 7 * DAY_MS)
    steps = 2 * 48 + 22 * 12 + 110 + 10
    assert abs(len(one.times) - steps) <= 4


def test_a_series_that_was_thinned_has_a_value_at_every_moment_and_none_in_a_true_gap():
    one = Series(labels_of({"__name__": "spent"}))
    gap = range(1_000, 1_400)
    for minute in range(3 * 24 * 60):
        if minute not in gap:
            one.append(minute * 60_000, float(minute))
    one.forget(one.times[-1], 7 * DAY_MS)
    assert len(one.times) < 600
    last = one.times[-1]
    for minute in (30, 31, 45, 59, 900, 1_500, 2_000, 3_777):
        found = one.at(minute * 60_000)
        assert found is not None
        assert 0 <= minute - found[1] <= 30
    assert one.at(1_300 * 60_000) is None
    assert one.at(last + LOOK_BACK_MS) is None


def test_steps_go_from_the_oldest_to_the_youngest():
    assert list(STEPS_MS) == sorted(STEPS_MS, reverse=True)


def test_a_store_chooses_by_every_matcher():
    store = SeriesStore()
    for name, model in (("cost", "a"), ("cost", "b"), ("tokens", "a")):
        store.append(labels_of({"__name__": name, "model": model}), NOW_MS, 1.0)

    def found(*matchers: tuple[str, str, str]) -> list[str]:
        chosen = store.select(tuple(Matcher(*one) for one in matchers))  # type: ignore[arg-type]
        return ["/".join(value for _, value in one.labels) for one in chosen]

    assert found(("__name__", "=", "cost")) == ["cost/a", "cost/b"]
    assert found(("__name__", "=", "cost"), ("model", "!=", "a")) == ["cost/b"]
    assert found(("__name__", "=~", "c.*|tok.ns"), ("model", "=", "a")) == ["cost/a", "tokens/a"]
    assert found(("__name__", "=", "cost"), ("team", "=", "")) == ["cost/a", "cost/b"]
    assert found(("__name__", "=", "cost"), ("model", "=~", "A|.")) == ["cost/a", "cost/b"]
    assert found(("__name__", "=", "cost"), ("model", "!~", "a|x")) == ["cost/b"]
    assert found(("__name__", "=", "none")) == []


def test_a_store_refuses_more_series_than_it_may_have_and_counts_them():
    store = SeriesStore(series_max=2)
    for index in range(5):
        store.append(labels_of({"__name__": "x", "i": str(index)}), NOW_MS, 1.0)
    assert (len(store), store.refused) == (2, 3)


def test_a_store_forgets_by_the_metrics_own_time_and_finds_new_series():
    store = SeriesStore({"long": DAY_MS})
    for name in ("long", "short"):
        store.append(labels_of({"__name__": name}), NOW_MS, 1.0)
    every = (Matcher("__name__", "=~", ".+"),)
    assert len(store.select(every)) == 2
    store.forget(NOW_MS + 3 * LOOK_BACK_MS)
    assert [one.labels[0][1] for one in store.select(every)] == ["long"]
    store.append(labels_of({"__name__": "later"}), NOW_MS, 1.0)
    assert len(store.select(every)) == 2


@given(
    st.text(st.sampled_from("ab|.\\*é-("), max_size=8),
    st.lists(st.text(st.sampled_from("ab|.\\*é-("), max_size=3), unique=True),
)
def test_alternatives_of_a_regular_expression_match_what_it_matches(pattern, values):
    """Listed texts, and the index that they are looked up in, are no more than a short cut."""
    listed = alternatives(pattern)
    if listed is None:
        return
    compiled = whole_match(pattern)
    for value in (*values, *listed):
        assert (value in listed) is (compiled.fullmatch(value) is not None)
    store = SeriesStore()
    for value in values:
        store.append(labels_of({"__name__": "m", "a": value, "b": "c"}), NOW_MS, 1)
    matchers = (Matcher("__name__", "=", "m"), Matcher("a", "=~", pattern), Matcher("b", "=", "c"))
    found = [dict(one.labels).get("a", "") for one in store.select(matchers)]
    assert sorted(found) == sorted(value for value in values if compiled.fullmatch(value) is not None)


def test_classes_and_groups_are_no_alternatives():
    assert list(alternatives("a|b\\.c|") or ()) == ["a", "b.c", ""]
    assert [alternatives(pattern) for pattern in (r"\d|a", "(a|b)", "a.*", "a\\", "[ab]")] == [None] * 5
