"""From the calls of a window to suggestions that do not count money twice."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from spanbudget.processors.errors import AmountError
from spanbudget.processors.money import pico_to_usd, usd_to_pico
from spanbudget.processors.rates import DAY_NS
from spanbudget.rules.advice.calls import LABEL, Calls, Ints, read_calls
from spanbudget.rules.advice.finding import Finding, Group, Kind, unexamined
from spanbudget.rules.advice.group_stats import counts
from spanbudget.rules.advice.kinds.batch import BATCH
from spanbudget.rules.advice.kinds.cache_misses import CACHE_MISSES
from spanbudget.rules.advice.kinds.cheaper_model import CHEAPER_MODEL
from spanbudget.rules.advice.kinds.context_growth import CONTEXT_GROWTH
from spanbudget.rules.advice.kinds.duplicates import DUPLICATES, EMBEDDING_REPEATS
from spanbudget.rules.advice.kinds.failed_spend import FAILED_SPEND
from spanbudget.rules.advice.kinds.prompt_cache import PROMPT_CACHE_CHANGE, PROMPT_CACHE_ON
from spanbudget.rules.advice.kinds.reasoning_excess import REASONING_EXCESS
from spanbudget.rules.advice.kinds.retry_waste import RETRY_WASTE
from spanbudget.rules.advice.kinds.tier_cliff import TIER_CLIFF
from spanbudget.rules.advice.overlap import Claim, Counted, counted_once
from spanbudget.rules.advice.repricing import Prices, Repricer, grouped
from spanbudget.rules.advice.scene import Scene, scene_of
from spanbudget.rules.advice.settings import Settings
from spanbudget.rules.advice.suggestion import Advice, Suggestion, Unexamined
from spanbudget.rules.advice.totals import exact_sum

KINDS: Final[Sequence[Kind]] = (
    RETRY_WASTE,
    FAILED_SPEND,
    DUPLICATES,
    EMBEDDING_REPEATS,
    TIER_CLIFF,
    PROMPT_CACHE_ON,
    PROMPT_CACHE_CHANGE,
    BATCH,
    CACHE_MISSES,
    CHEAPER_MODEL,
    REASONING_EXCESS,
    CONTEXT_GROWTH,
)
"""All kinds; where two save the same for a call, the first has it: the one that says most."""

_MONTH_DAYS: Final = Decimal("30.4375")
"""365.25 days in 12 months."""
_MONTHLY_DIGITS: Final = Decimal("0.000001")
"""To a millionth of a USD: an extrapolation has no further digits worth writing."""


@dataclass(frozen=True, slots=True)
class _Draft:
    """A suggestion that is large enough to make."""

    kind: Kind
    rows: Ints
    saving: Ints
    group: Group


class _Small(NamedTuple):
    """What is too small to tell: how many suggestions, and their pico-USD."""

    suggestions: int
    pico: int


def advise(
    frame: pd.DataFrame, repricer: Repricer, settings: Settings, *, since_ns: int, until_ns: int
) -> Advice:
    """Looks for every kind of waste.

    Args:
        frame: The calls, see `calls.COLUMNS`; reversed ones removed.
        repricer: Prices.
        settings: What is worth a suggestion.
        since_ns: Start of the window, nanoseconds since the epoch; it scales a saving to a month.
        until_ns: End of the window.

    Raises:
        AmountError: The table lacks a column or holds what it must not, or the window ends before it starts.
    """
    if until_ns <= since_ns:
        raise AmountError(f"the window must end after it starts, got {since_ns} to {until_ns}")
    calls = read_calls(frame)
    scene = scene_of(calls, Prices(calls, repricer), settings)
    spent = exact_sum(np.maximum(calls.cost, 0))
    least = max(usd_to_pico(settings.min_usd), int(spent * settings.min_share), 1)
    drafts: list[_Draft] = []
    missing = list(_unpriced(scene))
    small = []
    for kind in KINDS:
        found = kind.find(scene)
        missing += found.unexamined
        made, rest = _drafts(scene, kind, found, least)
        drafts += made
        small.append(rest)
    counted = counted_once([Claim(one.kind.confidence, one.rows, one.saving) for one in drafts], len(calls))
    avoidable = np.zeros(calls.given, dtype=np.int64)
    avoidable[calls.rows] = counted.avoidable
    return Advice(
        suggestions=_suggestions(scene, drafts, counted, until_ns - since_ns),
        spent_pico=spent,
        counted_pico=counted.by_confidence,
        calls=len(calls),
        below=sum(rest.suggestions for rest in small),
        below_pico=sum(rest.pico for rest in small),
        unexamined=tuple(missing),
        avoidable=avoidable,
    )


def _unpriced(scene: Scene) -> Iterator[Unexamined]:
    """What hardly any kind of suggestion can say anything about."""
    calls = scene.calls
    yield from unexamined(
        "*", ~calls.priced, "no cost: the model has no price (set one under prices:) or the span no tokens"
    )
    yield from unexamined(
        "*",
        scene.prices.unlisted,
        "no rates, only a reported cost: just repeats, retries and failures are seen",
    )
    if calls.given > len(calls):
        yield Unexamined("*", calls.given - len(calls), "the same span again; its last row counts")


def _drafts(scene: Scene, kind: Kind, found: Finding, least: int) -> tuple[list[_Draft], _Small]:
    """The findings of one kind that are large enough, and what the others come to.

    They are told by place. What is too small there is put together by model, and what is too small there
    too, all over: much waste in many places is much waste.
    """
    provider, model = ("provider", "model")
    labels = tuple(f"{LABEL}{name}" for name in scene.settings.by)
    everywhere = np.zeros_like(scene.places)
    levels = ((scene.places, (provider, model, *labels)), (scene.models, (provider, model)), (everywhere, ()))
    drafts, small = [], _Small(0, 0)
    left = np.arange(len(found.rows))
    for codes, shared in levels:
        kept = []
        small = _Small(0, 0)
        for chosen in _parts(codes[found.rows[left]], found.variants.codes[left]):
            at = left[chosen]
            draft = _draft(scene, kind, found, at, shared)
            if draft.group.saving >= least and draft.group.calls >= scene.settings.min_calls:
                drafts.append(draft)
            else:
                kept.append(at)
                small = _Small(small.suggestions + 1, small.pico + draft.group.saving)
        left = np.concatenate(kept) if kept else left[:0]
    return drafts, small


def _parts(*codes: Ints) -> Iterator[Ints]:
    """The rows that have the same codes, group after group."""
    _, groups = grouped(*codes)
    order = np.argsort(groups, kind="stable")
    yield from np.split(order, np.cumsum(counts(groups))[:-1]) if len(order) else ()


def _draft(scene: Scene, kind: Kind, found: Finding, at: Ints, shared: Sequence[str]) -> _Draft:
    """A suggestion for some of the rows that were found.

    Args:
        scene: All calls.
        kind: The kind.
        found: What was found.
        at: Places in `found.rows`, at least one.
        shared: The columns that have the same text in all of these rows.
    """
    calls, rows, saving = scene.calls, found.rows[at], found.saving[at]
    texts = {name.removeprefix(LABEL): _text(calls, name, int(rows[0])) for name in shared}
    group = Group(
        calls=len(rows),
        saving=exact_sum(saving),
        cost=exact_sum(calls.cost[rows]),
        where={name: text for name, text in texts.items() if text is not None},
        variant=found.variants.at(int(at[0])),
    )
    return _Draft(kind, rows, saving, group)


def _text(calls: Calls, column: str, row: int) -> str | None:
    """What a call has in a column of texts."""
    codes = calls.texts.get(column)
    text = None if codes is None else codes.at(row)
    return None if text is None else str(text)


def _suggestions(
    scene: Scene, drafts: Sequence[_Draft], counted: Counted, window_ns: int
) -> tuple[Suggestion, ...]:
    """The suggestions, what counts most first."""
    made = [
        _suggestion(scene, draft, pico, window_ns) for draft, pico in zip(drafts, counted.claims, strict=True)
    ]
    return tuple(sorted(made, key=lambda one: (-one.counted_pico, -one.saving_pico)))


def _suggestion(scene: Scene, draft: _Draft, counted_pico: int, window_ns: int) -> Suggestion:
    calls, kind, group = scene.calls, draft.kind, draft.group
    largest = draft.rows[np.argsort(-draft.saving, kind="stable")[: scene.settings.evidence]].tolist()
    spans = ((_text(calls, "trace_id", row) or "", _text(calls, "span_id", row) or "") for row in largest)
    monthly, note = _monthly(group.saving, window_ns)
    variant = {} if group.variant is None else {"variant": group.variant}
    return Suggestion(
        kind=kind.name,
        title=kind.title.format(variant=group.variant),
        explanation=kind.explain(group) + note,
        how=kind.how(group),
        saving_pico=group.saving,
        counted_pico=counted_pico,
        monthly_usd=monthly,
        confidence=kind.confidence,
        upper_bound=kind.upper_bound,
        calls=group.calls,
        evidence=tuple(spans),
        group={**group.where, **variant},
    )


def _monthly(saving: int, window_ns: int) -> tuple[Decimal | None, str]:
    """A saving of the window for a month, and what to say about it."""
    if window_ns < DAY_NS:
        return None, " The window is shorter than a day, too short for a figure of a month."
    monthly = pico_to_usd(saving) * _MONTH_DAYS * DAY_NS / window_ns
    return monthly.quantize(_MONTHLY_DIGITS), ""
