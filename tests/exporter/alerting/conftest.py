from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import scene
from scene import Clock, Scene


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Starts processes on a configuration."""
    scene.told.clear()
    begun: list[Scene] = []

    def begin(text: str = "", *, clock: Clock | None = None) -> Scene:
        path = scene.written(tmp_path, text) if text else tmp_path / "budgets.yaml"
        begun.append(Scene(path, clock or Clock()))
        return begun[-1]

    yield begin
    for one in begun:
        one.stop()
