"""What a template can see."""

from collections.abc import Callable
from typing import NamedTuple

from spanbudget.rules.labels import EMPTY, Labels
from spanbudget.rules.promql.expression import Vector


class Externals(NamedTuple):
    """What alerts say about who sends them.

    Attributes:
        labels: `$externalLabels`.
        url: `$externalURL`.
        function_url: What the functions `externalURL` and `pathPrefix` work on; None makes each of them an
            error, as in promtool.
    """

    labels: Labels = EMPTY
    url: str = ""
    function_url: str | None = ""


def _no_query(text: str) -> Vector:
    raise LookupError(f"there are no series to query for {text}")


class TemplateContext(NamedTuple):
    """What one expansion is about.

    Attributes:
        labels: Of the sample, the metric's name included.
        value: Of the sample.
        at_ms: When the rule is evaluated, milliseconds since the epoch.
        externals: What is the same for all alerts.
        query: Evaluates an expression at that time; may raise any error of this project.
    """

    labels: Labels
    value: float
    at_ms: int = 0
    externals: Externals = Externals()
    query: Callable[[str], Vector] = _no_query
