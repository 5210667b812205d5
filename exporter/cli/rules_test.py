"""`spanbudget rules test`: promtool's unit tests of rules, with its output and its exit codes."""

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import click

from spanbudget.exporter.cli.rule_choice import chosen_files
from spanbudget.exporter.rule_files import load_rule_files
from spanbudget.exporter.rule_files.loading import matching_files
from spanbudget.exporter.rule_files.unit_tests import TestFile, load_test_file
from spanbudget.exporter.rule_rendering.packs import pack_test_path
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.groups import RuleGroup
from spanbudget.rules.unit_tests import in_order, run_test

EXIT_FAILED = 1
EXIT_WRONG_INPUT = 2


class FileResult(NamedTuple):
    """What came of one file of tests.

    Attributes:
        file: Its path.
        exit_code: 0, 1 where a test failed, 2 where the file or one of its rule files is wrong.
        failures: What failed, or what is wrong.
    """

    file: str
    exit_code: int
    failures: Sequence[str]


@click.command()
@click.argument("files", nargs=-1, required=True)
@click.option("--run", "patterns", multiple=True, metavar="REGEX", help="Only tests whose name matches.")
@click.option("--json", "as_json", is_flag=True, help="Write the results as JSON.")
def test(files: tuple[str, ...], patterns: tuple[str, ...], *, as_json: bool) -> None:
    """Run the unit tests in FILES, which `promtool test rules` takes unchanged.

    FILES are names, patterns such as 'tests/*.yaml', or packs such as pack:budget, whose own tests are run.
    Exit code 1 means that a test failed, 2 that a file is wrong.

    \b
    Examples:
      spanbudget rules test 'rules/tests/*.yaml'
      spanbudget rules test --run 'burn|threshold' pack:budget
    """  # noqa: D301 - click's mark of lines that stay as they are
    try:
        wanted = re.compile("|".join(patterns))
    except re.error as error:
        raise click.BadParameter(f"not a regular expression: {error}", param_hint="--run") from None
    chosen = chosen_files(files, pack_test_path)
    results = [FileResult(name, EXIT_WRONG_INPUT, (problem,)) for name, problem in chosen.wrong]
    for path in chosen.paths:
        if not as_json:
            click.echo(f"Processing test file: {path}")
        results.append(run_file(path, wanted))
        if not as_json:
            _tell(results[-1])
    _finish(results, [problem for _, problem in chosen.wrong], as_json=as_json)


def run_file(path: Path, wanted: re.Pattern[str]) -> FileResult:
    """Runs the tests of a file whose names match."""
    try:
        test_file = load_test_file(path)
        groups = _groups(test_file)
    except ConfigurationError as error:
        return FileResult(str(path), EXIT_WRONG_INPUT, error.problems)
    failures = [
        failure
        for test in test_file.tests
        if wanted.search(test.name)
        for failure in run_test(
            test,
            groups,
            evaluation_interval_ms=test_file.evaluation_interval_ms,
            fuzzy=test_file.fuzzy,
        )
    ]
    return FileResult(str(path), EXIT_FAILED if failures else 0, failures)


def _groups(test_file: TestFile) -> list[RuleGroup]:
    paths, missed = matching_files(test_file.rule_patterns)
    for pattern in missed:
        click.echo(f"  WARNING: no file match pattern {pattern}", err=True)
    return in_order(load_rule_files(paths), test_file.group_order)


def _tell(result: FileResult) -> None:
    if result.exit_code:
        click.echo("  FAILED:", err=True)
        for failure in result.failures:
            click.echo(failure, err=True)
            click.echo()
    else:
        click.echo("  SUCCESS")
    click.echo()


def _finish(results: Sequence[FileResult], problems: Sequence[str], *, as_json: bool) -> None:
    if as_json:
        told = [
            {
                "file": one.file,
                "valid": one.exit_code != EXIT_WRONG_INPUT,
                "passed": not one.exit_code,
                "failures": list(one.failures),
            }
            for one in results
        ]
        click.echo(json.dumps(told, indent=2))
    else:
        for problem in problems:
            click.echo(problem, err=True)
    exit_code = max((result.exit_code for result in results), default=0)
    if exit_code:
        raise SystemExit(exit_code)
