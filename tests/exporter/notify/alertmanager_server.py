"""A real Alertmanager on loopback, with a folder of its own."""

import json
import shutil
import socket
import subprocess
import time
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

_START_SECONDS = 60.0


def binary() -> str | None:
    """The program; None where it is not installed."""
    return shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")


class AlertmanagerServer:
    """One Alertmanager that tells a webhook.

    Args:
        program: What is started.
        folder: Where its configuration and its data are.
        configuration: YAML.
        external_url: What it calls itself.
    """

    def __init__(self, program: str, folder: Path, configuration: str, external_url: str) -> None:
        with socket.create_server(("127.0.0.1", 0)) as free:
            self.port = free.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        (folder / "alertmanager.yml").write_text(configuration)
        self._log = (folder / "log").open("w+")
        self._process = subprocess.Popen(
            [
                program,
                f"--config.file={folder / 'alertmanager.yml'}",
                f"--storage.path={folder / 'data'}",
                f"--web.listen-address=127.0.0.1:{self.port}",
                f"--web.external-url={external_url}",
                "--web.route-prefix=/",
                "--cluster.listen-address=",
            ],
            stdout=self._log,
            stderr=subprocess.STDOUT,
        )

    def wait_until_ready(self) -> None:
        """Waits until it answers."""
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                with urlopen(f"{self.url}/-/ready", timeout=5) as answer:  # noqa: S310 - our own loopback server
                    assert answer.status == 200
                    return
            except (URLError, OSError):
                if self._process.poll() is not None or time.monotonic() > deadline:
                    self._log.seek(0)
                    raise AssertionError(f"Alertmanager does not run: {self._log.read()[-4_000:]}") from None
                time.sleep(0.05)

    def alerts(self) -> list[dict[str, Any]]:
        """The alerts that it has."""
        with urlopen(f"{self.url}/api/v2/alerts", timeout=10) as answer:  # noqa: S310 - our own loopback server
            found: list[dict[str, Any]] = json.load(answer)
        return found

    def stop(self) -> None:
        """Stops it."""
        self._process.terminate()
        self._process.wait(timeout=30)
        self._log.close()
