"""Where in a file a character of a text is: block scalars and lines that YAML folds included."""

import re
from typing import Final

from spanbudget.exporter.config_yaml import Place

_BLOCK: Final = re.compile(r"[|>][-+0-9]*[ \t]*(#.*)?")


def place_within(lines: list[str], start: Place, text: str, line: int, column: int) -> Place:
    """Where a character of a scalar's text is in the file.

    YAML changes nothing but white space, unless the scalar is in quotes and has escapes: so the characters
    that are none are counted.

    Args:
        lines: The file.
        start: Where the scalar starts: its indicator, its quote, or its first character.
        text: The scalar's text.
        line: Line of the character in the text, from 1.
        column: Its column in that line, from 1.

    Returns:
        The place, or `start` where the text is not found there.
    """
    before = "\n".join(text.split("\n")[: line - 1]) + " " + text.split("\n")[line - 1][: column - 1]
    wanted = sum(not character.isspace() for character in before)
    visible = [character for character in text if not character.isspace()]
    if wanted >= len(visible):
        wanted = len(visible) - 1
    return _walk(lines, _first(lines, start), visible[: wanted + 1]) or start


def _first(lines: list[str], start: Place) -> Place:
    """Where a scalar's characters begin."""
    rest = lines[start.line - 1][start.column - 1 :] if start.line <= len(lines) else ""
    if _BLOCK.fullmatch(rest):
        return Place(start.line + 1, 1)
    return Place(start.line, start.column + 1) if rest[:1] in ("'", '"') else start


def _walk(lines: list[str], start: Place, visible: list[str]) -> Place | None:
    """The place of the last of some characters; None where the file has others."""
    found = 0
    for number in range(start.line, len(lines) + 1):
        first = start.column - 1 if number == start.line else 0
        for column, character in enumerate(lines[number - 1][first:], first + 1):
            if character.isspace():
                continue
            if found >= len(visible) or character != visible[found]:
                return None
            found += 1
            if found == len(visible):
                return Place(number, column)
    return None
