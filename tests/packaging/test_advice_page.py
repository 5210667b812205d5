"""The page on advice: its YAML loads, its commands exist, its tables and figures are those of the code."""

import re
import shlex
from pathlib import Path

import click
import pytest

from spanbudget.exporter.cli.advise import CALLS_MAX
from spanbudget.exporter.cli.main import main
from spanbudget.exporter.config import Config, parse_config
from spanbudget.exporter.replay.ancestors import AHEAD
from spanbudget.processors import circumstances
from spanbudget.processors.content_hash import KEY_BYTES_MIN
from spanbudget.processors.dialects import INTERACTIVE_KEY, SPELLINGS, Field
from spanbudget.rules.advice import advise
from spanbudget.rules.advice.settings import Settings

PAGE = (Path(__file__).parents[2] / "docs" / "advice.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.DOTALL | re.MULTILINE)
COMMANDS = [
    re.split(r"\s{2,}", line)[0] for kind, text in BLOCKS if not kind for line in text.splitlines() if line
]


def test_the_examples_of_the_configuration_load():
    texts = [text for kind, text in BLOCKS if kind == "yaml"]
    assert texts
    for text in texts:
        config = parse_config(text, "page", {"SPANBUDGET_HASH_KEY": "k" * KEY_BYTES_MIN})
        assert config != Config()
        assert config.advice.key == b"k" * KEY_BYTES_MIN


@pytest.mark.parametrize("line", COMMANDS)
def test_every_command_is_understood(line):
    program, name, *arguments = shlex.split(line)
    assert program == "spanbudget"
    command = main.get_command(click.Context(main), name)
    assert command is not None
    command.make_context(name, arguments)


def test_the_table_has_every_suggestion_with_its_class():
    rows = dict(re.findall(r"^\| `(\w+)` \| (\w+) \|", PAGE, re.MULTILINE))
    assert rows == {kind.name: kind.confidence for kind in advise.KINDS}


def test_the_figures_are_those_of_the_code():
    settings = Settings()
    assert f"below ${settings.min_usd} and {100 * settings.min_share:.1f} %" in PAGE
    assert f"fewer than {settings.min_calls} calls" in PAGE
    assert settings.duplicate_seconds == 3_600
    assert f"{CALLS_MAX:,} calls are read" in PAGE
    assert f"next {AHEAD:,} spans" in PAGE
    assert f"at least {KEY_BYTES_MIN} bytes" in PAGE
    assert f"at most {circumstances.WORD_MAX} characters" in PAGE
    assert f"at most {circumstances.ERROR_TYPE_MAX} characters" in PAGE
    assert str(advise._MONTH_DAYS) in PAGE


def test_the_attributes_are_those_that_are_read():
    for field in (Field.PROMPT_HASH, Field.PREFIX_HASH, Field.INTERACTIVE):
        assert f"`{SPELLINGS[field][0]}`" in PAGE
    assert f"{INTERACTIVE_KEY}=false" in PAGE


def test_the_chance_of_equal_hashes_is_right():
    """n (n - 1) / 2 pairs of a million requests, each alike with 2**-64: 1 in 36.9 million."""
    assert round(2**64 / (10**6 * (10**6 - 1) / 2) / 10**6) == 37
    assert "1 in 37 million" in PAGE
