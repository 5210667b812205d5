"""The notation of promtool's unit tests for series: `up{job="a"}` and `1+2x3 _x2 stale`.

Source: Prometheus, promql/parser: lex.go and generated_parser.y, `series_description`.
"""

import math
import re
from typing import Final, NoReturn

from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.labels import METRIC_NAME, Labels, labels_of
from spanbudget.rules.series import STALE_NAN
from spanbudget.rules.templates.literals import unquoted

VALUES_MAX: Final = 1_000_000
"""Values of one series."""
_NUMBER: Final = r"(?:\d+(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d+)?"
_WORD: Final = r"(?:[iI][nN][fF]|[nN][aA][nN])(?![\w:])"
_VALUE: Final = rf"(?:{_NUMBER}|{_WORD})"
_ITEM: Final = re.compile(
    rf"(?:_|stale(?![\w:])|(?P<first>[+-]?{_VALUE})(?P<step>[+-]{_VALUE}(?=x))?)(?:x(?P<times>\d+))?",
    re.ASCII,
)
_NAME: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_NO_NAMES: Final = frozenset({"atan2", "bool", "group_left", "group_right", "ignoring", "inf", "nan", "on"})
_SPACE: Final = re.compile(r"\s*")
_STRING: Final = re.compile(r""""(?:[^"\\\n]|\\.)*"|'(?:[^'\\\n]|\\.)*'|`[^`]*`""")


def series_values(text: str) -> list[float | None]:
    """The values of a series, one for each interval; None where there is no sample.

    Raises:
        ExpressionError: The notation is wrong, or stands for more than `VALUES_MAX` values.
    """
    values: list[float | None] = []
    for found in re.finditer(r"\S+", text):
        item = found[0]
        parts = _ITEM.fullmatch(item)
        if parts is None:
            if "{{" in item:
                told = "native histograms such as {{schema:0 sum:5 count:4}} are not supported"
                raise ExpressionError(told, line=1, column=found.start() + 1)
            told = f'"{item[:40]}" is no value such as 1, 1+2x3, 1x3, _x3, NaN, Inf or stale'
            raise ExpressionError(told, line=1, column=found.start() + 1)
        count = _count(parts, item)
        if len(values) + count > VALUES_MAX:
            told = f"more than {VALUES_MAX} values in a series"
            raise ExpressionError(told, line=1, column=found.start() + 1)
        values += _repeated(parts, item, count)
    return values


def _count(parts: re.Match[str], item: str) -> int:
    """How many values an item stands for: `1x3` has one for the start and three more, `_x3` is three."""
    times = parts["times"]
    if times is None:
        return 1
    number = int(times[:18])
    return number if item.startswith("_") else number + 1


def _repeated(parts: re.Match[str], item: str, count: int) -> list[float | None]:
    if item.startswith("_"):
        return [None] * count
    if parts["first"] is None:
        return [STALE_NAN] * count
    value = _number(parts["first"])
    if parts["step"] is None:
        return [value] * count
    values: list[float | None] = []
    step = _number(parts["step"])
    for _ in range(count):
        values.append(value)
        value += step
    return values


def _number(text: str) -> float:
    sign, plain = (-1.0, text[1:]) if text[0] == "-" else (1.0, text.lstrip("+"))
    word = plain.lower()
    if word in ("inf", "nan"):
        return sign * (math.inf if word == "inf" else math.nan)
    return sign * float(plain)


def metric_labels(text: str) -> Labels:
    """The labels of a metric: `name{a="b"}`, `{"any name", a="b"}`, or nothing for no labels.

    Raises:
        ExpressionError: The notation is wrong.
    """
    return _Metric(text).labels()


class _Metric:
    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0
        self._found: dict[str, str] = {}

    def labels(self) -> Labels:
        self._spaces()
        name = _NAME.match(self._text, self._at)
        if name:
            if name[0].lower() in _NO_NAMES:
                self._fail("a name is expected, and this word has another meaning")
            self._at = name.end()
        self._spaces()
        if self._takes("{"):
            while not self._takes("}"):
                self._pair()
                if not self._takes(","):
                    self._expects("}")
                    break
        if self._at < len(self._text):
            self._fail("a metric ends here")
        if name:
            self._found[METRIC_NAME] = name[0]  # whatever stands between the braces
        return labels_of(self._found)

    def _pair(self) -> None:
        name = _NAME.match(self._text, self._at)
        if name and ":" not in name[0]:
            self._at = name.end()
            self._spaces()
            self._expects("=")
            self._set(name[0], self._string())
            return
        quoted = self._string()
        if self._takes("="):
            self._set(quoted, self._string())
        else:
            self._set(METRIC_NAME, quoted)

    def _set(self, name: str, value: str) -> None:
        if name in self._found:
            self._fail(f"the label {name} is there twice before this")
        self._found[name] = value

    def _string(self) -> str:
        found = _STRING.match(self._text, self._at)
        if found is None:
            self._fail("a string in quotes is expected")
        self._at = found.end()
        self._spaces()
        try:
            return unquoted(found[0])
        except ValueError:
            return self._fail("an escape sequence of the string before is none")

    def _takes(self, mark: str) -> bool:
        if not self._text.startswith(mark, self._at):
            return False
        self._at += 1
        self._spaces()
        return True

    def _expects(self, mark: str) -> None:
        if not self._takes(mark):
            self._fail(f"`{mark}` is expected")

    def _spaces(self) -> None:
        found = _SPACE.match(self._text, self._at)
        self._at = found.end() if found else self._at

    def _fail(self, problem: str) -> NoReturn:
        raise ExpressionError(f"{problem}, at character {self._at + 1}", line=1, column=self._at + 1)
