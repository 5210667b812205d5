"""What people say about anomalies and times: what becomes of it in the ledger."""

import secrets
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

from spanbudget.exporter.anomalies.records import UNTIL_ENDED_MS, EpisodeRecord, ExpectedMark, MarkKind
from spanbudget.exporter.checks.limits import with_stored
from spanbudget.exporter.cli.listing import Row, Titles, iso, minute, print_rows
from spanbudget.exporter.config import Config
from spanbudget.processors.errors import InputError
from spanbudget.processors.selectors import canonical_label

if TYPE_CHECKING:
    from spanbudget.exporter.anomalies.store import SqlAnomalies

COMMENT_CHARS_MAX: Final = 500
WINDOW_MS_MAX: Final = 366 * 86_400_000
"""The longest time that may be expected, a year: a slip of the keyboard must not blind the watch for ever."""
Times = tuple[int | None, int | None]
"""Begin and end, milliseconds since the epoch, as far as they were given."""


def acknowledged(kept: "SqlAnomalies", episode: EpisodeRecord, comment: str, now_ms: int) -> Sequence[str]:
    """Keeps that an episode was an incident; the ids of all episodes that it is said of."""
    until_ms = UNTIL_ENDED_MS if episode.end_ms is None else episode.end_ms
    return _marked(kept, episode, "acknowledged", (episode.start_ms, until_ms), comment, now_ms)


def expectation(
    kept: "SqlAnomalies", episode: EpisodeRecord, times: Times, comment: str, now_ms: int
) -> Sequence[str]:
    """Keeps that an episode was none; the ids of all episodes that it is said of.

    Raises:
        InputError: The times make no sense.
    """
    since_ms = episode.start_ms if times[0] is None else times[0]
    until_ms = times[1] or episode.end_ms or UNTIL_ENDED_MS
    if until_ms != UNTIL_ENDED_MS:
        _sensible(since_ms, until_ms)
    return _marked(kept, episode, "expected", (since_ms, until_ms), comment, now_ms)


def window(
    config: Config,
    kept: "SqlAnomalies",
    budget: str,
    part: tuple[str | None, str | None],
    times: Times,
    comment: str,
    now_ms: int,
) -> ExpectedMark:
    """Keeps that a time of a budget, or of a part of it, is none.

    Args:
        config: Names the budgets.
        kept: Where it is kept.
        budget: Name of the budget.
        part: A dimension with its value, `model=gpt-5`, and a child, `user=ann`; None for all.
        times: Begin and end; without a begin, now.
        comment: Why.
        now_ms: Milliseconds since the epoch.

    Raises:
        InputError: There is no such budget, or the rest makes no sense.
    """
    known = {one.name for one in with_stored(config).budgets} | kept.budgets()
    if budget not in known:
        there = ", ".join(sorted(known)[:5]) or "none"
        raise InputError(f"there is no anomaly and no budget {budget!r}; budgets are: {there}")
    since_ms = now_ms if times[0] is None else times[0]
    if times[1] is None:
        raise InputError("until when? give --until, a time such as 2026-12-01T08:00Z or +6h")
    _sensible(since_ms, times[1])
    series = {"budget": budget}
    dimension, child = part
    if child:
        series["child"] = child
    if dimension:
        name, equals, value = dimension.partition("=")
        if not (name and equals and value):
            raise InputError(
                f"--dimension must be a label and a value, such as model=gpt-5, got {dimension!r}"
            )
        series |= {"dimension": canonical_label(name), "value": value}
    mark = ExpectedMark(
        id=f"expected-{secrets.token_hex(4)}",
        kind="expected",
        series=series,
        episode="",
        comment=comment[:COMMENT_CHARS_MAX],
        since_ms=since_ms,
        until_ms=times[1],
        created_ms=now_ms,
    )
    touched = [one.id for one in kept.episodes(since_ms) if mark.covers(one)]
    kept.mark(mark, touched)
    return mark


def _marked(
    kept: "SqlAnomalies",
    episode: EpisodeRecord,
    kind: MarkKind,
    times: tuple[int, int],
    comment: str,
    now_ms: int,
) -> Sequence[str]:
    mark = ExpectedMark(
        id=f"{kind}-{episode.id}",
        kind=kind,
        series={name: value for name, value in episode.series._asdict().items() if value},
        episode=episode.id,
        comment=comment[:COMMENT_CHARS_MAX],
        since_ms=times[0],
        until_ms=times[1],
        created_ms=now_ms,
    )
    touched = [one.id for one in kept.episodes(times[0]) if mark.covers(one)]
    marked = list(dict.fromkeys([episode.id, *touched]))
    kept.mark(mark, marked)
    return marked


def _sensible(since_ms: int, until_ms: int) -> None:
    if until_ms <= since_ms:
        raise InputError(f"--until ({minute(until_ms)}) must be after --from ({minute(since_ms)})")
    if until_ms - since_ms > WINDOW_MS_MAX:
        raise InputError("a time that is expected may last for a year at most; give another --until")


def print_marks(marks: Sequence[ExpectedMark]) -> None:
    """Prints marks as a list."""
    rows = []
    for one in marks:
        until = "its end" if one.until_ms == UNTIL_ENDED_MS else minute(one.until_ms)
        rows.append(Row((one.id, minute(one.since_ms), until), (_about(one), one.comment)))
    print_rows(Titles(("ID", "FROM (UTC)", "UNTIL (UTC)"), ("ABOUT", "COMMENT")), rows)


def mark_json(one: ExpectedMark) -> dict[str, Any]:
    """A mark for programs."""
    return {
        "id": one.id,
        "kind": one.kind,
        "episode": one.episode or None,
        "series": dict(one.series),
        "comment": one.comment,
        "from": iso(one.since_ms),
        "until": None if one.until_ms == UNTIL_ENDED_MS else iso(one.until_ms),
        "created": iso(one.created_ms),
    }


def _about(one: ExpectedMark) -> str:
    named = one.series
    part = f"{named['dimension']}={named.get('value', '')}" if named.get("dimension") else ""
    about = " · ".join(filter(None, (named.get("budget"), named.get("child"), part)))
    return f"{about}, anomaly {one.episode}" if one.episode else about
