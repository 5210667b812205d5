"""`spanbudget anomalies` on a ledger that a watch has written."""

import json
import re
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result

from spanbudget.exporter.alert_store import open_alert_store
from spanbudget.exporter.alert_store.records import Change
from spanbudget.exporter.anomalies.records import (
    UNTIL_ENDED_MS,
    AnomalyChange,
    EpisodeRecord,
    ExpectedMark,
    SavedState,
)
from spanbudget.exporter.anomalies.series import SeriesName
from spanbudget.exporter.cli.main import main
from spanbudget.rules.anomalies.contributors import Contributor

HOUR_MS = 3_600_000
NOW_MS = time.time_ns() // 1_000_000
MADE_BY = (Contributor("user", "bob", 40.0, 41.0), Contributor("model", "gpt-5\x1b[31m", 30.0, 33.0))


def episode(
    id_: str, series: SeriesName, hours_ago: float, lasted: float | None, **more: Any
) -> EpisodeRecord:
    start_ms = NOW_MS - round(hours_ago * HOUR_MS)
    end_ms = None if lasted is None else start_ms + round(lasted * HOUR_MS)
    told = {"signal": "spend", "excess_usd": 58.0, "contributors": MADE_BY, **more}
    return EpisodeRecord(
        id=id_, series=series, start_ms=start_ms, end_ms=end_ms, last_ms=end_ms or start_ms,
        until_ms=end_ms or start_ms, peak_score=3.5, observed=62.0, expected=4.0, **told,
    )  # fmt: skip


EPISODES = (
    episode("aaaaaaaaaaaa", SeriesName("prod"), 2, None),
    episode("bbbbbbbbbbbb", SeriesName("prod", "", "user", "bob"), 2, None),
    episode("cccccccccccc", SeriesName("prod", "", "model", "gpt-5"), 50, 1),
    episode("dddddddddddd", SeriesName("dev"), 3, 1, signal="latency", excess_usd=None, contributors=()),
)


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "budgets.yaml"
    budgets = [{"name": name, "max_cost": 10, "period": "yearly"} for name in ("prod", "dev")]
    ledger = {"url": f"sqlite:///{tmp_path}/ledger.db"}
    path.write_text(yaml.safe_dump({"ledger": ledger, "budgets": budgets}), encoding="utf-8")
    store = open_alert_store(ledger["url"])
    fence = store.lead(b"w" * 16, 1, 2)
    assert fence is not None
    states = {SeriesName("old"): SavedState(7, b"x")}
    store.commit(fence, Change(anomalies=AnomalyChange(states, episodes=EPISODES)))
    store.close()
    return path


def run(config: Path, *arguments: object) -> Result:
    return CliRunner().invoke(main, ["anomalies", *map(str, arguments), "--config", str(config)])


def output(config: Path, *arguments: object) -> Any:
    done = run(config, *arguments, "--json")
    assert done.exit_code == 0, done.output
    return json.loads(done.stdout)


def marks(config: Path) -> list[ExpectedMark]:
    store = open_alert_store(f"sqlite:///{config.parent}/ledger.db")
    found = list(store.anomalies.marks())
    store.close()
    return found


def test_the_latest_come_first_and_those_that_ended_long_ago_are_left_out(config):
    assert [one["id"][0] for one in output(config, "list")] == ["a", "b", "d", "c"]
    assert [one["id"][0] for one in output(config, "list", "--since", "1d")] == ["a", "b", "d"]
    assert [one["id"][0] for one in output(config, "list", "--open")] == ["a", "b"]
    first = output(config, "list")[0]
    assert (first["budget"], first["excess_usd"], first["state"], first["end"]) == (
        "prod",
        58.0,
        "open",
        None,
    )
    assert first["contributors"][0] == {
        "dimension": "user", "value": "bob", "excess_usd": 40.0, "observed_usd": 41.0
    }  # fmt: skip


def test_a_list_in_a_pipe_is_one_line_for_each_and_obeys_no_span(config):
    lines = run(config, "list").stdout.splitlines()
    assert len(lines) == 5
    assert re.search(
        r"^aaaaaaaaaaaa +\S+ \S+ +2h [0-5]m +\$58\.00 +open +prod: spend \$62\.00 instead", lines[1]
    )
    assert "user bob +$40.00" in lines[1]
    assert "\x1b" not in run(config, "list").stdout + run(config, "show", "aaaaaaaaaaaa").stdout


def test_show_tells_all_of_one(config):
    told = run(config, "show", "dddddddddddd").stdout
    assert "seconds per call" in told
    assert "62 s" in told
    assert "Excess" not in told
    told = run(config, "show", "aaaaaaaaaaaa").stdout
    assert "Excess        $58.00" in told
    assert max(map(len, told.splitlines())) <= 80


