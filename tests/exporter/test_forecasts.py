"""Projections straight from a ledger, also of what would be if things changed."""

import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from opentelemetry.sdk.trace import TracerProvider

from spanbudget.exporter.config import Config, load_config
from spanbudget.exporter.forecasts import Forecast, WhatIf, forecasts
from spanbudget.exporter.wiring import open_pipeline
from spanbudget.processors.errors import InputError, LedgerError

SECOND = 10**9
HOUR = 3_600 * SECOND
DAY = 24 * HOUR
BUDGETS: list[dict[str, Any]] = [
    {"name": "month", "max_cost": 100, "period": "monthly"},
    {"name": "year", "max_cost": 1_000, "period": "yearly"},
    {"name": "ever", "max_cost": 160, "period": "total"},
    {"name": "last", "max_cost": 100, "period": {"rolling": "24h"}},
    {"name": "teams", "max_cost": 90, "period": "yearly", "per": ["team"]},
    {"name": "idle", "max_cost": 5, "period": "monthly", "match": {"team": "nobody"}},
]


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Config:
    """Forty days in which team a spends $2 a day on gpt-4o, and team b $1 on gpt-4o-mini."""
    return made(tmp_path_factory.mktemp("forecasts"), 40)


def made(folder: Path, days: int, budgets: list[dict[str, Any]] = BUDGETS) -> Config:
    path = folder / "budgets.yaml"
    url = {"url": f"sqlite:///{folder}/ledger.db"}
    path.write_text(yaml.safe_dump({"ledger": url, "budgets": budgets}), encoding="utf-8")
    config = load_config(path)
    pipeline = open_pipeline(config)
    tracer = TracerProvider().get_tracer("opentelemetry.instrumentation.openai")
    now_ns = time.time_ns()
    for half_day in range(2 * days):
        end_ns = now_ns - half_day * DAY // 2 - SECOND
        for team, model, tokens in (("a", "gpt-4o", 100_000), ("b", "gpt-4o-mini", 833_333)):
            span = tracer.start_span("chat", start_time=end_ns - SECOND)
            span.set_attribute("gen_ai.system", "openai")
            span.set_attribute("gen_ai.operation.name", "chat")
            span.set_attribute("gen_ai.response.model", model)
            span.set_attribute("gen_ai.usage.input_tokens", 0)
            span.set_attribute("gen_ai.usage.output_tokens", tokens)
            span.set_attribute("team", team)
            span.end(end_time=end_ns)
            pipeline.observe(span)  # type: ignore[arg-type]
    pipeline.shutdown()
    return config


def one(config: Config, budget: str, what_if: WhatIf | None = None, child: str | None = None) -> Forecast:
    (found,) = forecasts(config, time.time_ns(), budget, child, what_if)
    return found


def left(found: Forecast) -> float:
    """What the median says is still to come, USD."""
    assert found.projection is not None
    return found.projection.path[-1].ends.median - found.so_far[-1][1]


def days_left(found: Forecast) -> float:
    return (found.state.window.end_ns - found.now_ns) / DAY


def test_the_end_of_a_window_is_what_is_spent_and_what_its_rhythm_brings(ledger):
    found = one(ledger, "year")
    assert found.projection is not None
    assert found.projection.method == "profile"
    assert found.projection.days_of_history == pytest.approx(40, abs=1)
    assert left(found) == pytest.approx(3 * days_left(found), rel=0.05, abs=1.6)
    spent = [usd for _, usd in found.so_far]
    assert spent == sorted(spent)
    assert spent[-1] == pytest.approx(found.state.spent.cost / 1e12)


def test_a_total_tells_when_it_runs_out(ledger):
    """Of $160, 40 days of $3 are spent: $40 last for 13 days."""
    found = one(ledger, "ever")
    assert found.projection is not None
    assert found.projection.ends is None
    assert found.projection.exhaustion is not None
    assert found.projection.exhaustion.median == pytest.approx(found.now_ns + 40 / 3 * DAY, abs=DAY)


def test_children_are_projected_one_by_one(ledger):
    found = {each.state.child: each for each in forecasts(ledger, time.time_ns(), "teams")}
    assert left(found["team=a"]) == pytest.approx(2 * days_left(found["team=a"]), rel=0.05, abs=1.1)
    assert left(found["team=b"]) == pytest.approx(days_left(found["team=b"]), rel=0.05, abs=0.6)
    assert one(ledger, "teams", child="team=b").state.child == "team=b"


def test_without_a_model_its_part_is_missing_ahead_and_what_is_spent_stays(ledger):
    whole, without = one(ledger, "year"), one(ledger, "year", WhatIf({"gpt-4o": 0.0}))
    assert left(without) == pytest.approx(left(whole) / 3, rel=0.05, abs=0.6)
    assert without.so_far[-1][1] == pytest.approx(whole.so_far[-1][1])
    scaled = one(ledger, "year", WhatIf({"gpt-4o": 0.5}))
    assert left(scaled) == pytest.approx(left(whole) * 2 / 3, rel=0.05, abs=1.1)
    nothing = one(ledger, "ever", WhatIf({"gpt-4o": 0.0, "gpt-4o-mini": 0.0}))
    assert nothing.projection is not None
    assert nothing.projection.exhaustion == (None, None, None)


def test_growth_is_of_what_is_still_to_come(ledger):
    whole, more = one(ledger, "year"), one(ledger, "year", WhatIf(growth=1.1))
    assert left(more) == pytest.approx(1.1 * left(whole), rel=0.01)


def test_what_cannot_be_projected_says_why(ledger):
    assert "a rolling budget has no end" in one(ledger, "last").problem
    assert "spent nothing yet" in one(ledger, "idle").problem
    everything = forecasts(ledger, time.time_ns())
    assert {each.state.budget for each in everything} == {budget["name"] for budget in BUDGETS}


def test_wrong_names_are_told_with_the_ones_there_are(ledger, tmp_path):
    for wrong, told in (
        (("nope",), "there is no budget 'nope'; known are ever, idle, last, month, teams, year"),
        (("teams", "team=z"), "budget 'teams' has no child 'team=z'; known are team=a, team=b"),
        (("month", "team=z"), "budget 'month' has no child 'team=z'; it has none"),
        (("month", None, WhatIf({"x": 0.0})), "no call of a model 'x'; known are gpt-4o, gpt-4o-mini"),
    ):
        with pytest.raises(InputError, match=told):
            forecasts(ledger, time.time_ns(), *wrong)
    with pytest.raises(InputError, match="has no budgets"):
        forecasts(made(tmp_path, 1, []), time.time_ns())


def test_an_empty_ledger_and_none_are_told(tmp_path):
    config = made(tmp_path, 0)
    with pytest.raises(InputError, match="the ledger has no calls"):
        forecasts(config, time.time_ns())
    missing = config.model_copy(
        update={"ledger": config.ledger.model_copy(update={"url": f"sqlite:///{tmp_path}/none.db"})}
    )
    with pytest.raises(LedgerError, match="there is no such file"):
        forecasts(missing, time.time_ns())
