"""Entries and calls as flat records for the spool: every value is a text, an integer or None."""

import json
from collections.abc import Mapping
from typing import Any, Final, TypeAlias, cast

from spanbudget.exporter.ledger.rows import (
    labels_of,
    labels_text,
    reasons_of,
    reasons_text,
)
from spanbudget.processors.call import CostConfidence, LLMCall, PricedCall, Usage, UsageConfidence
from spanbudget.processors.ledger import Entry, EntryKind, SpendKey

Record: TypeAlias = dict[str, Any]
"""A flat record, or one under a name."""

_SAME: Final = (
    *("parent_id", "scope", "provider", "model", "request_model", "response_model", "operation", "tier"),
    *(
        "usage_confidence",
        "start_ns",
        "end_ns",
        "response_id",
        "reported_cost",
        "claimed_cost",
        "web_searches",
    ),
)
"""Fields of a call whose values are text, integers or None as they are."""

_LATER: Final = ("prompt_hash", "prefix_hash", "finish_reason", "error_type")
_LATER_FLAGS: Final = ("interactive", "deterministic")
"""Fields that a file of an older program lacks, and flags among these."""

_BUCKETS: Final = Usage._fields
_PARTS: Final = ("cost_input", "cost_cache_read", "cost_cache_write", "cost_output", "price_id")


def call_to_record(call: LLMCall) -> Record:
    """Writes a call; `record_to_call` reads it back exactly."""
    record: Record = {name: getattr(call, name) for name in _SAME}
    record |= {name: getattr(call, name) for name in _LATER}
    record |= {name: None if (flag := getattr(call, name)) is None else int(flag) for name in _LATER_FLAGS}
    record |= {f"usage.{name}": getattr(call.usage, name) for name in _BUCKETS}
    record |= {
        # As text: JSON readers other than Python's round integers of 128 bits.
        "trace_id": f"{call.trace_id:032x}",
        "span_id": f"{call.span_id:016x}",
        "aggregate": int(call.aggregate),
        "failed": int(call.failed),
        "reasons": reasons_text(call.reasons, ()),
        "labels": labels_text(call.labels),
    }
    return record


def record_to_call(record: Mapping[str, Any]) -> LLMCall:
    """Reads what `call_to_record` wrote.

    Raises:
        KeyError: A field is missing.
        ValueError: A field is not what it should be.
    """
    later: dict[str, Any] = {name: record.get(name) for name in _LATER}
    later |= {name: None if (flag := record.get(name)) is None else bool(flag) for name in _LATER_FLAGS}
    return LLMCall(
        **{name: record[name] for name in _SAME if name != "usage_confidence"},
        usage_confidence=cast("UsageConfidence", record["usage_confidence"]),
        trace_id=int(record["trace_id"], 16),
        span_id=int(record["span_id"], 16),
        aggregate=bool(record["aggregate"]),
        failed=bool(record["failed"]),
        usage=Usage(*(record[f"usage.{name}"] for name in _BUCKETS)),
        reasons=reasons_of(record["reasons"])[0],
        labels=labels_of(record["labels"]),
        **later,
    )


def entry_to_record(entry: Entry) -> Record:
    """Writes an entry with its windows; `record_to_entry` reads it back exactly."""
    priced = entry.priced
    record = call_to_record(priced.call)
    record |= {name: getattr(priced, name) for name in _PARTS}
    record |= {
        "id": entry.id.hex(),
        "kind": entry.kind,
        "cost": priced.cost,
        "cost_confidence": priced.confidence,
        "price_reasons": reasons_text((), priced.reasons),
        "windows": json.dumps(entry.windows),
    }
    return record


def record_to_entry(record: Mapping[str, Any]) -> Entry:
    """Reads what `entry_to_record` wrote.

    Raises:
        KeyError: A field is missing.
        ValueError: A field is not what it should be.
    """
    priced = PricedCall(
        call=record_to_call(record),
        cost=record["cost"],
        confidence=cast("CostConfidence", record["cost_confidence"]),
        reasons=reasons_of(record["price_reasons"])[1],
        **{name: record[name] for name in _PARTS},
    )
    windows = tuple(SpendKey(*window) for window in json.loads(record["windows"]))
    return Entry(bytes.fromhex(record["id"]), cast("EntryKind", record["kind"]), priced, windows)
