"""The efficiency score: how much of the money was needed, for calls that succeeded."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spanbudget.processors.errors import AmountError
from spanbudget.rules.advice.calls import LABEL, read_calls
from spanbudget.rules.advice.repricing import grouped
from spanbudget.rules.advice.totals import exact_sums


@dataclass(frozen=True, slots=True)
class Efficiency:
    """A score with its parts.

    Attributes:
        score: 100 × (1 - avoidable/spent) × success rate, 0 to 100; 100 without traffic.
        has_data: False without any call: the score then says nothing.
        spent_pico: Money of the priced calls, pico-USD.
        avoidable_pico: The part of it that exact and counterfactual suggestions count; hypotheses are not in.
        avoidable_share: `avoidable_pico / spent_pico`, 0 to 1; 0 where nothing was spent.
        success_rate: Share of the calls that did not fail, 0 to 1; 1 without calls.
        calls: All calls.
        failed: Those that failed.
        unpriced: Those without a price; in the success rate they count, in the money they cannot.
        group: What the score is of, by the columns asked for; None where calls do not tell.
    """

    score: float
    has_data: bool
    spent_pico: int
    avoidable_pico: int
    avoidable_share: float
    success_rate: float
    calls: int
    failed: int
    unpriced: int
    group: Mapping[str, str | None]


def efficiency(
    frame: pd.DataFrame, avoidable: NDArray[np.int64], by: Sequence[str] = ()
) -> tuple[Efficiency, ...]:
    """Scores calls.

    Args:
        frame: The calls that `advise` got, or some of them; see `calls.COLUMNS`.
        avoidable: `Advice.avoidable`, for the same rows.
        by: Columns whose values are scored apart, `model` or `label.user`; none for one score of all, which
            is there without traffic too.

    Returns:
        The scores, whatever spent most first.

    Raises:
        AmountError: `avoidable` is not of these rows, there is no such column, or the table is wrong.
    """
    if len(avoidable) != len(frame):
        raise AmountError(
            f"avoidable has {len(avoidable)} amounts for {len(frame)} calls; give those of advise"
        )
    calls = read_calls(frame)
    unknown = [name for name in by if name not in calls.texts and not name.startswith(LABEL)]
    if unknown:
        raise AmountError(f"cannot score by {', '.join(unknown)}: no column of texts is called so")
    columns = {name: calls.texts.get(name) for name in by}
    codes = [column.codes for column in columns.values() if column is not None]
    first, groups = grouped(*codes, np.zeros(len(calls), dtype=np.int64))
    count = max(len(first), 0 if by else 1)
    spent = exact_sums(np.maximum(calls.cost, 0), groups, count)
    wasted = exact_sums(np.asarray(avoidable)[calls.rows], groups, count)
    calls_of, failed, unpriced = (
        np.bincount(groups[chosen], minlength=count).tolist()
        for chosen in (np.ones(len(calls), dtype=np.bool_), calls.failed, ~calls.priced)
    )
    scores = [
        _score(
            spent[place],
            wasted[place],
            calls_of[place],
            failed[place],
            unpriced[place],
            {
                name: None if column is None or not len(first) else column.at(int(first[place]))
                for name, column in columns.items()
            },
        )
        for place in range(count)
    ]
    return tuple(sorted(scores, key=lambda one: -one.spent_pico))


def _score(
    spent: int, avoidable: int, calls: int, failed: int, unpriced: int, group: Mapping[str, str | None]
) -> Efficiency:
    share = min(avoidable / spent, 1.0) if spent else 0.0
    success = (calls - failed) / calls if calls else 1.0
    return Efficiency(
        score=100 * (1 - share) * success,
        has_data=calls > 0,
        spent_pico=spent,
        avoidable_pico=avoidable,
        avoidable_share=share,
        success_rate=success,
        calls=calls,
        failed=failed,
        unpriced=unpriced,
        group=group,
    )
