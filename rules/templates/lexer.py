"""A template's text as tokens, as Go's text/template has them.

Source: Go, text/template/parse/lex.go.
"""

import re
from collections.abc import Iterator
from typing import Final, NamedTuple, NoReturn

from spanbudget.processors.errors import ExpressionError

KEYWORDS: Final = frozenset(
    (".", "block", "break", "continue", "define", "else", "end", "if", "range", "nil", "template", "with")
)
_SPACES: Final = " \t\r\n"
_TERMINATORS: Final = (*_SPACES, ".", ",", "|", ":", ")", "(", "}}")
_TRIM_LEFT: Final = re.compile(r"-[ \t\r\n]")
_CLOSING: Final = re.compile(r"([ \t\r\n]-)?\}\}")
_NUMBER: Final = re.compile(
    r"[+-]?(?:0[xX][0-9a-fA-F_]*(?:\.[0-9a-fA-F_]*)?(?:[pP][+-]?[0-9_]*)?"
    r"|0[oO][0-7_]*|0[bB][01_]*|[0-9_]*(?:\.[0-9_]*)?(?:[eE][+-]?[0-9_]*)?)i?",
)
_QUOTED: Final = {
    '"': (re.compile(r'"(?:[^"\\\n]|\\[^\n])*"'), "string", "unterminated quoted string"),
    "`": (re.compile(r"`[^`]*`"), "string", "unterminated raw quoted string"),
    "'": (re.compile(r"'(?:[^'\\\n]|\\[^\n])*'"), "char_constant", "unterminated character constant"),
}
_SINGLE: Final = {"|": "pipe", "=": "assign"}
_WORD: Final = re.compile(r"\w+")
_TEXT_SHOWN_MAX: Final = 10


class Token(NamedTuple):
    """A piece of a template.

    Attributes:
        kind: `text`, `left`, `right`, `space`, `identifier`, `field`, `variable`, `number`, `char_constant`,
            `string`, `pipe`, `assign`, `declare`, `(`, `)`, `char`, `bool`, `end_of_text`, or a keyword.
        text: As it is written.
        position: Where it starts, counted in characters.
        line: The line where it starts, from 1.
    """

    kind: str
    text: str
    position: int
    line: int

    def __str__(self) -> str:
        if self.kind == "end_of_text":
            return "EOF"
        if self.kind in KEYWORDS:
            return f"<{self.text}>"
        if len(self.text) > _TEXT_SHOWN_MAX:
            return f'"{_escaped(self.text[:_TEXT_SHOWN_MAX])}"...'
        return f'"{_escaped(self.text)}"'


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n").replace("\t", "\\t")


def tokens_of(text: str, name: str) -> Iterator[Token]:
    """The tokens of a template, the last one `end_of_text`.

    Args:
        text: The template.
        name: What messages call it.

    Raises:
        ExpressionError: It has what is no token.
    """
    return _Lexer(text, name).tokens()


