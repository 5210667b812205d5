"""The built wheel is what users get, so it is what is tested last.

A package made only of links once passed every other check and shipped empty.
"""

import subprocess
import tarfile
import zipfile
from email import message_from_bytes
from pathlib import Path

LINKED = ("processors", "rules", "exporter", "grafana")

IMPORT_EVERYTHING = """
import importlib, pkgutil, sys, spanbudget
assert spanbudget.__file__.startswith(sys.prefix), spanbudget.__file__
for name in spanbudget.__all__:
    getattr(spanbudget, name)
names = [found.name for found in pkgutil.walk_packages(spanbudget.__path__, "spanbudget.")]
for name in names:
    if ".migrations." not in name:  # alembic runs those, with a context
        importlib.import_module(name)
print(len(names))
"""

LOAD_ENTRY_POINTS = """
from importlib.metadata import distribution
for point in distribution("spanbudget").entry_points:
    point.load()
    print(point.group, point.name)
"""


def tree_files(root: Path) -> set[str]:
    """Every file of the code folders under its name in the wheel, less what .gitignore names."""
    found = {"spanbudget/__init__.py", "spanbudget/py.typed"}
    for folder in LINKED:
        for path in (root / folder).rglob("*"):
            made = "__pycache__" in path.parts or any(part in path.name for part in (".db", ".spool", ".pyc"))
            if path.is_file() and not made:
                found.add(f"spanbudget/{path.relative_to(root).as_posix()}")
    return found


def wheel_files(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return {name for name in archive.namelist() if ".dist-info/" not in name}


def answer(python: Path, code: str) -> str:
    """What the code prints in the installed environment, run from its folder, away from the tree."""
    done = subprocess.run(
        [python, "-I", "-c", code], cwd=python.parent, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_wheel_by_way_of_the_sdist_holds_the_tree_and_nothing_else(root, wheel) -> None:
    assert wheel_files(wheel) == tree_files(root)


def test_the_wheel_of_the_tree_with_its_links_is_the_same(root, wheel_of_the_tree) -> None:
    assert wheel_files(wheel_of_the_tree) == tree_files(root)


def test_every_package_of_the_wheel_has_modules_with_code(wheel) -> None:
    with zipfile.ZipFile(wheel) as archive:
        sizes = {info.filename: info.file_size for info in archive.infolist()}
    for folder in LINKED:
        assert sizes[f"spanbudget/{folder}/__init__.py"] > 0
    assert sum(size for name, size in sizes.items() if name.startswith("spanbudget/processors/")) > 10_000


def test_the_sdist_holds_each_file_once_and_no_link(sdist, root) -> None:
    with tarfile.open(sdist) as archive:
        members = archive.getmembers()
    names = {member.name.partition("/")[2] for member in members}
    assert [member.name for member in members if not member.isreg()] == []
    assert {name for name in names if name.startswith("src/")} == {
        "src/spanbudget/__init__.py",
        "src/spanbudget/py.typed",
    }
    for name in tree_files(root):
        inside = name.removeprefix("spanbudget/")
        assert inside in names or f"src/{name}" in names
    assert {"LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml", "Makefile"} <= names


def test_the_wheel_says_what_it_is(wheel) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (metadata_name,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        (license_name,) = (
            name for name in archive.namelist() if name.endswith(".dist-info/licenses/LICENSE")
        )
        metadata = message_from_bytes(archive.read(metadata_name))
        license_text = archive.read(license_name).decode()
    assert metadata["Name"] == "spanbudget"
    assert metadata["License-Expression"] == "Apache-2.0"
    assert metadata["Requires-Python"] == ">=3.11"
    assert "END OF TERMS AND CONDITIONS" in license_text


def test_every_public_name_and_every_module_imports_from_the_wheel(installed, root) -> None:
    found = int(answer(installed / "python", IMPORT_EVERYTHING))
    modules = [name for name in tree_files(root) if name.endswith(".py")]
    assert found == len(modules) - 1  # the package itself is not among what it holds


def test_every_entry_point_loads(installed) -> None:
    assert answer(installed / "python", LOAD_ENTRY_POINTS).split("\n")[:-1] == [
        "console_scripts spanbudget",
        "opentelemetry_instrumentor spanbudget",
        "opentelemetry_pre_instrument spanbudget",
        "opentelemetry_traces_exporter spanbudget_otlp",
    ]


def test_the_command_answers(installed) -> None:
    done = subprocess.run(
        [installed / "spanbudget", "--help"], cwd=installed, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "Usage: spanbudget" in done.stdout
