"""Sums of money that do not overflow: 2**63 pico-USD are only 9.2 million USD."""

import numpy as np

from spanbudget.rules.advice.calls import Ints

_LOW_BITS = 32


def exact_sum(pico: Ints) -> int:
    """The sum of up to two billion amounts from 0 to 2**62, pico-USD."""
    high, low = pico >> _LOW_BITS, pico & ((1 << _LOW_BITS) - 1)
    return (int(high.sum()) << _LOW_BITS) + int(low.sum())


def exact_sums(pico: Ints, groups: Ints, count: int) -> list[int]:
    """The sums of groups.

    Args:
        pico: Amounts as in `exact_sum`.
        groups: The group of each, from 0.
        count: How many groups there are.
    """
    high, low = np.zeros(count, dtype=np.int64), np.zeros(count, dtype=np.int64)
    np.add.at(high, groups, pico >> _LOW_BITS)
    np.add.at(low, groups, pico & ((1 << _LOW_BITS) - 1))
    pairs = zip(high.tolist(), low.tolist(), strict=True)
    return [(upper << _LOW_BITS) + lower for upper, lower in pairs]
