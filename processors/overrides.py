"""Prices that the configuration sets, and the book that decides which price is true.

The order of truth: an override, the cost that the provider's API returned, the source's price, `unpriced`.
A cost that an instrumentation computed is compared and counted, never taken.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from typing import Any, Final

from spanbudget.processors.call import TOKENS_MAX, LLMCall, PlainCall, PricedCall
from spanbudget.processors.money import plain
from spanbudget.processors.names_out import REPORTED_PRICE
from spanbudget.processors.plans import Plan, plain_write, plan_of
from spanbudget.processors.rates import (
    NAME_DOUBTS,
    NO_RATES,
    BucketRates,
    PriceSource,
    RateCard,
    RateHistory,
    charge,
    completed,
    standard_tier,
    unpriced,
)
from spanbudget.processors.selectors import wildcard_match

_new = tuple.__new__  # PricedCall(...) without its __new__ in Python: half the time
PLANS_MAX: Final = 4096
"""Compiled prices that a book remembers, unknown models included; at the limit it forgets all and compiles
again, so that random model names cost time, never memory."""
COUNTERS_MAX: Final = 256
"""Names of counters of a book; one more is counted under `other`."""
RATE_USD_MAX: Final = Decimal(1_000_000)
"""Highest rate that is believed, in USD per its unit; above it a price was probably written per token."""

REPORTED_MAX: Final = 10**18
"""Highest cost of one call that a provider is believed to report: pico-USD, a million USD."""

_TELLING: Final = NAME_DOUBTS | {"not_billed"}  # reasons of a call that its price depends on
_SECOND_NS: Final = 1_000_000_000
_CLAIM_TOLERANCE: Final = 1_000_000  # 1e-6 USD: below it the rounding of floats speaks, not the price
_TOKEN_BUCKETS: Final = (
    # field of an override, the rates that it sets
    ("input", ("input",)),
    ("cache_read", ("cache_read",)),
    ("cache_write", ("cache_write_5m", "cache_write_1h")),
    ("cache_write_5m", ("cache_write_5m",)),
    ("cache_write_1h", ("cache_write_1h",)),
    ("output", ("output", "reasoning")),
    ("audio_input", ("audio_input",)),
    ("audio_output", ("audio_output",)),
)
_PER_TOKEN_EXPONENT: Final = 6  # USD per 1M tokens → pico-USD per token
_PER_REQUEST_EXPONENT: Final = 12  # USD per call → pico-USD per call
_PER_SEARCH_EXPONENT: Final = 9  # USD per 1,000 searches → pico-USD per search


@dataclass(frozen=True, slots=True)
class PriceOverride:
    """A price that the configuration sets. The first match wins, before any other price.

    What it does not name keeps its list price, discounted alike: a contract that names `input` and `output`
    leaves the cache at the vendor's price. Where the table has no price for cached tokens either, they are
    full input (`cache_priced_as_input`), and audio is unpriced: no tokens become free by being left out. To
    make them free, write 0. A rate holds for every length of the prompt, and for every service tier; on a
    tier that is not the standard one that is a guess, and the cost is `override_tier_unspecified`.

    Attributes:
        provider: Normalised provider, `*` for any and for unknown ones; `*` may stand anywhere in it.
        model: Normalised model, with `*` for any characters; case does not matter.
        input: USD per 1M tokens, as the next seven; 0 to `RATE_USD_MAX`, None for "not named here".
        cache_read: For tokens read from a cache.
        cache_write: For tokens written to a cache, of any lifetime.
        cache_write_5m: For those of 5 minutes; beats `cache_write`.
        cache_write_1h: For those of 1 hour; beats `cache_write`.
        output: For the answer, reasoning included.
        audio_input: For audio of the prompt.
        audio_output: For audio of the answer.
        request: USD for each call.
        web_search: USD per 1,000 web searches.
        starts: First day, UTC; None for ever. Overrides of the same provider and model are a history: the
            latest that has started holds, and a call before all of them goes on to the next match.
        discount_percent: 0 to 100, off every rate and fee, named here or not; alone it discounts the list
            price.

    Raises:
        ValueError: A rate or discount is out of its range, or nothing is set.
    """

    provider: str
    model: str
    input: Decimal | None = None
    cache_read: Decimal | None = None
    cache_write: Decimal | None = None
    cache_write_5m: Decimal | None = None
    cache_write_1h: Decimal | None = None
    output: Decimal | None = None
    audio_input: Decimal | None = None
    audio_output: Decimal | None = None
    request: Decimal | None = None
    web_search: Decimal | None = None
    starts: date | None = None
    discount_percent: Decimal | None = None

    def __post_init__(self) -> None:
        amounts = {
            field.name: getattr(self, field.name) for field in fields(self)[2:] if field.name != "starts"
        }
        given = {name: amount for name, amount in amounts.items() if amount is not None}
        if not given:
            raise ValueError(f"price of {self.provider} {self.model}: set a rate or discount_percent")
        for name, amount in given.items():
            limit = Decimal(100) if name == "discount_percent" else RATE_USD_MAX
            if not amount.is_finite() or not 0 <= amount <= limit:
                raise ValueError(
                    f"price of {self.provider} {self.model}: {name} {amount} is not 0 to {limit}"
                )

    @property
    def id(self) -> str:
        """Eight hexadecimal digits that change whenever anything of the override changes."""
        values = (getattr(self, field.name) for field in fields(self))
        texts = (str(plain(value)) if isinstance(value, Decimal) else str(value) for value in values)
        return hashlib.sha256("\n".join(texts).encode()).hexdigest()[:8]

    @property
    def start_ns(self) -> int:
        """Nanoseconds since the epoch from which it holds; 0 for ever."""
        if self.starts is None:
            return 0
        midnight = datetime(self.starts.year, self.starts.month, self.starts.day, tzinfo=UTC)
        return max(0, int(midnight.timestamp()) * _SECOND_NS)

    def covers(self, provider: str | None, model: str) -> bool:
        """Whether the patterns match; a provider that is unknown is matched by `*` only."""
        return _like(self.provider, provider or "") and _like(self.model, model)

    def applied(self, card: RateCard | None, tier: str | None = None) -> RateCard | None:
        """The source's card, before `completed`, with this override laid over it.

        Args:
            card: None where the source has no price; then a mere discount is None as well.
            tier: Service tier of the card, None for the standard one.
        """
        named: dict[str, Decimal] = {}
        for name, buckets in _TOKEN_BUCKETS:
            usd = getattr(self, name)
            if usd is not None:
                named.update({bucket: usd.scaleb(_PER_TOKEN_EXPONENT) for bucket in buckets})
        if card is None and not named and self.request is None and self.web_search is None:
            return None
        base = card or RateCard("")
        listed = {bucket for rates in base.rates for bucket in _priced_buckets(rates)} - set(named)
        doubts = {(bucket, reason) for bucket, reason in base.doubts if bucket not in named}
        if named and tier:
            doubts |= {(bucket, "override_tier_unspecified") for bucket in named}
        if named and not base.request:
            doubts |= {(bucket, reason) for bucket in listed for reason in base.reasons}
        rows = [self._row(rates, named, doubts) for rates in base.rates]
        flat = all(replace(row, prompt_above=-1) == rows[0] for row in rows)
        by_itself = not listed and not base.request and base.web_search is None
        return RateCard(
            f"override:{self.id}" if by_itself else f"override:{self.id}/{base.price_id}",
            tuple(rows[:1] if flat else rows),
            self._fee(self.request, _PER_REQUEST_EXPONENT, base.request) or 0,
            self._fee(self.web_search, _PER_SEARCH_EXPONENT, base.web_search),
            base.reasons if base.request or not named else (),
            tuple(sorted(doubts)),
            from_override=True,
        )

    def _row(
        self, rates: BucketRates, named: dict[str, Decimal], doubts: set[tuple[str, str]]
    ) -> BucketRates:
        """The rates with the named ones in place, all discounted; adds a doubt for each that was rounded."""
        changes: dict[str, int] = {}
        for bucket, pico in {**_priced_buckets(rates), **named}.items():
            changes[bucket], exact = self._discounted(pico)
            if not exact:
                doubts.add((bucket, "price_rounded"))
        return replace(rates, **changes)

    def _fee(self, usd: Decimal | None, exponent: int, listed: int | None) -> int | None:
        if usd is None and listed is None:
            return None
        return self._discounted(Decimal(listed or 0) if usd is None else usd.scaleb(exponent))[0]

    def _discounted(self, pico: Decimal) -> tuple[int, bool]:
        """Whole pico-USD after the discount, half-even, and whether nothing was rounded."""
        with localcontext() as context:
            context.prec = 60
            exact = pico * (100 - (self.discount_percent or 0)) / 100
            rounded = int(exact.to_integral_value(ROUND_HALF_EVEN))
            return rounded, exact == rounded


def _priced_buckets(rates: BucketRates) -> dict[str, Decimal]:
    """The rates that are priced, by bucket."""
    pairs = ((field.name, getattr(rates, field.name)) for field in fields(rates)[1:])
    return {bucket: Decimal(rate) for bucket, rate in pairs if rate is not None}


def _like(pattern: str, text: str) -> bool:
    return wildcard_match(pattern.lower(), text.lower())


def overridden(
    history: RateHistory | None,
    overrides: Sequence[PriceOverride],
    *,
    provider: str | None,
    model: str,
    tier: str | None = None,
) -> RateHistory | None:
    """A history with every override laid over it that matches; None where still nothing is priced."""
    groups: dict[tuple[str, str], list[PriceOverride]] = {}
    for override in overrides:
        if override.covers(provider, model):
            groups.setdefault((override.provider.lower(), override.model.lower()), []).append(override)
    if not groups:
        return history

    def change(card: RateCard | None, start_ns: int) -> RateCard | None:
        for group in groups.values():
            started = [override for override in group if override.start_ns <= start_ns]
            if started:
                laid = max(started, key=lambda override: override.start_ns).applied(card, tier)
                if laid is not None:
                    return laid
        return card

    starts = (override.start_ns for group in groups.values() for override in group)
    return (history or NO_RATES).mapped(change, starts)


class PriceBook:
    """Prices calls; for one thread.

    Args:
        source: Asked once for each provider, model and tier.
        overrides: In the order of the configuration.

    Attributes:
        counters: What happened, by name: `unpriced:<reason>`; `reported_invalid`; and for costs that an
            instrumentation claimed `claimed_zero:<scope>` (a 0 where there is a price) and
            `claimed_differs:<scope>` (by more than 1 % and more than 1e-6 USD).
    """

    def __init__(self, source: PriceSource, overrides: Sequence[PriceOverride] = ()) -> None:
        self.counters: dict[str, int] = {}
        self._source = source
        self._overrides = tuple(overrides)
        self._plans: dict[tuple[str | None, str | None, str | None], Plan] = {}
        self._latest: dict[str | None, tuple[Any, ...]] = {}  # model → row of its last plan, provider, tier

    def card(self, provider: str | None, model: str | None, tier: str | None, at_ns: int) -> RateCard | None:
        """What a call would be priced by that ends then; None where nothing is priced."""
        plan = self._plans.get((provider, model, tier)) or self._compiled(provider, model, tier)
        return plan.history.at(at_ns)

    def price(self, call: LLMCall) -> PricedCall:
        """Prices a call; never raises. What it cannot price is `unpriced` with its reason, and counted.

        Reasons for no price: `no_model`; `no_price`, an unknown model; `usage_unknown`; `usage_invalid`,
        negative or with parts above their whole; `bucket_unpriced`, tokens of a kind that has no rate.
        """
        # By the model alone first: one name is quicker to look up than three, and one tier follows itself.
        row = self._latest.get(call[5])
        if row is None or row[8] is not call[4] or row[9] is not call[10]:
            row = self._row(call)
        since_ns, prompt_max, per_input, per_output, per_read, price_id, sure, why, _, _ = row
        if type(call) is PlainCall and call[15] >= since_ns:
            usage: Any = call[11]  # plain: its counts are there
            fresh, read, output = usage[0], usage[1], usage[5]
            if fresh + read <= prompt_max:
                cost_input, cost_output = fresh * per_input, output * per_output
                cost_read = read * per_read if read else 0
                cost = cost_input + cost_read + cost_output
                parts = (call, cost, cost_input, cost_read, 0, cost_output, price_id, sure, why)
                return _new(PricedCall, parts)
        return self._priced(call)

    def _row(self, call: LLMCall) -> tuple[Any, ...]:
        key = (call.provider, call.model, call.tier)
        plan = self._plans.get(key) or self._compiled(*key)
        row = self._latest[call.model] = (*plan.row, call.provider, call.tier)
        return row

    def _priced(self, call: LLMCall) -> PricedCall:
        """Prices a call that is not plain, or that plain rates do not hold for."""
        plan = self._plans[call.provider, call.model, call.tier]
        usage = call.usage
        fresh, read, output = usage.input, usage.cache_read or 0, usage.output
        rare = call.web_searches or usage.audio_input or usage.audio_output or usage.audio_cache_read
        told = call.reported_cost is not None or not _TELLING.isdisjoint(call.reasons)
        if fresh is None or output is None or call.end_ns < plan.since_ns or rare or told:
            return self._considered(call, plan.history)
        prompt = fresh + read + (usage.cache_write or 0)
        while prompt > plan.prompt_max and plan.longer is not None:
            plan = plan.longer
        cost_write = plain_write(plan, usage.cache_write or 0, usage.cache_write_5m, usage.cache_write_1h)
        wrong = fresh < 0 or not 0 <= read <= plan.read_max or cost_write < 0 or prompt > plan.prompt_max
        if wrong or not 0 <= output <= TOKENS_MAX:
            return self._considered(call, plan.history)
        costs = (fresh * plan.input, read * plan.cache_read, cost_write, output * plan.output)
        cost = sum(costs)
        if call.claimed_cost is not None:
            self._compare(call, call.claimed_cost, cost)
        sure = plan.confidence if call.usage_confidence == "exact" else "estimated"
        return PricedCall(call, cost, *costs, plan.price_id, sure, plan.reasons)

    def _compiled(self, provider: str | None, model: str | None, tier: str | None) -> Plan:
        """Compiles and remembers the prices of one key."""
        history = None
        if model is not None:
            tier_asked = standard_tier(tier)
            listed = self._source.compile(provider, model, tier_asked)
            history = overridden(listed, self._overrides, provider=provider, model=model, tier=tier_asked)
        whole = (history or NO_RATES).mapped(lambda card, _: card and completed(card))
        if len(self._plans) >= PLANS_MAX:
            self._plans, self._latest = {}, {}
        plan = self._plans[provider, model, tier] = plan_of(whole)
        return plan

    def _considered(self, call: LLMCall, history: RateHistory) -> PricedCall:
        """Prices a call in every case that there is, and counts what is worth a look."""
        result = self._true_price(call, history.at(call.end_ns))
        if result.cost is None:
            self._count("unpriced", result.reasons[0])
        elif call.claimed_cost is not None:
            self._compare(call, call.claimed_cost, result.cost)
        return result

    def _compare(self, call: LLMCall, claimed: int, cost: int) -> None:
        """Counts a claimed cost that is not ours."""
        difference = abs(claimed - cost)
        if not claimed and cost:
            self._count("claimed_zero", call.scope)
        elif difference > _CLAIM_TOLERANCE and difference * 100 > cost:
            self._count("claimed_differs", call.scope)

    def _true_price(self, call: LLMCall, card: RateCard | None) -> PricedCall:
        """Takes the cases in the order of truth.

        A reported 0 is believed only where the rates come to 0 as well: some gateways report 0 for unknown.
        """
        reported = call.reported_cost
        if "not_billed" in call.reasons and not call.usage.total and not reported:
            return PricedCall(call, 0, 0, 0, 0, 0, "not_billed", "exact", ())
        by_rates = _by_rates(call, card)
        if reported is None or (card is not None and card.from_override and by_rates.cost is not None):
            return by_rates
        if not 0 <= reported <= REPORTED_MAX:
            self._count("reported_invalid", call.scope)
            return by_rates
        if reported or by_rates.cost == 0:
            source = f"{REPORTED_PRICE}{call.provider or 'unknown'}"
            return PricedCall(call, reported, 0, 0, 0, 0, source, "exact", ())
        if by_rates.cost is None:
            return by_rates
        return by_rates._replace(confidence="estimated", reasons=(*by_rates.reasons, "reported_zero"))

    def _count(self, name: str, label: str) -> None:
        key = f"{name}:{label}"
        if key not in self.counters and len(self.counters) >= COUNTERS_MAX:
            key = f"{name}:other"
        self.counters[key] = self.counters.get(key, 0) + 1


def _by_rates(call: LLMCall, card: RateCard | None) -> PricedCall:
    """The price by override or source, or the reason why there is none."""
    usage = call.usage
    if call.model is None:
        return unpriced(call, "no_model")
    if card is None:
        return unpriced(call, "no_price")
    counts = (usage.input, usage.cache_read, usage.cache_write, usage.output)
    if all(count is None for count in counts):
        return unpriced(call, "usage_unknown")
    return charge(call, card)
