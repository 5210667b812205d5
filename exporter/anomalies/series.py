"""What is watched: the total of a budget, or of a child, and its parts by the values of a dimension."""

from hashlib import blake2b
from json import dumps
from typing import NamedTuple


class SeriesName(NamedTuple):
    """Names one series.

    Attributes:
        budget: Name of the budget.
        child: The child of a template, `user=ann`; "" for a plain budget.
        dimension: The label that the calls have in common; "" for all calls of the budget.
        value: Its value; "" for all calls.
    """

    budget: str
    child: str = ""
    dimension: str = ""
    value: str = ""

    @property
    def total(self) -> "SeriesName":
        """All calls of the same budget, or child."""
        return SeriesName(self.budget, self.child)

    @property
    def text(self) -> str:
        """For people: `prod · user=ann · model=gpt-5`."""
        part = f"{self.dimension}={self.value}" if self.dimension else ""
        return " · ".join(filter(None, (self.budget, self.child, part)))

    def digest(self) -> bytes:
        """16 bytes that stand for it: an index has no room for what comes from spans."""
        return blake2b(dumps(self).encode(), digest_size=16, person=b"spanbudget").digest()
