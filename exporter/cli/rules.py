"""`spanbudget rules`: the group of the commands about alert rules, each in a module of its own."""

from collections.abc import Mapping
from importlib import import_module
from typing import Final

import click

from spanbudget.exporter.cli.main import Command

COMMANDS: Final[Mapping[str, Command]] = {
    "check": Command("spanbudget.exporter.cli.rules_check", "check", "Check rule files."),
    "test": Command("spanbudget.exporter.cli.rules_test", "test", "Run promtool's unit tests of rules."),
    "render": Command(
        "spanbudget.exporter.cli.rules_render", "render", "Print all rules for Prometheus, Mimir, Grafana…"
    ),
    "eval": Command(
        "spanbudget.exporter.cli.rules_eval", "eval_expression", "Evaluate an expression on the ledger."
    ),
    "backtest": Command(
        "spanbudget.exporter.cli.rules_backtest", "backtest", "Tell what rules would have fired."
    ),
}
"""The commands, in the order of the help; each is imported when it is used."""


class RulesGroup(click.Group):
    """A group that imports a command when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - as click calls it
        """The names of the commands."""
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """The command of a name, imported now; None where there is none."""
        known = COMMANDS.get(cmd_name)
        if known is None:
            return None
        command: click.Command = getattr(import_module(known.module), known.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the commands of the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])


@click.group(cls=RulesGroup)
def rules() -> None:
    """Check, test and try alert rules: plain files of Prometheus, evaluated as Prometheus does."""
