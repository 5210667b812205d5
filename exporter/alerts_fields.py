"""The values that the section `alerts` of a budget may hold, each with its check."""

import re
from collections.abc import Callable
from decimal import Decimal
from typing import Annotated, Final, TypeAlias, TypeVar

from pydantic import AfterValidator, Field

from spanbudget.exporter.config_fields import PROMETHEUS_NAME
from spanbudget.processors.errors import ExpressionError
from spanbudget.processors.names_out import BURN_WINDOWS, DURATION_BOUNDS_SECONDS
from spanbudget.rules.durations import parse_duration
from spanbudget.rules.expansion.promql_text import BUDGET_LABELS

Item = TypeVar("Item")
TEMPLATE_CHARS_MAX: Final = 2_000
_LOOK_BACK_MS: Final = (60_000, 7 * 86_400_000)
"""A minute, and the history that the evaluator keeps."""
_OWN_LABELS: Final = ("alertname", "severity", *BUDGET_LABELS)
_SECONDS_MAX: Final = Decimal(str(DURATION_BOUNDS_SECONDS[-1]))
"""A percentile beyond the last bucket shows as the bound of that bucket, so it can never be above it."""


def is_on(given: object) -> bool:
    """Whether the file, or a program, says true."""
    return given is True or given == "true"


def is_off(given: object) -> bool:
    """Whether the file, or a program, says false."""
    return given is False or given == "false"


def switched(given: object) -> object:
    """`true` as a mapping that leaves everything at its default, `false` as nothing."""
    if is_on(given):
        return {}
    return None if is_off(given) else given


def threshold_list(given: object) -> object:
    """`true` for the budget's own levels, `false` as nothing, and one value as a list of one."""
    if is_on(given):
        return True
    if is_off(given):
        return None
    return [given] if isinstance(given, str | int | float | Decimal) else given


def form_of(given: object) -> str:
    """The tag of what may be `true`, a list or a mapping."""
    if given is True:
        return "=text"
    return "=list" if isinstance(given, list | tuple) else "=mapping"


def not_empty(given: tuple[Item, ...]) -> tuple[Item, ...]:
    """A list with something in it.

    Raises:
        ValueError: There is nothing.
    """
    if not given:
        raise ValueError("must have a value")
    return given


def value_of(key: str) -> Callable[[object], object]:
    """Reads a single value as the mapping of one key that it stands for."""

    def mapping_of(given: object) -> object:
        return {key: given} if isinstance(given, str | int | float | Decimal) else given

    return mapping_of


def duration(given: str) -> str:
    """A duration as Prometheus writes it.

    Raises:
        ValueError: It is none.
    """
    _milliseconds(given)
    return given


def look_back(given: str) -> str:
    """A duration over which a rule looks back.

    Raises:
        ValueError: It is none, or too short or too long.
    """
    if not _LOOK_BACK_MS[0] <= _milliseconds(given) <= _LOOK_BACK_MS[1]:
        raise ValueError("must be 1m to 7d")
    return given


def burn_window(given: str) -> str:
    """A time over which burn rates are measured.

    Raises:
        ValueError: They are not.
    """
    if given not in BURN_WINDOWS:
        raise ValueError(f"must be one of {', '.join(BURN_WINDOWS)}")
    return given


def severity(given: str) -> str:
    """A value of the label `severity`.

    Raises:
        ValueError: It has other characters.
    """
    if not re.fullmatch(r"[a-z][a-z0-9_-]{0,31}", given):
        raise ValueError("must be a word such as info, warning, critical, ticket or page")
    return given


def annotation_name(name: str) -> str:
    """A name of an annotation.

    Raises:
        ValueError: It has other characters.
    """
    if not PROMETHEUS_NAME.fullmatch(name):
        raise ValueError("must be a name of letters, digits and _, not starting with a digit")
    return name


def label_name(name: str) -> str:
    """A name of a label that may be set on an alert.

    Raises:
        ValueError: It has other characters, or it is set by the alert itself.
    """
    annotation_name(name)
    if name.startswith("__") or name in _OWN_LABELS:
        hint = "; there is a key of that name" if name == "severity" else ""
        raise ValueError(f"must not be set: {name} is the alert's own{hint}")
    return name


def template(text: str) -> str:
    """A text that may hold `{{ … }}`.

    Raises:
        ValueError: It is too long, or not a template.
    """
    if len(text) > TEMPLATE_CHARS_MAX:
        raise ValueError(f"must have at most {TEMPLATE_CHARS_MAX} characters")
    if "{{" in text:
        # Few configurations have templates, and those that have none need not load what reads them.
        from spanbudget.rules.templates import compile_template  # noqa: PLC0415

        try:
            compile_template(text, "__alert_")
        except ExpressionError as error:
            raise ValueError(f"must be a template: {error}") from None
    return text


def percentile_seconds(seconds: Decimal) -> Decimal:
    """A duration of calls that a percentile can exceed.

    Raises:
        ValueError: It is not below the last bucket.
    """
    if seconds >= _SECONDS_MAX:
        raise ValueError(f"must be below {_SECONDS_MAX}: durations are not told apart beyond")
    return seconds


def _milliseconds(given: str) -> int:
    try:
        return parse_duration(given)
    except ValueError:
        raise ValueError("must be a duration such as 30s, 5m or 1h30m") from None


Percent: TypeAlias = Annotated[Decimal, Field(gt=0, le=100, max_digits=9, decimal_places=6)]
Usd: TypeAlias = Annotated[Decimal, Field(ge=0, le=10**9, max_digits=22, decimal_places=12)]
Duration: TypeAlias = Annotated[str, AfterValidator(duration)]
LookBack: TypeAlias = Annotated[str, AfterValidator(look_back)]
BurnWindow: TypeAlias = Annotated[str, AfterValidator(burn_window)]
Severity: TypeAlias = Annotated[str, AfterValidator(severity)]
Template: TypeAlias = Annotated[str, AfterValidator(template)]
LabelTexts: TypeAlias = Annotated[
    dict[Annotated[str, AfterValidator(label_name)], Template], Field(max_length=32)
]
AnnotationTexts: TypeAlias = Annotated[
    dict[Annotated[str, AfterValidator(annotation_name)], Template], Field(max_length=32)
]
MinRequests: TypeAlias = Annotated[int, Field(ge=1, le=10**9)]
Seconds: TypeAlias = Annotated[
    Decimal, Field(gt=0, max_digits=9, decimal_places=6), AfterValidator(percentile_seconds)
]
