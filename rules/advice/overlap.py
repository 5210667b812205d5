"""Savings of several suggestions for the same calls, counted once."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from spanbudget.rules.advice.calls import Ints
from spanbudget.rules.advice.suggestion import CONFIDENCES, Confidence
from spanbudget.rules.advice.totals import exact_sum, exact_sums


class Claim(NamedTuple):
    """What one suggestion says about some calls.

    Attributes:
        confidence: How sure it is.
        rows: The calls, each once.
        saving: pico-USD of each.
    """

    confidence: Confidence
    rows: Ints
    saving: Ints


class Counted(NamedTuple):
    """What is left of claims once nothing is counted twice.

    Attributes:
        claims: pico-USD of each claim.
        by_confidence: The sum of these by confidence.
        avoidable: For each call what exact and counterfactual claims count, pico-USD.
    """

    claims: Sequence[int]
    by_confidence: dict[Confidence, int]
    avoidable: Ints


def counted_once(claims: Sequence[Claim], calls: int) -> Counted:
    """Gives each call's saving to the largest claim; a surer one keeps its own, the rest goes to the other.

    Of one call the sum of what is counted is its largest claim, whatever the others are.

    Args:
        claims: At a tie the first one wins.
        calls: How many calls there are.
    """
    best, avoidable = np.zeros(calls, dtype=np.int64), np.zeros(calls, dtype=np.int64)
    counted, by_confidence = [0] * len(claims), dict.fromkeys(CONFIDENCES, 0)
    for confidence in CONFIDENCES:
        top, owner = best.copy(), np.full(calls, -1, dtype=np.int64)
        for place, claim in enumerate(claims):
            if claim.confidence == confidence:
                more = claim.saving > top[claim.rows]
                top[claim.rows[more]] = claim.saving[more]
                owner[claim.rows[more]] = place
        owned = np.flatnonzero(owner >= 0)
        gains = (top - best)[owned]
        sums = exact_sums(gains, owner[owned], len(claims))
        counted = [before + gain for before, gain in zip(counted, sums, strict=True)]
        by_confidence[confidence] = exact_sum(gains)
        best = top
        if confidence == "counterfactual":
            avoidable = top
    return Counted(counted, by_confidence, avoidable)
