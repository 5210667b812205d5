"""What a check has found."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeAlias

Verdict: TypeAlias = Literal["pass", "info", "warn", "fail"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        area: `limits`, `spans`, `clock`, `ledger`, `prices` or `guard`.
        subject: What was looked at: a budget, a file, a package.
        verdict: `fail` where a limit does not hold or spend is missed; `warn` where that may come; `info`
            where there is nothing to judge.
        told: What was found, and what to do about it, for a person.
        numbers: The measurements; money as decimal text in USD, times in the unit that the name ends with.
    """

    area: str
    subject: str
    verdict: Verdict
    told: str
    numbers: Mapping[str, object] = field(default_factory=dict)
