"""Work in forked processes, which can never run on as a second pytest."""

import os
import traceback
from collections.abc import Callable


def in_child(work: Callable[[], object]) -> int:
    """Starts work in a forked process; its pid.

    The process ends with status 0 where the work returns, and with 1 where it raises, an `assert` included.
    """
    pid = os.fork()
    if pid == 0:
        try:
            work()
        except BaseException:  # noqa: BLE001 - the child must not run on as a second pytest
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def succeeds_in_child(work: Callable[[], object]) -> bool:
    """Whether work that is done in a forked process returns."""
    return os.waitpid(in_child(work), 0)[1] == 0
