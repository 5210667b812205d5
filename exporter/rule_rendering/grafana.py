"""Rules as a provisioning file of Grafana's own alerting.

A rule of Prometheus fires for each sample of its result, whatever the value. Grafana fires where a number is
above a bound, so a step between asks whether there is a value at all; what the value is stays `$values.A`.
Source: Grafana's own import of Prometheus rules, pkg/services/ngalert/prom/convert.go.
"""

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from hashlib import sha256
from typing import Any, Final

from spanbudget.exporter.rule_rendering import grafana_templates as templates
from spanbudget.exporter.rule_rendering.layout import expression
from spanbudget.rules.durations import duration_text
from spanbudget.rules.expansion.rule_text import GroupText, RuleText

UID_CHARS_MAX: Final = 40
TITLE_CHARS_MAX: Final = 190
ALERT_NAME_LABEL: Final = "prometheus_alertname"
"""Grafana's `alertname` is the rule's title, which is unique in a folder; this one is the alert's name."""
_STEP_MS: Final = 10_000
"""Grafana's scheduler takes multiples of ten seconds."""
_HASH_CHARS: Final = 16
_OWN_LABEL: Final = "llm_"
"""Labels that tell rules of one alert apart start with this; others may change, and the rule stays."""


@dataclass(frozen=True, slots=True)
class GrafanaPlace:
    """Where the rules go, and what they ask.

    Attributes:
        folder: Folder of the rules.
        org_id: Organisation.
        datasource_uid: The data source, a Prometheus, that has the series.
        interval_ms: For groups without one of their own.
    """

    folder: str = "SpanBudget"
    org_id: int = 1
    datasource_uid: str = "prometheus"
    interval_ms: int = 60_000


def provisioning(groups: Sequence[GroupText], place: GrafanaPlace | None = None) -> dict[str, Any]:
    """A file for Grafana's folder `provisioning/alerting`.

    Raises:
        ConfigurationError: A template needs what Grafana's templates do not have.
    """
    place = place or GrafanaPlace()
    return {"apiVersion": 1, "groups": [_group(group, place) for group in groups]}


def _group(group: GroupText, place: GrafanaPlace) -> dict[str, Any]:
    interval_ms = group.interval_ms or place.interval_ms
    seen: Counter[tuple[object, ...]] = Counter()
    rules = []
    for rule in group.rules:
        key = _key(group, rule)
        rules.append(_rule(group, rule, place, seen[key]))
        seen[key] += 1
    return {
        "orgId": place.org_id,
        "name": templates.label_text(group.name),
        "folder": templates.label_text(place.folder),
        "interval": duration_text(-(-interval_ms // _STEP_MS) * _STEP_MS),
        "rules": rules,
    }


def _rule(group: GroupText, rule: RuleText, place: GrafanaPlace, repeated: int) -> dict[str, Any]:
    where = f"{group.name}: {rule.alert or rule.record}"
    labels = dict(group.labels) | dict(rule.labels)
    head = {"uid": uid(group, rule, repeated), "title": templates.label_text(title(group, rule, repeated))}
    query = _query(group, rule, place)
    if rule.record:
        source = place.datasource_uid
        record = {"metric": rule.record, "from": "A", "targetDatasourceUid": source}
        return head | {"data": [query], "record": record, "labels": _labels(labels, where)}
    return head | {
        "condition": "C",
        "data": [query, _PRESENT, _CONDITION],
        # A rule of Prometheus has no result where all is well, and that of an absence has one where not.
        "noDataState": "OK",
        "execErrState": "Error",
        "for": duration_text(rule.for_ms),
        "keepFiringFor": duration_text(rule.keep_firing_for_ms),
        "missing_series_evals_to_resolve": 1,
        "labels": _labels({**labels, ALERT_NAME_LABEL: rule.alert}, where),
        "annotations": {
            name: templates.annotation_text(templates.converted(text, f"{where}: annotation {name}"))
            for name, text in rule.annotations
        },
    }


def uid(group: GroupText, rule: RuleText, repeated: int = 0) -> str:
    """An identity that stays while the rule's threshold, severity or wording changes; at most 40 characters.

    Args:
        group: Its group.
        rule: The rule.
        repeated: How many rules before it in the group have the same name and labels.
    """
    named = re.sub(r"[^A-Za-z0-9_-]+", "-", rule.alert or rule.record)
    text = "\0".join(map(repr, (*_key(group, rule), repeated)))
    digest = sha256(text.encode(errors="surrogatepass")).hexdigest()[:_HASH_CHARS]
    return f"{named[: UID_CHARS_MAX - _HASH_CHARS - 1]}-{digest}"


def title(group: GroupText, rule: RuleText, repeated: int = 0) -> str:
    """A title that no other rule of the folder has: `LLMBudgetThreshold 80 (budget:prod)`."""
    own = [value for _, value in _own_labels(rule) if "{{" not in value]
    number = [f"#{repeated + 1}"] if repeated else []
    words = " ".join([rule.alert or rule.record, *own, *number])
    text = f"{words} ({group.name})"
    if len(text) <= TITLE_CHARS_MAX:
        return text
    return f"{text[: TITLE_CHARS_MAX - UID_CHARS_MAX - 2]} {uid(group, rule, repeated)}"


def _key(group: GroupText, rule: RuleText) -> tuple[object, ...]:
    return group.name, rule.alert, rule.record, _own_labels(rule)


def _own_labels(rule: RuleText) -> tuple[tuple[str, str], ...]:
    return tuple((name, value) for name, value in rule.labels if name.startswith(_OWN_LABEL))


def _labels(labels: Mapping[str, str], where: str) -> dict[str, str]:
    return {
        name: templates.label_text(templates.converted(text, f"{where}: label {name}"))
        for name, text in sorted(labels.items())
    }


def _query(group: GroupText, rule: RuleText, place: GrafanaPlace) -> dict[str, Any]:
    offset_seconds = group.query_offset_ms // 1_000
    return {
        "refId": "A",
        "relativeTimeRange": {"from": 600 + offset_seconds, "to": offset_seconds},
        "datasourceUid": place.datasource_uid,
        "model": {"refId": "A", "expr": expression(rule.expr), "instant": True, "range": False},
    }


def _step(reference: str, model: Mapping[str, object]) -> dict[str, Any]:
    return {
        "refId": reference,
        "relativeTimeRange": {"from": 600, "to": 0},
        "datasourceUid": "__expr__",
        "model": {"refId": reference, **model},
    }


_PRESENT: Final = _step("B", {"type": "math", "expression": "is_number($A) || is_nan($A) || is_inf($A)"})
_CONDITION: Final = _step(
    "C",
    {"type": "threshold", "expression": "B", "conditions": [{"evaluator": {"type": "gt", "params": [0]}}]},
)
