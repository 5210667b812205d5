"""Groups and rules from the tree of a rule file, with Prometheus' own checks.

Source: Prometheus, model/rulefmt/rulefmt.go.
"""

from typing import Final

from spanbudget.exporter import config_yaml as tree
from spanbudget.exporter.rule_files.fields import Keys, Reading
from spanbudget.exporter.rule_files.places import place_within
from spanbudget.processors.errors import ExpressionError
from spanbudget.rules.groups import AlertingRule, Place, RecordingRule, Rule, RuleGroup
from spanbudget.rules.labels import METRIC_NAME, Labels
from spanbudget.rules.promql.expression import Expression, parse_expression
from spanbudget.rules.templates import compile_template

FILE_KEYS: Final = ("groups",)
GROUP_KEYS: Final = ("name", "interval", "query_offset", "limit", "labels", "rules")
RULE_KEYS: Final = ("record", "alert", "expr", "for", "keep_firing_for", "labels", "annotations")
_ALERTS_ONLY: Final = ("for", "keep_firing_for", "annotations")


def read_groups(reading: Reading) -> tuple[RuleGroup, ...]:
    """The groups of a file; what is wrong is noted in the reading."""
    groups: list[RuleGroup] = []
    names: dict[str, int] = {}
    for path, node in Keys(reading, reading.root, (), FILE_KEYS).elements("groups"):
        keys = Keys(reading, node, path, GROUP_KEYS)
        name = keys.text("name")
        if not name:
            keys.note("name", "a group must have a name")
        elif name in names:
            other = f"the group in line {names[name]} has the same name"
            keys.note("name", f"must be unique in its file, got {tree.quoted(name)}; {other}")
        names.setdefault(name, keys.start.line)
        groups.append(_group(keys, name))
    return tuple(groups)


def _group(keys: Keys, name: str) -> RuleGroup:
    labels = _labels(keys, "labels")
    rules = [_rule(keys.reading, node, path, labels) for path, node in keys.elements("rules")]
    return RuleGroup(
        name=name,
        file=keys.reading.source,
        rules=tuple(rule for rule in rules if rule is not None),
        interval_ms=keys.duration_ms("interval") or None,
        limit=max(keys.whole("limit"), 0),
        query_offset_ms=keys.duration_ms("query_offset") or 0,
        labels=labels,
    )


def _rule(reading: Reading, node: tree.Node, path: tree.Path, group_labels: Labels) -> Rule | None:
    """A rule; None where its name or its expression cannot be read."""
    keys = Keys(reading, node, path, RULE_KEYS)
    record, alert = keys.text("record"), keys.text("alert")
    if bool(record) == bool(alert):
        told = "only one of `record` and `alert` may be set" if record else "`record` or `alert` must be set"
        keys.note("alert" if alert else "", told)
    expression = _expression(keys)
    labels = _labels(keys, "labels")
    place = Place(reading.source, keys.start.line)
    if record and not alert:
        _check_record(keys, record)
        return None if expression is None else RecordingRule(record, expression, labels, place)
    for_ms, keep_ms = keys.duration_ms("for") or 0, keys.duration_ms("keep_firing_for") or 0
    annotations = _labels(keys, "annotations")
    if alert:
        _check_templates(keys, alert, "labels")
        _check_templates(keys, alert, "annotations")
        _check_group_labels(keys, alert, group_labels)
    if expression is None or not alert:
        return None
    return AlertingRule(alert, expression, for_ms, keep_ms, labels, annotations, place)


def _expression(keys: Keys) -> Expression | None:
    text = keys.text("expr")
    if not text.strip():
        if keys.node("expr") is None or isinstance(keys.node("expr"), tree.Scalar):
            keys.note("expr", "`expr` must be set")
        return None
    try:
        expression = parse_expression(text)
    except ExpressionError as error:
        place = keys.place("expr")
        if error.line is not None:
            place = place_within(keys.reading.lines, place, text, error.line, error.column or 1)
        keys.reading.note(place, (*keys.path, "expr"), f"cannot be evaluated: {error}")
        return None
    if expression.kind in ("vector", "scalar"):
        return expression
    article = "a range of samples" if expression.kind == "matrix" else "a string"
    keys.note("expr", f"a rule needs an instant vector or a scalar, and this is {article}")
    return None


def _labels(keys: Keys, key: str) -> Labels:
    """Names and texts, sorted by name; an empty text takes a label away, and so stays."""
    found = keys.texts(key)
    for name in found:
        if not name or (name == METRIC_NAME and key == "labels"):
            path = (*keys.path, key, name)
            kind = "annotation" if key == "annotations" else "label"
            keys.reading.note(keys.inner_place(key, name), path, f"is not a valid {kind} name")
    return tuple(sorted(found.items()))


def _check_record(keys: Keys, record: str) -> None:
    for key in _ALERTS_ONLY:
        node = keys.node(key)
        if node is not None and (keys.texts(key) if key == "annotations" else keys.duration_ms(key)):
            keys.note(key, f"`{key}` has no meaning in a recording rule")
    if "{" in record or "}" in record:
        told = f"must be a metric's name, got {tree.quoted(record)}; does a part of it belong into `expr`?"
        keys.note("record", told)


def _check_templates(keys: Keys, alert: str, key: str) -> None:
    """Notes templates that cannot be read, at the line of the template that is wrong."""
    for name, text in keys.texts(key).items() if isinstance(keys.node(key), tree.Map) else ():
        try:
            compile_template(text, f"__alert_{alert}")
        except ExpressionError as error:
            place = keys.inner_place(key, name)
            if error.line is not None and error.line > 1:
                place = place_within(keys.reading.lines, place, text, error.line, 1)
            keys.reading.note(place, (*keys.path, key, name), f"not a template: {error}")


def _check_group_labels(keys: Keys, alert: str, labels: Labels) -> None:
    """Labels of the group are templates, too, where they come to an alert."""
    for name, text in labels:
        try:
            compile_template(text, f"__alert_{alert}")
        except ExpressionError as error:
            keys.note("alert", f"label {name} of its group is not a template: {error}")
