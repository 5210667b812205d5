"""Entries on their way into the ledger, or into the spool file beside it while that cannot be written."""

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final, Literal, Protocol, TypeAlias

from spanbudget.exporter.ledger.records import Record, entry_to_record
from spanbudget.exporter.ledger.spool import Spool
from spanbudget.processors import names_out as names
from spanbudget.processors.errors import LedgerError
from spanbudget.processors.holds import HoldLedger
from spanbudget.processors.ledger import NO_SPEND, Appended, Entry, Ledger, Spend, SpendKey, entry_spend
from spanbudget.processors.limits import Amount, Pot

StorePolicy: TypeAlias = Literal["deny", "allow", "lease_only"]
RETRY_SECONDS: Final = 1.0
"""How long a ledger that failed is left alone before it is tried again."""
STANDING_MAX: Final = 20_000
"""Calls of one time that are taken from the ledger into memory, at most."""
_SPEND_REMEMBERED_MAX: Final = 50_000

_logger = logging.getLogger(__name__)


class SharedLedger(Ledger, HoldLedger, Protocol):
    """A ledger that keeps holds, and can be asked for a budget as a whole."""

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """The spend of every child of a budget over the windows that start in `[first_ns, last_ns]`."""
        ...


class EntryWriter(Protocol):
    """Who writes entries together with what else belongs into the same transaction."""

    def write(self, ledger: SharedLedger, entries: Sequence[Entry], *, clean: bool) -> Appended:
        """Writes entries; `clean` says whether everything before them is in the ledger.

        Raises:
            LedgerError: The ledger cannot be written; what else was to be written is remembered.
        """
        ...

    def put_off(self) -> None:
        """Remembers what else was to be written: the entries go to the spool."""
        ...


