"""`spanbudget prices`: what a model costs, and what has no price."""

import json
import time
from datetime import date
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from spanbudget.exporter.cli.main import main
from spanbudget.exporter.cli.price_lines import PriceLine, table_lines
from spanbudget.exporter.ledger.sqlite import SqliteLedger
from spanbudget.exporter.price_listing import PriceListing, PriceRow
from spanbudget.processors.call import LLMCall, PricedCall, Usage
from spanbudget.processors.ledger import Entry, entry_id
from spanbudget.processors.rates import DAY_NS

HOUR_NS = DAY_NS // 24
DAYS_AGO_NS = 40 * DAY_NS


def prices(*arguments: str | Path, **variables: str) -> Result:
    environ: dict[str, str | None] = {"SPANBUDGET_CONFIG": None, **variables}
    return CliRunner().invoke(main, ["prices", *map(str, arguments)], env=environ)


def shown(*arguments: str | Path) -> list[dict[str, Any]]:
    done = prices(*arguments, "--format", "json")
    assert done.exit_code == 0, done.output
    found: list[dict[str, Any]] = json.loads(done.stdout)
    return found


def row(usd: str, *, hour: int = 0, day: int = 0, **changes: Any) -> PriceRow:
    values: dict[str, Any] = {
        "tier": None,
        "starts": None,
        "time_of_week_ns": day * DAY_NS + hour * HOUR_NS,
        "prompt_above": -1,
        "usd_per_mtok": {"input": Decimal(usd)},
        "request_usd": Decimal(0),
        "web_search_usd": None,
        "price_id": "test",
        "reasons": (),
    }
    return PriceRow(**values | changes)


def lines(*rows: PriceRow, on: date | None = None) -> list[PriceLine]:
    return table_lines(PriceListing("acme", "model", (), False, None, (), rows), on)


def test_tiers_lengths_and_dates_of_a_model_are_shown() -> None:
    done = prices("claude-sonnet-4-5", "--provider", "anthropic")
    assert done.exit_code == 0
    assert done.stderr == ""
    header = "\n".join(done.stdout.splitlines()[1:3])
    for title in ("Tier", "From", "Prompt", "Input", "Cache", "read", "Write", "5m", "1h", "Output"):
        assert title in header
    assert "> 200,000" in done.stdout
    assert "batch" in done.stdout


def test_a_pipe_gets_whole_lines() -> None:
    """One line for each price below a title and two lines of headings; nothing is cut or wrapped."""
    text = prices("claude-sonnet-4-5").stdout
    assert len(text.splitlines()) == 3 + len(shown("claude-sonnet-4-5"))
    assert "…" not in text


def test_without_a_provider_every_seller_is_shown() -> None:
    sellers = {line["provider"] for line in shown("claude-sonnet-4-6")}
    assert {"anthropic", "google"} < sellers


def test_names_are_read_as_spans_spell_them() -> None:
    assert shown("openai/gpt-4o") == shown("gpt-4o", "--provider", "openai")
    assert {line["provider"] for line in shown("gpt-4o-2024-08-06", "--provider", "OpenAI")} == {"openai"}


def test_amounts_are_exact_in_json() -> None:
    standard = next(line for line in shown("gpt-4o-mini", "--provider", "openai") if line["tier"] is None)
    assert standard["usd_per_mtok"] == {"input": "0.15", "cache_read": "0.075", "output": "0.6"}


def test_a_day_chooses_the_price_of_each_tier_that_holds_then() -> None:
    rows = (
        row("1"),
        row("2", starts=date(2026, 3, 1)),
        row("3", starts=date(2026, 6, 1)),
        row("0.5", tier="batch", starts=date(2026, 6, 1)),
    )

    def on(day: date) -> list[str]:
        return [str(line.usd_per_mtok["input"]) for line in lines(*rows, on=day)]

    assert on(date(2026, 2, 28)) == ["1"]
    assert on(date(2026, 3, 1)) == ["2"]
    assert on(date(2026, 6, 1)) == ["3", "0.5"]
    assert len(lines(*rows)) == 4


def test_a_tier_without_a_price_of_its_own_is_not_shown_as_a_price() -> None:
    unpriced = row("1", tier="batch", reasons=("tier_unpriced",))
    assert [line.tier for line in lines(row("1"), unpriced)] == [None]


def test_daily_hours_are_shown_once_and_others_by_weekday() -> None:
    alike = [row(usd, hour=hour, day=day) for day in range(7) for hour, usd in ((0, "1"), (8, "2"))]
    assert [(line.time, str(line.usd_per_mtok["input"])) for line in lines(*alike)] == [
        ("00:00 daily", "1"),
        ("08:00 daily", "2"),
    ]
    weekend = [row("1" if day < 5 else "0.5", day=day) for day in range(7)]
    assert [line.time for line in lines(*weekend)][4:6] == ["Fri 00:00", "Sat 00:00"]


def test_prices_of_the_configuration_come_first_and_are_marked(tmp_path: Path) -> None:
    config = tmp_path / "budgets.yaml"
    config.write_text(
        "prices:\n"
        '  - {provider: openai, model: "gpt-4o*", input: 2, output: 8,'
        " from: 2026-01-01, discount_percent: 8}\n"
        "  - {provider: anthropic, model: gpt-4o, input: 9}\n"
        "  - {provider: openai, model: gpt-5, input: 7}\n"
    )
    first, second, *_ = shown("gpt-4o", "--provider", "openai", "--config", config)
    assert first["source"] == "configuration"
    assert first["usd_per_mtok"] == {"input": "2", "output": "8"}
    assert (first["from"], first["discount_percent"]) == ("2026-01-01", "8")
    assert second["source"] == "table"
    text = prices("gpt-4o", "--provider", "openai", SPANBUDGET_CONFIG=str(config)).stdout
    assert text.splitlines()[3].split()[0] == "configured"


