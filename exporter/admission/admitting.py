"""What admits calls, as far as the pipeline has to do with it."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from spanbudget.exporter.admission.holdings import Settled
from spanbudget.exporter.entry_store import EntryWriter
from spanbudget.processors.booking import Observed
from spanbudget.processors.budget_state import Terms
from spanbudget.processors.budgets import Budget
from spanbudget.processors.limits import Pot


class Admitting(Protocol):
    """What admits calls before they are made, as far as the pipeline has to do with it."""

    def terms_of(self, budget: Budget, pot: Pot, now_ns: int) -> Terms:
        """What holds for a budget, or a child of it, at a moment."""
        ...

    def know(self, resource: Mapping[str, object]) -> None:
        """Takes note of the attributes of the process's resource."""
        ...

    def conclude(self, settled: Settled) -> Observed | None:
        """Prices what was settled; None where nothing was spent, or spans tell it."""
        ...

    def writer(self, settled: Sequence[Settled]) -> EntryWriter | None:
        """Writes a batch together with what it settles; None where there is nothing to settle."""
        ...

    def keep(self, now_ns: int) -> float | None:
        """Does what is due; how long until something is due again, seconds, None for never."""
        ...

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → count."""
        ...

    def retire(self) -> None:
        """Lets everything that is free be given back with the next write."""
        ...

    def leave(self) -> None:
        """Gives everything back."""
        ...

    def close(self) -> None:
        """Gives everything back and closes what it has opened."""
        ...

    def after_fork(self) -> None:
        """In a forked child: drops what the parent holds."""
        ...
