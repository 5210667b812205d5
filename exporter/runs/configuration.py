"""The configuration of a run: what was given, and a hard budget on top."""

import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

from spanbudget.exporter import config_yaml as tree
from spanbudget.exporter.config import Config, load_config, parse_config
from spanbudget.exporter.runs.notes import LABEL
from spanbudget.processors.errors import ConfigurationError

_SQLITE: Final = "sqlite:///"
_VALUE_VARIABLE: Final = "SPANBUDGET_RUN_VALUE_{}"


@dataclass(frozen=True, slots=True)
class Cap:
    """What a run may spend.

    Attributes:
        name: Name of its budget.
        max_cost: USD, above 0.
        period: A calendar period whose runs share the cap; None caps this run alone.
        on_exceed: `block` or `clamp`; see `limits.Policies`.
        wait_ms: How long a call waits for others to settle, milliseconds.
        hosts: Host with its port → the provider whose interface and prices it has.
    """

    name: str
    max_cost: Decimal
    period: str | None = None
    on_exceed: str = "block"
    wait_ms: int = 0
    hosts: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class RunConfiguration:
    """The configuration that the processes of a run read.

    Attributes:
        config: As they read it.
        path: Its file.
        label: The value of `LABEL` on every call of the run.
        budget: Name of the budget that caps the run.
        variables: Values that come from the environment, so that the file holds no secret.
        kept: Whether the ledger is there after the run.
    """

    config: Config
    path: Path
    label: str
    budget: str
    variables: Mapping[str, str]
    kept: bool


def write_configuration(
    folder: Path, cap: Cap, *, given: Path | None = None, outer: str | None = None
) -> RunConfiguration:
    """Writes the configuration of a run into its folder.

    Without a given configuration and without a period the ledger is a temporary one; else it is the given
    one, or `spanbudget.db` in the working directory.

    Args:
        folder: The folder of the run, which nobody else may read.
        cap: What the run may spend.
        given: A configuration whose ledger, prices and budgets hold too.
        outer: The label of the run that this one is inside of.

    Raises:
        ConfigurationError: The given configuration or the cap is wrong.
    """
    variables: dict[str, str] = {}
    config = load_config(given) if given is not None else Config()
    values = _values_of(given, variables)
    kept = given is not None or cap.period is not None
    number = secrets.token_hex(3)
    above = f"{outer}/" if outer else ""
    label = f"{above}{cap.name}/{number}"
    own = kept and cap.period is None  # of this run alone, in a ledger of many
    budget = f"{cap.name}-{number}" if own else cap.name
    if any(one.name == budget for one in config.budget_configs):
        raise ConfigurationError([f"{given}: has a budget {budget!r} already; choose another name by --name"])
    ours = [f"{above}{cap.name}/*"] if cap.period is not None else [label, f"{label}/*"]
    url = _absolute(config.ledger.url) if kept else f"{_SQLITE}{folder}/run.db"
    if url != config.ledger.url:  # else it stays as it is written, which may be without its password
        _section(values, "ledger")["url"] = url
    if config.rules:
        values["rules"] = [entry.replace("${", "$${") for entry in config.rules]
    values.setdefault("budgets", []).append(_budget(cap, budget, ours))
    hosts = _section(_section(values, "guard"), "hosts")
    hosts |= {host: {"provider": provider} for host, provider in cap.hosts.items()}
    path = folder / "budgets.yaml"
    text = json.dumps(values, ensure_ascii=False, indent=1)  # JSON is YAML
    path.touch(mode=0o600)
    path.write_text(text, encoding="utf-8")
    return RunConfiguration(_read(text, cap, variables), path, label, budget, variables, kept)


def _budget(cap: Cap, name: str, labels: list[str]) -> dict[str, Any]:
    return {
        "name": name,
        "match": {LABEL: labels},
        "max_cost": f"{cap.max_cost:f}",
        "period": cap.period or "total",
        "hard_limit": True,
        "on_exceed": cap.on_exceed,
        "wait_ms": cap.wait_ms,
        "on_store_error": "deny",
    }


def _read(text: str, cap: Cap, variables: Mapping[str, str]) -> Config:
    """What the processes will read; what is wrong now is an option of the command line."""
    try:
        return parse_config(text, "run", variables)
    except ConfigurationError as error:
        raise ConfigurationError([f"--max-cost {cap.max_cost}, --host, --name: {error}"]) from None


def _values_of(path: Path | None, variables: dict[str, str]) -> dict[str, Any]:
    if path is None:
        return {"metrics": {"exporter": "none"}}
    root, problems = tree.read_tree(path.read_text(encoding="utf-8-sig"), os.environ)
    if problems or not isinstance(root, tree.Map | None):
        raise ConfigurationError([problem.line(str(path)) for problem in problems])
    found = _value(root, variables) if root is not None else {}
    return found if isinstance(found, dict) else {}


def _value(node: tree.Node, variables: dict[str, str]) -> Any:
    """A value as JSON: its text, in which `${` is written so that it stays; what is secret goes elsewhere."""
    match node:
        case tree.Map():
            return {key: _value(value, variables) for key, (_, value) in node.items.items()}
        case tree.Sequence():
            return [_value(item, variables) for item in node.items]
        case tree.Scalar(text=str(text), substituted=True):
            name = _VALUE_VARIABLE.format(len(variables))
            variables[name] = text
            return f"${{{name}}}"
        case tree.Scalar(text=str(text)):
            return text.replace("${", "$${")
    return None


def _section(values: dict[str, Any], name: str) -> dict[str, Any]:
    """A section of the configuration, made where there is none."""
    if not isinstance(values.get(name), dict):
        values[name] = {}
    found: dict[str, Any] = values[name]
    return found


def _absolute(url: str) -> str:
    """The URL with an absolute path: the program may change its working directory."""
    if not url.startswith(_SQLITE) or url.removeprefix(_SQLITE).startswith((":memory:", "/")):
        return url
    path, question, options = url.removeprefix(_SQLITE).partition("?")
    return f"{_SQLITE}{Path(path).absolute()}{question}{options}"
