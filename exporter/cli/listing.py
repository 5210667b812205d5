"""Lists of things with more to tell than fits beside each other in a terminal.

In a terminal, each thing has a line of columns, and what is long stands below it. In a pipe or a file, each
thing is one line, whole, so that `grep` and `awk` find it.
"""

import sys
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Final, NamedTuple

import click

_GAP: Final = "  "
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


class Row(NamedTuple):
    """One thing.

    Attributes:
        cells: What stands in columns.
        below: What stands below them in a terminal; "" for nothing.
        style: Of the first cell, as rich has it.
    """

    cells: Sequence[str]
    below: Sequence[str] = ()
    style: str = ""


class Titles(NamedTuple):
    """Of the columns, and of what stands below them in a terminal.

    Attributes:
        cells: Of the columns.
        below: Of the rest; the last of it is dimmed.
        right: Which columns are numbers.
    """

    cells: Sequence[str]
    below: Sequence[str] = ()
    right: frozenset[str] = frozenset()


def print_rows(titles: Titles, rows: Sequence[Row]) -> None:
    """Prints a list."""
    if sys.stdout.isatty():
        _print_for_people(titles, rows)
        return
    names = (*titles.cells, *titles.below)
    table = [names, *(tuple(map(clean, (*row.cells, *row.below))) for row in rows)]
    for line in _aligned(table, [name in titles.right for name in names]):
        click.echo(line.rstrip())


def _print_for_people(titles: Titles, rows: Sequence[Row]) -> None:
    from rich.console import Console  # noqa: PLC0415 - neither a pipe nor JSON needs it
    from rich.padding import Padding  # noqa: PLC0415 - as above
    from rich.text import Text  # noqa: PLC0415 - as above

    console = Console(highlight=False)
    table = [titles.cells, *(tuple(map(clean, row.cells)) for row in rows)]
    head, *lines = _aligned(table, [name in titles.right for name in titles.cells])
    console.print(Text(head.rstrip(), "dim"))
    for row, line in zip(rows, lines, strict=True):
        text = Text(line.rstrip())
        text.stylize(row.style, 0, len(row.cells[0]))
        console.print(text)
        for number, told in enumerate(row.below):
            if told:
                style = "dim" if number == len(row.below) - 1 else ""
                console.print(Padding(Text(clean(told), style, overflow="fold"), (0, 0, 0, len(_GAP))))


def _aligned(table: Sequence[Sequence[str]], right: Sequence[bool]) -> list[str]:
    widths = [max(map(len, column)) for column in zip(*table, strict=True)]
    return [
        _GAP.join(
            cell.rjust(width) if to_right else cell.ljust(width)
            for cell, width, to_right in zip(line, widths, right, strict=True)
        )
        for line in table
    ]


def clean(text: str) -> str:
    """One line without control characters: a label may hold what a span said, and a terminal obeys some."""
    return "".join(letter if letter.isprintable() else "\ufffd" for letter in " ".join(text.split()))


def counted(number: int, noun: str) -> str:
    """`1 alert`, `1,234 alerts`."""
    return f"{number:,} {noun if number == 1 else noun + 's'}"


def minute(at_ms: int) -> str:
    """A moment for people, UTC: `2026-11-24 00:11`."""
    return f"{_EPOCH + timedelta(milliseconds=at_ms):%Y-%m-%d %H:%M}"


def iso(at_ms: int | None) -> str | None:
    """A moment for programs, UTC: `2026-11-24T00:11:43.480Z`."""
    if at_ms is None:
        return None
    at = _EPOCH + timedelta(milliseconds=at_ms)
    return at.isoformat(timespec="milliseconds").replace("+00:00", "Z")