def test_an_unknown_model_is_told_with_near_names() -> None:
    done = prices("gpt-4o-minni")
    assert done.exit_code == 1
    assert done.stdout == ""
    assert "gpt-4o-minni: no price" in done.stderr
    assert "Near: gpt-4o-mini" in done.stderr


@pytest.mark.parametrize("arguments", [[], ["gpt-4o", "--check"]])
def test_either_a_model_or_the_check(arguments: list[str]) -> None:
    done = prices(*arguments)
    assert done.exit_code == 2
    assert "either a MODEL or --check" in done.stderr


def call(number: int, model: str | None, cost: int | None = 5, *, age_ns: int = 0, **changes: Any) -> Entry:
    made = LLMCall(
        trace_id=number,
        span_id=number,
        parent_id=0,
        scope="test",
        provider="openai",
        model=model,
        request_model=model,
        response_model=model,
        operation="chat",
        aggregate=False,
        tier=None,
        usage=Usage(input=100, cache_read=0, cache_write=0, output=10),
        usage_confidence="exact",
        reasons=(),
        start_ns=time.time_ns() - age_ns,
        end_ns=time.time_ns() - age_ns,
        failed=False,
        response_id=None,
        labels=(),
    )._replace(**changes)
    confidence = "unpriced" if cost is None else "exact"
    return Entry(entry_id(made), "call", PricedCall(made, cost, 0, 0, 0, 0, None, confidence, ()))


@pytest.fixture
def ledger(tmp_path: Path) -> Path:
    """Two calls of a model that nobody prices, some that are, and an unpriced one 40 days ago."""
    path = tmp_path / "ledger.db"
    own = SqliteLedger(path)
    twice = call(4, "gpt-4o", None)
    taken_back = twice._replace(id=entry_id(twice.priced.call, "reversal"), kind="reversal")
    own.append(
        [
            call(1, "house-llm", None),
            call(2, "house-llm", None),
            call(3, "gpt-4o"),
            twice,
            taken_back,
            call(5, "ancient-llm", None, age_ns=DAYS_AGO_NS),
        ]
    )
    own.close()
    return path


def test_models_without_a_price_are_told_with_what_to_paste(ledger: Path, tmp_path: Path) -> None:
    """2 calls of 110 tokens each; the snippet is refused until its rates are filled in."""
    done = prices("--check", "--db", ledger, "--format", "json")
    assert done.exit_code == 1
    found = json.loads(done.stdout)
    (unpriced,) = found["unpriced"]
    assert (unpriced["model"], unpriced["calls"], unpriced["tokens"]) == ("house-llm", 2, 220)
    assert (found["priced_models"], found["stale"], found["calls_without_cost"]) == (1, [], [])
    assert found["snippet"] in prices("--check", "--db", ledger).stdout
    config = tmp_path / "budgets.yaml"
    config.write_text(found["snippet"])
    assert CliRunner().invoke(main, ["config", "check", str(config)]).exit_code == 2
    config.write_text(found["snippet"].replace("FILL_IN", "1.5"))
    after = prices("--check", "--db", ledger, "--config", config)
    assert after.exit_code == 0
    assert "None of 2 models" in after.stdout
    assert "2 without a cost" in after.stdout


def test_the_days_reach_back(ledger: Path) -> None:
    found = json.loads(prices("--check", "--db", ledger, "--days", "50", "--format", "json").stdout)
    assert [one["model"] for one in found["unpriced"]] == ["house-llm", "ancient-llm"]


def test_the_configuration_names_the_ledger(ledger: Path, tmp_path: Path) -> None:
    config = tmp_path / "budgets.yaml"
    config.write_text(f"ledger: {{url: 'sqlite:///{ledger}'}}\n")
    assert "house-llm" in prices("--check", "--config", config).stdout


@pytest.mark.parametrize(
    ("provider", "model", "reason"),
    [
        ("openai", "ft:gpt-4o:acme", "fine_tune_base_price"),
        ("avian", "deepseek/deepseek-v3.2", "deprecated"),  # its vendor has announced its end
    ],
)
def test_a_price_in_doubt_is_told_and_passes(tmp_path: Path, provider: str, model: str, reason: str) -> None:
    path = tmp_path / "ledger.db"
    own = SqliteLedger(path)
    own.append([call(1, model, provider=provider)])
    own.close()
    done = prices("--check", "--db", path, "--format", "json")
    assert done.exit_code == 0
    (stale,) = json.loads(done.stdout)["stale"]
    assert (stale["model"], stale["reasons"]) == (model, [reason])
    assert reason in prices("--check", "--db", path).stdout


def test_a_call_that_does_not_tell_its_model_is_unpriced_without_a_snippet(tmp_path: Path) -> None:
    path = tmp_path / "ledger.db"
    own = SqliteLedger(path)
    own.append([call(1, None, None)])
    own.close()
    done = prices("--check", "--db", path, "--format", "json")
    assert done.exit_code == 1
    assert json.loads(done.stdout)["snippet"] == ""
    assert "unknown" in prices("--check", "--db", path).stdout


def test_looking_at_a_ledger_that_is_not_there_makes_none(tmp_path: Path) -> None:
    done = prices("--check", "--db", tmp_path / "ledger.db")
    assert done.exit_code == 2
    assert "there is no such file" in done.stderr
    assert list(tmp_path.iterdir()) == []
