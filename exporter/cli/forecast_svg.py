"""The picture of a forecast as an SVG, which loads nothing from elsewhere."""

from collections.abc import Iterable
from io import StringIO
from pathlib import Path
from typing import Final

from rich.console import Console
from rich.text import Text

from spanbudget.processors.errors import InputError

WIDTH: Final = 100
"""Letters of a line."""
_FORM: Final = """<svg class="rich-terminal" viewBox="0 0 {width} {height}" xmlns="http://www.w3.org/2000/svg">
<style>
.{unique_id}-matrix {{
  font-family: "DejaVu Sans Mono", Menlo, Consolas, monospace;
  font-size: {char_height}px;
  line-height: {line_height}px;
}}
.{unique_id}-title {{ font-size: 18px; font-weight: bold; font-family: sans-serif; }}
{styles}
</style>
<defs>
<clipPath id="{unique_id}-clip-terminal">
<rect x="0" y="0" width="{terminal_width}" height="{terminal_height}" />
</clipPath>
{lines}
</defs>
{chrome}
<g transform="translate({terminal_x}, {terminal_y})" clip-path="url(#{unique_id}-clip-terminal)">
{backgrounds}
<g class="{unique_id}-matrix">
{matrix}
</g>
</g>
</svg>
"""
"""The form of rich, without the font that it loads."""


def write_svg(path: Path, title: str, pictures: Iterable[Iterable[Text]]) -> None:
    """Writes pictures, one below the other.

    Args:
        path: The file; one that is there is replaced.
        title: Stands above them.
        pictures: Lines of at most `WIDTH` letters.

    Raises:
        InputError: The file cannot be written.
    """
    console = Console(record=True, width=WIDTH, file=StringIO(), force_terminal=True, highlight=False)
    for lines in pictures:
        for line in lines:
            console.print(line)
        console.print()
    try:
        console.save_svg(str(path), title=title, code_format=_FORM)
    except OSError as error:
        raise InputError(f"{path}: cannot be written: {error.strerror}") from error
