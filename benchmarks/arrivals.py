"""Where the callback of a benchmark notes when it was told of alerts."""

import time
from collections.abc import Mapping
from typing import Any, Final

times_ns: Final[list[int]] = []


def arrived(notification: Mapping[str, Any]) -> None:
    if notification["status"] == "firing":
        times_ns.append(time.time_ns())
