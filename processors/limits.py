"""Admission as pure decisions: may this call hold this money, how large is a lease, when is there more?

Available is the limit less what is settled less what is held. A store asks `admit` inside the transaction
that makes the hold, so no two processes ever decide on the same money.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

Measure: TypeAlias = Literal["cost", "tokens", "requests"]
Refused: TypeAlias = Literal["limit", "rate", "too_large", "suspended"]
MEASURES: Final[tuple[Measure, ...]] = ("cost", "tokens", "requests")
MINUTE_NS: Final = 60_000_000_000
TIGHT_PERCENT: Final = 5
"""Below this share of a limit (5 %) nothing is leased ahead: a call holds what it needs and no more."""
LEASE_DIVISOR: Final = 4
"""All leases together take at most a quarter of what is left, shared by those who hold one."""


class Amount(NamedTuple):
    """What a call takes of each measure.

    Attributes:
        cost: pico-USD.
        tokens: Tokens.
        requests: Calls.
    """

    cost: int = 0
    tokens: int = 0
    requests: int = 0

    def plus(self, other: "Amount") -> "Amount":
        """The sum of both."""
        return Amount(self[0] + other[0], self[1] + other[1], self[2] + other[2])

    def minus(self, other: "Amount") -> "Amount":
        """This less the other; parts may be negative."""
        return Amount(self[0] - other[0], self[1] - other[1], self[2] - other[2])

    def at_least(self, floor: int = 0) -> "Amount":
        """The same with no part below `floor`."""
        return Amount(max(self[0], floor), max(self[1], floor), max(self[2], floor))


NOTHING: Final = Amount()


class Limits(NamedTuple):
    """A limit on each measure; None where it is not limited.

    Attributes:
        cost: pico-USD.
        tokens: Tokens.
        requests: Calls.
    """

    cost: int | None = None
    tokens: int | None = None
    requests: int | None = None


UNLIMITED: Final = Limits()


class Pot(NamedTuple):
    """Whose money a hold is from: a budget, or one child of a template.

    Attributes:
        budget: Name of the budget.
        child: The child's text; "" for a plain budget.
    """

    budget: str
    child: str = ""


@dataclass(frozen=True, slots=True)
class Demand:
    """What one budget is asked to hold.

    Attributes:
        pot: Whose money.
        period: Canonical text of the period, as spend is kept by it.
        first_ns: Start of the first window whose settled spend counts.
        last_ns: Start of the last one.
        limits: The limits as they are now, with grants and what was carried over.
        need: What must be held, or nothing is.
        want: What a lease would like, `need` or more in each part.
        rates: Most of each measure in a minute.
        suspends: Nothing is held once so much of a measure is settled.
        closed: True where the budget is suspended: nothing is held.
    """

    pot: Pot
    period: str
    first_ns: int
    last_ns: int
    limits: Limits
    need: Amount
    want: Amount
    rates: Limits = UNLIMITED
    suspends: Limits = UNLIMITED
    closed: bool = False


@dataclass(frozen=True, slots=True)
class Standing:
    """What a store knows about a pot inside the transaction.

    Attributes:
        spent: Settled in the windows of the demand.
        held: Held by all live owners, the asking one included.
        holders: Owners that hold something, 0 or more.
        busy_until_ns: For each measure, when its rate limit is all free again, nanoseconds since the epoch; 0
            where it was never used.
    """

    spent: Amount = NOTHING
    held: Amount = NOTHING
    holders: int = 0
    busy_until_ns: tuple[int, int, int] = (0, 0, 0)


@dataclass(frozen=True, slots=True)
class Grant:
    """What a store has held for a demand.

    Attributes:
        pot: Whose money.
        amount: Held now, between `need` and `want`.
        standing: What the decision was taken on.
        tight: Less than 5 % of a limit is left: give back at once what is not used.
        busy_until_ns: The new state of the rate limits.
    """

    pot: Pot
    amount: Amount
    standing: Standing
    tight: bool
    busy_until_ns: tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why nothing was held; nothing has changed.

    Attributes:
        pot: The budget that refused.
        reason: `limit`: what is left does not suffice; `rate`: too much in this minute; `too_large`: more
            than the limit itself or than a minute's rate, so that waiting does not help; `suspended`.
        measure: What there was too little of.
        limit: The limit of that measure, or its rate in a minute; 0 where suspended.
        standing: What the decision was taken on.
        available: How much of the measure was left, 0 or more.
        retry_after_ns: When it is worth trying again; None where time alone does not help.
    """

    pot: Pot
    reason: Refused
    measure: Measure
    limit: int
    standing: Standing
    available: int = 0
    retry_after_ns: int | None = None


