"""Compiled integer rates, and what a call costs at them.

A price source compiles each (provider, model, tier) once into a `RateHistory`: segments by date, cards by
time of the week, rates by length of the prompt. From then on a price is integer arithmetic: every rate is in
pico-USD per token. Which price is true for a call, `PriceBook` in `overrides` decides.
"""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from spanbudget.processors.call import TOKENS_MAX, LLMCall, PricedCall, Usage

DAY_NS: Final = 86_400_000_000_000
WEEK_NS: Final = 7 * DAY_NS

_MONDAY_NS: Final = 4 * DAY_NS  # 1970-01-01 was a Thursday
NAME_DOUBTS: Final = frozenset({"tier_requested_only", "router_suffix"})
"""Reasons of a call that leave its tokens exact and its price uncertain."""
_STANDARD_TIERS: Final = frozenset({"", "default", "standard", "auto", "on_demand", "on-demand"})


@dataclass(frozen=True, slots=True)
class BucketRates:
    """What one token of each bucket costs, for prompts of one range of lengths.

    Attributes:
        prompt_above: The rates hold for prompts of more than this many tokens; -1 for the shortest prompts.
        input: pico-USD per token, as all that follow; 0 is free, None is not priced.
        cache_read: For prompt tokens read from a cache.
        cache_write_5m: For prompt tokens written to a cache for 5 minutes, or for its only lifetime.
        cache_write_1h: For prompt tokens written to a cache for 1 hour.
        output: For tokens of the answer.
        reasoning: For reasoning tokens, where they are priced apart from `output`.
        audio_input: For audio tokens of the prompt.
        audio_cache_read: For audio tokens read from a cache.
        audio_output: For audio tokens of the answer.
        image_input: For image tokens of the prompt, where they are priced apart from `input`.
    """

    prompt_above: int = -1
    input: int | None = None
    cache_read: int | None = None
    cache_write_5m: int | None = None
    cache_write_1h: int | None = None
    output: int | None = None
    reasoning: int | None = None
    audio_input: int | None = None
    audio_cache_read: int | None = None
    audio_output: int | None = None
    image_input: int | None = None


@dataclass(frozen=True, slots=True)
class RateCard:
    """One price: what holds for one model and tier at one moment.

    Attributes:
        price_id: Names source, version and entry; every charge keeps it.
        rates: By length of prompt, `prompt_above` ascending from -1; the whole call is at one of them.
        request: Fee for each call, pico-USD.
        web_search: Fee for each web search, pico-USD; None where not priced.
        reasons: Why no cost of this price is exact.
        doubts: Why a cost is not exact in which this bucket is not 0: pairs of bucket and reason.
        from_override: True where the configuration set it; it then beats a provider's reported cost.
    """

    price_id: str
    rates: tuple[BucketRates, ...] = (BucketRates(),)
    request: int = 0
    web_search: int | None = None
    reasons: tuple[str, ...] = ()
    doubts: tuple[tuple[str, str], ...] = ()
    from_override: bool = False

    def rates_for(self, prompt: int) -> BucketRates:
        """The rates of a call whose whole prompt, cached or not, has this many tokens."""
        chosen = self.rates[0]
        for rates in self.rates[1:]:
            if prompt > rates.prompt_above:
                chosen = rates
        return chosen


@dataclass(frozen=True, slots=True)
class RateSegment:
    """The prices from one moment until the next segment.

    Attributes:
        start_ns: Nanoseconds since the epoch; 0 for the first segment.
        cards: Pairs of a start within the UTC week (nanoseconds since Monday 00:00, ascending from 0) and the
            card that holds from there; empty where nothing is priced.
    """

    start_ns: int
    cards: tuple[tuple[int, RateCard], ...]

    def at(self, end_ns: int) -> RateCard | None:
        """The card for a call that ended then; None where nothing is priced."""
        if len(self.cards) < 2:
            return self.cards[0][1] if self.cards else None
        time_of_week = (end_ns - _MONDAY_NS) % WEEK_NS
        return self.cards[bisect_right(self.cards, time_of_week, key=lambda pair: pair[0]) - 1][1]


