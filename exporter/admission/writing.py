"""Writes a batch of entries together with what they have settled."""

from collections.abc import Sequence
from dataclasses import dataclass

from spanbudget.exporter.admission.holdings import Settled
from spanbudget.exporter.admission.stored_holdings import StoredHoldings
from spanbudget.processors.holds import HoldLedger
from spanbudget.processors.ledger import Appended, Entry


@dataclass(frozen=True, slots=True)
class Writing:
    """Writes a batch of entries together with what they have settled.

    Attributes:
        holdings: Of this process.
        settled: What the batch settles.
    """

    holdings: StoredHoldings
    settled: Sequence[Settled]

    def write(self, ledger: HoldLedger, entries: Sequence[Entry], *, clean: bool) -> Appended:
        """See `EntryWriter.write`."""
        return self.holdings.write(ledger, entries, self.settled, clean=clean)

    def put_off(self) -> None:
        """See `EntryWriter.put_off`."""
        self.holdings.put_off(self.settled)
