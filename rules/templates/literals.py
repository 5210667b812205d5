"""Numbers and strings of Go's syntax."""

import math
import re
from typing import Final

from spanbudget.rules.templates.nodes import Number

_INT: Final = re.compile(
    r"(?P<sign>[+-]?)(?:0[xX](?P<hex>[0-9a-fA-F]+)|0[bB](?P<bin>[01]+)|0[oO]?(?P<oct>[0-7]+)"
    r"|(?P<dec>0|[1-9][0-9]*))"
)
_FLOAT: Final = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
_HEX_FLOAT: Final = re.compile(r"[+-]?0[xX](?:[0-9a-fA-F]+\.?[0-9a-fA-F]*|\.[0-9a-fA-F]+)[pP][+-]?[0-9]+")
_UNDERSCORES: Final = re.compile(r"(?<=[0-9a-fA-FxXoObB])_(?=[0-9a-fA-F])")
_BASES: Final = {"hex": 16, "bin": 2, "oct": 8, "dec": 10}
_ESCAPE: Final = re.compile(
    r"\\(?:([abfnrtv\\'\"])|x([0-9a-fA-F]{2})|u([0-9a-fA-F]{4})|U([0-9a-fA-F]{8})|([0-7]{3})|(.|\Z))",
    re.DOTALL,
)
_SIMPLE: Final = {"a": "\a", "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t", "v": "\v"}


def number_of(position: int, text: str) -> Number:
    """A number as text/template reads it; `'a'` is one, too.

    Raises:
        ValueError: It is none.
    """
    if text.startswith("'"):
        character = unquoted(text)
        if len(character) != 1:
            raise ValueError(f"malformed character constant: {text}")
        return Number(position, text, ord(character), ord(character))
    whole = _whole(text)
    if whole is not None and -(2**63) <= whole < 2**63:
        return Number(position, text, whole, whole)
    value = float_of(text)
    if value is None:
        raise ValueError(f'illegal number syntax: "{text}"')
    if not any(mark in text for mark in ".eEpP") or whole is not None:
        raise ValueError(f'integer overflow: "{text}"')
    exact = int(value) if math.isfinite(value) and value.is_integer() and abs(value) < 2**63 else None
    return Number(position, text, value, exact)


def _whole(text: str) -> int | None:
    found = _INT.fullmatch(_UNDERSCORES.sub("", text))
    if found is None:
        return None
    kind = next(kind for kind in _BASES if found[kind])
    return int(found["sign"] + found[kind], _BASES[kind])


def float_of(text: str) -> float | None:
    """What Go's strconv.ParseFloat makes of a number; None where it is none. Words are `parse_float`'s."""
    plain = _UNDERSCORES.sub("", text)
    if _HEX_FLOAT.fullmatch(plain):
        return float.fromhex(plain)
    return float(plain) if _FLOAT.fullmatch(plain) else None


def unquoted(text: str) -> str:
    """What a string, a raw string or a character in quotes means.

    Raises:
        ValueError: An escape sequence is none.
    """
    if text.startswith("`"):
        return text[1:-1].replace("\r", "")
    quote, body = text[0], text[1:-1]
    other = "'" if quote == '"' else '"'

    def meant(found: re.Match[str]) -> str:
        simple, in_hex, short, long, octal, wrong = found.groups()
        if wrong is not None or simple == other:
            raise ValueError("invalid syntax")
        if simple:
            return _SIMPLE.get(simple, simple)
        code = int(octal, 8) if octal else int(in_hex or short or long, 16)
        if code > (0xFF if octal else 0x10FFFF) or 0xD800 <= code < 0xE000:
            raise ValueError("invalid syntax")
        # A byte above ASCII alone is not UTF-8; what shows it is U+FFFD.
        return chr(code) if code < 0x80 or not (in_hex or octal) else "�"

    return _ESCAPE.sub(meant, body)
