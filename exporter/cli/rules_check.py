"""`spanbudget rules check`: every problem of rule files at once; nothing is started or changed."""

import json
from collections.abc import Sequence
from typing import Any, NamedTuple

import click

from spanbudget.exporter.cli.rule_choice import chosen_files
from spanbudget.exporter.rule_files import load_rule_files
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.duplicates import duplicate_rules


class FileCheck(NamedTuple):
    """What was found in one file.

    Attributes:
        file: Its path.
        rules: How many rules it has; None where it is wrong.
        problems: What is wrong with it.
        warnings: What may be meant, and may not.
    """

    file: str
    rules: int | None
    problems: Sequence[str]
    warnings: Sequence[str]


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--json", "as_json", is_flag=True, help="Write what is found as JSON.")
def check(files: tuple[str, ...], *, as_json: bool) -> None:
    """Check FILES: names, patterns such as 'rules/*.yaml', or packs such as pack:budget.

    Every problem is told with file, line and column. A file that is fine here loads unchanged in Prometheus.
    Exit code 2 means that a file is wrong.

    \b
    Examples:
      spanbudget rules check 'rules/*.yaml'
      spanbudget rules check --json rules.yaml pack:budget
    """  # noqa: D301 - click's mark of lines that stay as they are
    checks = check_files(files)
    if as_json:
        click.echo(json.dumps([_as_json(checked) for checked in checks], indent=2))
    else:
        for checked in checks:
            _tell(checked)
    if any(checked.problems for checked in checks):
        raise SystemExit(2)


def check_files(patterns: Sequence[str]) -> list[FileCheck]:
    """Checks files one by one; a name that stands for no file is a problem of its own."""
    chosen = chosen_files(patterns)
    checks = []
    for path in chosen.paths:
        try:
            groups = load_rule_files([path])
        except ConfigurationError as error:
            checks.append(FileCheck(str(path), None, error.problems, ()))
            continue
        warnings = [
            f"{path}: more than one rule {name}{_labels(labels)}; their results get mixed up"
            for name, labels in duplicate_rules(groups)
        ]
        checks.append(FileCheck(str(path), sum(len(group.rules) for group in groups), (), warnings))
    checks += [FileCheck(name, None, (problem,), ()) for name, problem in chosen.wrong]
    return checks


def _labels(labels: Sequence[tuple[str, str]]) -> str:
    return f" with {', '.join(f'{name}={value!r}' for name, value in labels)}" if labels else ""


def _tell(checked: FileCheck) -> None:
    click.echo(f"Checking {checked.file}")
    if checked.problems:
        click.echo("  FAILED:", err=True)
    for line in checked.problems:
        click.echo(line, err=True)
    for line in checked.warnings:
        click.echo(f"  WARNING: {line}", err=True)
    if not checked.problems:
        click.echo(f"  SUCCESS: {checked.rules} rules found")
    click.echo()


def _as_json(checked: FileCheck) -> dict[str, Any]:
    return {
        "file": checked.file,
        "valid": not checked.problems,
        "rules": checked.rules,
        "problems": list(checked.problems),
        "warnings": list(checked.warnings),
    }
