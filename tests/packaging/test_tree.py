"""The tree itself: the layout of ARCHITECTURE.md, the sizes of STYLE.md, and nothing of one machine in it."""

import ast
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

CODE = ("processors", "rules", "exporter", "grafana", "src", "benchmarks")
LINKED = ("processors", "rules", "exporter", "grafana")

FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
# Path -> why it may be longer. An entry that is no longer needed fails too.
LONG_FILES = {
    "exporter/admission/engine.py": "where a call gets its money, or is told why not",
    "exporter/pipeline.py": "the road of a span from its end to the ledger, for threads, faults and forks",
    "processors/counting.py": "one call, however many spans: its cases belong together",
    "processors/dialects.py": "the one table of attribute spellings; data, one line per row",
    "processors/names_out.py": "every name that the outside sees, in one place",
    "processors/reading.py": "one span read through the rule of its scope",
}
LONG_FUNCTIONS: dict[str, str] = {}
BROAD = {"Exception", "BaseException"}

# In pieces, so that this file is not among what it finds.
MARKS = re.compile(r"\b(TO" + r"DO|FIX" + r"ME|XX" + r"X|HA" + r"CK)\b")
MACHINE = re.compile(
    "|".join(
        (
            r"(?<![\w.])/wo" + r"rk/\w",
            r"(?<![\w.])/ro" + r"ot/\w",
            r"(?<![\w.])/ho" + r"me/\w+/",
            r"(?<![\w.])/Us" + r"ers/\w+/",
            r"(?<![\w.])/tm" + r"p/[\w-]+/",
            r"(?<![\w.])/opt/wh" + r"eels",
            r"py" + r"pi\.org",
            r"python" + r"hosted\.org",
            r"npm" + r"js\.(?:org|com)",
            r"proxy\.go" + r"lang\.org",
            r"crates" + r"\.io",
            r"maven" + r"\.org",
            r"(?:deb|security)\.deb" + r"ian\.org",
            r"--(?:extra-)?index" + r"-url|--find" + r"-links",
        )
    )
)


@pytest.fixture(scope="module")
def files(root: Path) -> list[Path]:
    """Every regular file that a clone has or that is about to be committed."""
    if (root / ".git").exists() and shutil.which("git"):
        listed = subprocess.run(
            ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
            cwd=root, capture_output=True, text=True, check=True,
        ).stdout.split("\0")  # fmt: skip
        found = [root / name for name in listed if name]
    else:
        made = {".venv", "build", "dist", "node_modules", "__pycache__"}
        found = [
            path
            for path in root.rglob("*")
            if not made & set(path.relative_to(root).parts)
            and not any(part.startswith(".") for part in path.relative_to(root).parts[:-1])
        ]
    return sorted(path for path in set(found) if path.is_file() and not path.is_symlink())


@pytest.fixture(scope="module")
def modules(root: Path, files: list[Path]) -> dict[str, ast.Module]:
    """The parsed code of the code folders, by its path from the root."""
    names = {path: path.relative_to(root).as_posix() for path in files if path.suffix == ".py"}
    return {
        name: ast.parse(path.read_text(encoding="utf-8"), name)
        for path, name in names.items()
        if name.partition("/")[0] in CODE
    }


def functions(modules: dict[str, ast.Module]) -> Iterator[tuple[str, int]]:
    """Every function as `file:name` with its number of lines."""
    for name, tree in modules.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                yield f"{name}:{node.name}", (node.end_lineno or node.lineno) - node.lineno + 1


