"""`spanbudget rules render`: all rules, as the program that shall evaluate them loads them."""

from collections.abc import Sequence
from pathlib import Path

import click

from spanbudget.exporter.alerting.rule_sets import rule_files
from spanbudget.exporter.cli.listing import counted
from spanbudget.exporter.cli.rule_choice import no_rules, rule_paths
from spanbudget.exporter.config import Config, configuration_of
from spanbudget.exporter.rule_files import load_rule_files
from spanbudget.exporter.rule_rendering.expanded import expansion
from spanbudget.exporter.rule_rendering.grafana import GrafanaPlace
from spanbudget.exporter.rule_rendering.read_rules import group_text
from spanbudget.exporter.rule_rendering.rendering import TARGETS, RenderOptions, Target
from spanbudget.exporter.rule_rendering.rendering import render as rendered
from spanbudget.processors.errors import InputError
from spanbudget.processors.names_out import CONFIG_VARIABLE
from spanbudget.rules.expansion.rule_text import GroupText


def _pairs(_: click.Context, __: click.Parameter, given: tuple[str, ...]) -> dict[str, str]:
    pairs = [text.partition("=") for text in given]
    if not all(name and equals for name, equals, _ in pairs):
        raise click.BadParameter("must be NAME=VALUE")
    return {name: value for name, _, value in pairs}


@click.command()
@click.argument("files", nargs=-1)
@click.option(
    "--target", type=click.Choice(TARGETS), default="prometheus", show_default=True, help="Who loads them."
)
@click.option(
    "--config",
    "config_path",
    type=click.Path(path_type=Path),
    envvar=CONFIG_VARIABLE,
    show_envvar=True,
    help="Configuration whose budgets and rule files are rendered.",
)
@click.option("--output", type=click.Path(dir_okay=False, path_type=Path), help="File to write, not stdout.")
@click.option("--namespace", default="", help="Namespace of Mimir's rules, or of Kubernetes' manifests.")
@click.option(
    "--label",
    "labels",
    multiple=True,
    callback=_pairs,
    metavar="NAME=VALUE",
    help="Label of manifests, for the operator's rule selector; as often as needed.",
)
@click.option("--folder", default="SpanBudget", show_default=True, help="Folder of Grafana's rules.")
@click.option("--datasource", default="prometheus", show_default=True, help="Uid of Grafana's data source.")
def render(
    files: tuple[str, ...],
    target: Target,
    config_path: Path | None,
    output: Path | None,
    namespace: str,
    labels: dict[str, str],
    folder: str,
    datasource: str,
) -> None:
    """Print all rules: of the configuration's packs and files, and what its budgets' `alerts` expand to.

    With FILES (names, patterns such as 'rules/*.yaml', or packs such as pack:budget), those instead. What was
    left out is told on stderr.

    \b
    Examples:
      spanbudget rules render --config budgets.yaml > llm-budgets.rules.yaml
      spanbudget rules render --target prometheus-operator \\
          --namespace monitoring --label release=prometheus
      spanbudget rules render --target grafana --datasource mimir pack:budget
    """  # noqa: D301 - click looks for the control character itself
    groups, notes = _of_files(files) if files else _of_configuration(configuration_of(config=config_path))
    for note in notes:
        click.echo(note, err=True)
    if not groups:
        raise no_rules()
    options = RenderOptions(namespace, labels, GrafanaPlace(folder=folder, datasource_uid=datasource))
    text = rendered(groups, target, options)
    if output is None:
        click.echo(text, nl=False)
        return
    try:
        output.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"{output}: cannot be written: {error.strerror}") from None
    rules = sum(len(group.rules) for group in groups)
    click.echo(
        f"{output}: {counted(rules, 'rule')} in {counted(len(groups), 'group')} for {target}", err=True
    )


def _of_files(files: Sequence[str]) -> tuple[list[GroupText], tuple[str, ...]]:
    return [group_text(group) for group in load_rule_files(rule_paths(files))], ()


def _of_configuration(config: Config) -> tuple[list[GroupText], tuple[str, ...]]:
    paths = rule_files(config)
    groups = [group_text(group) for group in load_rule_files(paths)] if paths else []
    found = expansion(config.budget_configs)
    return [*groups, *found.groups], found.notes
