"""How an entry is written as one flat row, and read back: the one place that knows the columns.

A row has four groups of columns. `OWN` differ from call to call. `COUNTS` are integers of nearly every call,
`RARE` integers of few. `SHAPE` columns repeat from call to call, so a writer keeps the distinct shapes of a
connection in a temporary table and binds one number instead of eighteen values: binding is what an insert
from Python costs (0.1 µs for each text, 0.25 µs for each None or bytes, under CPython 3.11).
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeAlias, cast

from spanbudget.processors.call import Labels, LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import Entry, EntryKind, SpendKey

Value: TypeAlias = str | int | bytes | bytearray | None
"""What one column of a row holds."""

OWN: Final = ("id", "end_ns", "start_ns", "parent_id", "response_id", "labels")
COUNTS: Final = (
    *("input_tokens", "cache_read_tokens", "cache_write_tokens", "cache_write_5m_tokens"),
    *("cache_write_1h_tokens", "output_tokens", "reasoning_tokens"),
    *("cost_pico", "cost_input_pico", "cost_cache_read_pico", "cost_cache_write_pico", "cost_output_pico"),
)
RARE: Final = (
    *("audio_input_tokens", "audio_output_tokens", "audio_cache_read_tokens", "image_input_tokens"),
    *("reported_cost_pico", "claimed_cost_pico"),
    *("web_searches", "prompt_hash", "prefix_hash"),
)
SHAPE: Final = (
    *("kind", "scope", "provider", "model", "request_model", "response_model", "operation", "aggregate"),
    *("tier", "usage_confidence", "cost_confidence", "reasons", "price_id", "failed"),
    *("finish_reason", "error_type", "interactive", "deterministic"),
)
ENTRY_COLUMNS: Final = (*OWN, *COUNTS, *RARE, *SHAPE)
"""Columns of the table `entries` but `seq`, in the order in which `entry_of` wants them."""

ABSENT: Final = -(2**63)
"""Stands for None while integers are bound: the smallest int64, which no count and no amount can be."""

_INT64_MAX: Final = 2**63 - 1
_REMEMBERED_MAX: Final = 4096
"""Most distinct texts or shapes that one writer or reader remembers; at the limit it forgets them all."""


def labels_text(labels: Labels) -> str:
    """Writes labels as one JSON object, in their own order."""
    return "{" + ",".join(f"{json.dumps(name)}:{json.dumps(value)}" for name, value in labels) + "}"


def labels_of(text: str) -> Labels:
    """Reads what `labels_text` wrote."""
    return tuple(json.loads(text, object_pairs_hook=tuple))


def reasons_text(usage: tuple[str, ...], price: tuple[str, ...]) -> str | None:
    """Writes the reasons of the usage and of the price as `[[…],[…]]`; None where there are none."""
    return json.dumps((usage, price), separators=(",", ":")) if usage or price else None


def reasons_of(text: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Reads what `reasons_text` wrote: the reasons of the usage, the reasons of the price."""
    if text is None:
        return (), ()
    usage, price = json.loads(text)
    return tuple(usage), tuple(price)


def storable(value: Value) -> Value:
    """Makes a value fit a column: an integer beyond int64 and a text that is not Unicode become bytes.

    Both are absurd in a span, and neither may stop the ledger; `plain` turns them back.
    """
    if isinstance(value, int) and not ABSENT <= value <= _INT64_MAX:
        return b"i%d" % value
    if isinstance(value, str):
        try:
            value.encode()
        except UnicodeEncodeError:
            return b"s" + value.encode("utf-8", "surrogatepass")
    return value


def plain(value: Value) -> Value:
    """Turns back what `storable` made."""
    if not isinstance(value, bytes):
        return value
    return int(value[1:]) if value[:1] == b"i" else value[1:].decode("utf-8", "surrogatepass")