def test_ack_marks_the_incident_and_what_has_a_part_in_it(config):
    done = run(config, "ack", "aaaaaaaaaaaa", "--comment", "retry loop, fixed")
    assert "2 anomalies acknowledged." in done.stdout
    assert {one["id"][0]: one["mark"] for one in output(config, "list")} == {
        "a": "acknowledged", "b": "acknowledged", "c": None, "d": None
    }  # fmt: skip
    (mark,) = marks(config)
    assert (mark.kind, mark.series, mark.until_ms) == ("acknowledged", {"budget": "prod"}, UNTIL_ENDED_MS)
    said = output(config, "show", "aaaaaaaaaaaa")["said"]
    assert (said[0]["comment"], said[0]["until"]) == ("retry loop, fixed", None)
    assert "retry loop, fixed" in run(config, "show", "aaaaaaaaaaaa").stdout


def test_what_the_watch_writes_later_does_not_touch_what_was_said(config):
    run(config, "ack", "aaaaaaaaaaaa")
    store = open_alert_store(f"sqlite:///{config.parent}/ledger.db")
    fence = store.lead(b"w" * 16, 3, 4)
    assert fence is not None
    store.commit(fence, Change(anomalies=AnomalyChange(episodes=EPISODES)))
    found = store.anomalies.episode("aaaaaaaaaaaa")
    store.close()
    assert found is not None
    assert found.mark == "acknowledged"


def test_an_anomaly_that_ended_is_expected_until_its_end(config):
    assert "1 anomaly expected." in run(config, "expect", "cccccccccccc").stdout
    (mark,) = marks(config)
    assert (mark.since_ms, mark.until_ms) == (EPISODES[2].start_ms, EPISODES[2].end_ms)
    assert mark.series == {"budget": "prod", "dimension": "model", "value": "gpt-5"}


def test_a_time_ahead_is_expected_of_a_part_of_a_budget(config):
    done = run(
        config,
        "expect",
        "prod",
        "--dimension",
        "gen_ai.response.model=gpt-5",
        "--from",
        "+2h",
        "--until",
        "+8h",
    )
    assert done.exit_code == 0, done.output
    (mark,) = marks(config)
    assert mark.series == {"budget": "prod", "dimension": "response_model", "value": "gpt-5"}
    assert mark.until_ms - mark.since_ms == pytest.approx(6 * HOUR_MS, abs=5_000)
    assert mark.id in done.stdout
    assert mark.id in run(config, "marks").stdout
    assert output(config, "marks")[0]["series"]["value"] == "gpt-5"


def test_marks_are_taken_back(config):
    run(config, "ack", "aaaaaaaaaaaa")
    run(config, "expect", "prod", "--from", "3h", "--until", "1h")
    assert {one["mark"] for one in output(config, "list") if one["budget"] == "prod"} == {"expected", None}
    window = next(one for one in marks(config) if not one.episode)
    assert run(config, "unmark", window.id).exit_code == 0
    assert {one["id"][0]: one["mark"] for one in output(config, "list")}["a"] == "acknowledged"
    assert run(config, "unmark", "aaaaaaaaaaaa").exit_code == 0
    assert {one["mark"] for one in output(config, "list")} == {None}
    assert "Nothing was said" in run(config, "marks").stdout


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["show", "nothing"], "there is no anomaly 'nothing'"),
        (["ack", "nothing"], "there is no anomaly 'nothing'"),
        (
            ["expect", "prd", "--until", "+2h"],
            "there is no anomaly and no budget 'prd'; budgets are: dev, old, prod",
        ),
        (["expect", "prod"], "until when? give --until"),
        (["expect", "prod", "--from", "+2h", "--until", "+1h"], "must be after --from"),
        (["expect", "prod", "--until", "+999d"], "a year at most"),
        (["expect", "prod", "--until", "+1h", "--dimension", "model"], "such as model=gpt-5"),
        (["expect", "prod", "--until", "soon"], "'soon' is no time such as"),
        (["expect", "aaaaaaaaaaaa", "--dimension", "model=x"], "leave --dimension and --child out"),
        (["unmark", "nothing"], "there is no mark 'nothing'"),
    ],
)
def test_errors_are_one_clear_sentence(config, arguments, told):
    done = run(config, *arguments)
    assert done.exit_code == 2
    assert told in done.stderr
    assert "Traceback" not in done.output
    assert marks(config) == []


def test_an_empty_ledger_says_so_and_a_missing_one_is_not_made(config, tmp_path):
    empty = tmp_path / "empty.db"
    open_alert_store(f"sqlite:///{empty}").close()
    runner = CliRunner()
    assert (
        runner.invoke(main, ["anomalies", "list", "--db", str(empty)]).stdout
        == "There was no anomaly in this time.\n"
    )
    assert (
        runner.invoke(main, ["anomalies", "list", "--open", "--db", str(empty)]).stdout
        == "No anomaly is open.\n"
    )
    done = runner.invoke(main, ["anomalies", "list", "--db", str(tmp_path / "none.db")])
    assert done.exit_code == 2
    assert "there is no such file" in done.stderr
    assert not (tmp_path / "none.db").exists()


def test_a_backtest_without_calls_says_so(config):
    done = run(config, "backtest", "--last", "1d")
    assert done.exit_code == 0, done.output
    assert "0 series of 2 budgets" in done.stdout
    assert "There is no call in this time." in done.stdout
    assert output(config, "backtest")["anomalies"] == []
