"""`spanbudget`: the group of all commands, and the one place that turns errors into messages."""

from collections.abc import Mapping
from importlib import import_module
from typing import Any, Final, NamedTuple

import click

from spanbudget.processors.errors import ConfigurationError, SpanBudgetError

EXIT_WRONG_INPUT: Final = 2
EXIT_INTERRUPTED: Final = 130
"""128 and the number of SIGINT, as shells report it."""


class Command(NamedTuple):
    """A command that is not imported yet.

    Attributes:
        module: Where it is.
        name: Its name there.
        summary: Its line in the help.
    """

    module: str
    name: str
    summary: str


COMMANDS: Final[Mapping[str, Command]] = {
    "advise": Command(
        "spanbudget.exporter.cli.advise", "advise", "Suggest what would save money, and prove it."
    ),
    "alerts": Command("spanbudget.exporter.cli.alerts", "alerts", "See alerts, and what was sent of them."),
    "anomalies": Command(
        "spanbudget.exporter.cli.anomalies", "anomalies", "See unusual spend, and say what it was."
    ),
    "config": Command("spanbudget.exporter.cli.config", "config", "Look at configuration files."),
    "demo": Command("spanbudget.exporter.cli.demo", "demo", "Watch two applications spend, without a key."),
    "doctor": Command("spanbudget.exporter.cli.doctor", "doctor", "Prove that limits hold on this machine."),
    "efficiency": Command(
        "spanbudget.exporter.cli.efficiency", "efficiency", "Score how well money was spent."
    ),
    "forecast": Command(
        "spanbudget.exporter.cli.forecast", "forecast", "Project where budgets will end, and draw it."
    ),
    "prices": Command(
        "spanbudget.exporter.cli.prices", "prices", "Show what a model costs, or what is unpriced."
    ),
    "replay": Command("spanbudget.exporter.cli.replay", "replay", "Price and count files of spans."),
    "rules": Command("spanbudget.exporter.cli.rules", "rules", "Check, test and try alert rules."),
    "run": Command("spanbudget.exporter.cli.run", "run", "Cap any program, and tell what it spent."),
}
"""The commands, in the order of the help; importing one takes up to half a second."""


class LazyGroup(click.Group):
    """A group that imports a command when it is used, and explains the errors of all of them."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the commands."""
        return [*COMMANDS, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command of a name, imported now; None where there is none."""
        known = COMMANDS.get(cmd_name)
        if known is None:
            return super().get_command(ctx, cmd_name)
        command: click.Command = getattr(import_module(known.module), known.name)
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Writes the commands of the help without importing them."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, command.summary) for name, command in COMMANDS.items()])

    def invoke(self, ctx: click.Context) -> Any:
        """Runs a command; an error of ours becomes its message, each problem on a line of its own."""
        try:
            return super().invoke(ctx)
        except ConfigurationError as error:
            for problem in error.problems:
                click.echo(problem, err=True)
            ctx.exit(EXIT_WRONG_INPUT)
        except SpanBudgetError as error:
            click.echo(f"spanbudget: {error}", err=True)
            ctx.exit(EXIT_WRONG_INPUT)
        except (KeyboardInterrupt, click.Abort):
            click.echo("spanbudget: interrupted", err=True)
            ctx.exit(EXIT_INTERRUPTED)


@click.command(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spanbudget", message="%(prog)s %(version)s")
def main() -> None:
    """LLM spans come in, money comes out, rules turn money into decisions."""
