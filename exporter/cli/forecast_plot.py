"""The spend of a window drawn with letters: what was, where it goes, the limit and the ideal pace."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Final

from spanbudget.exporter.forecasts import Forecast
from spanbudget.processors.money import PICO_PER_USD, display_usd
from spanbudget.processors.periods import NS_PER_SECOND
from spanbudget.rules.projection.bins import is_endless

if TYPE_CHECKING:
    from rich.text import Text

HEIGHT: Final = 16
"""Rows of the drawing."""
WIDTH_MIN: Final = 40
"""Narrower terminals get no drawing."""
WIDTH_MAX: Final = 110
_LIMIT_SHOWN: Final = 3.0
"""A limit of more than so many times the rest would press the rest to the ground, and is left out."""
_ENDLESS_NS: Final = 90 * 86_400 * NS_PER_SECOND
"""How far a total is drawn that does not run out before."""
_DOTS: Final = ((0x01, 0x08), (0x02, 0x10), (0x04, 0x20), (0x40, 0x80))
"""The bits of a braille letter by row and column, from U+2800 on."""
_ROWS, _COLUMNS = len(_DOTS), len(_DOTS[0])
_STYLES: Final = {"cone": "cyan", "pace": "dim", "limit": "red", "middle": "bold cyan", "past": "bold green"}
_DASH: Final = 4
"""Of so many dots of the median one is left out, to tell it apart where there are no colours."""
_SAMPLES: Final = {"past": 0x12, "middle": 0x10}
"""The dots of lines in the legend: at half height, whole or in part."""
_PLAIN: Final = {"cone": ":", "pace": ".", "limit": "-", "middle": "o", "past": "#"}
"""What stands for each line where the terminal has no letters but those of ASCII."""

Line = Sequence[tuple[float, float]]
"""Points (part of the width, USD) from left to right."""


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is drawn.

    Attributes:
        past: What was spent.
        middle: The median ahead.
        low: The lower bound ahead.
        high: The upper bound ahead.
        pace: From nothing to the limit in a straight line; empty where there is no limit or no end.
        limit: USD; None where there is none, or it is too high to show.
        top: USD at the upper edge, above 0.
        start_ns: The left edge, nanoseconds since the epoch.
        end_ns: The right edge.
    """

    past: Line
    middle: Line
    low: Line
    high: Line
    pace: Line
    limit: float | None
    top: float
    start_ns: int
    end_ns: int


def drawing_of(forecast: Forecast) -> Drawing | None:
    """What to draw of a forecast; None where there is nothing to see."""
    projection, window = forecast.projection, forecast.state.window
    if projection is None or not forecast.so_far or not projection.path:
        return None
    endless = is_endless(window)
    start_ns = forecast.so_far[0][0] if endless else window.start_ns
    end_ns = window.end_ns
    if endless:
        exhausted = projection.exhaustion.median if projection.exhaustion is not None else None
        left_ns = (
            _ENDLESS_NS if exhausted is None else max(exhausted - forecast.now_ns, NS_PER_SECOND) * 5 // 4
        )
        end_ns = forecast.now_ns + left_ns

    def part(at_ns: int) -> float:
        return (at_ns - start_ns) / (end_ns - start_ns)

    now, spent = part(forecast.now_ns), forecast.so_far[-1][1]
    ahead = [(part(at_ns), ends) for at_ns, ends in projection.path]
    high = [(now, spent), *((at, ends.high) for at, ends in ahead)]
    seen = max([spend for at, spend in high if at <= 1], default=spent)
    limit_pico = forecast.state.limit_cost
    limit = None if limit_pico is None else limit_pico / PICO_PER_USD
    shown = limit if limit is not None and (limit <= _LIMIT_SHOWN * seen or seen <= 0) else None
    return Drawing(
        past=[(part(at_ns), spend) for at_ns, spend in forecast.so_far],
        middle=[(now, spent), *((at, ends.median) for at, ends in ahead)],
        low=[(now, spent), *((at, ends.low) for at, ends in ahead)],
        high=high,
        pace=[(0.0, 0.0), (1.0, limit)] if limit is not None and not endless else [],
        limit=shown,
        top=1.05 * max(seen, shown or 0.0) or 1.0,
        start_ns=start_ns,
        end_ns=end_ns,
    )


