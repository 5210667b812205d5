"""All rules of a configuration: of packs, of files, and what the budgets' `alerts` expand to."""

from collections.abc import Sequence
from pathlib import Path

from spanbudget.exporter.alerting.config import PACK, found_files
from spanbudget.exporter.config import Config
from spanbudget.exporter.rule_files import load_rule_files
from spanbudget.exporter.rule_rendering.expanded import expanded_rules
from spanbudget.exporter.rule_rendering.packs import pack_path
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.groups import RuleGroup

SUGAR_FILE = "budgets.yaml"
"""What the file of expanded rules is called; `spanbudget rules render` prints it."""


def rule_groups(config: Config) -> tuple[RuleGroup, ...]:
    """All groups, in the order: packs and files as the configuration lists them, then those of budgets.

    Raises:
        ConfigurationError: A file is missing or wrong; it holds every problem.
    """
    paths, problems = _found(config)
    groups: tuple[RuleGroup, ...] = ()
    try:
        groups = load_rule_files(paths)
    except ConfigurationError as error:
        problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return (*groups, *expanded_rules(config.budget_configs, SUGAR_FILE))


def rule_files(config: Config) -> tuple[Path, ...]:
    """The files of packs and the other files that a configuration names.

    Raises:
        ConfigurationError: One is not there; it holds every problem.
    """
    found, problems = _found(config)
    if problems:
        raise ConfigurationError(problems)
    return found


def _found(config: Config) -> tuple[tuple[Path, ...], list[str]]:
    """The files that are there, and what is to be said of the others."""
    problems: list[str] = []
    found: dict[Path, None] = {}
    for entry in config.rules:
        try:
            found |= dict.fromkeys(_files_of(entry))
        except ConfigurationError as error:
            problems += error.problems
    return tuple(found), problems


def _files_of(entry: str) -> Sequence[Path]:
    return (pack_path(entry.removeprefix(PACK)),) if entry.startswith(PACK) else found_files((entry,))
