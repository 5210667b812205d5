"""What this process holds of each pot, in memory."""

from typing import Final

from spanbudget.processors.budgets import Budget
from spanbudget.processors.limits import MINUTE_NS, UNLIMITED, Amount, Limits, Pot

FREE: Final = 1 << 100
"""Free money of a measure that nobody limits."""
FRESH_SECONDS: Final = 1.0
"""How long a lease is used before the store is asked whether the budget still stands as it did."""
IDLE_SECONDS: Final = 2.0
"""A lease that was not used for so long is given back."""
AHEAD_SECONDS: Final = 0.5
"""A lease is for what the last half second took."""
AHEAD_CALLS_MAX: Final = 1_000


class Lease:
    """What is held of one pot; changed only under the engine's lock.

    Attributes:
        pot: Whose money.
        counted: For each measure, whether it is limited at all.
        free: What is held and not used: for each measure, 0 or more.
        fresh_until: Until when the lease is believed, seconds of the monotonic clock.
        gated: Whether being exceeded suspends the budget, so that each call asks whether it is.
        tight: Whether what is free is given back at once.
        rates: Most of each measure in a minute.
        polling: Whether a call waits for the store; others wait for it.
    """

    __slots__ = (
        "counted", "free", "fresh_until", "gated", "last_used", "polling", "pot", "rates", "tight",
        "used_calls", "used_since",
    )  # fmt: skip

    def __init__(self, pot: Pot) -> None:
        self.pot = pot
        self.counted = (False, False, False)
        self.free = [FREE, FREE, FREE]
        self.fresh_until = 0.0
        self.tight = False
        self.gated = False
        self.rates = Limits()
        self.polling = False
        self.last_used = 0.0
        self.used_since = 0.0
        self.used_calls = 0

    def guard(self, budget: Budget) -> None:
        """Takes note of what the budget limits."""
        limits = budget.limits if budget.hard_limit else UNLIMITED
        self.rates = budget.policies.rates
        counted = [a is not None or b is not None for a, b in zip(limits, self.rates, strict=True)]
        self.gated = budget.auto_suspend
        self.count((counted[0], counted[1], counted[2]))

    def count(self, counted: tuple[bool, bool, bool]) -> None:
        """Takes note of which measures are limited; one that was not begins with nothing."""
        for index, (was, now) in enumerate(zip(self.counted, counted, strict=True)):
            if was != now:
                self.free[index] = 0 if now else FREE
        self.counted = counted

    def lacking(self, amount: Amount) -> Amount:
        """What is missing for an amount; 0 where it is not limited."""
        free = self.free
        return Amount(max(0, amount[0] - free[0]), max(0, amount[1] - free[1]), max(0, amount[2] - free[2]))

    def ahead(self, amount: Amount, now: float) -> Amount:
        """What would last for half a second at the present rate, for `want`."""
        elapsed = now - self.used_since
        calls = self.used_calls
        if elapsed > AHEAD_SECONDS:
            self.used_since, self.used_calls = now, 0
        per_lease = calls if elapsed <= AHEAD_SECONDS else int(calls * AHEAD_SECONDS / elapsed)
        calls = min(per_lease, AHEAD_CALLS_MAX) if per_lease > 1 else 0  # a slow caller needs no lease
        return Amount(*(part * calls if held else 0 for part, held in zip(amount, self.counted, strict=True)))

    def idle(self, now: float) -> bool:
        """Whether what is free is to be given back."""
        return self.tight or now - self.last_used > IDLE_SECONDS

    def give_back(self) -> Amount:
        """Takes out all that is free, to be released."""
        back = [0, 0, 0]
        for index, counted in enumerate(self.counted):
            if counted:
                back[index], self.free[index] = max(0, self.free[index]), 0
        return Amount(*back)

    def take_back(self, amount: Amount) -> None:
        """Puts in again what `give_back` took out."""
        for index, counted in enumerate(self.counted):
            if counted:
                self.free[index] += amount[index]

    def ease_ns(self, unused: Amount) -> tuple[int, int, int]:
        """How much sooner the rate limits are free again where an amount was not used."""
        rates = self.rates
        eased = [part * MINUTE_NS // rate if rate else 0 for part, rate in zip(unused, rates, strict=True)]
        return eased[0], eased[1], eased[2]
