"""What pydantic found wrong with a configuration, in the words of the file."""

import re
from collections.abc import Callable, Iterable
from difflib import get_close_matches
from typing import Final

from pydantic_core import ErrorDetails

from spanbudget.exporter.config_yaml import Node, Path, Problem, Scalar, locate, shown


def problem_of(error: ErrorDetails, root: Node | None, keys_at: Callable[[Path], Iterable[str]]) -> Problem:
    """Says in the words of the file what pydantic found.

    Args:
        error: What pydantic found.
        root: The tree that was validated.
        keys_at: The known keys of the mapping at a path.
    """
    path = tuple(part for part in error["loc"] if part not in _NOT_IN_FILE)
    reached, place, node = locate(root, path)
    if error["type"] == "missing":
        return Problem(place, path, "is required")
    if error["type"] == "extra_forbidden":
        keys = list(keys_at(path[:-1]))
        hint = meant(str(path[-1]), keys) or f"; known are {', '.join(keys)}"
        return Problem(place, path, f"unknown key{hint}")
    context = {"msg": error["msg"], **error.get("ctx", {})}
    if "expected" in context:
        allowed = re.findall(r"'([^']*)'", context["expected"])
        given = node.text if isinstance(node, Scalar) else None
        context["expected"] = ", ".join(allowed) + meant(given or "", allowed)
    template = next((rule for kind, rule in _RULES if error["type"].startswith(kind)), "{msg}")
    text, semicolon, hint = template.format(**context).partition(";")
    if isinstance(node, Scalar) and node.substituted:
        semicolon = hint = ""  # A hint is close to the value.
    got = f", got {shown(node)}" if reached == path and "[key]" not in error["loc"] else ""
    return Problem(place, reached, f"{text}{got}{semicolon}{hint}")


_NOT_IN_FILE: Final = ("=text", "=list", "=mapping", "[key]")
"""Parts of pydantic's paths: the forms that a value may have, and "the key itself"."""
_RULES: Final = (
    # start of pydantic's error type, what the value must be; the first match counts
    ("value_error", "{error}"),
    ("greater_than_equal", "must be at least {ge}"),
    ("greater_than", "must be greater than {gt}"),
    ("less_than_equal", "must be at most {le}"),
    ("literal_error", "must be one of {expected}"),
    ("too_long", "must have at most {max_length} values"),
    ("too_short", "must have a value"),
    ("decimal_max_places", "must have at most {decimal_places} decimals"),
    ("decimal_max_digits", "must have at most {max_digits} digits"),
    ("decimal_whole_digits", "must have at most {whole_digits} digits before the point"),
    ("decimal_", "must be a number"),
    ("finite_number", "must be a number"),
    ("int_", "must be a whole number"),
    ("bool_", "must be true or false"),
    ("string_", "must be text"),
    ("tuple_", "must be a list"),
    ("dict_", "must be a mapping"),
    ("model_", "must be a mapping"),
)


def meant(given: str, allowed: Iterable[str]) -> str:
    """A hint at the nearest allowed value, "" where none is near."""
    near = get_close_matches(given[:64], list(allowed), n=1)
    return f"; did you mean {near[0]}?" if near else ""
