"""Rule files from disk."""

import glob
from collections.abc import Iterable, Sequence
from pathlib import Path

from spanbudget.exporter.rule_files.fields import read, text_of
from spanbudget.exporter.rule_files.rules import read_groups
from spanbudget.processors.errors import ConfigurationError
from spanbudget.rules.groups import RuleGroup


def parse_rule_text(text: str, name: str) -> tuple[RuleGroup, ...]:
    """Reads the text of a rule file.

    Args:
        text: YAML, at most 1 MiB, as Prometheus reads it.
        name: What problems call it, mostly the path.

    Raises:
        ConfigurationError: The text is wrong; it holds every problem with file, line, column and path.
    """
    reading = read(text, name)
    groups = read_groups(reading)
    reading.finish()
    return groups


def load_rule_files(paths: Sequence[Path]) -> tuple[RuleGroup, ...]:
    """Reads rule files; one that is named twice counts once.

    Raises:
        ConfigurationError: A file cannot be read or is wrong; it holds every problem of all files.
    """
    groups: list[RuleGroup] = []
    problems: list[str] = []
    for path in dict.fromkeys(paths):
        try:
            groups += parse_rule_text(text_of(path), str(path))
        except ConfigurationError as error:
            problems += error.problems
    if problems:
        raise ConfigurationError(problems)
    return tuple(groups)


def matching_files(patterns: Iterable[str]) -> tuple[list[Path], list[str]]:
    """The files that names and patterns such as `rules/*.yaml` stand for, each once.

    Returns:
        The files, in the order of the patterns and sorted within each; and the patterns that match none.
    """
    found: dict[Path, None] = {}
    missed: list[str] = []
    for pattern in patterns:
        # A file may have a name that looks like a pattern.
        names = [pattern] if Path(pattern).is_file() else sorted(glob.glob(pattern))  # noqa: PTH207 - it may be absolute
        found.update(dict.fromkeys(map(Path, names)))
        if not names:
            missed.append(pattern)
    return list(found), missed
