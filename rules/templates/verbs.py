"""`printf` as Go has it, with Go's complaints where a verb does not fit its value.

Source: Go, fmt/print.go and fmt/format.go.
"""

import math
import re
from collections.abc import Sequence
from typing import Any, Final

from spanbudget.rules.templates.values import TemplateError, general_text, plain_text, type_name

WIDTH_MAX: Final = 10_000
"""Columns and digits that a verb may ask for; Go allows a million."""
_VERB: Final = re.compile(
    r"%(?P<flags>[-+# 0]*)(?P<width>\*|\d*)(?:(?P<point>\.)(?P<precision>\*|\d*))?"
    r"(?:\[(?P<index>\d{1,9})\])?(?P<verb>.|\Z)",
    re.DOTALL,
)
_INT_FORMS: Final = {"d": "d", "v": "d", "b": "b", "o": "o", "O": "o", "x": "x", "X": "X"}
_PREFIXES: Final = {"b": "0b", "o": "0", "x": "0x", "X": "0X"}


def formatted(form: str, values: Sequence[Any]) -> str:
    """What `printf` makes of a form and its values.

    Raises:
        TemplateError: The form uses what is not supported.
    """
    return _Printer(form, values).text()


class _Spec:
    """One verb with its flags, width and precision."""

    __slots__ = ("flags", "precision", "verb", "width")

    def __init__(self, flags: str, width: int | None, precision: int | None, verb: str) -> None:
        self.flags = flags
        self.width = width
        self.precision = precision
        self.verb = verb

    def padded(self, text: str, *, zeros: bool = True) -> str:
        """The text in its width; zeros go behind a sign."""
        missing = (self.width or 0) - len(text)
        if missing <= 0:
            return text
        if "-" in self.flags:
            return text + " " * missing
        if "0" not in self.flags or not zeros:
            return " " * missing + text
        sign = text[:1] if text[:1] in ("+", "-") else ""
        return sign + "0" * missing + text[len(sign) :]

    def signed(self, text: str) -> str:
        """A number with the plus or the space that its flags ask for."""
        if text.startswith(("-", "+")):
            return text
        return "+" + text if "+" in self.flags else " " + text if " " in self.flags else text


class _Printer:
    def __init__(self, form: str, values: Sequence[Any]) -> None:
        self._form = form
        self._values = values
        self._used = 0
        self._reordered = False

    def text(self) -> str:
        text = _VERB.sub(self._replaced, self._form)
        if self._used < len(self._values) and not self._reordered:
            extra = ", ".join(_with_type(value) for value in self._values[self._used :])
            text += f"%!(EXTRA {extra})"
        return text

    def _replaced(self, found: re.Match[str]) -> str:
        verb = found["verb"]
        bad = ""
        width, flags = self._number(found["width"]), found["flags"]
        if width is None and found["width"] == "*":
            bad = "%!(BADWIDTH)"
        if width is not None and width < 0:
            width, flags = -width, flags + "-"
        precision = self._number(found["precision"] or "0") if found["point"] else None
        if found["point"] and (precision is None or precision < 0):
            precision = None
            bad += "%!(BADPREC)"
        if not verb:
            return f"{bad}%!(NOVERB)"
        if verb == "%":
            return f"{bad}%"
        if found["index"]:
            self._reordered = True
            if not 1 <= int(found["index"]) <= len(self._values):
                return f"{bad}%!{verb}(BADINDEX)"
            self._used = int(found["index"]) - 1
        if self._used >= len(self._values):
            return f"{bad}%!{verb}(MISSING)"
        value = self._values[self._used]
        self._used += 1
        return bad + _shown(value, _Spec(flags, width, precision, verb))

    def _number(self, text: str) -> int | None:
        if text != "*":
            number = int(text[:9]) if text else None
        elif self._used < len(self._values):
            given = self._values[self._used]
            self._used += 1
            number = given if isinstance(given, int) and not isinstance(given, bool) else None
        else:
            number = None
        if number is not None and abs(number) > WIDTH_MAX:
            raise TemplateError(f"a width or precision of more than {WIDTH_MAX} is not supported")
        return number


def _shown(value: Any, spec: _Spec) -> str:
    if spec.verb == "T":
        return spec.padded(type_name(value), zeros=False)
    if value is None:
        return spec.padded("<nil>", zeros=False) if spec.verb == "v" else f"%!{spec.verb}(<nil>)"
    if isinstance(value, bool):
        return spec.padded(plain_text(value), zeros=False) if spec.verb in "tv" else _wrong(value, spec)
    if isinstance(value, int):
        return _shown_int(value, spec)
    if isinstance(value, float):
        return _shown_float(value, spec)
    if isinstance(value, str):
        return _shown_text(value, spec)
    if isinstance(value, dict):
        pairs = " ".join(f"{_shown(key, spec)}:{_shown(value[key], spec)}" for key in sorted(value))
        return f"map[{pairs}]"
    return _shown_text(plain_text(value), spec) if spec.verb in "vs" else _wrong(value, spec)


