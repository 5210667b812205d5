"""What surrounds a call and changes neither its tokens nor its price: how it ended, and how it was asked."""

import re
from collections.abc import Mapping, Sequence
from typing import Final, TypeAlias

from spanbudget.processors.dialects import FINISH_NAMES, Field
from spanbudget.processors.spans import STATUS_ERROR, SpanRecord

WORD_MAX: Final = 64
"""Longest finish reason that is kept, characters; a longer one is no word of an interface."""
ERROR_TYPE_MAX: Final = 128
"""Longest error type that is kept, characters: a class with its modules."""
OTHER_ERROR: Final = "_OTHER"
"""OpenTelemetry's name of an error that has no type."""

_REMEMBERED_MAX: Final = 4096
_WORD: Final = re.compile(rf"[a-z0-9_.:]{{1,{WORD_MAX}}}")
_ERROR_TYPE: Final = re.compile(rf"[\w.:$/-]{{1,{ERROR_TYPE_MAX}}}", re.ASCII)
_TEMPERATURE: Final = re.compile(r'"temperature":\s*([-+0-9.eE]{1,24})')
_CUT_SHORT: Final = ("timeout", "aborted_stream", "connection_error")
_TRUTHS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


Told: TypeAlias = tuple[str | None, bool | None, bool | None]
"""Finish reason, whether somebody waits, and whether temperature 0 was asked for."""


class Circumstances(dict[tuple[object, ...], Told]):
    """What spans tell of how calls were asked and how they ended; what was seen is remembered.

    A key has the values of the fields `FINISH`, `TEMPERATURE` and `INTERACTIVE`, then whether somebody waits
    as the spans around it tell, and as the resource says for all that do not know better.
    """

    def __missing__(self, key: tuple[object, ...]) -> Told:
        """Reads a key that is new: few emitters say many things."""
        if len(self) >= _REMEMBERED_MAX:
            self.clear()
        finish, temperature, given, *others = key
        flags = (truth(given), *others)
        flag = next((bool(one) for one in flags if one is not None), None)
        told = self[key] = finish_reason(finish), flag, deterministic(temperature)
        return told

    def of_lists(self, key: tuple[object, ...]) -> Told:
        """The same of a key with a list in it, as files of spans have them."""
        finish, *others = key
        words = tuple(map(str, finish)) if isinstance(finish, (list, tuple)) else None
        plain = (one if isinstance(one, (str, int, float)) else None for one in others)
        return self[finish if isinstance(finish, str) else words, *plain]


def finish_reason(given: object) -> str | None:
    """The first finish reason of an attribute's value: a text, a list, or either as JSON."""
    first = given
    if isinstance(given, Sequence) and not isinstance(given, str):
        first = next((one for one in given if one), None)
    if not isinstance(first, str):
        return None
    word = first.strip("[]\"' ").partition(",")[0].strip("\"' ").lower().replace("-", "_")
    word = word.rpartition(".")[2] if word.startswith("finishreason.") else word
    word = FINISH_NAMES.get(word, word)
    return word if _WORD.fullmatch(word) else None


def deterministic(temperature: object) -> bool | None:
    """Whether a temperature is 0; None where it is none."""
    if temperature is None or isinstance(temperature, bool):
        return None
    try:
        return float(temperature) == 0  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None


def deterministic_by(parameters: object) -> bool | None:
    """Whether a request's parameters, as JSON, ask for temperature 0; None where they do not tell."""
    found = _TEMPERATURE.search(parameters) if isinstance(parameters, str) else None
    return None if found is None else deterministic(found[1])


def error_type(span: SpanRecord, found: Sequence[object], reasons: Sequence[str]) -> str | None:
    """The type of a call's error, never its message; None where there was none, or none is told.

    That is `error.type`, else the class of the exception, else the HTTP status, else how the call was cut
    short: `timeout`, `aborted_stream` or `connection_error`.
    """
    given = found[Field.ERROR_TYPE]
    if given is None and not span.exceptions and span.status != STATUS_ERROR:
        return next((reason for reason in reasons if reason in _CUT_SHORT), None)
    spoken = [given, *(kind for kind, _ in span.exceptions), found[Field.HTTP_STATUS]]
    for one in spoken:
        text = str(one) if isinstance(one, (str, int)) and not isinstance(one, bool) else ""
        if text and text != OTHER_ERROR and _ERROR_TYPE.fullmatch(text):
            return text
    cut = next((reason for reason in reasons if reason in _CUT_SHORT), None)
    return cut or (OTHER_ERROR if any(spoken) else None)


def truth(given: object) -> bool | None:
    """A flag as an application spells it: a boolean, 0 or 1, or a word; None where it is none of these."""
    if given is None or isinstance(given, bool):
        return given
    return _TRUTHS.get(str(given).strip().lower())


def flag_of(attributes: Mapping[str, object], key: str) -> bool | None:
    """A flag among attributes; None where it is not there."""
    given = attributes.get(key)
    return None if given is None else truth(given)