@dataclass(frozen=True, slots=True)
class RateHistory:
    """All prices of one model and tier, segments ascending from 0."""

    segments: tuple[RateSegment, ...]

    def segment(self, end_ns: int) -> RateSegment:
        """The segment in which a call ended (`end_ns` of 0 or more)."""
        if len(self.segments) == 1:
            return self.segments[0]
        return self.segments[max(0, bisect_right(self.segments, end_ns, key=lambda part: part.start_ns) - 1)]

    def at(self, end_ns: int) -> RateCard | None:
        """The card for a call that ended then; None where nothing is priced."""
        return self.segment(end_ns).at(end_ns)

    def mapped(
        self, change: Callable[[RateCard | None, int], RateCard | None], starts_ns: Iterable[int] = ()
    ) -> "RateHistory":
        """The same history with every card changed, and cut at further starts.

        Args:
            change: Takes a card (None where nothing is priced) and the start of its segment.
            starts_ns: Moments at which `change` changes its mind.
        """
        starts = sorted(
            {part.start_ns for part in self.segments} | {start for start in starts_ns if start > 0}
        )
        segments = []
        for start in starts:
            cards: Sequence[tuple[int, RateCard | None]] = self.segment(start).cards or ((0, None),)
            changed = [(week_ns, change(card, start)) for week_ns, card in cards]
            kept = tuple((week_ns, card) for week_ns, card in changed if card is not None)
            segments.append(RateSegment(start, kept))
        return RateHistory(tuple(segments))


NO_RATES: Final = RateHistory((RateSegment(0, ()),))


class PriceSource(Protocol):
    """Where prices come from. It is asked once for each key, so it may take milliseconds; it never raises."""

    @property
    def version(self) -> str:
        """Version of the data, as price ids spell it."""
        ...

    def compile(self, provider: str | None, model: str, tier: str | None) -> RateHistory | None:
        """The prices of a model; None where the source does not know it.

        Args:
            provider: Normalised provider (`openai`, `aws.bedrock`, …); None where unknown.
            model: Normalised name of the model.
            tier: Service tier; None for the standard one. Where the source has no price for a tier, the cards
                are the standard ones with the reason `tier_unpriced`.
        """
        ...


def standard_tier(tier: str | None) -> str | None:
    """The tier in lower case; None for every spelling of the standard tier."""
    lower = (tier or "").lower()
    return None if lower in _STANDARD_TIERS else lower


Costs: TypeAlias = tuple[int, int, int, int, int]
"""pico-USD: the total, and its parts for input, cache reads, cache writes and output."""

_BUCKETS: Final = (
    "input", "audio_input", "image_input", "cache_read", "audio_cache_read", "cache_write_5m",
    "cache_write_1h", "output", "audio_output", "reasoning",
)  # fmt: skip

_FALLBACKS: Final = (
    # bucket, the bucket whose rate it takes where it has none, why the cost is then not exact
    ("cache_read", "input", "cache_priced_as_input"),
    ("cache_write_1h", "cache_write_5m", "cache_1h_priced_as_5m"),
    ("cache_write_1h", "input", "cache_priced_as_input"),
    ("cache_write_5m", "input", "cache_priced_as_input"),
    ("audio_cache_read", "audio_input", "cache_priced_as_input"),
    ("reasoning", "output", None),
    ("image_input", "input", None),
)


def completed(card: RateCard) -> RateCard:
    """Fills the gaps of a card, in the amounts of genai-prices, with a doubt wherever that is a guess.

    Cached tokens without a rate are full input, 1-hour writes without one are 5-minute writes; reasoning and
    image tokens without one are plain output and input, which is how they are sold. Audio is not text:
    without a rate of its own it stays unpriced.
    """
    doubts = list(card.doubts)
    rates = []
    for given in card.rates:
        filled = given
        for bucket, other, reason in _FALLBACKS:
            if getattr(filled, bucket) is None and getattr(filled, other) is not None:
                filled = replace(filled, **{bucket: getattr(filled, other)})
                if reason and (bucket, reason) not in doubts:
                    doubts.append((bucket, reason))
        rates.append(filled)
    return replace(card, rates=tuple(rates), doubts=tuple(doubts))


def priced(call: LLMCall, costs: Costs, price_id: str, doubts: Sequence[str] = ()) -> PricedCall:
    """A priced call; exact where there are no doubts and the usage and its tier are known."""
    exact = not doubts and call.usage_confidence == "exact" and NAME_DOUBTS.isdisjoint(call.reasons)
    return PricedCall(call, *costs, price_id, "exact" if exact else "estimated", tuple(dict.fromkeys(doubts)))


