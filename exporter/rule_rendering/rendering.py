"""Rules as text for each program that may evaluate them."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Literal, TypeAlias, get_args

from spanbudget.exporter.rule_rendering.grafana import GrafanaPlace, provisioning
from spanbudget.exporter.rule_rendering.kubernetes import manifests
from spanbudget.exporter.rule_rendering.layout import yaml_text
from spanbudget.exporter.rule_rendering.plain import rule_file
from spanbudget.rules.expansion.rule_text import GroupText

Target: TypeAlias = Literal["prometheus", "mimir", "prometheus-operator", "grafana", "vmalert"]
TARGETS: Final[Sequence[Target]] = get_args(Target)


@dataclass(frozen=True, slots=True)
class RenderOptions:
    """What targets need to know beside the rules.

    Attributes:
        namespace: Mimir's namespace of the rules, and Kubernetes' one of the manifests; "" for Mimir's
            `spanbudget`, and for no word about it in manifests.
        labels: Labels of manifests.
        grafana: Where Grafana puts the rules.
    """

    namespace: str = ""
    labels: Mapping[str, str] = field(default_factory=dict)
    grafana: GrafanaPlace = field(default_factory=GrafanaPlace)


def render(groups: Sequence[GroupText], target: Target, options: RenderOptions | None = None) -> str:
    """Writes rules as a program loads them; the same rules always make the same text.

    Args:
        groups: In the order in which they shall stand; of several of one name the later ones get a number.
        target: The program.
        options: What it needs to know beside.

    Raises:
        ConfigurationError: The program has no way to say what a rule says.
    """
    options = options or RenderOptions()
    named = distinct(groups)
    match target:
        case "prometheus":
            return yaml_text([rule_file(named)])
        case "mimir":
            return yaml_text([{"namespace": options.namespace or "spanbudget", **rule_file(named)}])
        case "vmalert":
            # vmalert knows no `query_offset`; its `eval_delay` does the same.
            return yaml_text([rule_file(named, offset_key="eval_delay")])
        case "prometheus-operator":
            return yaml_text(manifests(named, options.namespace, options.labels))
        case "grafana":
            return yaml_text([provisioning(named, options.grafana)])


def distinct(groups: Sequence[GroupText]) -> list[GroupText]:
    """The groups, a later one of the same name with a number behind it: `budget (2)`."""
    taken = {group.name for group in groups}
    seen: Counter[str] = Counter()
    named = []
    for group in groups:
        seen[group.name] += 1
        name, number = group.name, seen[group.name]
        while number > 1 and name in taken:
            name = f"{group.name} ({number})"
            number += 1
        taken.add(name)
        named.append(group if name == group.name else replace(group, name=name))
    return named
