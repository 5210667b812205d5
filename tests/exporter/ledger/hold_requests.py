"""One owner that asks a ledger on a server for money, and what such a ledger has counted."""

from ledger_calls import ALL

from spanbudget.exporter.ledger.postgres import PostgresLedger
from spanbudget.processors.holds import Owner
from spanbudget.processors.ledger import Spend
from spanbudget.processors.limits import Amount, Demand, Limits, Pot

NOW_NS = 1_790_000_000_000_000_000
ME = b"m" * 16
POT = Pot("production")


def counted(ledger: PostgresLedger) -> int:
    return ledger.spend([ALL]).get(ALL, Spend()).requests


def asking(cost: int, limit: int = 100) -> Demand:
    amount = Amount(cost)
    return Demand(POT, "total", 0, 0, Limits(limit), amount, amount)


def join(ledger: PostgresLedger) -> None:
    ledger.join(Owner(ME, "journal", NOW_NS, 0, {}))
