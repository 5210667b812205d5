"""`processors/` and `rules/` are pure: what import-linter cannot see, because no import is needed for it."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PURE = ("processors", "rules")
# Builtins that reach the world, and methods that read the clock of the machine.
REACHING = {"open", "print", "input", "exec", "eval", "compile", "breakpoint", "__import__"}
CLOCKS = {"now", "utcnow", "today"}


def impure(source: str) -> Iterator[str]:
    """Calls that do input, output or read a clock, each as `line: name`."""
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Call):
            continue
        match node.func:
            case ast.Name(id=name) if name in REACHING:
                yield f"{node.lineno}: {name}"
            case ast.Attribute(value=ast.Name(id="datetime" | "date"), attr=name) if name in CLOCKS:
                yield f"{node.lineno}: {name}"
            case ast.Attribute(value=ast.Attribute(attr="datetime" | "date"), attr=name) if name in CLOCKS:
                yield f"{node.lineno}: {name}"


@pytest.mark.parametrize("folder", PURE)
def test_nothing_pure_reaches_the_world_or_reads_a_clock(root: Path, folder: str) -> None:
    found = [
        f"{path.relative_to(root)}:{what}"
        for path in sorted((root / folder).rglob("*.py"))
        for what in impure(path.read_text(encoding="utf-8"))
    ]
    assert found == []


@pytest.mark.parametrize(
    "line", ["open('x')", "datetime.now(UTC)", "datetime.datetime.utcnow()", "date.today()", "print(1)"]
)
def test_a_call_that_reaches_out_is_seen(line: str) -> None:
    assert len(list(impure(line))) == 1


@pytest.mark.parametrize("line", ["self.open()", "window.now", "now(1)", "re.compile('x')", "clock.today()"])
def test_a_call_that_only_looks_like_one_is_not(line: str) -> None:
    assert list(impure(line)) == []
