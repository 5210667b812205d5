"""What the engine of rules needs of others."""

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from spanbudget.exporter.alert_store.records import Change, Kept
from spanbudget.exporter.anomalies.records import ExpectedMark, KeptAnomalies
from spanbudget.exporter.ledger.tallies import LedgerTallies, TallyQuestion
from spanbudget.processors.budget_state import BudgetState
from spanbudget.processors.budgets import BudgetBook


class Books(Protocol):
    """The pipeline, as far as rules have to do with it."""

    @property
    def budgets(self) -> BudgetBook:
        """All budgets."""
        ...

    def budget_states(self) -> list[BudgetState]:
        """How full every budget is now."""
        ...

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → value in the metric's unit times its divisor."""
        ...


class KeptByWatch(Protocol):
    """What the watch for anomalies keeps in the ledger."""

    def load(self, since_ms: int) -> KeptAnomalies:
        """What it goes on from; without episodes that ended before a moment."""
        ...

    def marks(self) -> Sequence[ExpectedMark]:
        """What was told about stretches of time, the oldest first."""
        ...


class Store(Protocol):
    """What rules keep in the ledger."""

    @property
    def anomalies(self) -> KeptByWatch:
        """What the watch for anomalies keeps; a change of it comes by `commit`."""
        ...

    def lead(self, owner: bytes, now_ns: int, until_ns: int) -> int | None:
        """Takes or renews the lease: a fencing number, None where another process leads."""
        ...

    def load(self) -> Kept:
        """Everything that was kept."""
        ...

    def commit(self, fence: int, change: Change) -> None:
        """Keeps a change as a whole, or raises."""
        ...

    def waiting(self) -> dict[str, int]:
        """How many letters wait, by channel."""
        ...

    def close(self) -> None:
        """Closes it."""
        ...


class PausedStore(Store, Protocol):
    """A store that can stand still while a thread forks."""

    def pause(self, timeout_seconds: float) -> bool:
        """Keeps other threads out until this one calls `resume`; False when time ran out."""
        ...

    def resume(self) -> None:
        """Ends a `pause` of this thread."""
        ...


class Delivery(Protocol):
    """What sends the rows of the outbox."""

    def start(self) -> None:
        """Begins to send."""
        ...

    def wake(self) -> None:
        """Looks at the outbox at once."""
        ...

    def stop(self, timeout_seconds: float) -> bool:
        """Ends; whether it did in time."""
        ...

    def health(self) -> Mapping[tuple[str, str], int]:
        """(metric name, reason) → count."""
        ...


@dataclass(frozen=True, slots=True)
class Outside:
    """What the engine needs of the world.

    Attributes:
        store: Opens what rules keep.
        tallies: Opens the ledger for sums.
        delivery: Makes what sends the rows of the outbox of a store, as long as this process leads.
        clock_ns: Nanoseconds since the epoch.
    """

    store: Callable[[], PausedStore]
    tallies: Callable[[TallyQuestion], LedgerTallies]
    delivery: Callable[[Any, Callable[[], bool]], Delivery]
    clock_ns: Callable[[], int] = time.time_ns
