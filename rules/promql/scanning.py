"""The words of an expression: enough to bound its depth before it is parsed, and to say where a name stands.

The parser's library neither bounds the depth of what it reads (it recurses, and a deep expression ends the
process) nor says where an error is.
"""

import math
import re
from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Final, NamedTuple

from spanbudget.processors.errors import ExpressionError

LENGTH_MAX: Final = 65_536
"""Most characters of an expression."""
NESTING_MAX: Final = 100
"""Most brackets within each other."""
OPERATORS_MAX: Final = 500
"""Most operators of an expression; each may nest what is to its left."""

_WORD: Final = re.compile(
    r"""
      (?P<space> \s+ | \#[^\n]* )
    | (?P<string> "(?:\\.|[^"\\])*" | '(?:\\.|[^'\\])*' | `[^`]*` )
    | (?P<unclosed> ["'`].* )
    | (?P<name> [A-Za-z_:][A-Za-z0-9_:]* )
    | (?P<number> (?: [0-9]+\.?[0-9]* | \.[0-9]+ ) (?: [eE][+-]?[0-9]+ )? [A-Za-z0-9_]* )
    | (?P<open> [(\[{] )
    | (?P<close> [)\]}] )
    | (?P<operator> [=!<>]=? | [-+*/%^@] )
    | (?P<other> . )
    """,
    re.VERBOSE | re.DOTALL,
)
_DURATION: Final = re.compile(r":?(?:[0-9]{1,40}(?:ms|[smhdwy]))+")
_PART: Final = re.compile(r"([0-9]+)(ms|[smhdwy])")
_SECONDS: Final[Mapping[str, float]] = MappingProxyType(
    {"ms": 0.001, "s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800, "y": 31_536_000}
)
_SECONDS_MAX: Final = 2**63 / 1e9  # Go counts nanoseconds
_CLOSING: Final[Mapping[str, str]] = MappingProxyType({"(": ")", "[": "]", "{": "}"})
_WORD_OPERATORS: Final = frozenset({"and", "or", "unless", "atan2"})


class Word(NamedTuple):
    """A word of an expression.

    Attributes:
        kind: The name of its group in the pattern.
        text: As it is written.
        start: Where it begins, characters from 0.
    """

    kind: str
    text: str
    start: int


class Place(NamedTuple):
    """Where something stands in an expression; both count from 1.

    Attributes:
        line: The line.
        column: The character in it.
    """

    line: int
    column: int


def words(text: str) -> Iterator[Word]:
    """The words of a text, without white space and comments."""
    for match in _WORD.finditer(text):
        kind = match.lastgroup or ""
        if kind != "space":
            yield Word(kind, match.group(), match.start())


def place_of(text: str, start: int) -> Place:
    """Where the character is that has this index."""
    line_start = text.rfind("\n", 0, start) + 1
    return Place(text.count("\n", 0, line_start) + 1, start - line_start + 1)


def place_of_call(text: str, name: str) -> Place | None:
    """Where a name is first called, or else where it is first used; None where it is not in the text."""
    used: Word | None = None
    previous = Word("", "", 0)
    for word in [*words(text), Word("", "", len(text))]:
        if previous.kind == "name" and previous.text.lower() == name.lower():
            used = used or previous
            if word.text == "(":
                return place_of(text, previous.start)
        previous = word
    return place_of(text, used.start) if used else None


def error_at(text: str, start: int, message: str) -> ExpressionError:
    """An error at a character."""
    place = place_of(text, start)
    return ExpressionError(message, line=place.line, column=place.column)


def check_extent(text: str) -> None:
    """Refuses what would be too deep to parse, and what the parser does not see or cannot place.

    Raises:
        ExpressionError: It is too long or too deep, a string or a bracket is not closed, or a number is too
            large to be one.
    """
    if len(text) > LENGTH_MAX:
        message = f"the expression has {len(text)} characters, more than the {LENGTH_MAX} that are allowed"
        raise ExpressionError(message)
    opened: list[Word] = []
    operators = 0
    previous = Word("", "", 0)
    for word in words(text):
        if word.kind == "open":
            opened.append(word)
            if len(opened) > NESTING_MAX:
                raise error_at(text, word.start, f"more than {NESTING_MAX} brackets within each other")
        elif word.kind == "close":
            _close(text, opened, word)
        elif word.kind == "operator" or (word.kind == "name" and word.text.lower() in _WORD_OPERATORS):
            operators += not (opened and opened[-1].text == "{")
            if operators > OPERATORS_MAX:
                raise error_at(text, word.start, f"more than {OPERATORS_MAX} operators in one expression")
        _check_word(text, previous, word)
        previous = word
    if opened:
        raise error_at(text, opened[-1].start, f'"{opened[-1].text}" is never closed')


def _close(text: str, opened: list[Word], word: Word) -> None:
    if not opened:
        raise error_at(text, word.start, f'"{word.text}" closes nothing')
    if _CLOSING[opened[-1].text] != word.text:
        raise error_at(text, word.start, f'"{word.text}" cannot close "{opened[-1].text}"')
    opened.pop()


def _check_word(text: str, previous: Word, word: Word) -> None:
    if word.kind == "unclosed":
        raise error_at(text, word.start, "a string is never closed")
    if word.kind == "number" and _is_too_large(word.text):
        raise error_at(text, word.start, f"the number {word.text} is too large for a double")
    if word.kind in {"number", "name"} and _is_too_long(word.text):
        # The parser counts a part of a duration that it cannot hold as 0.
        raise error_at(text, word.start, f"the duration {word.text} is longer than 292 years")
    if previous.text == "@" and word.text == "-":
        raise error_at(text, word.start, "an `@` before 1970 is not supported; write a time from 0 on")


def _is_too_long(duration: str) -> bool:
    """Whether a duration, in a subquery after a colon, is longer than Prometheus' own can be."""
    if _DURATION.fullmatch(duration) is None:
        return False
    parts = _PART.findall(duration)
    return sum(int(number) * _SECONDS[unit] for number, unit in parts) > _SECONDS_MAX


def _is_too_large(number: str) -> bool:
    try:
        return math.isinf(float(number))
    except ValueError:  # hexadecimal, or a duration
        return False
