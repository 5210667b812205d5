"""`spanbudget forecast`: lists, pictures, JSON and errors."""

import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from click.testing import CliRunner, Result
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.cli.forecast_plot import HEIGHT, Drawing, drawn
from spanbudget.exporter.cli.main import main
from spanbudget.exporter.config import load_config
from spanbudget.exporter.wiring import open_pipeline

SECOND = 10**9
DAY = 86_400 * SECOND


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Thirty days of $3 a day."""
    folder = tmp_path_factory.mktemp("forecast")
    path = folder / "budgets.yaml"
    budgets: list[dict[str, Any]] = [
        {"name": "tight", "max_cost": 100, "period": "yearly"},
        {"name": "wide", "max_cost": 100_000, "period": "yearly", "timezone": "Asia/Tokyo"},
        {"name": "last", "max_cost": 100, "period": {"rolling": "24h"}},
        {"name": "all", "max_cost": 120, "period": "total"},
        {"name": "teams", "max_cost": 90, "period": "yearly", "per": ["team"], "match": {"team": "none"}},
    ]
    url = {"url": f"sqlite:///{folder}/ledger.db"}
    path.write_text(yaml.safe_dump({"ledger": url, "budgets": budgets}), encoding="utf-8")
    pipeline = open_pipeline(load_config(path))
    tracer = TracerProvider().get_tracer("opentelemetry.instrumentation.openai")
    for day in range(30):
        end_ns = time.time_ns() - day * DAY - SECOND
        span = tracer.start_span("chat", start_time=end_ns - SECOND)
        span.set_attribute("gen_ai.system", "openai")
        span.set_attribute("gen_ai.operation.name", "chat")
        span.set_attribute("gen_ai.response.model", "gpt-4o")
        span.set_attribute("gen_ai.usage.input_tokens", 0)
        span.set_attribute("gen_ai.usage.output_tokens", 300_000)
        span.end(end_time=end_ns)
        pipeline.observe(span)  # type: ignore[arg-type]
    pipeline.shutdown()
    return path


def run(*arguments: object, **variables: str) -> Result:
    return CliRunner(env=variables).invoke(main, [str(argument) for argument in arguments])


def test_all_budgets_are_listed_the_fullest_first(config):
    done = run("forecast", "--config", config)
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].split() == [
        "BUDGET",
        "SPENT",
        "LIMIT",
        "PROJECTED",
        "90",
        "%",
        "ENDS",
        "RUNS",
        "OUT",
        "NOTE",
    ]
    assert {line.split()[0] for line in lines[1:]} == {"tight", "wide", "last", "all"}
    assert lines[-1].startswith("wide")
    (rolling,) = (line for line in lines if line.startswith("last"))
    assert "a rolling budget has no end to project" in rolling


def test_a_budget_is_drawn_with_its_limit_its_bounds_and_the_ideal_pace(config):
    done = run("forecast", "all", "--config", config, COLUMNS="80")
    assert done.exit_code == 0
    lines = done.stdout.splitlines()
    assert lines[0].startswith("all: $90.00 of $120.00 spent by ")
    assert lines[1].startswith("The limit is reached by ")
    picture = "\n".join(lines[2:])
    assert all(letter in picture for letter in "░─┤└")
    assert max(map(len, lines[2:])) <= 80
    assert lines[-1].split("  ")[0].endswith("spent")
    assert "ideal pace" in run("forecast", "tight", "--config", config).stdout
    assert "\x1b" not in done.stdout


def test_narrow_terminals_get_sentences_and_old_ones_ascii(config):
    narrow = run("forecast", "all", "--config", config, COLUMNS="30").stdout
    assert "░" not in narrow
    assert narrow.count("\n") == 2
    ascii_only = CliRunner(charset="ascii", env={"COLUMNS": "60"})
    done = ascii_only.invoke(main, ["forecast", "all", "--config", str(config)])
    assert done.exit_code == 0
    assert done.stdout.isascii()
    assert "## spent" in done.stdout


def test_json_has_the_keys_that_programs_rely_on(config):
    done = run("forecast", "tight", "--config", config, "--json")
    (told,) = json.loads(done.stdout)
    assert told.keys() == {
        *(
            "budget",
            "child",
            "period",
            "at",
            "window_start",
            "window_end",
            "limit_usd",
            "spent_usd",
            "problem",
        ),
        *("projected_usd", "method", "days_of_history", "note", "limit_reached_at", "path"),
    }
    assert told["projected_usd"].keys() == {"0.05", "0.5", "0.95"}
    assert told["limit_reached_at"].keys() == {"median", "earliest", "latest"}
    assert told["path"][-1]["at"] == told["window_end"]
    (rolling,) = json.loads(run("forecast", "last", "--config", config, "--json").stdout)
    assert "rolling" in rolling["problem"]
    assert "projected_usd" not in rolling


def test_what_if_is_told_and_changes_the_end(config):
    def end(*options: str) -> float:
        (told,) = json.loads(run("forecast", "tight", "--config", config, "--json", *options).stdout)
        return float(told["projected_usd"]["0.5"] - told["spent_usd"])

    assert end("--growth", "50%") == pytest.approx(1.5 * end(), rel=0.01)
    assert end("--growth=-50") == pytest.approx(0.5 * end(), rel=0.01)
    assert end("--scale-model", "gpt-4o=0.4") == pytest.approx(0.4 * end(), rel=0.01)
    assert end("--drop-model", "gpt-4o") == pytest.approx(0, abs=1e-6)
    shown = run("forecast", "tight", "--config", config, "--drop-model", "gpt-4o", "--growth", "10%").stdout
    assert "What if: without gpt-4o, +10 % of what is to come" in shown


def test_a_picture_is_written_that_loads_nothing(config, tmp_path):
    path = tmp_path / "forecast.svg"
    assert run("forecast", "all", "--config", config, "--svg", path).exit_code == 0
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<svg")
    assert "@font-face" not in text
    assert text.count("http") == 1  # the name of the format
    done = run("forecast", "all", "--config", config, "--svg", tmp_path / "none" / "x.svg")
    assert done.exit_code == 2
    assert "cannot be written" in done.stderr


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nope"], "there is no budget 'nope'; known are all, last, teams, tight, wide"),
        (["last"], "last: a rolling budget has no end to project"),
        (["teams"], "budget 'teams' has no child with calls in this window"),
        (["--child", "user=ann"], "--child needs the name of its budget"),
        (["all", "--growth", "lots"], "'lots' is no change from -99% to 10000%"),
        (["all", "--growth", "nan"], "'nan' is no change"),
        (["all", "--scale-model", "gpt-4o"], "is no model and factor"),
        (["all", "--drop-model", "x"], "there is no call of a model 'x'; known are gpt-4o"),
    ],
)
def test_what_cannot_be_done_is_one_clear_sentence(config, arguments, told):
    done = run("forecast", "--config", config, *arguments)
    assert done.exit_code == 2
    assert told in done.stderr
    assert "Traceback" not in done.output


def test_where_nothing_names_a_ledger_the_ways_to_do_so_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    done = run("forecast")
    assert done.exit_code == 2
    assert "--config FILE" in done.stderr


def test_a_drawing_holds_its_lines_where_they_belong():
    """A straight line from $0 at the left to $100 at the right, which is also the top."""
    line = [(0.0, 0.0), (1.0, 100.0)]
    drawing = Drawing(line, [], [], [], [], None, 100.0, 0, DAY)
    rows = [text.plain for text in drawn(drawing, 60, lambda at_ns: str(at_ns // DAY))]
    area = [row.partition("│")[2] or row.partition("┤")[2] for row in rows[:HEIGHT]]
    firsts = [len(row) - len(row.lstrip()) for row in area]
    assert firsts == sorted(firsts, reverse=True)
    assert area[0].rstrip()[-1] != " "
    assert len({len(row) for row in rows[:HEIGHT]}) == 1
    assert rows[HEIGHT + 1].split() == ["0", "1"]