class EntryStore:
    """Appends entries to a ledger, and never loses one silently.

    A ledger that fails is reported once, its entries go to the spool, and it is tried again after
    `RETRY_SECONDS`. At the spool's bound the policy decides: `deny` and
    `lease_only` make `refusing` true, so that whoever admits calls can stop; `allow` goes on. In each case
    the entries that cannot be kept are counted with their amount.

    Args:
        open_ledger: Opens the ledger, at the start and where that failed later.
        spool: The spool file.
        policy: What holds when entries can no longer be kept.

    Attributes:
        tallies: (metric name, reason) → count.
        refusing: True while entries cannot be kept and the policy is not `allow`.
        waiting_cost: Cost of the entries in the spool, pico-USD.
    """

    def __init__(
        self, open_ledger: Callable[[], SharedLedger], spool: Spool, policy: StorePolicy = "allow"
    ) -> None:
        self._open_ledger = open_ledger
        self._ledger: SharedLedger | None = None
        self._spool = spool
        self._policy = policy
        self._failed_at: float | None = None
        self._closed = False
        self._spend: dict[SpendKey, Spend] = {}
        self.tallies: Counter[tuple[str, str]] = Counter()
        self.refusing = False
        self.waiting_cost = 0

    def open(self) -> None:
        """Opens the ledger.

        Raises:
            LedgerError: The ledger cannot be used at all; a start fails loudly, a running process spools.
        """
        self.opened()

    @property
    def failing(self) -> bool:
        """Whether the last use of the ledger failed."""
        return self._failed_at is not None

    @property
    def ready(self) -> bool:
        """Whether the ledger works, or failed long enough ago to be tried again."""
        return self._failed_at is None or time.monotonic() - self._failed_at >= RETRY_SECONDS

    def append(self, entries: Sequence[Entry], writer: EntryWriter | None = None) -> frozenset[bytes]:
        """Puts entries into the ledger, or into the spool where that fails.

        Args:
            entries: What is appended.
            writer: Does it, with what else belongs into the same transaction; None only appends.

        Returns:
            Ids that the ledger already had. An entry in the spool counts as new.
        """
        ready = self.ready
        duplicates = self.try_append(entries, writer) if ready else None
        if duplicates is None:
            if writer is not None and not ready:
                writer.put_off()
            self._to_spool(entries)
            return frozenset()
        return duplicates

    def append_spooled(self, entries: Sequence[Entry]) -> bool:
        """Puts entries of the spool into the ledger; False where that fails."""
        done = self.try_append(entries) is not None
        if done:
            self.waiting_cost = max(0, self.waiting_cost - sum(entry.priced.cost or 0 for entry in entries))
        return done

    def try_append(
        self, entries: Sequence[Entry], writer: EntryWriter | None = None
    ) -> frozenset[bytes] | None:
        """Puts entries into the ledger and nowhere else; None where that fails."""
        try:
            ledger = self.opened()
            if writer is None:
                appended = ledger.append(entries)
            else:
                appended = writer.write(ledger, entries, clean=self._spool.empty)
        except LedgerError as error:
            self._fail(error)
            return None
        self._recover()
        if len(self._spend) > _SPEND_REMEMBERED_MAX:
            self._spend.clear()
        self._spend.update(appended.spend)
        return appended.duplicates

    def standing(self, since_ns: int, until_ns: int) -> list[Entry]:
        """The standing calls of the ledger that ended in a time; none while the ledger fails."""
        if self._failed_at is not None:
            return []
        try:
            return self.opened().standing(since_ns, until_ns, limit=STANDING_MAX)
        except LedgerError as error:
            self._fail(error)
            return []

    def spend_by_child(self, budget: str, period: str, first_ns: int, last_ns: int) -> dict[str, Spend]:
        """Totals of all processes by child, over all windows; the last known ones while the ledger fails."""
        if self._failed_at is None and not self._closed:
            try:
                return self.opened().spend_by_child(budget, period, first_ns, last_ns)
            except LedgerError as error:
                self._fail(error)
        spends: dict[str, Spend] = {}
        for key, spend in self._spend.items():
            if key.budget == budget and key.period == period and first_ns <= key.start_ns <= last_ns:
                spends[key.child] = spends.get(key.child, NO_SPEND).plus(spend)
        return spends

    def held(self, pots: Iterable[Pot]) -> dict[Pot, Amount]:
        """What all processes hold of some pots; nothing while the ledger fails."""
        if self._failed_at is None and not self._closed:
            try:
                return self.opened().held(pots)
            except LedgerError as error:
                self._fail(error)
        return {}

    def use(self, work: Callable[[SharedLedger], None]) -> bool:
        """Does something with the ledger; False where that fails or the ledger is left alone."""
        if not self.ready or self._closed:
            return False
        try:
            work(self.opened())
        except LedgerError as error:
            self._fail(error)
            return False
        self._recover()
        return True

    def after_fork(self) -> None:
        """Begins anew in a forked child; the ledger and the spool look after themselves."""
        self._spend.clear()
        self.tallies = Counter()

    def close(self) -> None:
        """Closes the ledger; what the spool holds stays for the next start, and so does what comes later."""
        self._closed = True
        if self._ledger is not None:
            self._ledger.close()
            self._ledger = None

    def opened(self) -> SharedLedger:
        """The ledger, opened where it is not.

        Raises:
            LedgerError: It cannot be opened, or was closed at the shutdown.
        """
        if self._closed:
            raise LedgerError("the ledger was closed at shutdown")
        if self._ledger is None:
            self._ledger = self._open_ledger()
        return self._ledger

    def _to_spool(self, entries: Sequence[Entry]) -> None:
        lost = 0
        for entry in entries:
            if self._kept({"entry": entry_to_record(entry)}):
                self.waiting_cost += entry.priced.cost or 0
                for key in entry.windows:
                    self._spend[key] = self._spend.get(key, NO_SPEND).plus(entry_spend(entry))
            else:
                lost += 1
                self.tallies[names.ENTRIES_LOST_USD.name, self._policy] += entry.priced.cost or 0
        if lost:
            self.tallies[names.ENTRIES_LOST.name, self._policy] += lost
            if not self.refusing:
                _logger.error(
                    "The ledger cannot be written and the spool file is full: entries are lost from now on "
                    "(policy %s); see the metrics %s and %s",
                    self._policy, names.ENTRIES_LOST.name, names.ENTRIES_LOST_USD.name,
                )  # fmt: skip
            self.refusing = self._policy != "allow"
        if len(entries) > lost:
            self.tallies[names.ENTRIES_SPOOLED.name, "ledger"] += len(entries) - lost

    def _kept(self, record: Record) -> bool:
        """Whether the spool took a record; a disk that is full for the ledger is full for the spool too."""
        try:
            return self._spool.append(record)
        except LedgerError as error:
            self.tallies[names.LEDGER_ERRORS.name, f"spool: {type(error).__name__}"] += 1
            return False

    def _fail(self, error: LedgerError) -> None:
        if self._failed_at is None:
            _logger.error(
                "The ledger failed; entries go to a spool file beside it until it works again: %s", error
            )
        self._failed_at = time.monotonic()
        self.tallies[names.LEDGER_ERRORS.name, type(error).__name__] += 1

    def _recover(self) -> None:
        if self._failed_at is not None:
            _logger.warning("The ledger works again; what the spool file holds goes in next")
            self._failed_at = None
            self.refusing = False
