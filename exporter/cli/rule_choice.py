"""Which rule files a command is told to take, and numbers as Prometheus writes them."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

from spanbudget.exporter.rule_files.loading import matching_files
from spanbudget.exporter.rule_rendering.packs import PACK_PREFIX, pack_path
from spanbudget.processors.errors import ConfigurationError, InputError
from spanbudget.processors.names_out import CONFIG_VARIABLE
from spanbudget.rules.labels import METRIC_NAME, Labels, quoted


class Chosen(NamedTuple):
    """What names of files stand for.

    Attributes:
        paths: The files, in the order of the names, each once.
        wrong: (name, problem) of the names that stand for none.
    """

    paths: Sequence[Path]
    wrong: Sequence[tuple[str, str]]


def chosen_files(names: Sequence[str], pack: Callable[[str], Path] = pack_path) -> Chosen:
    """The files of paths, patterns such as `rules/*.yaml`, and packs such as `pack:budget`.

    Args:
        names: What was asked for.
        pack: Makes a path of a pack's name, or raises `ConfigurationError`.
    """
    paths: dict[Path, None] = {}
    wrong: list[tuple[str, str]] = []
    for name in names:
        if name.startswith(PACK_PREFIX):
            try:
                paths[pack(name)] = None
            except ConfigurationError as error:
                wrong += [(name, problem) for problem in error.problems]
            continue
        found, missed = matching_files([name])
        wrong += [(name, f"{name}: there is no such file") for name in missed]
        folders = [path for path in found if path.is_dir()]
        wrong += [
            (str(path), f"{path}: is a folder; name its files, such as '{path / '*.yaml'}'")
            for path in folders
        ]
        paths.update(dict.fromkeys(path for path in found if path not in folders))
    return Chosen(list(paths), wrong)


def rule_paths(names: Sequence[str]) -> Sequence[Path]:
    """The files of paths, patterns and packs.

    Raises:
        ConfigurationError: A name stands for none; it holds every problem.
    """
    chosen = chosen_files(names)
    if chosen.wrong:
        raise ConfigurationError([problem for _, problem in chosen.wrong])
    return chosen.paths


def no_rules() -> InputError:
    """What is told where nothing is left to do."""
    return InputError(
        "there are no rules: name files or packs, or give `rules` or a budget's `alerts` in a configuration,"
        f" which --config or {CONFIG_VARIABLE} names"
    )


def number_text(value: float) -> str:
    """A number as Prometheus writes it; `+Inf` and `NaN` among them."""
    if math.isfinite(value):
        return f"{value:.12g}"
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def pairs(labels: Labels, *but: str) -> str:
    """Labels as a selector has them, without the braces: `a="b", c="d"`."""
    left_out = {METRIC_NAME, *but}
    return ", ".join(f"{name}={quoted(value)}" for name, value in labels if name not in left_out)
