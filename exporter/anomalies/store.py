"""Episodes, marks and learnt states in the ledger's database; for SQLite and PostgreSQL."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, Row, Table, bindparam, delete, or_, select, update

from spanbudget.exporter.anomalies.records import (
    UNTIL_ENDED_MS,
    AnomalyChange,
    EpisodeRecord,
    ExpectedMark,
    KeptAnomalies,
    SavedState,
)
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.ledger.schema import anomaly_episodes, anomaly_expected, anomaly_series
from spanbudget.rules.anomalies.contributors import Contributor

if TYPE_CHECKING:
    from spanbudget.exporter.alert_store.database import Database

_episodes = anomaly_episodes.c


class SqlAnomalies:
    """What the watch keeps. Every method raises `AlertStoreError` where the database cannot be used.

    Args:
        database: Where it is.
    """

    def __init__(self, database: "Database") -> None:
        self._database = database

    def load(self, since_ms: int) -> KeptAnomalies:
        """What the watch goes on from.

        Args:
            since_ms: Episodes that ended before are left out, milliseconds since the epoch.
        """
        with self._database.reading() as connection:
            states = {
                SeriesName(*row.series): SavedState(row.slot_ms, bytes(row.state))
                for row in connection.execute(select(anomaly_series))
            }
        return KeptAnomalies(states, self.episodes(since_ms))

    def episodes(
        self, since_ms: int = 0, *, only_open: bool = False, limit: int = 100_000
    ) -> tuple[EpisodeRecord, ...]:
        """Episodes that have not ended, or not before a moment; the latest first."""
        asked = select(anomaly_episodes).order_by(_episodes.start_ms.desc(), _episodes.id).limit(limit)
        lasting = _episodes.end_ms.is_(None)
        asked = asked.where(lasting if only_open else or_(lasting, _episodes.end_ms >= since_ms))
        with self._database.reading() as connection:
            return tuple(_episode(row) for row in connection.execute(asked))

    def episode(self, id_: str) -> EpisodeRecord | None:
        """The episode of an id; None where there is none."""
        with self._database.reading() as connection:
            row = connection.execute(select(anomaly_episodes).where(_episodes.id == id_)).first()
        return None if row is None else _episode(row)

    def marks(self) -> tuple[ExpectedMark, ...]:
        """What was told about stretches of time, the oldest first."""
        asked = select(anomaly_expected).order_by(anomaly_expected.c.created_ms, anomaly_expected.c.id)
        with self._database.reading() as connection:
            return tuple(_mark(row) for row in connection.execute(asked))

    def mark(self, mark: ExpectedMark, episodes: Sequence[str] = ()) -> None:
        """Keeps what was told, and puts it on episodes; told again, the later one counts.

        Args:
            mark: What was told.
            episodes: Ids of the episodes that it is about.
        """
        told = {"kind": mark.kind, **({"episode": mark.episode} if mark.episode else {})}
        row = {
            "id": mark.id,
            "series": {**mark.series, **told},
            "comment": mark.comment,
            "since_ms": mark.since_ms,
            "until_ms": mark.until_ms,
            "created_ms": mark.created_ms,
        }
        with self._database.writing() as connection:
            self._upsert(connection, anomaly_expected, [row], frozenset({"id"}))
            if episodes:
                marked = update(anomaly_episodes).where(_episodes.id.in_(episodes)).values(mark=mark.kind)
                connection.execute(marked)

    def unmark(self, id_: str) -> int:
        """Takes back a mark, or all marks of an episode.

        Args:
            id_: The id of either.

        Returns:
            How many were taken back.
        """
        marks = self.marks()
        gone = [one for one in marks if id_ in (one.id, one.episode)]
        left = [one for one in marks if one not in gone]
        touched = [one for one in self.episodes() if any(mark.covers(one) for mark in gone)]
        with self._database.writing() as connection:
            ids = [one.id for one in gone]
            connection.execute(delete(anomaly_expected).where(anomaly_expected.c.id.in_(ids)))
            for one in touched:
                kind = next((mark.kind for mark in reversed(left) if mark.covers(one)), None)
                marked = update(anomaly_episodes).where(_episodes.id == one.id).values(mark=kind)
                connection.execute(marked)
        return len(gone)

    def budgets(self) -> set[str]:
        """The budgets of which a series was ever watched."""
        with self._database.reading() as connection:
            rows = connection.execute(select(anomaly_series.c.series)).all()
        return {row.series[0] for row in rows if row.series[0]}

    def keep(self, connection: Connection, change: AnomalyChange) -> None:
        """Keeps a change, as a part of a transaction."""
        if not change:
            return
        gone = [{"gone": name.digest()} for name in change.gone]
        if gone:
            connection.execute(delete(anomaly_series).where(anomaly_series.c.id == bindparam("gone")), gone)
        states = [
            {"id": name.digest(), "series": list(name), **saved._asdict()}
            for name, saved in change.states.items()
        ]
        self._upsert(connection, anomaly_series, states, frozenset({"id", "series"}))
        episodes = [_episode_row(one) for one in change.episodes]
        # What somebody has said about an episode is not the watch's to change.
        self._upsert(connection, anomaly_episodes, episodes, frozenset({"id", "mark"}))
        if change.forget_ms:
            connection.execute(delete(anomaly_episodes).where(_episodes.end_ms < change.forget_ms))
            old = (anomaly_expected.c.until_ms < change.forget_ms) | (
                (anomaly_expected.c.until_ms == UNTIL_ENDED_MS)
                & (anomaly_expected.c.since_ms < change.forget_ms)
            )
            connection.execute(delete(anomaly_expected).where(old))

    def _upsert(
        self, connection: Connection, table: Table, rows: list[dict[str, Any]], fixed: frozenset[str]
    ) -> None:
        if not rows:
            return
        insert = self._database.insert(table)
        changed = {name: insert.excluded[name] for name in rows[0] if name not in fixed}
        connection.execute(insert.on_conflict_do_update(index_elements=["id"], set_=changed), rows)


def _episode_row(one: EpisodeRecord) -> dict[str, Any]:
    return {
        "id": one.id,
        "series": list(one.series),
        "signal": one.signal,
        "start_ms": one.start_ms,
        "end_ms": one.end_ms,
        "mark": one.mark,
        "body": one.body(),
    }


def _episode(row: Row[Any]) -> EpisodeRecord:
    body = row.body
    return EpisodeRecord(
        id=row.id,
        series=SeriesName(*row.series),
        signal=row.signal,
        start_ms=row.start_ms,
        end_ms=row.end_ms,
        last_ms=body["last_ms"],
        until_ms=body["until_ms"],
        peak_score=body["peak_score"],
        observed=body["observed"],
        expected=body["expected"],
        excess_usd=body["excess_usd"],
        contributors=tuple(Contributor(*one) for one in body["contributors"]),
        mark=row.mark,
    )


def _mark(row: Row[Any]) -> ExpectedMark:
    series = dict(row.series)
    return ExpectedMark(
        id=row.id,
        kind=series.pop("kind"),
        episode=series.pop("episode", ""),
        series=series,
        comment=row.comment,
        since_ms=row.since_ms,
        until_ms=row.until_ms,
        created_ms=row.created_ms,
    )
