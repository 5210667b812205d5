"""Templates of Prometheus as Grafana's alerting understands them.

`$value` is `$values.A.Value` there, and there is no `query`: a block that needs it falls away, and a text
that needs it elsewhere is refused. In a provisioning file, `$` stands for variables of the environment: in
labels and names everywhere, in annotations where a brace follows.
"""

import re
from typing import Final

from spanbudget.processors.errors import ConfigurationError

_PIECE: Final = re.compile(r"(\{\{.*?\}\})", re.DOTALL)
_STRING: Final = re.compile(r'"(?:\\.|[^"\\])*"|`[^`]*`')
_OPENS: Final = re.compile(r"\{\{-?\s*(if|with|range|define|block)\b")
_ENDS: Final = re.compile(r"\{\{-?\s*end\b")
_QUERY: Final = re.compile(r"\bquery\b")
_VALUE: Final = re.compile(r"(?<![\w$.])(\$value|\$?\.Value)\b")
_NUMBER: Final = "$values.A.Value"
_DOLLAR: Final = '{{ "$" }}'


def converted(template: str, where: str) -> str:
    """The template as Grafana takes it.

    Args:
        template: As Prometheus takes it.
        where: What a refusal names: the alert, and which of its texts.

    Raises:
        ConfigurationError: It needs `query` outside of a `with` or `range` block.
    """
    kept: list[str] = []
    skipped = 0  # depth inside a block that is left out
    for piece in _PIECE.split(template):
        if skipped:
            skipped += bool(_OPENS.match(piece)) - bool(_ENDS.match(piece))
        elif piece.startswith("{{") and _QUERY.search(_STRING.sub('""', piece)):
            if not _OPENS.match(piece):
                raise ConfigurationError(
                    [f"{where}: Grafana has no `query` in templates; put it into a `{{{{ with … }}}}` block"]
                )
            skipped = 1
        else:
            kept.append(_action(piece) if piece.startswith("{{") else piece)
    return "".join(kept)


def label_text(template: str) -> str:
    """A text of a provisioning file in which every `$` is taken for a variable."""
    return template.replace("$", "$$")


def annotation_text(template: str) -> str:
    """A text in which `${` would be taken for a variable: an action writes the dollar sign instead."""
    pieces = _PIECE.split(template)
    followers = [*pieces[1:], ""]
    return "".join(
        piece if piece.startswith("{{") else _without_variables(piece, follower)
        for piece, follower in zip(pieces, followers, strict=True)
    )


def _without_variables(text: str, follower: str) -> str:
    safe = text.replace("${", _DOLLAR + "{")
    return safe[:-1] + _DOLLAR if safe.endswith("$") and follower.startswith("{{") else safe


def _action(piece: str) -> str:
    """An action with Grafana's name for the value; what stands in quotes stays."""
    parts, last = [], 0
    for found in _STRING.finditer(piece):
        parts += [_VALUE.sub(_NUMBER, piece[last : found.start()]), found[0]]
        last = found.end()
    return "".join([*parts, _VALUE.sub(_NUMBER, piece[last:])])
