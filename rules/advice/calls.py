"""The calls of a window as advice reads them: a table with named columns, and the same as plain arrays.

Prompts and answers are no columns. Where content matters there are keyed hashes, which an application opts
into; a hash tells that two requests were equal and nothing else.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal, NamedTuple, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from spanbudget.processors.call import TOKENS_MAX
from spanbudget.processors.errors import AmountError
from spanbudget.processors.overrides import REPORTED_MAX

Ints: TypeAlias = NDArray[np.int64]
Bools: TypeAlias = NDArray[np.bool_]
ColumnKind: TypeAlias = Literal["text", "hash", "moment", "flag", "maybe", "tokens", "pico"]

UNKNOWN: Final = -1
"""In arrays of tokens, money and codes: not reported, not priced, no name."""
_MOMENT_MAX: Final = 2**62
"""Nanoseconds; the year 2116. Differences of moments up to it fit 64 bits."""
LABEL: Final = "label."
"""What the names of label columns begin with: `label.user`, `label.session`, `label.service`."""


class Column(NamedTuple):
    """What a column holds.

    Attributes:
        kind: `text`: str or None. `hash`: bytes, whole numbers or None. `moment`: int64, nanoseconds since
            the epoch. `flag`: bool. `maybe`: True, False or None. `tokens`: Int64 or float, 0 to
            `TOKENS_MAX`, None or NaN for "not reported". `pico`: Int64 or Python integers, pico-USD, None
            for "not priced".
        meaning: What it tells, and what None tells.
        optional: The column may be missing; it then is None in every row.
    """

    kind: ColumnKind
    meaning: str
    optional: bool = False


COLUMNS: Final[Mapping[str, Column]] = {
    "span_id": Column("text", "16 hexadecimal digits; with the trace id the key of a call"),
    "trace_id": Column("text", "32 hexadecimal digits"),
    "parent_id": Column("text", "span id of the parent; None where there is none", optional=True),
    "start_ns": Column("moment", "start of the call"),
    "end_ns": Column("moment", "end of the call"),
    "provider": Column("text", "normalised provider; None where unknown"),
    "model": Column("text", "the model that is priced, normalised; None where unknown"),
    "request_model": Column("text", "the model asked for, as the span spells it", optional=True),
    "operation": Column("text", "`chat`, `embeddings`, `generate_content`, …"),
    "tier": Column("text", "service tier; None for the standard one or where not reported"),
    "failed": Column("flag", "the call ended in an error, a timeout or an abort"),
    "error_type": Column("text", "class of the error; None without one", optional=True),
    "finish_reason": Column("text", "why the answer ended, `length`; None where not reported", optional=True),
    "interactive": Column(
        "maybe",
        "True: a SERVER span above waits. False: a CONSUMER or batch span above, nobody waits. None: unknown",
        optional=True,
    ),
    "input": Column("tokens", "of the prompt, neither read from nor written to a cache"),
    "cache_read": Column("tokens", "of the prompt, read from a cache"),
    "cache_write": Column("tokens", "of the prompt, written to a cache of any lifetime"),
    "cache_write_5m": Column("tokens", "the part of `cache_write` kept for 5 minutes", optional=True),
    "cache_write_1h": Column("tokens", "the part of `cache_write` kept for 1 hour", optional=True),
    "output": Column("tokens", "of the answer, reasoning included"),
    "reasoning": Column("tokens", "the part of `output` that was reasoning", optional=True),
    "cost": Column("pico", "all of the call"),
    "cost_input": Column("pico", "the part for `input`; 0 where a provider reported the whole cost only"),
    "cost_cache_read": Column("pico", "the part for `cache_read`"),
    "cost_cache_write": Column("pico", "the part for `cache_write`"),
    "cost_output": Column("pico", "the part for `output`"),
    "prompt_hash": Column(
        "hash",
        "keyed hash of the whole request but for its limit of output tokens, so that a larger retry is the"
        " same request; None where the application did not opt in",
        optional=True,
    ),
    "prefix_hash": Column(
        "hash", "keyed hash of system instructions and tools; None as above", optional=True
    ),
    "prefix_tokens": Column(
        "tokens",
        "of instructions and tools, as their share of the characters of the prompt; None where unknown",
        optional=True,
    ),
    "deterministic": Column("flag", "the request asked for temperature 0", optional=True),
}
"""All columns but the labels, `label.<name>`, each a `text`. Other columns are ignored."""

_TOKEN_COLUMNS: Final = tuple(name for name, column in COLUMNS.items() if column.kind == "tokens")
_COST_PARTS: Final = ("cost_input", "cost_cache_read", "cost_cache_write", "cost_output")


class Codes(NamedTuple):
    """A column of texts or hashes as small numbers.

    Attributes:
        codes: For each row the place of its value in `names`; -1 for None.
        names: The values, each once.
    """

    codes: Ints
    names: Sequence[Any]

    def at(self, row: int) -> Any:
        """The value of a row; None where it has none."""
        code = self.codes[row]
        return None if code < 0 else self.names[code]

    def among(self, wanted: frozenset[str]) -> Bools:
        """For each row, whether its text is one of these in lower case; False for None."""
        hits = np.array([str(name).lower() in wanted for name in self.names] + [False], dtype=np.bool_)
        found: Bools = hits[self.codes]  # code -1 takes the False at the end
        return found


@dataclass(frozen=True, slots=True)
class Calls:
    """The calls of a window, each row one call, every array as long as there are rows.

    Attributes:
        rows: The place of each call in the given table; of rows with one trace and span id the last is kept.
        given: Rows of the table.
        start_ns: Nanoseconds since the epoch.
        end_ns: As `start_ns`, never before it: a clock that went back ends the call when it started.
        texts: The columns of texts and hashes, and the labels under `label.<name>`.
        tokens: The columns of tokens; -1 where not reported or beyond `TOKENS_MAX`. `cache_write_5m` and
            `cache_write_1h` are disjoint here and always known: what is not told is of 5 minutes.
        cost: pico-USD; -1 where not priced, or beyond a million USD, which nobody believes.
        cost_tokens: The part of `cost` that tokens cost; without fees for requests and searches.
        failed: Whether it failed.
        interactive: 1 where somebody waits, 0 where nobody does, -1 where that is not known.
        deterministic: Whether temperature 0 was asked for.
    """

    rows: Ints
    given: int
    start_ns: Ints
    end_ns: Ints
    texts: Mapping[str, Codes]
    tokens: Mapping[str, Ints]
    cost: Ints
    cost_tokens: Ints
    failed: Bools
    interactive: Ints
    deterministic: Bools

    def __len__(self) -> int:
        return len(self.rows)

    @property
    def priced(self) -> Bools:
        """Whether the cost of each call is known."""
        priced: Bools = self.cost >= 0
        return priced

    @property
    def prompt(self) -> Ints:
        """All reported tokens of each prompt, cached or not."""
        prompt: Ints = (
            np.maximum(self.tokens["input"], 0)
            + np.maximum(self.tokens["cache_read"], 0)
            + np.maximum(self.tokens["cache_write"], 0)
        )
        return prompt

    def label(self, name: str) -> Codes:
        """The codes of a label; all -1 where no call has it."""
        return self.texts.get(LABEL + name) or Codes(np.full(len(self), UNKNOWN, dtype=np.int64), ())


def standing_rows(frame: pd.DataFrame) -> Ints:
    """The places of the rows that count: of several with one trace and span id, the last."""
    repeated = frame.duplicated(["trace_id", "span_id"], keep="last").to_numpy(dtype=np.bool_)
    rows: Ints = np.flatnonzero(~repeated).astype(np.int64)
    return rows


def read_calls(frame: pd.DataFrame) -> Calls:
    """Checks a table and reads it.

    Args:
        frame: `COLUMNS`, and labels as `label.<name>`; any index, any order.

    Raises:
        AmountError: A column is missing, or holds what it must not; the message names the column.
    """
    missing = [name for name, column in COLUMNS.items() if not column.optional and name not in frame.columns]
    if missing:
        raise AmountError(
            f"the table of calls has no column {', '.join(missing)}; COLUMNS in spanbudget.rules.advice.calls"
            " names them all"
        )
    rows = standing_rows(frame)
    read = _Reader(frame.iloc[rows])
    start_ns = read.moments("start_ns")
    labels = [name for name in frame.columns if isinstance(name, str) and name.startswith(LABEL)]
    named = [name for name, column in COLUMNS.items() if column.kind in {"text", "hash"}]
    cost = read.numbers("cost", REPORTED_MAX)
    parts: Ints = sum(
        (np.maximum(read.numbers(name, REPORTED_MAX), 0) for name in _COST_PARTS), np.zeros_like(cost)
    )
    tokens = {name: read.numbers(name, TOKENS_MAX) for name in _TOKEN_COLUMNS}
    return Calls(
        rows=rows,
        given=len(frame),
        start_ns=start_ns,
        end_ns=np.maximum(read.moments("end_ns"), start_ns),
        texts={name: read.codes(name) for name in (*named, *labels)},
        tokens=_with_writes(tokens),
        cost=cost,
        cost_tokens=np.where(parts > 0, np.minimum(parts, cost), cost),
        failed=read.maybe("failed") == 1,
        interactive=read.maybe("interactive"),
        deterministic=read.maybe("deterministic") == 1,
    )


def _with_writes(tokens: dict[str, Ints]) -> dict[str, Ints]:
    """The tokens with cache writes parted into those of 5 minutes and of 1 hour."""
    whole, short, long = (tokens[name] for name in ("cache_write", "cache_write_5m", "cache_write_1h"))
    told = np.where((short >= 0) | (long >= 0), np.maximum(short, 0) + np.maximum(long, 0), UNKNOWN)
    whole = np.where(whole >= 0, whole, told)
    known = np.maximum(whole, 0)
    hour = np.where(long >= 0, long, np.where(short >= 0, known - short, 0))
    hour = np.clip(hour, 0, known)
    return {**tokens, "cache_write": whole, "cache_write_5m": known - hour, "cache_write_1h": hour}


class _Reader:
    """Columns of one table as arrays."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def codes(self, name: str) -> Codes:
        """A column of texts or hashes."""
        if name not in self._frame.columns:
            return Codes(np.full(len(self._frame), UNKNOWN, dtype=np.int64), ())
        try:
            codes, names = pd.factorize(self._frame[name])
        except TypeError as error:
            raise _wrong(name, "text, bytes, whole numbers or None") from error
        return Codes(codes.astype(np.int64), names.tolist())

    def moments(self, name: str) -> Ints:
        """A column of nanoseconds, of which none may be missing; a clock that ran wild is kept in bounds."""
        column = self._frame[name]
        try:
            if column.dtype == object:
                column = pd.Series([min(max(int(value), 0), _MOMENT_MAX) for value in column], dtype=np.int64)
            moments: Ints = np.clip(column.to_numpy(dtype=np.int64), 0, _MOMENT_MAX)
        except (TypeError, ValueError, OverflowError) as error:
            raise _wrong(name, "whole nanoseconds in every row") from error
        return moments

    def numbers(self, name: str, most: int) -> Ints:
        """A column of whole numbers, -1 where a row has none, a negative one, or more than `most`."""
        if name not in self._frame.columns:
            return np.full(len(self._frame), UNKNOWN, dtype=np.int64)
        column = self._frame[name]
        if column.dtype == object:
            believed = (_believed(name, value, most) for value in column)
            return np.fromiter(believed, dtype=np.int64, count=len(column))
        try:
            if column.dtype.kind == "f":
                values = column.to_numpy(dtype=np.float64, na_value=np.nan)
                good = (values >= 0) & (values <= most)
                return np.where(good, np.where(good, values, 0).astype(np.int64), UNKNOWN)
            numbers: Ints = column.astype("Int64").to_numpy(dtype=np.int64, na_value=UNKNOWN)
        except (TypeError, ValueError, OverflowError) as error:
            raise _wrong(name, "whole numbers or None") from error
        return np.where((numbers < 0) | (numbers > most), UNKNOWN, numbers)

    def maybe(self, name: str) -> Ints:
        """A column of True, False and None: 1, 0 and -1."""
        if name not in self._frame.columns:
            return np.full(len(self._frame), UNKNOWN, dtype=np.int64)
        try:
            column = self._frame[name].astype("boolean")
        except (TypeError, ValueError) as error:
            raise _wrong(name, "True, False or None") from error
        flags: Ints = column.astype("Int64").to_numpy(dtype=np.int64, na_value=UNKNOWN)
        return flags


def _believed(name: str, value: object, most: int) -> int:
    """A whole number of a column of Python objects, -1 where there is none to believe."""
    if value is None or value is pd.NA:
        return UNKNOWN
    if not isinstance(value, (int, float, Decimal, np.integer)):
        raise _wrong(name, "whole numbers or None")
    return int(value) if 0 <= value <= most else UNKNOWN  # a NaN is in no range


def _wrong(name: str, wanted: str) -> AmountError:
    return AmountError(f"column {name} of the table of calls must hold {wanted}")
