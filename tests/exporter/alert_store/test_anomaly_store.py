"""Episodes, marks and learnt states, on every database."""

import dataclasses

import pytest

from spanbudget.exporter.alert_store.records import Change, NotLeadingError
from spanbudget.exporter.alert_store.store import SqlAlertStore
from spanbudget.exporter.anomalies.records import (
    UNTIL_ENDED_MS,
    AnomalyChange,
    EpisodeRecord,
    ExpectedMark,
    SavedState,
)
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.rules.anomalies.contributors import Contributor

ODD = SeriesName("prod", "user=\x00ann \ud800", "model", 'größe "x"')
EPISODE = EpisodeRecord(
    id="abc", series=ODD, signal="spend", start_ms=100, end_ms=None, last_ms=100, until_ms=200,
    peak_score=2.5, observed=9.5, expected=1.25, excess_usd=8.25,
    contributors=(Contributor("user", "\x00", 8.0, 9.0),),
)  # fmt: skip
MARK = ExpectedMark("m1", "expected", {"budget": "prod"}, "", "größe \x00", 50, 150, 7)


def lead(store: SqlAlertStore) -> int:
    fence = store.lead(b"o" * 16, 1, 10**18)
    assert fence is not None
    return fence


def test_everything_comes_back_as_it_was_kept(store, other):
    states = {ODD: SavedState(600_000, bytes(range(256)) * 40), SeriesName("prod"): SavedState(1, b"")}
    store.commit(lead(store), Change(anomalies=AnomalyChange(states, episodes=[EPISODE])))
    found = other.anomalies.load(0)
    assert (found.states, found.episodes) == (states, (EPISODE,))
    assert other.anomalies.episode("abc") == EPISODE
    assert other.anomalies.episode("x") is None
    assert other.anomalies.budgets() == {"prod"}


def test_a_later_state_takes_the_place_of_the_first_and_what_is_gone_is_gone(store):
    fence = lead(store)
    store.commit(
        fence,
        Change(
            anomalies=AnomalyChange({ODD: SavedState(1, b"a"), EPISODE.series.total: SavedState(1, b"b")})
        ),
    )
    store.commit(
        fence, Change(anomalies=AnomalyChange({ODD: SavedState(2, b"c")}, gone=[EPISODE.series.total]))
    )
    assert store.anomalies.load(0).states == {ODD: SavedState(2, b"c")}


def test_a_process_that_lost_the_lead_keeps_nothing(store):
    with pytest.raises(NotLeadingError):
        store.commit(lead(store) + 1, Change(anomalies=AnomalyChange(episodes=[EPISODE])))
    assert store.anomalies.episodes() == ()


def test_what_was_said_stays_whatever_the_watch_writes(store, other):
    fence = lead(store)
    store.commit(fence, Change(anomalies=AnomalyChange(episodes=[EPISODE])))
    other.anomalies.mark(MARK, ["abc"])
    ended = dataclasses.replace(EPISODE, end_ms=300, excess_usd=9.0)
    store.commit(fence, Change(anomalies=AnomalyChange(episodes=[ended])))
    assert store.anomalies.episode("abc") == dataclasses.replace(ended, mark="expected")
    assert store.anomalies.marks() == (MARK,)
    other.anomalies.mark(dataclasses.replace(MARK, until_ms=UNTIL_ENDED_MS, episode="abc"))
    assert [one.until_ms for one in store.anomalies.marks()] == [UNTIL_ENDED_MS]
    assert store.anomalies.unmark("abc") == 1
    assert store.anomalies.unmark("abc") == 0
    assert store.anomalies.episode("abc") == ended


def test_the_latest_come_first_and_old_ones_are_forgotten(store):
    fence = lead(store)
    some = [
        dataclasses.replace(EPISODE, id=f"e{n}", start_ms=n * 100, end_ms=None if n == 2 else n * 100 + 50)
        for n in range(5)
    ]
    store.commit(fence, Change(anomalies=AnomalyChange(episodes=some)))
    store.anomalies.mark(MARK)
    assert [one.id for one in store.anomalies.episodes()] == ["e4", "e3", "e2", "e1", "e0"]
    assert [one.id for one in store.anomalies.episodes(340)] == ["e4", "e3", "e2"]
    assert [one.id for one in store.anomalies.episodes(only_open=True)] == ["e2"]
    assert [one.id for one in store.anomalies.episodes(limit=1)] == ["e4"]
    store.commit(fence, Change(anomalies=AnomalyChange({ODD: SavedState(1, b"")}, forget_ms=200)))
    assert [one.id for one in store.anomalies.episodes()] == ["e4", "e3", "e2"]
    assert store.anomalies.marks() == ()
