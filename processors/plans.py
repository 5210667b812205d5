"""The plain case of a price: the numbers that nearly every call is priced by, found once for each key.

`charge` in `rates` prices every call; a plan says which calls need less, and what they cost.
"""

from dataclasses import dataclass
from typing import Final, TypeAlias

from spanbudget.processors.call import TOKENS_MAX, CostConfidence
from spanbudget.processors.rates import RateHistory

_NEVER_NS: Final = 1 << 63


@dataclass(frozen=True, slots=True)
class Plan:
    """The prices of one key, and the numbers of the plain case of their last segment.

    Attributes:
        history: All of them.
        since_ns: From here on the plain case holds; `_NEVER_NS` where there is none.
        price_id: Of the plain case, as all that follow.
        confidence: Of a cost whose usage is exact.
        reasons: Why it is not exact.
        prompt_max: Longest prompt at these rates, tokens.
        longer: The plain case of longer prompts; None for the last.
        input: pico-USD per token.
        output: pico-USD per token.
        cache_read: pico-USD per token.
        read_max: Most cached tokens that need no second thought.
        write_5m: pico-USD per token.
        write_1h: pico-USD per token.
        write_5m_max: Most tokens written for 5 minutes that need no second thought.
        write_1h_max: Most tokens written for 1 hour that need no second thought.
    """

    history: RateHistory
    since_ns: int = _NEVER_NS
    price_id: str = ""
    confidence: CostConfidence = "exact"
    reasons: tuple[str, ...] = ()
    prompt_max: int = 0
    longer: "Plan | None" = None
    input: int = 0
    output: int = 0
    cache_read: int = 0
    read_max: int = 0
    write_5m: int = 0
    write_1h: int = 0
    write_5m_max: int = 0
    write_1h_max: int = 0

    @property
    def row(self) -> "PlanRow":
        """What a `PlainCall` needs, as one tuple: unpacking it is quicker than asking for each.

        Where cached tokens need a second thought, no plain call passes.
        """
        since_ns = self.since_ns if self.read_max else _NEVER_NS
        return (
            since_ns, self.prompt_max, self.input, self.output, self.cache_read, self.price_id,
            self.confidence, self.reasons,
        )  # fmt: skip


PlanRow: TypeAlias = tuple[int, int, int, int, int, str, CostConfidence, tuple[str, ...]]


def plan_of(history: RateHistory) -> Plan:
    """Finds the plain case: one card without fees whose rates are sure and tell no parts apart."""
    last = history.segments[-1]
    card = last.cards[0][1] if len(last.cards) == 1 else None
    doubtful = {bucket for bucket, _ in card.doubts} if card else set()
    if card is None or card.request or doubtful & {"input", "output"}:
        return Plan(history)
    plan: Plan | None = None
    prompt_max = TOKENS_MAX
    for rates in reversed(card.rates):
        apart = rates.reasoning != rates.output or rates.image_input != rates.input
        speaks = rates.audio_output not in (None, rates.output)
        if rates.input is None or rates.output is None or apart or speaks:
            return Plan(history)
        plan = Plan(
            history,
            since_ns=last.start_ns,
            price_id=card.price_id,
            confidence="estimated" if card.reasons else "exact",
            reasons=tuple(dict.fromkeys(card.reasons)),
            prompt_max=prompt_max,
            longer=plan,
            input=rates.input,
            output=rates.output,
            cache_read=rates.cache_read or 0,
            read_max=0 if "cache_read" in doubtful else TOKENS_MAX,
            write_5m=rates.cache_write_5m or 0,
            write_1h=rates.cache_write_1h or 0,
            write_5m_max=0 if "cache_write_5m" in doubtful else TOKENS_MAX,
            write_1h_max=0 if "cache_write_1h" in doubtful else TOKENS_MAX,
        )
        prompt_max = rates.prompt_above
    return plan or Plan(history)


def plain_write(plan: Plan, write: int, write_5m: int | None, write_1h: int | None) -> int:
    """Cost in pico-USD of the tokens written to a cache; -1 where the plain case does not tell it."""
    if write_1h is None:
        if write_5m is not None or plan.write_5m != plan.write_1h:
            return -1
        write_1h = 0
    elif write_5m is not None and write_5m + write_1h != write:
        return -1
    write_5m = write - write_1h
    if not (0 <= write_5m <= plan.write_5m_max and 0 <= write_1h <= plan.write_1h_max):
        return -1
    return write_5m * plan.write_5m + write_1h * plan.write_1h
