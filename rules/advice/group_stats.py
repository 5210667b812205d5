"""Statistics of groups of calls, as one value for each call."""

import numpy as np
import pandas as pd

from spanbudget.rules.advice.calls import Bools, Ints
from spanbudget.rules.advice.repricing import Floats


def group_count(groups: Ints) -> int:
    """How many groups there are, numbered from 0."""
    return int(groups.max()) + 1 if len(groups) else 0


def counts(groups: Ints, chosen: Bools | None = None) -> Ints:
    """How many rows each group has, or how many chosen ones; one value for each group."""
    rows = groups if chosen is None else groups[chosen]
    return np.bincount(rows, minlength=group_count(groups)).astype(np.int64)


def sums(groups: Ints, values: Floats | Ints) -> Floats:
    """The sum of each group as a float, one value for each group; NaN where it has a NaN."""
    return np.bincount(groups, weights=values, minlength=group_count(groups)).astype(np.float64)


def quantile(groups: Ints, values: Floats | Ints, share: float) -> Floats:
    """The quantile of each row's group, interpolated between two values; NaN are left out.

    Args:
        groups: The group of each row.
        values: One for each row.
        share: 0 to 1; 0.5 is the median.
    """
    found = pd.Series(values.astype(np.float64)).groupby(groups).quantile(share)
    quantiles: Floats = found.reindex(groups).to_numpy(dtype=np.float64)
    return quantiles


def least_so_far(groups: Ints, values: Ints) -> Ints:
    """The least value of each row's group up to that row."""
    least: Ints = pd.Series(values).groupby(groups).cummin().to_numpy(dtype=np.int64)
    return least
