"""A table of calls that grows page by page: plain columns as long as pages come, pandas at the end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd

from spanbudget.exporter.ledger.call_pages import HASHES, NUMBERS, PAGE_COLUMNS, UNKNOWN
from spanbudget.exporter.ledger.rows import labels_of, reasons_of
from spanbudget.processors.content_hash import split_prefix
from spanbudget.processors.rates import standard_tier
from spanbudget.rules.advice.calls import LABEL, Ints

PLACES: Final = {name: place for place, name in enumerate(PAGE_COLUMNS)}
"""Where each column stands in a row of a page."""
_REMEMBERED_MAX: Final = 50_000
"""Distinct texts that are remembered while pages are read; at the limit all are forgotten."""
_CUT_SHORT: Final = frozenset({"timeout", "aborted_stream", "connection_error"})
"""Reasons of a call whose answer nobody got, however its span ended."""

_IDS: Final = ("trace_id", "span_id", "parent_id")
_TEXTS: Final = ("provider", "model", "request_model", "operation", "error_type", "finish_reason")
_FLAGS: Final = ("interactive", "deterministic")
_PROMPT: Final = ("input_tokens", "cache_read_tokens", "cache_write_tokens")


class CallTable:
    """See `spanbudget.rules.advice.calls.COLUMNS` for what the table has.

    Attributes:
        rows: Calls so far.
    """

    def __init__(self) -> None:
        self.rows = 0
        self._whole: dict[str, list[Any]] = {}  # column → a list for each page
        self._sparse: dict[str, list[tuple[int, Sequence[Any]]]] = {}  # column → first row, and values
        self._labels = _Remembered(lambda text: dict(labels_of(text)))
        self._cut = _Remembered(lambda text: not _CUT_SHORT.isdisjoint(reasons_of(text)[0]))
        self._tiers = _Remembered(standard_tier)
        self._texts: dict[str | None, str | None] = {}

    def add(self, rows: Sequence[Sequence[Any]]) -> None:
        """Adds rows of a page of `call_pages`."""
        if not rows:
            return
        columns = dict(zip(PAGE_COLUMNS, zip(*rows, strict=True), strict=True))
        keep = self._keep
        keep("trace_id", [key[:16].hex() for key in columns["id"]])
        keep("span_id", [key[16:24].hex() for key in columns["id"]])
        keep("parent_id", [f"{one % (1 << 64):016x}" if one else None for one in columns["parent_id"]])
        for name in _TEXTS:
            keep(name, self._shared(columns[name]))
        keep("tier", self._shared(map(self._tiers, columns["tier"])))
        cut = map(self._cut, columns["reasons"])
        keep("failed", [bool(one) or bool(short) for one, short in zip(columns["failed"], cut, strict=True)])
        for name in _FLAGS:
            keep(name, [None if flag is None else bool(flag) for flag in columns[name]])
        for name in ("end_ns", "start_ns", *NUMBERS):
            keep(name, np.array(columns[name], dtype=np.int64))
        for name in HASHES:
            if any(value is not None for value in columns[name]):
                self._sparse.setdefault(name, []).append((self.rows, columns[name]))
        labels = [self._labels(text) for text in columns["labels"]]
        for name in {name for one in labels for name in one}:
            values = self._shared(one.get(name) for one in labels)
            self._sparse.setdefault(f"{LABEL}{name}", []).append((self.rows, values))
        self.rows += len(rows)

    def frame(self, rows_max: int) -> pd.DataFrame:
        """The first so many rows."""
        made: dict[str, Any] = {
            name: pd.Series(self._joined(name), dtype=object) for name in (*_IDS, *_TEXTS, "tier")
        }
        made["failed"] = np.array(self._joined("failed"), dtype=np.bool_)
        made |= {name: pd.array(self._joined(name), dtype="boolean") for name in _FLAGS}
        made["end_ns"] = end_ns = self._numbers("end_ns")
        start_ns = self._numbers("start_ns")
        made["start_ns"] = np.where(start_ns == UNKNOWN, end_ns, start_ns)
        numbers = {name: self._numbers(name) for name in NUMBERS}
        for name, values in numbers.items():
            made[_short(name)] = pd.arrays.IntegerArray(values, values == UNKNOWN)
        prompt = np.sum([np.maximum(numbers[name], 0) for name in _PROMPT], axis=0)
        for name, parts in self._sparse.items():
            found: list[Any] = [None] * self.rows
            for start, part in parts:
                found[start : start + len(part)] = part
            made |= _hash_columns(name, found, prompt) if name in HASHES else _column(name, found)
        return pd.DataFrame(made).iloc[:rows_max]

    def _keep(self, name: str, values: Any) -> None:
        self._whole.setdefault(name, []).append(values)

    def _joined(self, name: str) -> list[Any]:
        return [one for part in self._whole.pop(name, ()) for one in part]

    def _numbers(self, name: str) -> Ints:
        parts = self._whole.pop(name, ())
        return np.concatenate(parts) if parts else np.zeros(0, dtype=np.int64)

    def _shared(self, values: Iterable[str | None]) -> list[str | None]:
        """Texts as one object each: a driver makes a new one for every row."""
        known = self._texts
        if len(known) > _REMEMBERED_MAX:
            known.clear()
        return [known.setdefault(value, value) for value in values]


class _Remembered:
    """A function of a text, whose answers are remembered; None answers to None."""

    def __init__(self, read: Callable[[str], Any]) -> None:
        self._read = read
        self._known: dict[str | None, Any] = {None: None}

    def __call__(self, text: str | None) -> Any:
        try:
            return self._known[text]
        except KeyError:
            if len(self._known) > _REMEMBERED_MAX:
                self._known = {None: None}
            answer = self._known[text] = None if text is None else self._read(text)
            return answer


def _short(column: str) -> str:
    """A column of the ledger under the name that advice has for it."""
    return column.removesuffix("_tokens").removesuffix("_pico")


def _column(name: str, values: Sequence[Any]) -> Mapping[str, Any]:
    return {name: pd.Series(values, dtype=object)}


def _hash_columns(name: str, values: Sequence[int | None], prompt: Ints) -> Mapping[str, Any]:
    """Hashes as bytes; of prefixes also how many tokens they have, by the share that they carry."""
    if name == "prompt_hash":
        return _column(name, [_eight_bytes(one) for one in values])
    parts = [(None, None) if one is None else split_prefix(one) for one in values]
    share = np.array([np.nan if part is None else part for _, part in parts])
    unknown = np.isnan(share)
    tokens = np.round(np.where(unknown, 0.0, share) * prompt).astype(np.int64)
    told = _column(name, [_eight_bytes(one) for one, _ in parts])
    return {**told, "prefix_tokens": pd.arrays.IntegerArray(tokens, unknown)}


def _eight_bytes(number: int | None) -> bytes | None:
    return None if number is None else number.to_bytes(8, "big", signed=True)