def unpriced(call: LLMCall, reason: str) -> PricedCall:
    """A call without a price."""
    return PricedCall(call, None, 0, 0, 0, 0, None, "unpriced", (reason,))


def _writes(usage: Usage) -> tuple[int, int, int]:
    """Tokens written to a cache for 5 minutes, for 1 hour, and how many of the first nobody told to be so.

    Where one part is known the other is the rest. The first is negative where the parts exceed the whole.
    """
    whole, short, long = usage.cache_write, usage.cache_write_5m, usage.cache_write_1h
    if whole is None:
        return short or 0, long or 0, 0
    if short is not None and long is None:
        long = whole - short
    elif long is not None and short is None:
        short = whole - long
    short, long = short or 0, long or 0
    unknown = whole - short - long
    return (short + unknown, long, unknown) if unknown >= 0 else (unknown, long, 0)


def _counts(usage: Usage, rates: BucketRates, write_5m: int, write_1h: int) -> tuple[int, ...]:
    """Tokens in the order of `_BUCKETS`; a part that is not priced apart stays in its bucket.

    A count is negative where the usage contradicts itself.
    """
    audio, audio_read, audio_output = (
        usage.audio_input or 0,
        usage.audio_cache_read or 0,
        usage.audio_output or 0,
    )
    image = (usage.image_input or 0) if rates.image_input != rates.input else 0
    reasoning = (usage.reasoning or 0) if rates.reasoning != rates.output else 0
    return (
        (usage.input or 0) - audio - image,
        audio,
        image,
        (usage.cache_read or 0) - audio_read,
        audio_read,
        write_5m,
        write_1h,
        (usage.output or 0) - audio_output - reasoning,
        audio_output,
        reasoning,
    )


def _usage_doubts(call: LLMCall, rates: BucketRates, write_unknown: int) -> list[str]:
    """Why a cost is not exact because of what the usage does not tell."""
    usage = call.usage
    doubts = []
    if usage.input is None and rates.input:
        doubts.append("usage_partial")
    if usage.output is None and rates.output and call.operation != "embeddings":
        doubts.append("usage_partial")
    if write_unknown and rates.cache_write_5m != rates.cache_write_1h:
        doubts.append("cache_ttl_unknown")
    speaks = rates.audio_output is not None and rates.audio_output != rates.output
    if usage.output and speaks and usage.audio_output is None:
        doubts.append("part_unknown")
    if usage.output and rates.reasoning != rates.output and usage.reasoning is None:
        doubts.append("part_unknown")
    return doubts


def charge(call: LLMCall, card: RateCard) -> PricedCall:
    """Prices a call with a completed card; unpriced where a bucket that is not 0 has no rate."""
    usage = call.usage
    write_5m, write_1h, write_unknown = _writes(usage)
    rates = card.rates_for((usage.input or 0) + (usage.cache_read or 0) + write_5m + write_1h)
    counts, searches = _counts(usage, rates, write_5m, write_1h), call.web_searches or 0
    if not 0 <= searches <= TOKENS_MAX:
        return unpriced(call, "usage_invalid")
    if rates.input is None and rates.output is None and not card.request:
        return unpriced(call, "bucket_unpriced")
    costs = [0] * len(_BUCKETS)
    for index, count in enumerate(counts):
        if count:
            rate = getattr(rates, _BUCKETS[index])
            if not 0 < count <= TOKENS_MAX:
                return unpriced(call, "usage_invalid")
            if rate is None:
                return unpriced(call, "bucket_unpriced")
            costs[index] = count * rate
    doubts = [*card.reasons, *(reason for bucket, reason in card.doubts if counts[_BUCKETS.index(bucket)])]
    doubts += _usage_doubts(call, rates, write_unknown)
    if searches and card.web_search is None:
        doubts.append("web_search_unpriced")
    fees = card.request + searches * (card.web_search or 0)
    parts = sum(costs[:3]), costs[3] + costs[4], costs[5] + costs[6], sum(costs[7:])
    return priced(call, (sum(parts) + fees, *parts), card.price_id, doubts)
