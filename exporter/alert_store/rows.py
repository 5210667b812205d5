"""How what rules keep is written as rows, and read back."""

import json
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

from sqlalchemy import Row

from spanbudget.exporter.alert_store.records import OutboxRow, RuleKey
from spanbudget.exporter.ledger.schema import alert_outbox
from spanbudget.rules.alerts import Alert
from spanbudget.rules.labels import Labels

ERROR_CHARS_MAX: Final = 500
"""What is kept of an error."""
OUTBOX_COLUMNS: Final = tuple(alert_outbox.c[name] for name in OutboxRow._fields)


def hashed(*names: object) -> bytes:
    """16 bytes that stand for some names."""
    return blake2b(json.dumps(names).encode(), digest_size=16, person=b"spanbudget").digest()


def alert_id(rule: RuleKey, labels: Labels) -> bytes:
    """Names the state of an alert."""
    return hashed(*rule, sorted(labels))


def alert_row(rule: RuleKey, alert: Alert) -> dict[str, Any]:
    """The values of a row of `alert_states`."""
    return {
        "id": alert_id(rule, alert.labels),
        "rule_group": rule.group,
        "rule": rule.rule,
        "labels": sorted(alert.labels),
        "annotations": sorted(alert.annotations),
        "state": alert.state,
        "value": repr(alert.value),
        "active_at_ms": alert.active_at_ms,
        "fired_at_ms": alert.fired_at_ms,
        "resolved_at_ms": alert.resolved_at_ms,
        "keep_firing_since_ms": alert.keep_firing_since_ms,
    }


def read_alert(row: Row[Any]) -> Alert:
    """Reads a row of `alert_states`."""
    return Alert(
        labels=_pairs(row.labels),
        annotations=_pairs(row.annotations),
        value=float(row.value),
        state=row.state,
        active_at_ms=row.active_at_ms,
        fired_at_ms=row.fired_at_ms,
        resolved_at_ms=row.resolved_at_ms,
        keep_firing_since_ms=row.keep_firing_since_ms,
    )


def outbox_row(row: OutboxRow, seq: int) -> dict[str, Any]:
    """The values of a row of `alert_outbox`."""
    return {**row._asdict(), "seq": seq, "line": hashed(row.receiver, row.group_key)}


def read_outbox(row: Row[Any]) -> OutboxRow:
    """Reads `OUTBOX_COLUMNS`."""
    return OutboxRow._make(row)


def _pairs(pairs: Iterable[Iterable[str]]) -> Labels:
    return tuple((name, value) for name, value in pairs)
