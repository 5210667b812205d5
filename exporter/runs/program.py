"""The program of a run: started, sent the signals that come for it, waited for."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import Final

from spanbudget.processors.errors import SpanBudgetError

EXIT_NOT_EXECUTABLE: Final = 126
EXIT_NOT_FOUND: Final = 127
"""Both as shells have them."""
SIGNALS: Final = (
    signal.SIGINT,
    signal.SIGTERM,
    signal.SIGHUP,
    signal.SIGQUIT,
    signal.SIGUSR1,
    signal.SIGUSR2,
)
"""What is passed on."""
_OF_TERMINAL: Final = (signal.SIGINT, signal.SIGQUIT)
_SITE: Final = Path(__file__).with_name("site")


class ProgramError(SpanBudgetError):
    """A program cannot be started.

    Attributes:
        exit_code: 126 or 127.
    """

    def __init__(self, message: str, exit_code: int) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def environment(variables: Mapping[str, str]) -> dict[str, str]:
    """The environment of a program whose Python processes are to be capped.

    Args:
        variables: What is set in it.
    """
    ours = str(_SITE.absolute())
    others = [path for path in os.environ.get("PYTHONPATH", "").split(os.pathsep) if path not in ("", ours)]
    return {**os.environ, **variables, "PYTHONPATH": os.pathsep.join([ours, *others])}


def run_program(command: Sequence[str], environ: Mapping[str, str]) -> int:
    """Runs a program until it ends.

    Args:
        command: The program and its arguments.
        environ: Its environment.

    Returns:
        Its exit code; minus the number of the signal that ended it.

    Raises:
        ProgramError: It cannot be started.
    """
    process = _started(command, environ)

    def pass_on(number: int, _: FrameType | None) -> None:
        # The terminal sends its own to everybody in the foreground: once is enough.
        if number not in _OF_TERMINAL or not _in_foreground():
            with suppress(ProcessLookupError):
                process.send_signal(number)

    before = {number: signal.signal(number, pass_on) for number in SIGNALS}
    try:
        return process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _started(command: Sequence[str], environ: Mapping[str, str]) -> subprocess.Popen[bytes]:
    sys.stdout.flush()
    sys.stderr.flush()
    try:
        return subprocess.Popen(command, env=environ)  # noqa: S603 - what the user asked for
    except FileNotFoundError:
        raise ProgramError(f"{command[0]}: there is no such program", EXIT_NOT_FOUND) from None
    except OSError as error:
        told = f"{command[0]}: cannot be run: {error.strerror or error}"
        raise ProgramError(told, EXIT_NOT_EXECUTABLE) from None


def _in_foreground() -> bool:
    """Whether a terminal has sent the signal to the program too."""
    try:
        return os.tcgetpgrp(0) == os.getpgrp()
    except OSError:  # no terminal
        return False