def swallowing(tree: ast.Module) -> Iterator[int]:
    """Lines of handlers that catch everything and do nothing with it."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ExceptHandler):
            kinds = node.type.elts if isinstance(node.type, ast.Tuple) else [node.type]
            broad = any(kind is None or ast.unparse(kind) in BROAD for kind in kinds)
            if broad and all(isinstance(step, ast.Pass | ast.Continue) for step in node.body):
                yield node.lineno
        elif isinstance(node, ast.Call) and ast.unparse(node.func) in {"suppress", "contextlib.suppress"}:
            yield from (node.lineno for kind in node.args if ast.unparse(kind) in BROAD)


def lines_that_match(root: Path, files: list[Path], pattern: re.Pattern[str]) -> list[str]:
    return [
        f"{path.relative_to(root)}:{number}: {found.group()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1)
        if (found := pattern.search(line))
    ]


def test_the_root_is_the_design(root: Path) -> None:
    folders = {*LINKED, "tests", "benchmarks", "src", ".ci"}
    assert {name for name in folders if not (root / name).is_dir()} == set()
    papers = {
        "pyproject.toml",
        "requirements.lock",
        "README.md",
        "CHANGELOG.md",
        "CONTRIBUTING.md",
        "LICENSE",
    }
    assert {name for name in papers | {"Makefile", ".ci/run"} if not (root / name).is_file()} == set()
    assert os.access(root / ".ci/run", os.X_OK)


@pytest.mark.parametrize("folder", LINKED)
def test_each_link_of_the_package_points_at_the_folder_of_the_root(root: Path, folder: str) -> None:
    link = root / "src" / "spanbudget" / folder
    assert link.is_symlink()
    assert link.readlink().as_posix() == f"../../{folder}"
    assert (link / "__init__.py").is_file()


def test_the_package_holds_nothing_but_its_two_files_and_the_links(root: Path) -> None:
    held = {path.name for path in (root / "src" / "spanbudget").iterdir()} - {"__pycache__"}
    assert held == {"__init__.py", "py.typed", *LINKED}


def test_every_code_folder_is_a_package(root: Path, modules: dict[str, ast.Module]) -> None:
    """A folder without `__init__.py` works here by accident, and type checkers pass over it."""
    folders = {Path(name).parent for name in modules if name.partition("/")[0] in LINKED}
    assert [str(folder) for folder in sorted(folders) if not (root / folder / "__init__.py").is_file()] == []


def test_nothing_names_a_path_of_a_machine_or_the_host_of_a_registry(root: Path, files: list[Path]) -> None:
    assert lines_that_match(root, files, MACHINE) == []


def test_nothing_is_left_to_be_done(root: Path, files: list[Path]) -> None:
    code = [path for path in files if path.suffix in {".py", ".toml", ".yaml", ".yml"}]
    assert lines_that_match(root, code, MARKS) == []


def test_no_committed_file_is_huge(root: Path, files: list[Path]) -> None:
    assert [str(path.relative_to(root)) for path in files if path.stat().st_size > 1_000_000] == []


def test_no_file_is_longer_than_one_noun(root: Path, modules: dict[str, ast.Module]) -> None:
    lengths = {name: len((root / name).read_text(encoding="utf-8").splitlines()) for name in modules}
    assert {name for name, lines in lengths.items() if lines > FILE_LINES_MAX} == set(LONG_FILES)


def test_no_function_is_too_long(modules: dict[str, ast.Module]) -> None:
    found = {name for name, lines in functions(modules) if lines > FUNCTION_LINES_MAX}
    assert found == set(LONG_FUNCTIONS)


def test_no_broad_except_swallows(modules: dict[str, ast.Module]) -> None:
    assert [f"{name}:{line}" for name, tree in modules.items() for line in swallowing(tree)] == []


@pytest.mark.parametrize(
    "code",
    [
        "try: f()\nexcept Exception: pass",
        "try: f()\nexcept: pass",
        "try: f()\nexcept (OSError, BaseException): pass",
        "with contextlib.suppress(Exception): f()",
    ],
)
def test_a_swallowing_handler_is_seen(code: str) -> None:
    assert len(list(swallowing(ast.parse(code)))) == 1


@pytest.mark.parametrize("code", ["try: f()\nexcept OSError: pass", "try: f()\nexcept Exception: g(); raise"])
def test_a_narrow_or_telling_handler_is_not(code: str) -> None:
    assert list(swallowing(ast.parse(code))) == []
