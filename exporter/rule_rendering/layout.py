"""YAML as people write rules: blocks for expressions, keys in a fixed order, no folded lines."""

from collections.abc import Iterable
from typing import Any, Final

import yaml

_WIDTH: Final = 1_000_000
"""Characters of a line before it is folded: never, as folded lines make long diffs of short changes."""


class Block(str):
    """A text that is written as a literal block, whatever its length."""

    __slots__ = ()


class _Dumper(yaml.SafeDumper):
    """Writes plain values only; the same values always make the same text."""

    def ignore_aliases(self, data: Any) -> bool:  # noqa: ARG002 - YAML's signature
        """Equal values are written out, each time."""
        return True

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:  # noqa: ARG002, FBT001, FBT002
        """Lists are indented below their key."""
        super().increase_indent(flow, False)


def _block(dumper: yaml.SafeDumper, text: Block) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", str(text), style="|")


_Dumper.add_representer(Block, _block)


def expression(text: str) -> str:
    """An expression as it is laid out: lines without blanks at their ends, which a block cannot hold."""
    lines = [line.rstrip() for line in text.strip().splitlines()]
    return Block("\n".join(lines)) if len(lines) > 1 else lines[0] if lines else ""


def yaml_text(documents: Iterable[dict[str, Any]]) -> str:
    """Documents as YAML, behind a `---` each where there are several."""
    listed = list(documents)
    text: str = yaml.dump_all(
        listed,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        width=_WIDTH,
        default_flow_style=False,
        explicit_start=len(listed) > 1,
    )
    return text
