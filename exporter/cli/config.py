"""`spanbudget config check`: every problem of configuration files at once; nothing is started or changed."""

import json
import re
from typing import Any, Final

import click

from spanbudget.exporter.config import Config, load_config
from spanbudget.processors.errors import ConfigurationError

_PROBLEM: Final = re.compile(
    r"(?:(?P<line>\d+):(?P<column>\d+): )?(?:(?P<path>[^\s:]\S*): )?(?P<text>.*)", re.DOTALL
)
"""A problem behind the name of its file."""
_SERVER_URL: Final = re.compile(
    r"(?P<scheme>\w+)(\+\w+)?://(?:[^@?#/]*@)?(?P<place>[\w.,-]+(?::\d+)?/[\w.-]*)(?:\?[^@]*)?"
)
"""A server's URL that holds no more than it should; any other one might hold a piece of a password."""


@click.group()
def config() -> None:
    """Look at configuration files."""


@config.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option(
    "--format", "form", type=click.Choice(["text", "json"]), default="text", help="Form of what is found."
)
def check(files: tuple[str, ...], form: str) -> None:
    """Check FILES, all of them, and tell every problem with file, line and path.

    Nothing is started, created or changed. Exit code 2 means that a file is wrong.
    """
    results = [_result(file) for file in files]
    if form == "json":
        click.echo(json.dumps([_as_json(*result) for result in results], indent=2))
    for file, checked, problems in results:
        for problem in problems if form == "text" else ():
            click.echo(problem, err=True)
        if checked is not None and form == "text":
            click.echo(f"{file}: OK: {_summary_text(checked)}", err=True)
    wrong = [problem for _, _, problems in results for problem in problems]
    if wrong:
        if form == "text" and len(wrong) > 1:
            click.echo(f"{len(wrong)} problems", err=True)
        raise SystemExit(2)


def ledger_place(url: str) -> str:
    """A ledger's URL without user, password and options: `postgresql://db.example/spend`."""
    if url.startswith("sqlite:"):
        return url.partition("?")[0]
    found = _SERVER_URL.fullmatch(url)
    return f"{found['scheme']}://{found['place']}" if found else f"{url.partition(':')[0]}://…"


def _result(file: str) -> tuple[str, Config | None, list[str]]:
    try:
        return file, load_config(file), []
    except ConfigurationError as error:
        return file, None, error.problems


def _summary_text(checked: Config) -> str:
    budgets = checked.budgets
    parts = [_count(len(budgets), "budget"), _count(len(checked.prices), "price")]
    hard = sum(budget.hard_limit for budget in budgets)
    templates = sum(bool(budget.per) for budget in budgets)
    details = [f"{hard} hard"] * bool(hard) + [f"{templates} per label"] * bool(templates)
    if details:
        parts[0] += f" ({', '.join(details)})"
    if checked.scopes:
        parts.append(_count(len(checked.scopes), "scope"))
    if checked.model_aliases:
        parts.append(_count(len(checked.model_aliases), "alias", "aliases"))
    return f"{', '.join(parts)}; ledger {ledger_place(checked.ledger.url)}"


def _count(number: int, noun: str, plural: str | None = None) -> str:
    return f"{number} {noun if number == 1 else plural or noun + 's'}"


def _as_json(file: str, checked: Config | None, problems: list[str]) -> dict[str, Any]:
    found: dict[str, Any] = {
        "file": file,
        "valid": checked is not None,
        "problems": [_problem_json(file, problem) for problem in problems],
    }
    if checked is not None:
        found["summary"] = {
            "ledger": ledger_place(checked.ledger.url),
            "budgets": [_budget_json(budget) for budget in checked.budget_configs],
            "prices": [
                price.model_dump(mode="json", by_alias=True, exclude_none=True)
                for price in checked.price_configs
            ],
            "labels": list(checked.extra_labels),
            "metrics": checked.metrics.exporter,
        }
    return found


def _budget_json(budget: Any) -> dict[str, Any]:
    shown: dict[str, Any] = budget.model_dump(mode="json", exclude_none=True)
    return shown


def _problem_json(file: str, problem: str) -> dict[str, Any]:
    found = _PROBLEM.fullmatch(problem.removeprefix(f"{file}:").lstrip())
    parts = found.groupdict() if found else {"line": None, "column": None, "path": None, "text": problem}
    return {
        "line": int(parts["line"]) if parts["line"] else None,
        "column": int(parts["column"]) if parts["column"] else None,
        "path": parts["path"],
        "message": parts["text"],
        "problem": problem,
    }
