"""The section `alerting` of the configuration file, and the entries of `rules`."""

import glob
import re
from pathlib import Path
from typing import Annotated, Final, TypeAlias

from pydantic import AfterValidator, BeforeValidator, Field

from spanbudget.exporter.config_fields import PROMETHEUS_NAME, Line, duration
from spanbudget.exporter.config_sections import Section
from spanbudget.processors.errors import ConfigurationError

PACK: Final = "pack:"
"""An entry of `rules` that begins with it names a pack that comes with this program."""
RULE_FILES_MAX: Final = 1_000


def _label_name(name: str) -> str:
    """The name of a label of Prometheus.

    Raises:
        ValueError: It is none.
    """
    if not PROMETHEUS_NAME.fullmatch(name) or name.startswith("__"):
        raise ValueError("must be letters, digits and _, not beginning with a digit or with __")
    return name


def _web_address(text: str) -> str:
    if not re.fullmatch(r"https?://[^\s@]{1,500}", text):
        raise ValueError("must be an address that begins with http:// or https://")
    return text.rstrip("/")


class AlertingConfig(Section):
    """How rules are evaluated.

    Attributes:
        enabled: False evaluates nothing here: Prometheus or Mimir does.
        evaluation_interval: Seconds between two evaluations of groups that name none of their own, at most;
            new spend has them evaluated within a second.
        external_labels: Set on every alert that does not have them.
        external_url: Where people find this program's page or dashboard; alerts link to it.
    """

    enabled: bool = True
    evaluation_interval: Annotated[
        int,
        BeforeValidator(lambda given: given if isinstance(given, int) else duration(given)),
        Field(ge=1, le=3_600),
    ] = 15
    external_labels: dict[Annotated[str, AfterValidator(_label_name)], Line] = Field(
        default_factory=dict, max_length=32
    )
    external_url: Annotated[str, AfterValidator(_web_address)] = "http://localhost"


RuleEntries: TypeAlias = Annotated[tuple[Line, ...], Field(max_length=RULE_FILES_MAX)]
"""Files, patterns such as `rules/*.yaml`, and packs such as `pack:budget`."""


def rule_paths(entries: tuple[str, ...], folder: Path) -> tuple[str, ...]:
    """The entries with absolute paths: relative ones are relative to the configuration file."""
    return tuple(entry if entry.startswith(PACK) else str(folder.absolute() / entry) for entry in entries)


def found_files(entries: tuple[str, ...]) -> tuple[Path, ...]:
    """The files that entries other than packs name, in the order of the entries, each once.

    Raises:
        ConfigurationError: An entry names no file.
    """
    problems: list[str] = []
    found: dict[Path, None] = {}
    for entry in entries:
        if entry.startswith(PACK):
            continue
        # `Path.glob` takes no absolute pattern.
        paths = sorted(glob.glob(entry)) if glob.has_magic(entry) else [entry]  # noqa: PTH207
        files = [path for path in map(Path, paths) if path.is_file()]
        if not files:
            problems.append(f"rules: there is no file {entry}")
        found |= dict.fromkeys(files)
    if len(found) > RULE_FILES_MAX:
        problems.append(f"rules: names more than {RULE_FILES_MAX} files")
    if problems:
        raise ConfigurationError(problems)
    return tuple(found)
