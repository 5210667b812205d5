"""What looking for one kind of waste finds, before small things are left out and overlaps are resolved."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from spanbudget.processors.overrides import REPORTED_MAX
from spanbudget.rules.advice.calls import UNKNOWN, Bools, Calls, Codes, Ints
from spanbudget.rules.advice.repricing import Floats
from spanbudget.rules.advice.scene import Scene
from spanbudget.rules.advice.suggestion import Confidence, Unexamined


@dataclass(frozen=True, slots=True)
class Finding:
    """Calls with what each of them would have cost less.

    Attributes:
        rows: Which calls, each once.
        saving: pico-USD of each, 1 or more.
        variants: What tells suggestions of one kind and place apart, a text for each of `rows`.
        unexamined: What could not be looked at.
    """

    rows: Ints
    saving: Ints
    variants: Codes
    unexamined: tuple[Unexamined, ...] = ()


class Group(NamedTuple):
    """The calls of one suggestion, for its texts.

    Attributes:
        calls: How many.
        saving: Their saving, pico-USD.
        cost: Their cost, pico-USD.
        where: What all of them share: provider, model and labels, by name; less where few of each were put
            together, empty where they share nothing.
        variant: See `Finding.variants`; None where the kind has none.
    """

    calls: int
    saving: int
    cost: int
    where: Mapping[str, str]
    variant: str | None

    @property
    def provider(self) -> str:
        """The provider, "" where it is unknown or not one."""
        return self.where.get("provider", "")

    @property
    def model(self) -> str:
        """The model, for a sentence."""
        return self.where.get("model", "these models")


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of suggestion.

    Attributes:
        name: For programs.
        title: What to do; gets the variant for `{variant}`.
        confidence: How sure its savings are.
        find: Looks for it.
        explain: One or two sentences with the figures of a group.
        how: How to do it.
        upper_bound: True where the saving may be smaller.
    """

    name: str
    title: str
    confidence: Confidence
    find: Callable[[Scene], Finding]
    explain: Callable[[Group], str]
    how: Callable[[Group], str]
    upper_bound: bool = field(default=False)


def finding(
    calls: Calls,
    rows: Ints,
    saving: Floats | Ints,
    *,
    variants: Codes | None = None,
    unexamined: tuple[Unexamined, ...] = (),
) -> Finding:
    """A finding of what was computed: without rows that save nothing, none more than the call cost.

    Args:
        calls: All calls.
        rows: Some of them, each once; all priced.
        saving: pico-USD of each; NaN and what is below 1 drop out.
        variants: A text for each of `rows`.
        unexamined: What could not be looked at.
    """
    if saving.dtype.kind == "f":
        saving = np.rint(np.clip(np.nan_to_num(saving), 0, REPORTED_MAX))
    pico = np.minimum(saving.astype(np.int64), calls.cost[rows])
    kept = pico > 0
    given = variants or Codes(np.full(len(rows), UNKNOWN, dtype=np.int64), ())
    return Finding(rows[kept], pico[kept], Codes(given.codes[kept], given.names), unexamined)


def unexamined(kind: str, missing: Bools, why: str) -> tuple[Unexamined, ...]:
    """Says that calls could not be looked at; nothing where there are none."""
    count = int(missing.sum())
    return (Unexamined(kind, count, why),) if count else ()


def spread(gross: Floats, net: Floats, groups: Ints) -> Floats:
    """Shares the net saving of each group out over its calls, in proportion to what each saves by itself.

    A call that would have cost more (the one that writes the cache) gets nothing, and the others pay for it.

    Args:
        gross: Saving of each call, pico-USD; negative ones count as 0.
        net: Saving of each group, pico-USD.
        groups: The group of each call.
    """
    positive = np.maximum(gross, 0)
    total = np.bincount(groups, weights=positive, minlength=len(net))
    factor = np.divide(np.maximum(net, 0), total, out=np.zeros(len(net)), where=total > 0)
    shared: Floats = positive * factor[groups]
    return shared
