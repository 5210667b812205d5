"""`spanbudget rules eval`: what an expression says of the ledger."""

import json
import math
import time
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

import click

from spanbudget.exporter.alerting.needs import needs_of
from spanbudget.exporter.alerting.replaying import make_stage, restore, restored_from_ns
from spanbudget.exporter.cli.ledger_choice import Moment, chosen, ledger_options
from spanbudget.exporter.cli.rule_choice import number_text
from spanbudget.exporter.config import Config
from spanbudget.exporter.instrument import give_up_pipeline, shared_pipeline
from spanbudget.exporter.ledger import open_ledger
from spanbudget.exporter.ledger.tallies import open_tallies
from spanbudget.processors import names_out
from spanbudget.processors.errors import ExpressionError, InputError
from spanbudget.processors.names_out import Metric, prometheus_name
from spanbudget.processors.periods import INSTANT_MAX_NS
from spanbudget.rules.budget_gauges import BudgetGauges
from spanbudget.rules.durations import NS_PER_MS
from spanbudget.rules.labels import METRIC_NAME, Matcher, shown
from spanbudget.rules.promql.expression import Expression, Value, parse_expression

_EXIT_NOTHING: Final = 1


@click.command("eval")
@click.argument("expression")
@ledger_options
@click.option("--at", type=Moment(), help="When: 2026-11-01T12:00:00 (UTC), or how long ago: 2h.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as JSON.")
def eval_expression(
    expression: str, given: Path | None, db: Path | None, at: int | None, *, as_json: bool
) -> None:
    """Evaluate EXPRESSION, a PromQL expression, on the ledger.

    The series are those that rules see: counters of all processes, and the state of every budget. Counters
    begin at 0 as far back as the expression looks, and three days back at least: read them through rate() or
    increase(). Exit code 1 means that the result is empty. An expression that begins with a minus goes after
    two of them: -- '-1 * …'.

    \b
    Examples:
      spanbudget rules eval 'llm_budget_utilization_ratio > 0.8'
      spanbudget rules eval 'sum by (team) (increase(llm_cost_usd_total[1d]))'
      spanbudget rules eval --at 2h 'llm_budget_spent_usd{llm_budget_name="prod"}'
    """  # noqa: D301 - click's mark of lines that stay as they are
    parsed = _parsed(expression)
    config = chosen(given, db)
    open_ledger(config.ledger.url, create=False).close()
    value, missing = _evaluated(config, parsed, at)
    click.echo(json.dumps(_as_json(value), indent=2) if as_json else _as_text(value))
    if value == []:
        for name in missing:
            click.echo(f"spanbudget: there is no series {name} {_meant(name)}", err=True)
        raise SystemExit(_EXIT_NOTHING)


def _parsed(text: str) -> Expression:
    """The expression.

    Raises:
        InputError: It cannot be read; the place is shown where it is known.
    """
    try:
        expression = parse_expression(text)
    except ExpressionError as error:
        told = f"the expression cannot be evaluated: {error}"
        if error.line is None:
            raise InputError(told) from None
        line = text.splitlines()[error.line - 1] if text.splitlines() else ""
        column = error.column or 1
        place = f"line {error.line}, column {column}"
        raise InputError(f"{told} ({place})\n  {line}\n  {' ' * (column - 1)}^") from None
    if expression.kind == "matrix":
        raise InputError(
            "the expression is a range of samples, not a value; use a function of ranges, such as rate() or"
            " last_over_time()"
        )
    return expression


def _meant(name: str) -> str:
    known = [prometheus_name(metric) for metric in vars(names_out).values() if isinstance(metric, Metric)]
    near = get_close_matches(name, known, 3, 0.7)
    return (
        f"in this time; did you mean {' or '.join(near)}?" if near and name not in known else "in this time"
    )


def _evaluated(config: Config, expression: Expression, at: int | None) -> tuple[Value, list[str]]:
    """The value, and the metrics that it reads and that are not there."""
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
    missing = [
        name
        for name in sorted(needs.names or ())
        if not stage.store.select((Matcher(METRIC_NAME, "=", name),))
    ]
    return expression.evaluate(stage.store, now_ns // NS_PER_MS), missing


def _as_json(value: Any) -> Any:
    if isinstance(value, list):
        return [{"metric": dict(labels), "value": _number(number)} for labels, number in value]
    return value if isinstance(value, str) else _number(value)


def _as_text(value: Any) -> str:
    if isinstance(value, list):
        return "\n".join(f"{shown(labels)} {number_text(number)}" for labels, number in value) or "(empty)"
    return value if isinstance(value, str) else number_text(value)


def _number(value: Any) -> Any:
    """JSON has no infinity and no not-a-number."""
    return value if math.isfinite(value) else number_text(value)
