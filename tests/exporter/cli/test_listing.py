"""Lists in a pipe, and in a terminal of 80 columns."""

import os
import pty
import re
import subprocess
import sys

import pytest

from spanbudget.exporter.cli import listing
from spanbudget.exporter.cli.listing import Row, Titles, counted, iso, minute, print_rows

TITLES = Titles(("STATE", "N"), ("SUMMARY", "LABELS"), frozenset({"N"}))
ROWS = [
    Row(("firing", "7"), ("some\nthing \x1b[2J", 'team="a"'), "bold red"),
    Row(("resolved", "1,234"), ("", "")),
]


def test_a_pipe_has_one_whole_line_for_each(capsys: pytest.CaptureFixture[str]) -> None:
    print_rows(TITLES, ROWS)
    assert capsys.readouterr().out == (
        "STATE         N  SUMMARY          LABELS\n"
        'firing        7  some thing \ufffd[2J  team="a"\n'
        "resolved  1,234\n"
    )


def shown_in_terminal(code: str, **environ: str) -> str:
    """What a program writes to a terminal of 80 columns."""
    leader, follower = pty.openpty()
    environment = {**os.environ, "COLUMNS": "80", "TERM": "xterm-256color", **environ}
    with subprocess.Popen(
        [sys.executable, "-c", code], stdout=follower, stderr=follower, stdin=follower, env=environment
    ) as program:
        os.close(follower)
        shown = b""
        while part := _read(leader):
            shown += part
    os.close(leader)
    assert program.returncode == 0, shown
    return shown.decode().replace("\r\n", "\n")


def _read(leader: int) -> bytes:
    try:
        return os.read(leader, 65_536)
    except OSError:  # the other side has closed it
        return b""


def test_a_terminal_of_80_columns_has_the_rest_below() -> None:
    code = (
        f"from {listing.__name__} import *\n"
        "rows = [Row(('firing', '2026-11-24 00:11'), ('summary ' * 12, 'k=\"' + 'v' * 90 + '\"'), 'red')]\n"
        "print_rows(Titles(('STATE', 'SINCE (UTC)'), ('SUMMARY', 'LABELS')), rows)"
    )
    coloured = shown_in_terminal(code)
    assert "\x1b[31mfiring" in coloured
    shown = re.sub(r"\x1b\[[\d;]*m", "", coloured)
    lines = [line.rstrip() for line in shown.splitlines()]
    assert lines[:2] == ["STATE   SINCE (UTC)", "firing  2026-11-24 00:11"]
    assert all(line.startswith("  ") and len(line) <= 80 for line in lines[2:])
    assert "".join(lines[2:]).replace(" ", "") == "summary" * 12 + 'k="' + "v" * 90 + '"'
    assert "\x1b[31m" not in shown_in_terminal(code, NO_COLOR="1")


def test_numbers_and_times_are_told_as_people_and_programs_read_them() -> None:
    assert [counted(number, "alert") for number in (0, 1, 1_234)] == ["0 alerts", "1 alert", "1,234 alerts"]
    assert minute(1_790_000_000_000) == "2026-09-21 14:13"
    assert iso(1_790_000_000_000) == "2026-09-21T14:13:20.000Z"
    assert iso(None) is None
