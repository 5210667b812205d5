"""What advice is: suggestions with their money and their evidence, and what could not be examined."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

Confidence: TypeAlias = Literal["exact", "counterfactual", "hypothesis"]
"""`exact`: money that was paid for nothing. `counterfactual`: the same calls at another price that exists.
`hypothesis`: what would be saved if a change did no harm; that has to be tried."""
CONFIDENCES: tuple[Confidence, ...] = ("exact", "counterfactual", "hypothesis")


@dataclass(frozen=True, slots=True)
class Suggestion:
    """One thing to change, and what it would have saved.

    Attributes:
        kind: Its name for programs, one of `KINDS` in `advise`.
        title: What to do, in a few words.
        explanation: One or two sentences with the figures.
        how: How to do it at this provider.
        saving_pico: Money saved in the window by this alone, pico-USD.
        counted_pico: The part of it that no surer or larger suggestion has for the same calls already; these
            add up.
        monthly_usd: `saving_pico` for a month of 30.4375 days at the pace of the window; None where the
            window is shorter than a day, which says nothing about a month.
        confidence: How sure the saving is.
        upper_bound: True where the saving may be smaller.
        calls: How many calls it is about.
        evidence: Trace id and span id of the calls with the largest savings, at most `Settings.evidence`.
        group: Where it is: `provider`, `model`, the labels of `Settings.by`, and `variant` (the cheaper
            model, the tier, the lifetime of the cache, the class of the error) where the kind has one. Small
            savings of many places are put together, and then name only what they share.
    """

    kind: str
    title: str
    explanation: str
    how: str
    saving_pico: int
    counted_pico: int
    monthly_usd: Decimal | None
    confidence: Confidence
    upper_bound: bool
    calls: int
    evidence: tuple[tuple[str, str], ...]
    group: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class Unexamined:
    """Calls that a kind of suggestion could not be looked for in.

    Attributes:
        kind: The kind of suggestion; `*` for all.
        calls: How many calls.
        why: What is missing, and what to do about it.
    """

    kind: str
    calls: int
    why: str


@dataclass(frozen=True, slots=True)
class Advice:
    """All suggestions for a window.

    Attributes:
        suggestions: By `counted_pico`, the largest first.
        spent_pico: Money of all priced calls, pico-USD.
        counted_pico: The sum of all `counted_pico` by confidence; of `exact` and `counterfactual` together it
            is what the efficiency score calls avoidable.
        calls: Calls in the window.
        below: Suggestions that were too small to make.
        below_pico: The money of these, pico-USD, overlaps not taken out.
        unexamined: What was not looked at, and why.
        avoidable: For each row of the given table the pico-USD that `exact` and `counterfactual` suggestions
            count for it, for `efficiency`.
    """

    suggestions: tuple[Suggestion, ...]
    spent_pico: int
    counted_pico: Mapping[Confidence, int]
    calls: int
    below: int
    below_pico: int
    unexamined: tuple[Unexamined, ...]
    avoidable: NDArray[np.int64] = field(repr=False, compare=False)