class _Lexer:
    def __init__(self, text: str, name: str) -> None:
        self._text = text
        self._name = name
        self._at = 0
        self._line = 1
        self._line_at = 0

    def tokens(self) -> Iterator[Token]:
        text = self._text
        while (left := text.find("{{", self._at)) >= 0:
            trims = _TRIM_LEFT.match(text, left + 2) is not None
            plain = text[self._at : left].rstrip(_SPACES) if trims else text[self._at : left]
            if plain:
                yield self._token("text", self._at, plain)
            inside = left + 4 if trims else left + 2
            if text.startswith("/*", inside):
                self._skip_comment(inside)
                continue
            yield self._token("left", left, "{{")
            self._at = inside
            yield from self._action()
        if self._at < len(text):
            yield self._token("text", self._at, text[self._at :])
        yield self._token("end_of_text", len(text), "")

    def _skip_comment(self, start: int) -> None:
        end = self._text.find("*/", start + 2)
        if end < 0:
            self._fail("unclosed comment", start)
        closing = _CLOSING.match(self._text, end + 2)
        if closing is None:
            self._fail("comment ends before closing delimiter", start)
        self._after(closing)

    def _action(self) -> Iterator[Token]:
        depth = 0
        while True:
            start, text = self._at, self._text
            closing = _CLOSING.match(text, start)
            if closing is not None:
                if depth:
                    self._fail("unclosed left paren", start)
                yield self._token("right", closing.end() - 2, "}}")
                self._after(closing)
                return
            if start >= len(text):
                self._fail("unclosed action", start)
            token = self._inside(text[start], start)
            depth += (token.kind == "(") - (token.kind == ")")
            if depth < 0:
                self._fail("unexpected right paren", start)
            self._at = start + len(token.text)
            yield token

    def _after(self, closing: re.Match[str]) -> None:
        """Goes behind the end of an action, and behind the space after it where it says so."""
        self._at = closing.end()
        while closing[1] and self._at < len(self._text) and self._text[self._at] in _SPACES:
            self._at += 1

    def _inside(self, first: str, start: int) -> Token:
        text = self._text
        if first in _SPACES:
            return self._token("space", start, self._space(start))
        if first in _SINGLE:
            return self._token(_SINGLE[first], start, first)
        if first in "()":
            return self._token(first, start, first)
        if first == ":":
            if not text.startswith(":=", start):
                self._fail("expected :=", start)
            return self._token("declare", start, ":=")
        if first in _QUOTED:
            pattern, kind, problem = _QUOTED[first]
            found = pattern.match(text, start)
            return self._token(kind, start, found[0]) if found else self._fail(problem, start)
        return self._word(first, start)

    def _word(self, first: str, start: int) -> Token:
        text = self._text
        if first == "$" or (first == "." and not _is_digit(text[start + 1 : start + 2])):
            return self._name_token(first, start)
        if first in "+-." or _is_digit(first):
            return self._number(start)
        found = _WORD.match(text, start)
        if found is None:
            if first.isascii() and first.isprintable():
                return self._token("char", start, first)
            self._fail(f"unrecognized character in action: {_code(first)}", start)
        self._check_end(found.end(), start)
        word = found[0]
        kind = word if word in KEYWORDS else "bool" if word in ("true", "false") else "identifier"
        return self._token(kind, start, word)

    def _name_token(self, first: str, start: int) -> Token:
        found = _WORD.match(self._text, start + 1)
        end = found.end() if found else start + 1
        self._check_end(end, start)
        kind = "variable" if first == "$" else "field" if found else "."
        return self._token(kind, start, self._text[start:end])

    def _number(self, start: int) -> Token:
        found = _NUMBER.match(self._text, start)
        end = found.end() if found else start
        following = self._text[end : end + 1]
        if following.isalnum() or following == "_":
            self._fail(f'bad number syntax: "{self._text[start : end + 1]}"', start)
        if following and following in "+-":
            self._fail("complex numbers are not supported", start)
        return self._token("number", start, self._text[start:end])

    def _space(self, start: int) -> str:
        """A run of spaces; the last one is left where it belongs to a `-}}`."""
        end = start
        while end < len(self._text) and self._text[end] in _SPACES:
            end += 1
        if _CLOSING.match(self._text, end - 1):
            end -= 1
        return self._text[start:end]

    def _check_end(self, end: int, start: int) -> None:
        if end < len(self._text) and not self._text.startswith(_TERMINATORS, end):
            self._fail(f"bad character {_code(self._text[end])}", start)

    def _token(self, kind: str, start: int, text: str) -> Token:
        self._line += self._text.count("\n", self._line_at, start)
        self._line_at = start
        return Token(kind, text, start, self._line)

    def _fail(self, problem: str, at: int) -> NoReturn:
        line = self._text.count("\n", 0, at) + 1
        raise ExpressionError(f"template: {self._name}:{line}: {problem}", line=line)


def _is_digit(text: str) -> bool:
    return "0" <= text <= "9"


def _code(character: str) -> str:
    return f"U+{ord(character):04X} '{character}'"
