"""What is worth a suggestion."""

from dataclasses import dataclass
from decimal import Decimal

from spanbudget.processors.errors import AmountError


@dataclass(frozen=True, slots=True)
class Settings:
    """What is worth a suggestion, and how it is told.

    Attributes:
        by: Labels that suggestions are split by besides provider and model: who would have to change
            something.
        min_usd: Smallest saving in the window that is told, USD: a cent, below it reading costs more.
        min_share: The same as a share of all spend, 0 to 1: one thousandth.
        min_calls: Fewest calls of a suggestion: 5, as one or two calls are chance.
        evidence: How many calls are named as evidence.
        duplicate_seconds: How old an answer may be that is given again for the same request: 1 hour.

    Raises:
        AmountError: A value is out of its range.
    """

    by: tuple[str, ...] = ("service",)
    min_usd: Decimal = Decimal("0.01")
    min_share: float = 0.001
    min_calls: int = 5
    evidence: int = 10
    duplicate_seconds: int = 3_600

    def __post_init__(self) -> None:
        if not self.min_usd.is_finite() or self.min_usd < 0:
            raise AmountError(f"min_usd must be a finite amount of 0 or more, got {self.min_usd}")
        if not 0 <= self.min_share <= 1:
            raise AmountError(f"min_share must be from 0 to 1, got {self.min_share}")
        for name in ("min_calls", "evidence", "duplicate_seconds"):
            if getattr(self, name) < 1:
                raise AmountError(f"{name} must be 1 or more, got {getattr(self, name)}")
