"""The running totals of a PostgreSQL ledger: the statements for them, and what these answer."""

from collections.abc import Iterable, Sequence
from typing import Final

from spanbudget.exporter.ledger import postgres_statements as sql
from spanbudget.exporter.ledger.postgres_store import Answer, Statement
from spanbudget.exporter.ledger.postgres_values import columns, fitting, read_total
from spanbudget.exporter.ledger.totals import change_rows
from spanbudget.processors.ledger import Entry, Spend, SpendKey

PIECE_MAX: Final = 4096
"""Rows of one statement; what is longer takes more statements, in the same transaction."""


def changes(entries: Sequence[Entry]) -> tuple[list[Statement], set[SpendKey]]:
    """Adds entries to their totals, in the order of the keys so that no two processes wait for each other.

    Returns:
        Statements that answer with the new totals, and the keys of these.
    """
    rows = sorted(change_rows(entries))
    pieces = (rows[start : start + PIECE_MAX] for start in range(0, len(rows), PIECE_MAX))
    statements = [Statement(sql.ADD_SPEND, columns(piece, sql.SPEND_KINDS)) for piece in pieces]
    return statements, {key for entry in entries for key in entry.windows}


def searches(keys: Iterable[SpendKey]) -> list[Statement]:
    """Looks totals up."""
    rows = list(keys)
    pieces = (rows[start : start + PIECE_MAX] for start in range(0, len(rows), PIECE_MAX))
    return [Statement(sql.FIND_SPEND, columns(piece, sql.SPEND_KEY_KINDS)) for piece in pieces]


def totals(answers: Iterable[Answer], keys: Iterable[SpendKey]) -> dict[SpendKey, Spend]:
    """The totals of the answers, by the keys that were asked; the ledger has cut those that are too long."""
    asked = {_fitting(key): key for key in keys}
    rows = (read_total(row) for answer in answers for row in answer.rows)
    return {asked.get(key, key): spend for key, spend in rows}


def _fitting(key: SpendKey) -> SpendKey:
    return SpendKey(fitting(key.budget), fitting(key.child), fitting(key.period), key.start_ns)