def _shown_int(value: int, spec: _Spec) -> str:
    if spec.verb in _INT_FORMS:
        digits = format(abs(value), _INT_FORMS[spec.verb])
        if spec.precision is not None:
            digits = "" if value == spec.precision == 0 else digits.rjust(spec.precision, "0")
        prefix = "0o" if spec.verb == "O" else _PREFIXES.get(spec.verb, "") if "#" in spec.flags else ""
        text = spec.signed(("-" if value < 0 else "") + prefix + digits)
        return spec.padded(text, zeros=spec.precision is None)
    valid = 0 <= value <= 0x10FFFF and not 0xD800 <= value < 0xE000
    character = chr(value) if valid else "�"
    if spec.verb == "c":
        return spec.padded(character)
    if spec.verb == "q":
        return spec.padded(_quoted(character, "'"), zeros=False)
    if spec.verb == "U":
        return spec.padded(f"U+{value:04X}", zeros=False)
    return _wrong(value, spec)


def _shown_float(value: float, spec: _Spec) -> str:
    verb, precision = spec.verb, spec.precision
    if verb not in "vgGeEfFxX":
        return _wrong(value, spec)
    if not math.isfinite(value):
        text = general_text(value)
        if text == "+Inf" and " " in spec.flags and "+" not in spec.flags:
            text = " Inf"
        return spec.padded(spec.signed(text), zeros=False)
    if verb in "xX":
        text = _hexadecimal(value, precision)
        text = text.upper() if verb == "X" else text
    elif "#" in spec.flags:
        text = format(value, f"#.{6 if precision is None else precision}{'g' if verb == 'v' else verb}")
    elif verb in "vgG" and precision is None:
        text = general_text(value)
        text = text.upper() if verb == "G" else text
    else:
        text = format(value, f".{6 if precision is None else precision}{'g' if verb == 'v' else verb}")
    return spec.padded(spec.signed(text))


def _hexadecimal(value: float, precision: int | None) -> str:
    if precision is not None:
        raise TemplateError("a precision of %x is not supported for a float")
    mantissa, _, exponent = value.hex().partition("p")
    mantissa = mantissa.rstrip("0").rstrip(".") if "." in mantissa else mantissa
    mantissa = mantissa if mantissa.endswith(("x0", "x1")) or "." in mantissa else mantissa + "0"
    return f"{mantissa}p{int(exponent):+03d}"


def _shown_text(value: str, spec: _Spec) -> str:
    cut = value if spec.precision is None else value[: spec.precision]
    if spec.verb in "sv":
        return spec.padded(cut)
    if spec.verb == "q":
        raw = "#" in spec.flags and "`" not in cut and all(c.isprintable() or c == "\t" for c in cut)
        return spec.padded(
            f"`{cut}`" if raw else _quoted(cut, '"', ascii_only="+" in spec.flags), zeros=False
        )
    if spec.verb in "xX":
        data = value.encode()[: spec.precision]
        between = " " if " " in spec.flags else ""
        text = between.join(f"{byte:02{spec.verb}}" for byte in data)
        return spec.padded(("0" + spec.verb + text) if "#" in spec.flags and text else text)
    return _wrong(value, spec)


def _quoted(text: str, quote: str, *, ascii_only: bool = False) -> str:
    """Go's strconv.Quote."""
    return quote + "".join(_escape(character, quote, ascii_only=ascii_only) for character in text) + quote


_ESCAPES: Final = {"\a": r"\a", "\b": r"\b", "\f": r"\f", "\n": r"\n", "\r": r"\r", "\t": r"\t", "\v": r"\v"}


def _escape(character: str, quote: str, *, ascii_only: bool) -> str:
    if character in ("\\", quote):
        return "\\" + character
    if character in _ESCAPES:
        return _ESCAPES[character]
    if character.isprintable() and (character.isascii() or not ascii_only):
        return character
    code = ord(character)
    if code < 0x20 or code == 0x7F:
        return f"\\x{code:02x}"
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def quoted(text: str) -> str:
    """A string in Go's double quotes."""
    return _quoted(text, '"')


def _wrong(value: Any, spec: _Spec) -> str:
    return f"%!{spec.verb}({_with_type(value)})"


def _with_type(value: Any) -> str:
    return "<nil>" if value is None else f"{type_name(value)}={plain_text(value, nested=True)}"
