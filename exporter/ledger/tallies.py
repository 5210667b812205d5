"""Sums over entries by what rules tell apart, made in the database: what the counters of rules are fed by.

`tallies_after` follows the ledger as it grows, `tallies_between` reads its history; both join without gap or
overlap at a sequence number of `max_seq`.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Final, NamedTuple, Protocol

from spanbudget.processors.names_out import DURATION_BOUNDS_SECONDS, NANO, OTHER

if TYPE_CHECKING:
    from spanbudget.exporter.ledger import DurableLedger

GROUPS_MAX: Final = 50_000
"""Most groups of one answer, or of one piece of a history; what is beyond has `other` for every text."""
KEY_COLUMNS: Final = (
    *("provider", "model", "request_model", "response_model", "operation", "tier", "failed"),
    *("cost_confidence", "kind"),
)
"""Columns of `entries` by which entries are grouped."""
SUMMED: Final = (*("cost_pico", "input_tokens", "cache_read_tokens", "cache_write_tokens", "output_tokens"),)
"""Columns of `entries` that are summed; absent ones count as 0."""
PIECES_MAX: Final = 256
"""A history is read in about so many pieces, so that no question holds the database for long."""
SEQ_PIECE: Final = 200_000
"""Most entries that one question of `tallies_after` is about."""


class Tally(NamedTuple):
    """What some entries come to; a reversal counts negatively, so any number may be below 0.

    Attributes:
        bucket_ns: Start of the stretch of time in which the calls ended, nanoseconds since the epoch; 0 where
            the question was not about time.
        provider: Normalised provider; None where unknown.
        model: The model that was priced; None where unknown.
        request_model: The model asked for, as the spans spell it.
        response_model: The model that answered, as the spans spell it.
        operation: `chat`, `embeddings`, …
        tier: Service tier; None where it is not reported.
        failed: Whether the calls ended in an error.
        confidence: Confidence of the cost: `exact`, `estimated` or `unpriced`.
        labels: Those of the labels asked for that the calls have, in the order in which they were asked for.
        requests: Calls.
        unpriced: The calls without a cost.
        cost: Pico-USD.
        input: Uncached prompt tokens.
        cache_read: Prompt tokens read from a cache.
        cache_write: Prompt tokens written to a cache.
        output: Output tokens.
        duration_ns: Sum of the calls' durations; one that ends before it starts counts as 0.
        durations: Calls by duration: up to each bound and above the one before; last those above all bounds.
    """

    bucket_ns: int
    provider: str | None
    model: str | None
    request_model: str | None
    response_model: str | None
    operation: str
    tier: str | None
    failed: bool
    confidence: str
    labels: tuple[tuple[str, str], ...]
    requests: int
    unpriced: int
    cost: int
    input: int
    cache_read: int
    cache_write: int
    output: int
    duration_ns: int
    durations: tuple[int, ...]


class LedgerTallies(Protocol):
    """Answers with sums over a ledger; every method raises `LedgerError` where it cannot be read.

    For one thread at a time.
    """

    def max_seq(self) -> int:
        """The number up to which every entry is there that ever will be; 0 for an empty ledger."""
        ...

    def tallies_after(self, seq: int) -> tuple[list[Tally], int]:
        """The sums of everything appended after a number, and the number to go on from.

        Called again and again with the number that it gave, it tells every entry exactly once.
        """
        ...

    def tallies_between(
        self, since_ns: int, until_ns: int, step_ns: int, *, last_seq: int | None = None
    ) -> Iterator[Tally]:
        """The sums of what ended in `[since_ns, until_ns)`, by stretches of `step_ns`, the earliest first.

        Args:
            since_ns: Nanoseconds since the epoch, 0 or more.
            until_ns: Nanoseconds since the epoch.
            step_ns: Length of a stretch, 1 or more; stretches start at multiples of it.
            last_seq: Only entries up to this number of `max_seq`; None for all that are there.
        """
        ...

    def close(self) -> None:
        """Releases the connection; closing twice does nothing."""
        ...


@dataclass(frozen=True, slots=True)
class TallyQuestion:
    """What is told apart.

    Attributes:
        labels: Names of the attribution labels, each once; entries are not told apart by any other.
        bounds_seconds: Upper bounds of the durations that are counted, ascending.
    """

    labels: tuple[str, ...] = ()
    bounds_seconds: tuple[float, ...] = DURATION_BOUNDS_SECONDS

    @property
    def bounds_ns(self) -> tuple[int, ...]:
        """The bounds in nanoseconds."""
        return tuple(round(bound * NANO) for bound in self.bounds_seconds)


class Row(NamedTuple):
    """One group of entries as a database gives it.

    Attributes:
        bucket: Number of the stretch of time.
        key: Values of `KEY_COLUMNS`.
        labels: A value for each label asked for, None where it is absent.
        numbers: Calls, calls with a cost, the sums of `SUMMED`, the sum of durations, and how many calls last
            up to each bound (each bound includes those before it).
    """

    bucket: int
    key: Sequence[Any]
    labels: Sequence[str | None]
    numbers: Sequence[int]


class Gathering:
    """Adds up rows into tallies: calls less reversals.

    Args:
        question: What is told apart.
        step_ns: Length of a stretch of time; 0 for none.
        groups_max: Most groups.
    """

    def __init__(self, question: TallyQuestion, step_ns: int, groups_max: int = GROUPS_MAX) -> None:
        self._question = question
        self._step_ns = step_ns
        self._groups_max = groups_max
        self._groups: dict[tuple[Any, ...], list[int]] = {}

    def add(self, rows: Iterable[Row]) -> None:
        """Adds rows."""
        groups, step_ns = self._groups, self._step_ns
        for bucket, columns, labels, numbers in rows:
            *texts, failed, confidence, kind = columns
            key = (bucket * step_ns, *texts, bool(failed), confidence, tuple(labels))
            group = groups.get(key)
            if group is None:
                if len(groups) >= self._groups_max:
                    others = (OTHER,) * len(labels)
                    key = (bucket * step_ns, *(OTHER,) * len(texts), bool(failed), confidence, others)
                group = groups.setdefault(key, [0] * len(numbers))
            sign = -1 if kind == "reversal" else 1
            for index, number in enumerate(numbers):
                group[index] += sign * number

    def tallies(self) -> list[Tally]:
        """The sums, the earliest first."""
        names = self._question.labels
        made = []
        for (*key, labels), numbers in self._groups.items():
            pairs = tuple(
                (name, value) for name, value in zip(names, labels, strict=True) if value is not None
            )
            calls, with_cost, *sums = numbers[: 3 + len(SUMMED)]
            up_to = [0, *numbers[3 + len(SUMMED) :], calls]
            durations = tuple(above - below for below, above in pairwise(up_to))
            made.append(Tally._make((*key, pairs, calls, calls - with_cost, *sums, durations)))
        return sorted(made, key=lambda tally: tally.bucket_ns)


def pieces(ends_ns: tuple[int, int], since_ns: int, until_ns: int, step_ns: int) -> Iterator[tuple[int, int]]:
    """Cuts a stretch of time into pieces of whole steps: pairs of start and end.

    Args:
        ends_ns: The first and the last end of a call in the stretch.
        since_ns: Start of the stretch.
        until_ns: End of the stretch.
        step_ns: No piece ends inside a step.
    """
    first_ns, last_ns = ends_ns
    start_ns = first_ns // step_ns * step_ns
    length_ns = max(1, (last_ns - start_ns) // step_ns // PIECES_MAX + 1) * step_ns
    while start_ns <= last_ns:
        yield max(start_ns, since_ns), min(start_ns + length_ns, until_ns)
        start_ns += length_ns


def open_tallies(
    url: str,
    *,
    question: TallyQuestion | None = None,
    within: "DurableLedger | None" = None,
    busy_timeout_seconds: float = 5.0,
) -> LedgerTallies:
    """Opens a connection beside the ledger's own, so that a long question stops no append.

    Args:
        url: URL of the ledger, which is there already.
        question: What is told apart; None for the usual durations and no labels.
        within: The open ledger: one in memory can only be read through it.
        busy_timeout_seconds: How long to wait for another process, 0 or more.

    Raises:
        LedgerError: The ledger cannot be used; the message says why and what to do.
    """
    # Only the kind that is used is imported.
    from spanbudget.exporter.ledger import open_ledger  # noqa: PLC0415
    from spanbudget.exporter.ledger.sqlite import SqliteLedger  # noqa: PLC0415
    from spanbudget.exporter.ledger.store import MEMORY  # noqa: PLC0415
    from spanbudget.exporter.ledger.tallies_sqlite import SqliteTallies  # noqa: PLC0415

    asked = question or TallyQuestion()
    if isinstance(within, SqliteLedger) and within.path == MEMORY:
        return SqliteTallies(within, asked, own=False)
    opened = open_ledger(url, busy_timeout_seconds=busy_timeout_seconds)
    if isinstance(opened, SqliteLedger):
        return SqliteTallies(opened, asked, own=True)
    from spanbudget.exporter.ledger.tallies_postgres import PostgresTallies  # noqa: PLC0415 - needs its driver

    return PostgresTallies(opened, asked)
