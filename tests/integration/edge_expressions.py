"""Expressions for comparisons with Prometheus that chance would not find: literals, edges, and errors."""

from pathlib import Path
from typing import Final

_COMMENT: Final = "##"

REFUSED_HERE: Final = (
    "1_000",  # the parser knows no underscores in numbers
    "level @ -100",
    "drift offset 0s",  # the parser takes 0 without a unit only
    "drift offset NaN",
    "count_over_time(drift[1m:1ms])",  # more steps than are allowed
)
"""What Prometheus 3 takes and rules may not use."""

REFUSED_EARLIER: Final = (
    'count_values("", drift)',
    'label_replace(drift, "new", "x", "zone", "(")',
    'label_replace(nothing, "new", "x", "zone", "(")',
)
"""What Prometheus 3 refuses when it is evaluated, and rules already when they are loaded."""

DIFFERENT_BY_CHOICE: Final = (
    # Prometheus takes the time of evaluation, as for any operation; the parser here drops a plus.
    "timestamp(+sparse)",
    # Prometheus forgets the offset but reads only what the offset asks for.
    "timestamp(sparse @ 1709163000 offset 5m)",
    # Where the first step is the time of evaluation, Prometheus subtracts the subquery's offset from the `@`.
    "(drift @ 1709163000)[2m:] offset -1m",
    # Go's logarithm of a number below 2.2e-308 is wrong on amd64.
    "ln(vector(5e-324))",
)
"""What has another result than in Prometheus 3."""


def edge_expressions() -> list[str]:
    """One for each line of the text file of this name, and the two that a line cannot hold."""
    lines = Path(__file__).with_suffix(".txt").read_text(encoding="utf-8").splitlines()
    return ["", "\0", *(line for line in lines if line and not line.startswith(_COMMENT))]
