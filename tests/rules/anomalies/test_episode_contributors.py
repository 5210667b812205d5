import pytest
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.anomalies.contributors import Contributor, contributors

KEYS = st.tuples(st.sampled_from(["model", "user"]), st.sampled_from("abcde"))
COSTS = st.dictionaries(KEYS, st.floats(0, 1e6))


def test_who_spent_more_than_usual_made_the_excess() -> None:
    found = contributors(
        {("model", "big"): 50.0, ("model", "small"): 5.0, ("user", "ann"): 40.0, ("user", "bob"): 15.0},
        {("model", "big"): 10.0, ("model", "small"): 5.0, ("user", "ann"): 10.0, ("user", "bob"): 5.0},
        40.0,
    )
    assert found == (
        Contributor("model", "big", 40.0, 50.0),
        Contributor("user", "ann", 30.0, 40.0),
        Contributor("user", "bob", 10.0, 15.0),
    )


def test_where_others_spent_less_the_parts_are_scaled_to_the_excess() -> None:
    found = contributors({("model", "a"): 60.0}, {("model", "b"): 20.0}, 40.0)
    assert found == (Contributor("model", "a", 40.0, 60.0),)


def test_in_silence_those_are_told_who_are_missing() -> None:
    found = contributors({("user", "ann"): 1.0}, {("user", "ann"): 2.0, ("user", "bob"): 9.0}, -10.0)
    assert found == (Contributor("user", "bob", -9.0, 0.0), Contributor("user", "ann", -1.0, 1.0))


def test_without_an_excess_nobody_made_it() -> None:
    assert contributors({("user", "ann"): 9.0}, {}, 0.0) == ()
    assert contributors({}, {}, 5.0) == ()


def test_alike_parts_are_in_order_of_names_and_only_the_first_are_told() -> None:
    costs = {("user", name): 1.0 for name in "dbca"}
    assert [one.value for one in contributors(costs, {}, 4.0, top=3)] == ["a", "b", "c"]


@given(COSTS, COSTS, st.floats(-1e6, 1e6))
def test_the_parts_of_a_dimension_are_at_most_the_excess(
    observed: dict[tuple[str, str], float], expected: dict[tuple[str, str], float], excess: float
) -> None:
    found = contributors(observed, expected, excess)
    for dimension in ("model", "user"):
        parts = [one.excess_usd for one in found if one.dimension == dimension]
        assert all((part > 0, part < 0) == (excess > 0, excess < 0) for part in parts)
        assert abs(sum(parts)) <= abs(excess) * (1 + 1e-9) + 1e-300
        assert len(parts) <= 3
    assert found == contributors(dict(reversed(observed.items())), dict(reversed(expected.items())), excess)


def test_nonsense_is_nobodys_part() -> None:
    assert contributors({("user", "ann"): float("inf"), ("user", "bob"): float("nan")}, {}, 5.0) == ()
    assert contributors({("user", "ann"): 7.0}, {}, 5.0, top=0) == ()


@pytest.mark.parametrize("excess", [3.0, 300.0])
def test_a_part_is_never_more_than_what_was_spent_beyond_the_usual(excess: float) -> None:
    (one,) = contributors({("user", "ann"): 9.0}, {("user", "ann"): 2.0}, excess)
    assert one.excess_usd == min(7.0, excess)
