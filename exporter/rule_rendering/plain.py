"""Rule files of Prometheus, and of those that load nearly the same ones."""

from collections.abc import Sequence
from typing import Any

from spanbudget.exporter.rule_rendering.layout import expression
from spanbudget.rules.durations import duration_text
from spanbudget.rules.expansion.rule_text import GroupText, RuleText


def rule_file(groups: Sequence[GroupText], *, offset_key: str = "query_offset") -> dict[str, Any]:
    """A rule file.

    Args:
        groups: The groups, with different names.
        offset_key: What the file calls `query_offset`.
    """
    return {"groups": [group_mapping(group, offset_key) for group in groups]}


def group_mapping(group: GroupText, offset_key: str = "query_offset") -> dict[str, Any]:
    """A group as Prometheus has it; what is at its default is left out."""
    return _filled(
        {
            "name": group.name,
            "interval": _duration(group.interval_ms),
            offset_key: _duration(group.query_offset_ms),
            "limit": group.limit,
            "labels": dict(group.labels),
        }
    ) | {"rules": [_rule(rule) for rule in group.rules]}


def _rule(rule: RuleText) -> dict[str, Any]:
    return _filled(
        {
            "record": rule.record,
            "alert": rule.alert,
            "expr": expression(rule.expr),
            "for": _duration(rule.for_ms),
            "keep_firing_for": _duration(rule.keep_firing_for_ms),
            "labels": dict(rule.labels),
            "annotations": dict(rule.annotations),
        }
    )


def _duration(duration_ms: int | None) -> str:
    return duration_text(duration_ms) if duration_ms else ""


def _filled(values: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in values.items() if value}
