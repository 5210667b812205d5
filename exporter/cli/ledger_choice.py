"""Which configuration and ledger a command looks at, and moments as people write them."""

import re
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import click

from spanbudget.exporter.config import Config, load_config
from spanbudget.processors.errors import InputError
from spanbudget.processors.names_out import CONFIG_VARIABLE

NS_PER_SECOND: Final = 1_000_000_000
_UNITS: Final = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


def ledger_options(command: Any) -> Any:
    """Adds `--config` and `--db`."""
    for option in (
        click.option(
            "--db", type=click.Path(path_type=Path), help="SQLite ledger, instead of the configuration's."
        ),
        click.option(
            "--config", "given", envvar=CONFIG_VARIABLE, type=click.Path(path_type=Path),
            help=f"The configuration; else {CONFIG_VARIABLE} names it.",
        ),
    ):  # fmt: skip
        command = option(command)
    return command


def chosen(given: Path | None, db: Path | None) -> Config:
    """The configuration, with the ledger that the options name.

    Raises:
        ConfigurationError: The configuration is wrong.
        InputError: Nothing names a ledger, and there is none of the default's name.
    """
    config = load_config(given) if given is not None else Config()
    if db is None:
        name = config.ledger.url.removeprefix("sqlite:///")
        if given is None and not Path(name).is_file():
            raise InputError(
                f"which ledger? --config FILE, or the variable {CONFIG_VARIABLE}, names a configuration, and"
                f" --db FILE a SQLite ledger; there is no {name} in this folder either"
            )
        return config
    url = f"sqlite:///{db.absolute()}"
    return config.model_copy(update={"ledger": config.ledger.model_copy(update={"url": url})})


class Length(click.ParamType[int]):
    """A length of time, `30d`, as nanoseconds."""

    name = "time"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The length.

        Raises:
            BadParameter: It is none.
        """
        if isinstance(value, int):
            return value
        found = re.fullmatch(r"(\d{1,6})([smhdw])", str(value))
        if found is None or not int(found[1]):
            self.fail(f"{value!r} is no length such as 30m, 24h or 30d", param, ctx)
        return int(found[1]) * _UNITS[found[2]] * NS_PER_SECOND


class Moment(click.ParamType[int]):
    """A moment that has been, `2026-11-01T12:00:00Z`, or how long ago it is, `2h`; as nanoseconds.

    Times without a zone are UTC.

    Args:
        future: Whether it may lie ahead; `+2h` is in two hours then.
    """

    name = "moment"

    def __init__(self, *, future: bool = False) -> None:
        self._future = future

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """The moment.

        Raises:
            BadParameter: It is none.
        """
        if isinstance(value, int):
            return value
        if re.fullmatch(r"\d{1,6}[smhdw]", str(value)):
            return time.time_ns() - Length().convert(value, param, ctx)
        if self._future and re.fullmatch(r"\+\d{1,6}[smhdw]", str(value)):
            return time.time_ns() + Length().convert(str(value)[1:], param, ctx)
        try:
            at = datetime.fromisoformat(str(value))
        except ValueError:
            self.fail(
                f"{value!r} is no time such as 2026-11-01T12:00:00Z, and no length such as 2h", param, ctx
            )
        at = at.replace(tzinfo=UTC) if at.tzinfo is None else at
        at_ns = round(at.timestamp() * 1_000) * 1_000_000
        if at_ns > time.time_ns() and not self._future:
            self.fail(f"{value!r} is in the future", param, ctx)
        return at_ns