def drawn(
    drawing: Drawing, width: int, told: Callable[[int], str], *, is_ascii: bool = False
) -> Iterator["Text"]:
    """The lines of a picture.

    Args:
        drawing: What is drawn.
        width: Letters of a line, `WIDTH_MIN` or more.
        told: Says a moment, nanoseconds since the epoch, for the axis.
        is_ascii: Whether only letters of ASCII can be shown.
    """
    from rich.text import Text  # noqa: PLC0415 - neither JSON nor a list needs it

    scale = [display_usd(round(drawing.top * part * PICO_PER_USD)) for part in (1.0, 0.5, 0.0)]
    left = max(map(len, scale))
    width = min(width, WIDTH_MAX) - left - 2
    grid = _grid(drawing, width)
    marks = {0: scale[0], HEIGHT // 2: scale[1], HEIGHT - 1: scale[2]}
    for row, cells in enumerate(grid):
        line = Text(f"{marks.get(row, ''):>{left}} " + ("|" if is_ascii else "┤" if row in marks else "│"))
        for kind, some in groupby(cells, key=itemgetter(0)):
            letters = "".join(_letter(kind, bits, is_ascii=is_ascii) for _, bits in some)
            line.append(letters, _STYLES.get(kind, ""))
        yield line
    yield Text(" " * left + " " + ("+" + "-" * width if is_ascii else "└" + "─" * width))
    first, last = told(drawing.start_ns), told(drawing.end_ns)
    yield Text(" " * (left + 2) + first + last.rjust(width - len(first)))
    yield _legend(drawing, is_ascii=is_ascii)


def _legend(drawing: Drawing, *, is_ascii: bool) -> "Text":
    from rich.text import Text  # noqa: PLC0415 - as above

    shown = [("past", "spent"), ("middle", "median"), ("cone", "90 %")]
    shown += [("limit", "limit")] if drawing.limit is not None else []
    shown += [("pace", "ideal pace")] if drawing.pace else []
    line = Text()
    for kind, name in shown:
        line.append("  " if len(line) else "")
        line.append(_letter(kind, _SAMPLES.get(kind, 0), is_ascii=is_ascii) * 2, _STYLES[kind])
        line.append(f" {name}")
    return line


def _letter(kind: str, bits: int, *, is_ascii: bool) -> str:
    if not kind:
        return " "
    if is_ascii:
        return _PLAIN[kind]
    if kind in {"past", "middle"}:
        return chr(0x2800 + bits)
    return {"cone": "░", "limit": "─", "pace": "·"}[kind]


def _grid(drawing: Drawing, width: int) -> list[list[tuple[str, int]]]:
    """The kind of line in each cell, and the dots of it; later lines lie above earlier ones."""
    grid = [[("", 0)] * width for _ in range(HEIGHT)]
    for column in range(width):
        at = (column + 0.5) / width
        low, high = _value(drawing.low, at), _value(drawing.high, at)
        if low is not None and high is not None:
            for row in range(_row(high, drawing.top), _row(low, drawing.top) + 1):
                grid[row][column] = ("cone", 0)
        pace = _value(drawing.pace, at)
        if pace is not None and pace <= drawing.top and column % 2 == 0:
            grid[_row(pace, drawing.top)][column] = ("pace", 0)
        if drawing.limit is not None:
            grid[_row(drawing.limit, drawing.top)][column] = ("limit", 0)
    for kind, line in (("middle", drawing.middle), ("past", drawing.past)):
        _draw(grid, kind, line, drawing.top)
    return grid


def _draw(grid: list[list[tuple[str, int]]], kind: str, line: Line, top: float) -> None:
    """Draws a line in dots, without gaps where it is steep."""
    fine = len(grid[0]) * _COLUMNS
    before = None
    for column in range(fine):
        value = _value(line, (column + 0.5) / fine)
        if kind == "middle" and column % _DASH == 0:
            before = None
            continue
        at = None if value is None else _row(value, top, HEIGHT * _ROWS)
        if at is not None:
            start = at if before is None else before
            for row in range(min(at, start), max(at, start) + 1):
                known, bits = grid[row // _ROWS][column // _COLUMNS]
                dot = _DOTS[row % _ROWS][column % _COLUMNS]
                grid[row // _ROWS][column // _COLUMNS] = (kind, (bits if known == kind else 0) | dot)
        before = at


def _row(value: float, top: float, rows: int = HEIGHT) -> int:
    return min(max(int((1 - value / top) * rows), 0), rows - 1)


def _value(line: Line, at: float) -> float | None:
    """The height of a line at a place; None beside it."""
    for (left, low), (right, high) in pairwise(line):
        if left <= at <= right:
            return low + (high - low) * ((at - left) / (right - left) if right > left else 1.0)
    return None
