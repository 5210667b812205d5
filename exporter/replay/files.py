"""Files of spans, plain or gzip, one JSON document a line or one in the whole file."""

import gzip
import io
import json
import os
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, Final

from spanbudget.exporter.replay.span_json import MalformedSpanError, SpanDecoder
from spanbudget.processors.errors import InputError
from spanbudget.processors.spans import SpanRecord

LINE_MAX: Final = 64 << 20
"""Longest line that is read, and longest document over several lines, bytes (64 MiB)."""
_GZIP_MAGIC: Final = b"\x1f\x8b"


class SpanFile:
    """One file of spans.

    Args:
        path: The file.

    Attributes:
        problems: Lines that could not be read, each `file:line: why`.
        position: Bytes of the file that have been read so far.
        decoder: Counts malformed spans.

    Raises:
        InputError: The file cannot be read. It is opened when its spans are read, so that any number of files
            may wait.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.problems: list[str] = []
        self.decoder = SpanDecoder()
        self.position = 0
        try:
            if path.is_dir():
                raise InputError(f"{path}: is a folder; give the files in it")
            path.stat()
        except OSError as error:
            raise InputError(f"{path}: cannot be read: {error.strerror}") from error
        if not os.access(path, os.R_OK):
            raise InputError(f"{path}: cannot be read: no permission")

    def spans(self) -> Iterator[SpanRecord]:
        """The spans in the order of the file; what cannot be read goes to `problems`."""
        number = 0
        try:
            with self.path.open("rb") as raw:
                magic = raw.read(2)
                raw.seek(0)
                stream = io.BufferedReader(gzip.GzipFile(fileobj=raw)) if magic == _GZIP_MAGIC else raw
                for number, line in enumerate(_lines(stream), 1):
                    self.position = raw.tell()
                    yield from self._line(line, number, stream)
        except (OSError, EOFError, zlib.error) as error:
            self._complain(number + 1, f"the rest cannot be read: {error}")

    def _line(self, line: bytes, number: int, stream: BinaryIO | io.BufferedReader) -> Iterator[SpanRecord]:
        if not line.strip():
            return
        if len(line) > LINE_MAX:
            self._complain(number, f"longer than {LINE_MAX >> 20} MiB; split the file")
            return
        if number == 1 and line.strip() in (b"{", b"["):
            line += stream.read(LINE_MAX)  # one document over several lines
        try:
            document = json.loads(line)
            for one in document if isinstance(document, list) else (document,):
                yield from self.decoder.spans(one)
        except MalformedSpanError as error:
            self._complain(number, str(error))
        except (ValueError, RecursionError) as error:
            self._complain(number, f"not JSON: {_reason(error)}")

    def _complain(self, number: int, why: str) -> None:
        self.problems.append(f"{self.path}:{number}: {why}")


def _lines(stream: BinaryIO | io.BufferedReader) -> Iterator[bytes]:
    """The lines of a stream; of a line that is too long, `LINE_MAX` + 1 bytes, and the rest is skipped."""
    while line := stream.readline(LINE_MAX + 1):
        yield line
        while len(line) > LINE_MAX and not line.endswith(b"\n"):
            line = stream.readline(LINE_MAX + 1)
            if not line:
                return


def _reason(error: Exception) -> str:
    """Why, without any of the text: a line may hold a prompt."""
    if isinstance(error, json.JSONDecodeError):
        return f"{error.msg} at character {error.pos + 1}"
    return type(error).__name__
