"""`spanbudget rules eval`: what an expression says of the ledger."""

import json
import math
import time
from pathlib import Path
from typing import Any, Final

import click

from spanbudget.exporter.alerting.needs import needs_of
from spanbudget.exporter.alerting.replaying import NS_PER_MS, make_stage, restore, restored_from_ns
from spanbudget.exporter.cli.ledger_choice import Moment, chosen, ledger_options
from spanbudget.exporter.config import Config
from spanbudget.exporter.instrument import give_up_pipeline, shared_pipeline
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import open_tallies
from spanbudget.processors.errors import EvaluationError
from spanbudget.processors.periods import INSTANT_MAX_NS
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.labels import shown
from spanbudget.rules.promql.expression import Expression, Value, parse_expression

_EXIT_NOTHING: Final = 1


@click.command("eval")
@click.argument("expression")
@ledger_options
@click.option("--at", type=Moment(), help="When: 2026-11-01T12:00:00Z, or how long ago: 2h. Default: now.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def eval_expression(
    expression: str, given: Path | None, db: Path | None, at: int | None, *, as_json: bool
) -> None:
    """Evaluate EXPRESSION, a PromQL expression, on the ledger.

    The series are those that rules see: counters of all processes, and the state of every budget. Exit code 1
    means that the result is empty.

    \b
    Examples:
      spanbudget rules eval 'llm_budget_utilization_ratio > 0.8'
      spanbudget rules eval 'sum by (gen_ai_response_model) (increase(llm_cost_usd_total[1d]))'
      spanbudget rules eval --at 2h 'llm_budget_burn_rate{llm_budget_burn_window="1h"}'
    """  # noqa: D301 - click's mark of lines that stay as they are
    parsed = parse_expression(expression)
    config = chosen(given, db)
    open_ledger(config.ledger.url, create=False).close()
    value = _evaluated(config, parsed, at)
    click.echo(json.dumps(_as_json(value), indent=2) if as_json else _as_text(value))
    if value == []:
        raise SystemExit(_EXIT_NOTHING)


def _evaluated(config: Config, expression: Expression, at: int | None) -> Value:
    needs = needs_of([expression])
    now_ns = time.time_ns() if at is None else at
    pipeline = shared_pipeline(config, rules=False)
    try:
        budgets = pipeline.budgets.budgets
        stage = make_stage(config, budgets, needs, BudgetGauges(), restored_from_ns(needs, now_ns))
        reader = open_tallies(config.ledger.url, question=stage.question)
        until_ns = INSTANT_MAX_NS if at is None else at
        restore(stage, reader, needs, now_ns, reader.max_seq(), until_ns=until_ns)
        reader.close()
        states = pipeline.budget_states() if at is None else stage.replayed.states(now_ns)
        stage.feed.take(now_ns, (), states, pipeline.health() if at is None else {})
    finally:
        give_up_pipeline(pipeline)
    value = expression.evaluate(stage.store, now_ns // NS_PER_MS)
    if expression.kind == "matrix":
        raise EvaluationError("the result is a range of samples; use a function of ranges, such as rate()")
    return value


def _as_json(value: Value) -> Any:
    if isinstance(value, list):
        return [{"metric": dict(labels), "value": _number(number)} for labels, number in value]
    return value if isinstance(value, str) else _number(value)


def _as_text(value: Value) -> str:
    if isinstance(value, list):
        return "\n".join(f"{shown(labels)} {number:.12g}" for labels, number in value) or "(empty)"
    return value if isinstance(value, str) else f"{value:.12g}"


def _number(value: Any) -> Any:
    """JSON has no infinity and no not-a-number; Prometheus writes all values as text."""
    return value if math.isfinite(value) else str(value).replace("inf", "Inf").replace("nan", "NaN")
