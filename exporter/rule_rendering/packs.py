"""The rule packs that ship with the program."""

from importlib.resources import files
from pathlib import Path
from typing import Final

from spanbudget.processors.errors import ConfigurationError

PACK_PREFIX: Final = "pack:"
"""`pack:budget` names a pack where a path of a rule file may stand."""


def pack_names() -> tuple[str, ...]:
    """The packs, sorted."""
    return tuple(sorted(path.stem for path in _folder().glob("*.yaml")))


def pack_path(name: str) -> Path:
    """The file of a pack.

    Args:
        name: `budget`, or `pack:budget`.

    Raises:
        ConfigurationError: There is no such pack; the known ones are named.
    """
    plain = name.removeprefix(PACK_PREFIX)
    known = pack_names()
    if plain not in known:
        raise ConfigurationError([f"there is no rule pack {plain!r}; known are {', '.join(known)}"])
    return _folder() / f"{plain}.yaml"


def pack_test_path(name: str) -> Path:
    """The rule test of a pack, in promtool's format; see `pack_path`."""
    path = pack_path(name)
    return path.parent / "tests" / path.name


def _folder() -> Path:
    # The package is installed as files: wheels of it are never imported from a zip.
    return Path(str(files("spanbudget.rules"))) / "packs"