@dataclass(slots=True)
class Encoder:
    """Writes entries as bound parameters, and numbers the shapes it meets.

    Attributes:
        shapes: Number of each shape that the connection's temporary table has, or is about to get.
        fresh: Rows for that table which are not in it yet: the number, then the columns of `SHAPE`.
    """

    shapes: dict[tuple[object, ...], int] = field(default_factory=dict)
    fresh: list[tuple[Value, ...]] = field(default_factory=list)
    _labels: dict[Labels, str] = field(default_factory=dict)

    def full(self, more: int) -> bool:
        """Whether `more` shapes on top might be too many to remember."""
        return bool(self.shapes) and len(self.shapes) + more > _REMEMBERED_MAX

    def forget(self) -> None:
        """Forgets every shape; the temporary table must be emptied too."""
        self.shapes.clear()
        self.fresh.clear()

    def encode(self, entries: Sequence[Entry], *, rare: bool) -> list[Value]:
        """The parameters of all entries, flat: shape number, `OWN`, `COUNTS`, and `RARE` where asked."""
        params: list[Value] = []
        extend = params.extend
        shape_number = self.shapes.get
        labels_text_of = self._labels.get
        absent = ABSENT
        # Copied to plain tuples and unpacked: three times as fast as asking named tuples by name.
        for entry in entries:
            entry_key, kind, priced, _ = entry[:]
            call, cost, cost_input, cost_read, cost_write, cost_output, price_id, confidence, why = priced[:]
            _, _, parent, scope, provider, model, asked, answered, operation, aggregate, tier = call[:11]
            usage, usage_confidence, reasons, start_ns, end_ns, failed, response_id, labels = call[11:19]
            total, read, write, write_5m, write_1h, output, reasoning, _, _, _, _ = usage[:]
            shape = (
                kind, scope, provider, model, asked, answered, operation, aggregate, tier,
                usage_confidence, confidence, reasons, why, price_id, failed, *call[24:],
            )  # fmt: skip
            number = shape_number(shape)
            if number is None:
                number = self._remember(shape)
            text = labels_text_of(labels)
            if text is None:
                text = self._label(labels)
            if parent > _INT64_MAX:
                parent -= 1 << 64
            # A bytearray, because sqlite3 looks up an adapter for bytes and does not for bytearray.
            extend((number, bytearray(entry_key), end_ns, start_ns, parent, response_id, text))
            extend(
                (
                    absent if total is None else total,
                    absent if read is None else read,
                    absent if write is None else write,
                    absent if write_5m is None else write_5m,
                    absent if write_1h is None else write_1h,
                    absent if output is None else output,
                    absent if reasoning is None else reasoning,
                    absent if cost is None else cost,
                    *(cost_input, cost_read, cost_write, cost_output),
                )
            )
            if rare:
                extend([absent if value is None else value for value in _rare(call)])
        return params

    def _remember(self, shape: tuple[object, ...]) -> int:
        number = self.shapes[shape] = len(self.shapes)
        usage, price = cast("tuple[tuple[str, ...], tuple[str, ...]]", shape[11:13])
        columns = (*shape[:11], reasons_text(usage, price), *shape[13:])
        values = (int(column) if isinstance(column, bool) else column for column in columns)
        self.fresh.append((number, *cast("Iterable[Value]", values)))
        return number

    def _label(self, labels: Labels) -> str:
        if len(self._labels) >= _REMEMBERED_MAX:
            self._labels.clear()
        text = self._labels[labels] = labels_text(labels)
        return text


def _rare(call: LLMCall) -> tuple[int | None, ...]:
    usage = call.usage
    return (
        *(usage.audio_input, usage.audio_output, usage.audio_cache_read, usage.image_input),
        *(call.reported_cost, call.claimed_cost, call.web_searches, call.prompt_hash, call.prefix_hash),
    )


def has_rare(entries: Sequence[Entry]) -> bool:
    """Whether any entry has a value in a `RARE` column."""
    some, many = (None,) * 5, (None,) * 4
    for entry in entries:
        call = entry[2][0]
        # Audio and images; reported and claimed costs, searches, and hashes.
        if call[11][7:] != many or call[19:24] != some:
            return True
    return False


def entry_of(row: Sequence[Any], windows: tuple[SpendKey, ...] = ()) -> Entry:
    """Reads one entry from the values of `ENTRY_COLUMNS`.

    Args:
        row: The values as the ledger has them.
        windows: What the entry gets as windows; the ledger does not keep them with it.
    """
    if bytes in map(type, row[1:]):
        row = (row[0], *map(plain, row[1:]))
    entry_key, end_ns, start_ns, parent, response_id, labels = row[:6]
    tokens, cost, parts, rare = (*row[6:13], *row[18:22]), row[13], row[14:18], row[22:27]
    kind, scope, provider, model, asked, answered, operation, aggregate, tier = row[27:36]
    usage_confidence, cost_confidence, reasons, price_id, failed, finish, failure = row[36:43]
    interactive, fixed = (None if flag is None else bool(flag) for flag in row[43:])
    usage_reasons, price_reasons = reasons_of(reasons)
    trace, span = int.from_bytes(entry_key[:16], "big"), int.from_bytes(entry_key[16:24], "big")
    usage = Usage(*tokens)
    fields: list[Any] = [trace, span, parent % (1 << 64), scope, provider, model, asked, answered, operation]
    fields += [bool(aggregate), tier, usage, usage_confidence, usage_reasons, start_ns, end_ns, bool(failed)]
    fields += [response_id, labels_of(labels), *rare, finish, failure, interactive, fixed]
    price: list[Any] = [cost, *parts, price_id, cost_confidence, price_reasons]
    return Entry(entry_key, cast("EntryKind", kind), PricedCall(LLMCall(*fields), *price), windows)
