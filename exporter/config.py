"""The one configuration file: its shape, its checks, and what it means to the rest of the house.

A wrong file raises one `ConfigurationError` with every problem in it, each with file, line and path; nothing
has been started or changed by then. Values from the environment are never shown.
"""

import os
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any, get_args

from pydantic import Field, ValidationError

from spanbudget.exporter import config_yaml as tree
from spanbudget.exporter.advice.config import AdviceConfig
from spanbudget.exporter.alerting.config import AlertingConfig, RuleEntries, rule_paths
from spanbudget.exporter.anomalies.config import AnomaliesConfig
from spanbudget.exporter.config_fields import Line
from spanbudget.exporter.config_problems import problem_of
from spanbudget.exporter.config_section import Section
from spanbudget.exporter.config_sections import (
    OWN_LABELS,
    AttributionConfig,
    BudgetConfig,
    CountingConfig,
    LedgerConfig,
    MetricsConfig,
    ModelsConfig,
    PriceConfig,
    SamplingConfig,
    ScopeConfig,
)
from spanbudget.exporter.guard.config import GuardConfig
from spanbudget.exporter.notify.config import Receivers
from spanbudget.processors.budgets import Budget
from spanbudget.processors.dialects import LABEL_SPELLINGS
from spanbudget.processors.errors import ConfigurationError
from spanbudget.processors.names_out import CONFIG_VARIABLE
from spanbudget.processors.overrides import PriceOverride
from spanbudget.processors.selectors import CallIdentity


class Config(Section):
    """Everything that the file says; without a file, everything is counted and there is no budget."""

    ledger: LedgerConfig = Field(default_factory=LedgerConfig)
    attribution: AttributionConfig = Field(default_factory=AttributionConfig)
    price_configs: tuple[PriceConfig, ...] = Field(alias="prices", default=())
    scopes: dict[Line, ScopeConfig] = Field(default_factory=dict)
    models: ModelsConfig = Field(default_factory=ModelsConfig)
    counting: CountingConfig = Field(default_factory=CountingConfig)
    metrics: MetricsConfig = Field(default_factory=MetricsConfig)
    sampling: SamplingConfig = Field(default_factory=SamplingConfig)
    guard: GuardConfig = Field(default_factory=GuardConfig)
    rules: RuleEntries = ()
    alerting: AlertingConfig = Field(default_factory=AlertingConfig)
    receivers: Receivers = ()
    anomalies: AnomaliesConfig = Field(default_factory=AnomaliesConfig)
    advice: AdviceConfig = Field(default_factory=AdviceConfig)
    budget_configs: tuple[BudgetConfig, ...] = Field(alias="budgets", default=())

    @cached_property
    def budgets(self) -> tuple[Budget, ...]:
        """The budgets, in the order of the file."""
        return tuple(budget.to_budget() for budget in self.budget_configs)

    @cached_property
    def prices(self) -> tuple[PriceOverride, ...]:
        """The prices, in the order of the file: the first match wins."""
        return tuple(price.to_override() for price in self.price_configs)

    @property
    def model_aliases(self) -> dict[str, tuple[str | None, str]]:
        """Raw model name → (provider, model), as `Namer` takes it."""
        return {name: (alias.provider, alias.model) for name, alias in self.models.aliases.items()}

    @property
    def guards(self) -> bool:
        """Whether calls are guarded in a process that is instrumented."""
        enabled = self.guard.enabled
        return any(budget.guards for budget in self.budgets) if enabled == "auto" else enabled

    @property
    def watches(self) -> bool:
        """Whether any budget is watched for anomalies in a process that evaluates rules."""
        enabled = self.anomalies.enabled
        if enabled == "auto":
            return any(one.alerts is not None and one.alerts.anomaly for one in self.budget_configs)
        return enabled

    @property
    def baggage_keys(self) -> tuple[str, ...]:
        """The baggage keys that are read."""
        return self.attribution.baggage

    @property
    def extra_labels(self) -> tuple[str, ...]:
        """Attribute names that become labels of their own.

        Listed ones, baggage keys that no other label reads, and all that budgets, metrics or the watch for
        anomalies use: a budget can so never wait for a label that nobody collects.
        """
        used = [label for budget in self.budgets for label, _ in budget.selector.terms]
        used += [label for budget in self.budgets for label in budget.per]
        used += [label for budget in self.budgets for label, _ in budget.policies.priority_match]
        read = {
            key
            for keys in (*LABEL_SPELLINGS.values(), *self.attribution.configured().values())
            for key in keys
        }
        baggage = [key for key in self.attribution.baggage if key not in read]
        used += self.anomalies.dimensions if self.watches else ()
        names = dict.fromkeys([*self.attribution.labels, *baggage, *used, *self.metrics.labels])
        return tuple(name for name in names if name not in OWN_LABELS and name not in CallIdentity._fields)


