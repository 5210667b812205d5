"""Rules as manifests of the Prometheus Operator."""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

from spanbudget.exporter.rule_rendering.plain import group_mapping
from spanbudget.rules.expansion.rule_text import GroupText

_NAME_CHARS_MAX: Final = 63
"""What names of every kind of object may have; RFC 1123."""
_HASH_CHARS: Final = 8
_PLAIN: Final = re.compile("[a-z0-9]+(:[a-z0-9]+)*")
"""Names of groups of which no two become the same name of an object."""
_LABELS: Final = {"app.kubernetes.io/name": "spanbudget", "app.kubernetes.io/managed-by": "spanbudget"}


def manifests(
    groups: Sequence[GroupText], namespace: str = "", labels: Mapping[str, str] | None = None
) -> list[dict[str, Any]]:
    """One `PrometheusRule` for each group: an object of Kubernetes must not grow with the number of budgets.

    Args:
        groups: The groups, with different names.
        namespace: The namespace of the objects; "" leaves it to whoever applies them.
        labels: Labels of the objects, which the operator's rule selector looks for.
    """
    place = {"namespace": namespace} if namespace else {}
    return [
        {
            "apiVersion": "monitoring.coreos.com/v1",
            "kind": "PrometheusRule",
            "metadata": {
                "name": object_name(group.name),
                **place,
                "labels": dict(sorted({**_LABELS, **(labels or {})}.items())),
            },
            "spec": {"groups": [group_mapping(group)]},
        }
        for group in groups
    ]


def object_name(group: str) -> str:
    """A name of RFC 1123 for a group's name; a hash tells it from others where the name alone might not."""
    slug = re.sub(r"[^a-z0-9]+", "-", group.lower()).strip("-")
    name = f"spanbudget-{slug}" if slug else "spanbudget"
    if _PLAIN.fullmatch(group) and len(name) <= _NAME_CHARS_MAX:
        return name
    digest = sha256(group.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARS]
    return f"{name[: _NAME_CHARS_MAX - _HASH_CHARS - 1].rstrip('-')}-{digest}"