@dataclass(frozen=True, slots=True)
class RateState:
    """One rate limit as a token bucket that holds one minute's worth (generic cell rate algorithm).

    Attributes:
        per_minute: Units in a minute, above 0.
        busy_until_ns: When the bucket is full again, nanoseconds since the epoch; in the past where it is.

    Source: ITU-T I.371, the virtual scheduling algorithm, with a tolerance of one minute.
    """

    per_minute: int
    busy_until_ns: int

    def begin_ns(self, now_ns: int) -> int:
        """Where the next use begins; a clock that was set back blocks for a minute at most."""
        return min(max(self.busy_until_ns, now_ns), now_ns + MINUTE_NS)

    def available(self, now_ns: int) -> int:
        """Units that can be taken at once."""
        return (now_ns + MINUTE_NS - self.begin_ns(now_ns)) * self.per_minute // MINUTE_NS

    def taken(self, units: int, now_ns: int) -> int:
        """The new `busy_until_ns` after units are taken; negative units are given back."""
        shift = -(-units * MINUTE_NS // self.per_minute)  # rounded up: never more than the rate
        return self.begin_ns(now_ns) + shift

    def wait_ns(self, units: int, now_ns: int) -> int:
        """How long until so many units can be taken, for `units` of at most `per_minute`."""
        return max(0, self.taken(units, now_ns) - now_ns - MINUTE_NS)


def admit(demand: Demand, standing: Standing, now_ns: int) -> Grant | Refusal:
    """Decides on one demand; every demand of a call must be granted, or none is held.

    Args:
        demand: What is asked.
        standing: What the store knows, read in the same transaction.
        now_ns: Nanoseconds since the epoch.
    """
    reached = (limit is not None and standing.spent[i] >= limit for i, limit in enumerate(demand.suspends))
    if demand.closed or any(reached):
        return Refusal(demand.pot, "suspended", "cost", demand.limits.cost or 0, standing)
    granted: list[int] = []
    busy: list[int] = []
    tight = False
    for index, measure in enumerate(MEASURES):
        need, limit, rate = demand.need[index], demand.limits[index], demand.rates[index]
        room = max(demand.want[index], need)
        if limit is not None:
            left = limit - standing.spent[index] - standing.held[index]
            if need > left:
                reason: Refused = "too_large" if need > limit else "limit"
                return Refusal(demand.pot, reason, measure, limit, standing, max(0, left))
            near = (left - need) * 100 < limit * TIGHT_PERCENT
            tight = tight or near
            room = need if near else min(room, max(need, left // (LEASE_DIVISOR * max(1, standing.holders))))
        free_at = standing.busy_until_ns[index]
        if rate is not None:
            state = RateState(rate, free_at)
            available = state.available(now_ns)
            if need > available:
                if need > rate:
                    return Refusal(demand.pot, "too_large", measure, rate, standing, available)
                wait_ns = state.wait_ns(need, now_ns)
                return Refusal(demand.pot, "rate", measure, rate, standing, available, wait_ns)
            room = min(room, max(need, available // (LEASE_DIVISOR * max(1, standing.holders))))
            free_at = state.taken(room, now_ns)
        granted.append(room)
        busy.append(free_at)
    return Grant(demand.pot, Amount(*granted), standing, tight, (busy[0], busy[1], busy[2]))


@dataclass(frozen=True, slots=True)
class TokenRates:
    """The dearest that a token of a model can be, pico-USD; how a worst case is priced.

    Attributes:
        input: One token of the prompt, whatever happens to it: plain, written to a cache, audio.
        output: One token of the answer.
        fee: For the call itself.
        prompt_above: The rates hold for prompts longer than this; the longest that applies is taken.
    """

    input: int
    output: int
    fee: int = 0
    prompt_above: int = -1


def rates_for(steps: Sequence[TokenRates], prompt: int) -> TokenRates:
    """The dearest of the rates that a prompt of up to this many tokens can be priced by."""
    within = [step for step in steps if step.prompt_above < prompt] or list(steps[:1])
    return TokenRates(
        max(step.input for step in within),
        max(step.output for step in within),
        max(step.fee for step in within),
    )


def affordable_output(rates: TokenRates, prompt: int, available: int) -> int | None:
    """The longest answer that an amount pays for, tokens; None where not even the prompt is paid for.

    Args:
        rates: The dearest rates that apply.
        prompt: Most tokens of the prompt.
        available: pico-USD.
    """
    left = available - rates.fee - prompt * rates.input
    if left < 0:
        return None
    return left // rates.output if rates.output else 1 << 62


@dataclass(frozen=True, slots=True)
class Policies:
    """What a budget does with calls before they are made.

    Attributes:
        guarantee: `strict` holds the worst case of a call; `expected` holds the p95 of what such calls have
            cost, and may be overshot by what the others cost more.
        on_exceed: What happens to a call that does not fit: `block` refuses it, `clamp` shortens its answer
            to what is affordable, `downgrade` takes the cheaper model of that name.
        downgrade: Pairs of a model and the model that replaces it.
        clamp_min_tokens: No answer is clamped below this many tokens.
        wait_ms: How long a call waits for others to settle before it is refused, milliseconds.
        on_unbounded: What happens to a call whose worst case is not known: `refuse` or `allow`.
        on_unpriced: What happens to a call whose model has no price: `reject`, `charge_max` (at the dearest
            price known) or `warn` (not held, counted).
        on_orphan: What happens to a hold that nobody settles: `charge`, `release`, or `auto`, which charges
            it unless its request provably was not sent.
        on_store_error: What happens while the ledger cannot be used: `deny`, `allow`, `lease_only` (what is
            leased already can be spent); None takes the ledger's own.
        max_cost_per_call: Most that one call may cost, pico-USD.
        rates: Most of each measure in a minute.
        rollover: Most unspent money that is carried into the next window, pico-USD; None carries none.
        priority_percent: Share of the limit, in percent, that only calls with `priority_match` may use.
        priority_match: Terms of a selector: label, values.
    """

    guarantee: Literal["strict", "expected"] = "strict"
    on_exceed: Literal["block", "clamp", "downgrade"] = "block"
    downgrade: tuple[tuple[str, str], ...] = ()
    clamp_min_tokens: int = 16
    wait_ms: int = 0
    on_unbounded: Literal["refuse", "allow"] = "refuse"
    on_unpriced: Literal["reject", "charge_max", "warn"] = "reject"
    on_orphan: Literal["auto", "charge", "release"] = "auto"
    on_store_error: Literal["deny", "allow", "lease_only"] | None = None
    max_cost_per_call: int | None = None
    rates: Limits = field(default=UNLIMITED)
    rollover: int | None = None
    priority_percent: int = 0
    priority_match: tuple[tuple[str, tuple[str, ...]], ...] = ()
