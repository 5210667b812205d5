import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from spanbudget.rules.advice.overlap import Claim, counted_once
from spanbudget.rules.advice.suggestion import CONFIDENCES
from spanbudget.rules.advice.totals import exact_sum, exact_sums

CALLS = 6


def claim(confidence: str, savings: dict[int, int]) -> Claim:
    rows = np.array(sorted(savings), dtype=np.int64)
    saving = np.array([savings[row] for row in sorted(savings)], dtype=np.int64)
    return Claim(confidence, rows, saving)  # type: ignore[arg-type]


CLAIMS = st.lists(
    st.builds(
        claim,
        st.sampled_from(CONFIDENCES),
        st.dictionaries(st.integers(0, CALLS - 1), st.one_of(st.integers(1, 9), st.just(2**61))),
    ),
    max_size=7,
)


@given(CLAIMS)
def test_each_call_is_counted_with_its_largest_claim(claims: list[Claim]) -> None:
    counted = counted_once(claims, CALLS)
    said = [dict(zip(one.rows.tolist(), one.saving.tolist(), strict=True)) for one in claims]
    assert sum(counted.claims) == sum(
        max((one.get(row, 0) for one in said), default=0) for row in range(CALLS)
    )
    for confidence in CONFIDENCES:
        parts = (
            pico for one, pico in zip(claims, counted.claims, strict=True) if one.confidence == confidence
        )
        assert sum(parts) == counted.by_confidence[confidence]
    assert all(pico <= sum(one.values()) for one, pico in zip(said, counted.claims, strict=True))


@given(CLAIMS)
def test_what_is_surer_is_counted_as_if_nothing_else_were_said(claims: list[Claim]) -> None:
    counted = counted_once(claims, CALLS)
    exact = counted_once([one for one in claims if one.confidence == "exact"], CALLS)
    surer = counted_once([one for one in claims if one.confidence != "hypothesis"], CALLS)
    assert counted.by_confidence["exact"] == sum(exact.claims)
    assert exact_sum(counted.avoidable) == sum(surer.claims)


def test_a_less_sure_claim_counts_what_it_adds() -> None:
    claims = [
        claim("hypothesis", {0: 9, 1: 3}),
        claim("exact", {0: 4, 1: 5}),
        claim("counterfactual", {0: 4}),
    ]
    counted = counted_once(claims, 2)
    assert counted.claims == [5, 9, 0]
    assert counted.by_confidence == {"exact": 9, "counterfactual": 0, "hypothesis": 5}


@given(st.lists(st.tuples(st.integers(0, 2**62), st.integers(0, 3))))
def test_sums_are_those_of_python(pairs: list[tuple[int, int]]) -> None:
    pico = np.array([amount for amount, _ in pairs], dtype=np.int64)
    groups = np.array([group for _, group in pairs], dtype=np.int64)
    assert exact_sum(pico) == sum(amount for amount, _ in pairs)
    expected = [sum(amount for amount, group in pairs if group == wanted) for wanted in range(4)]
    assert exact_sums(pico, groups, 4) == expected
