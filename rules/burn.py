"""Burn rates of money: how much faster than its limit allows a budget may spend before somebody is told.

A healthy budget burns at 1: it is there to be spent. The pairs of service level objectives do not fit money:
their slowest one, 1 × over 3 days, fired 2.3 times a week on budgets that were spent as planned.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Final

from spanbudget.processors.names_out import BURN_WINDOWS
from spanbudget.processors.periods import Period

_DAY_SECONDS: Final = 86_400
_PERIOD_SECONDS: Final = {
    "hourly": 3_600,
    "daily": _DAY_SECONDS,
    "weekly": 7 * _DAY_SECONDS,
    "monthly": 30 * _DAY_SECONDS,
    "yearly": 365 * _DAY_SECONDS,
}
"""Nominal lengths; what a rule compares is measured against the real length of each window."""


@dataclass(frozen=True, slots=True)
class BurnPair:
    """A rate that is too fast where a long time shows it and a short one shows that it still goes on.

    Attributes:
        rate: Multiple of the pace at which the limit lasts exactly as long as the period.
        long: Trailing time over which the rate must hold, one of `BURN_WINDOWS`.
        short: Trailing time that ends the alert soon after the spending ends, shorter than `long`.
        severity: Who is told.

    Raises:
        ValueError: The times are not measured, or the short one is not the shorter one.
    """

    rate: Decimal
    long: str
    short: str
    severity: str

    def __post_init__(self) -> None:
        for text in (self.long, self.short):
            if text not in BURN_WINDOWS:
                raise ValueError(f"a burn rate is measured over {', '.join(BURN_WINDOWS)}, not over {text}")
        if BURN_WINDOWS[self.short] >= BURN_WINDOWS[self.long]:
            raise ValueError(f"short ({self.short}) must be shorter than long ({self.long})")

    def spent_percent(self, period_seconds: int) -> Decimal:
        """How much of the limit is gone, at the least, once the rate has held for the long time."""
        return self.rate * BURN_WINDOWS[self.long] * 100 / period_seconds

    def tells_in_time(self, period_seconds: int) -> bool:
        """Whether the pair can tell anything before the limit itself does: not in a period this short."""
        return BURN_WINDOWS[self.long] < period_seconds and self.spent_percent(period_seconds) < 100


MONEY_PAIRS: Final[Sequence[BurnPair]] = (
    BurnPair(Decimal(10), "1h", "10m", "page"),
    BurnPair(Decimal(4), "6h", "30m", "page"),
    BurnPair(Decimal(2), "1d", "2h", "ticket"),
    BurnPair(Decimal("1.5"), "3d", "6h", "ticket"),
)
"""Each fires at most 0.31 times a week on a budget that is spent as planned.

Source: measured on two weeks of 40 series of the ServeGen trace, each with its own spend as its budget.
"""


def period_seconds(period: Period) -> int | None:
    """The nominal length of a period in seconds, a month of 30 days; None for a total, which has none."""
    return period.rolling_seconds or _PERIOD_SECONDS.get(period.kind)


def rate_of_percent(percent: Decimal, long: str, length_seconds: int) -> Decimal:
    """The rate that spends a share of the limit in the long time.

    Args:
        percent: Share of the limit.
        long: One of `BURN_WINDOWS`.
        length_seconds: Length of the period.

    Returns:
        The multiple, rounded to three decimals.
    """
    rate = percent * length_seconds / (BURN_WINDOWS[long] * 100)
    return rate.quantize(Decimal("0.001"))
