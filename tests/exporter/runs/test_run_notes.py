"""Notes survive what processes may do, and stay small."""

from pathlib import Path

import pytest

from spanbudget.exporter.runs import notes as noting
from spanbudget.exporter.runs.notes import Notes, own_notes


def test_notes_of_many_processes_are_read_in_their_order(tmp_path: Path) -> None:
    Notes(tmp_path).process(capped=True)
    Notes(tmp_path).refusal("run", "limit", "no " * 1000)
    first, second = Notes(tmp_path).read()
    assert first["capped"] is True
    assert (second["budget"], second["reason"], len(second["message"])) == ("run", "limit", 400)


def test_a_line_that_was_cut_off_is_left_out(tmp_path: Path) -> None:
    notes = Notes(tmp_path)
    notes.process(capped=False)
    with (tmp_path / "notes.jsonl").open("a") as file:
        file.write('{"process": 12, "exec\n7\n')
    assert len(notes.read()) == 1


def test_there_is_a_bound(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(noting, "NOTES_BYTES_MAX", 300)
    for _ in range(100):
        Notes(tmp_path).process(capped=True)
    assert (tmp_path / "notes.jsonl").stat().st_size < 600


def test_a_run_that_has_ended_is_told_nothing(tmp_path: Path) -> None:
    gone = Notes(tmp_path / "gone")
    gone.refusal("run", "limit", "no")
    assert gone.read() == []


def test_outside_of_a_run_there_is_nobody_to_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPANBUDGET_RUN", raising=False)
    assert own_notes() is None