def load_config(path: str | Path) -> Config:
    """Reads a configuration file.

    Raises:
        ConfigurationError: The file cannot be read or is wrong; it holds every problem.
    """
    try:
        with Path(path).open("rb") as file:
            text = file.read(tree.BYTES_MAX + 1).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ConfigurationError([f"{path}:{line}:1: not UTF-8 text"]) from None
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            [f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}"]
        ) from None
    config = parse_config(text, str(path))
    return config.model_copy(update={"rules": rule_paths(config.rules, Path(path).parent)})


def configuration_of(
    db_path: str | Path | None = None, url: str | None = None, config: "Config | str | Path | None" = None
) -> Config:
    """The configuration that one of its arguments names, or `SPANBUDGET_CONFIG`, or that of no file at all.

    Args:
        db_path: A SQLite file.
        url: The URL of a ledger.
        config: A configuration, or the path of its file.

    Raises:
        ConfigurationError: More than one of them is given, or the configuration is wrong.
    """
    if sum(given is not None for given in (db_path, url, config)) > 1:
        raise ConfigurationError(["give one of db_path, url and config, not several"])
    if isinstance(config, Config):
        return config
    if db_path is not None or url is not None:
        return Config(ledger=LedgerConfig(url=url or f"sqlite:///{db_path}"))
    found = config or os.environ.get(CONFIG_VARIABLE)
    return load_config(found) if found else Config()


def parse_config(text: str, source_name: str, environ: Mapping[str, str] | None = None) -> Config:
    """Reads the text of a configuration.

    Args:
        text: YAML, at most 1 MiB.
        source_name: What problems call it, mostly the path.
        environ: What `${NAME}` in values stands for; None takes the environment of the process.

    Raises:
        ConfigurationError: The text is wrong; it holds every problem, in the order of the lines.
    """
    if len(text) > tree.BYTES_MAX or len(text.encode(errors="surrogatepass")) > tree.BYTES_MAX:
        raise ConfigurationError([f"{source_name}:1:1: larger than {tree.BYTES_MAX >> 20} MiB"])
    root, problems = tree.read_tree(text, os.environ if environ is None else environ)
    config = None
    if root is not None or not problems:
        values = tree.plain(root)
        known = {problem.path for problem in problems}
        try:
            config = Config.model_validate({} if values is None else values)
        except ValidationError as error:
            details = error.errors(include_url=False, include_input=False)
            found = [problem_of(detail, root, _keys_at) for detail in details]
            problems += [problem for problem in found if problem.path not in known]
        problems += [*_repeated_names(root, "budgets"), *_repeated_names(root, "receivers")]
    if problems or config is None:
        problems.sort(key=lambda problem: (problem.place.line, problem.place.column))
        raise ConfigurationError(list(dict.fromkeys(problem.line(source_name) for problem in problems)))
    return config


def _repeated_names(root: tree.Node | None, section: str) -> Iterator[tree.Problem]:
    """Entries of one name; read from the tree, so that they are found beside any other problem."""
    _, _, entries = tree.locate(root, (section,))
    first: dict[str, int] = {}
    for index in range(len(entries.items) if isinstance(entries, tree.Sequence) else 0):
        path = (section, index, "name")
        reached, place, name = tree.locate(root, path)
        if reached == path and isinstance(name, tree.Scalar) and name.text is not None:
            other = first.setdefault(name.text, index)
            if other != index:
                text = f"must be unique, got {tree.shown(name)}; {section}[{other}] has the same name"
                yield tree.Problem(place, path, text)


def _keys_at(path: tree.Path) -> tuple[str, ...]:
    """The keys of the section at a path: follows the types of the fields to the section's class."""
    section: type[Section] = Config
    for part in path:
        fields = {field.alias or name: field for name, field in section.model_fields.items()}
        if part in fields:
            section = next(_sections(fields[str(part)].annotation), section)
    return section.known_keys()


def _sections(annotation: Any) -> Iterator[type[Section]]:
    if isinstance(annotation, type) and issubclass(annotation, Section):
        yield annotation
    for argument in get_args(annotation):
        yield from _sections(argument)
