"""Reads the usage out of an answer while its bytes pass, and restores what the application expects.

The usage of a chat stream comes in a chunk of its own, and every chunk before it has `"usage": null`, once
it was asked for. Where the guard asked and the application did not, that chunk is dropped and those nulls are
cut out; every other byte stays as it was.

Answers are asked for without compression (`accept-encoding: identity`): a copy would have to be decompressed
beside the application's own, and a chunk cannot be cut out of compressed bytes. A server that compresses all
the same with gzip or deflate is decompressed here, and its header taken off; any other coding passes unread.
"""

import json
import re
import zlib
from collections.abc import Callable, Mapping
from typing import Any, Final

from spanbudget.exporter.guard.answers import Answer
from spanbudget.exporter.guard.events import EventSplitter, data_of
from spanbudget.exporter.guard.faults import Faults
from spanbudget.exporter.guard.requests import Api

WHOLE_BYTES_MAX: Final = 4 * 1024 * 1024
"""Largest JSON answer that is parsed; of a larger one (embeddings, images) only the end is kept."""
TAIL_BYTES: Final = 64 * 1024
"""The end of a large answer, where the usage stands behind the data."""
_parse: Final = json.JSONDecoder().decode
DECODED: Final = frozenset({"gzip", "x-gzip", "deflate"})
_GZIP_OR_ZLIB: Final = 47  # 32 tells zlib to look which of the two it is, 15 is the largest window
_NULL_USAGE: Final = re.compile(rb',\s*"usage"\s*:\s*null(?=\s*[,}])|(?<=\{)"usage"\s*:\s*null\s*,\s*')
_NULL_BYTES_MAX: Final = 40
"""Most bytes around `"usage"` that are looked at, with any spaces."""
_RESPONSE_TYPES: Final = re.compile(rb'"response\.(?:created|completed|incomplete|failed|cancelled)"')
_USAGE_KEY: Final = re.compile(rb'"usage(?:Metadata)?"\s*:\s*(?=\{)')


class AnswerReader:
    """Reads one answer; memory is bounded, whatever comes.

    Args:
        api: The interface that answers.
        content_type: Header of the answer.
        encoding: How it is compressed; "" where it is not.
        faults: Where faults are counted; an event that cannot be understood passes all the same.
        drops_usage: Whether the usage was asked for on the application's behalf.

    Attributes:
        answer: What was learned so far.
        readable: False where the answer is compressed in a way that is not known: it passes.
    """

    __slots__ = (
        "_api", "_cut", "_drops_usage", "_events", "_faults", "_inflate", "_is_only_text", "_whole", "answer",
        "readable",
    )  # fmt: skip

    def __init__(
        self, api: Api, content_type: str, *, faults: Faults, encoding: str = "", drops_usage: bool = False
    ) -> None:
        self.answer = Answer()
        self.readable = True
        self._api = api
        self._faults = faults
        self._drops_usage = drops_usage
        self._inflate: Any = None
        self._events: EventSplitter | None = None
        self._whole = bytearray()
        self._cut = False
        if encoding:
            self._uncompress(encoding.strip().lower())
        if content_type.startswith("text/event-stream"):
            self._events = EventSplitter()
            self._is_only_text = _ONLY_TEXT.get(api, _never)

    def _uncompress(self, encoding: str) -> None:
        if encoding in DECODED:
            self._inflate = zlib.decompressobj(_GZIP_OR_ZLIB)
        elif encoding != "identity":
            self.readable = False

    @property
    def decodes(self) -> bool:
        """Whether what is handed on is no longer compressed."""
        return self._inflate is not None

    def feed(self, data: bytes) -> bytes:
        """Takes the next bytes; returns what the application is to get."""
        if not self.readable:
            return data
        if self._inflate is not None:
            data = self._inflate.decompress(data)
        if self._events is None:
            self._whole += data
            if len(self._whole) > WHOLE_BYTES_MAX or self._cut:
                self._shorten()
            return data
        pieces = list(self._events.feed(data))
        if not self._drops_usage:
            for piece, readable in pieces:
                if readable:
                    self._read(piece)
            return data
        return b"".join(self._restored(piece) if readable else piece for piece, readable in pieces)

    def finish(self) -> bytes:
        """Says that the answer is at its end; returns what was still held back."""
        if self._events is None:
            self._read_whole()
            return b""
        rest = self._events.rest()
        if not self._drops_usage:
            self._read(rest)
            return b""
        return self._restored(rest)

    def _restored(self, piece: bytes) -> bytes:
        cut = _without_null_usage(piece)
        event = self._read(cut)
        if event is not None and event.get("choices") == [] and isinstance(event.get("usage"), dict):
            return b""
        return cut

    def _read(self, piece: bytes) -> dict[str, Any] | None:
        """Learns from an event; returns it where it tells more than text."""
        answer = self.answer
        if answer.response_id is not None and self._is_only_text(piece):
            return None
        data = data_of(piece)
        if not data.startswith(b"{"):
            if data.startswith(b"[DONE]"):
                answer.finished = True
                answer.final = bool(answer.usage)
            return None
        try:
            event = _parse(data.decode())
        except (ValueError, RecursionError):
            return None
        if not isinstance(event, dict):
            return None
        with self._faults:
            answer.take(self._api, event)
        return event

    def _shorten(self) -> None:
        if not self._cut or len(self._whole) > 2 * TAIL_BYTES:
            self._cut = True
            del self._whole[:-TAIL_BYTES]

    def _read_whole(self) -> None:
        if self._cut:
            self._read_tail()
            return
        try:
            body = _parse(self._whole.decode())
        except (ValueError, RecursionError):
            return
        finally:
            self._whole.clear()
        self.answer.take_whole(self._api, body)

    def _read_tail(self) -> None:
        """The last usage object; inside a text its name would be escaped."""
        text = bytes(self._whole)
        self._whole.clear()
        ends = [found.end() for found in _USAGE_KEY.finditer(text)]
        if not ends:
            return
        try:
            usage, _ = json.JSONDecoder().raw_decode(text[ends[-1] :].decode(errors="replace"))
        except (ValueError, RecursionError):
            return
        name = "usageMetadata" if self._api in (Api.GENERATE, Api.EMBED) else "usage"
        self.answer.take_whole(self._api, {name: usage})


# Inside a text every quote is escaped, so what is looked for here are names of the event's own JSON.


def _without_null_usage(piece: bytes) -> bytes:
    """An event without its `"usage": null`; as it is where it has none, or more than one usage."""
    at = piece.find(b'"usage"')
    if at < 0 or piece.find(b'"usage"', at + 1) >= 0:
        return piece
    null = _NULL_USAGE.search(piece, max(0, at - _NULL_BYTES_MAX), at + _NULL_BYTES_MAX)
    return piece if null is None else piece[: null.start()] + piece[null.end() :]


def _is_chat_text(piece: bytes) -> bool:
    return (
        (b'"finish_reason":null' in piece or b'"finish_reason": null' in piece)
        and (b'"usage"' not in piece or b'"usage":null' in piece)
        and b'"error"' not in piece
    )


def _is_response_text(piece: bytes) -> bool:
    return b'.delta"' in piece and _RESPONSE_TYPES.search(piece) is None and b'"error"' not in piece


def _never(_: bytes) -> bool:
    return False


_ONLY_TEXT: Final[Mapping[Api, Callable[[bytes], bool]]] = {
    Api.CHAT: _is_chat_text, Api.COMPLETIONS: _is_chat_text, Api.RESPONSES: _is_response_text,
}  # fmt: skip
"""Events of long streams that need not be parsed; those of other interfaces all are."""
