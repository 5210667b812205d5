"""Keyed hashes of what was asked, where the application opted in: equal requests, and equal beginnings.

Contents are read here, hashed and forgotten: they are kept nowhere, and no error names them. Without an
opt-in nothing of this runs.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from hashlib import blake2b
from typing import Any, Final

from spanbudget.processors.dialects import CONTENT, CONTENT_PARAMETERS, CONTENT_PREFIXES
from spanbudget.processors.usage_text import parse_mapping

KEY_BYTES_MIN: Final = 16
"""A shorter key could be found by trying, and then whoever has the ledger could test guessed prompts."""
TEXT_MAX: Final = 8 << 20
"""Longest contents of one attribute that are hashed, characters (8 Mi); no model takes more."""
SHARE_UNKNOWN: Final = 255
"""The lowest byte of a prefix hash where the share of the prompt is not known; else the share is it / 254."""

_SHARE_STEPS: Final = 254
_PROMPT: Final = b"sb-prompt"
_PREFIX: Final = b"sb-prefix"
_INT64_MIN: Final = -(2**63)
_LEADING: Final = ("system", "developer")
_SYSTEM_KEYS: Final = ("system", "instructions", "system_instruction", "system_prompt", "systemInstruction")
_TOOL_KEYS: Final = ("tools", "functions", "toolConfig", "tool_config")
_MESSAGE_KEYS: Final = ("messages", "input", "contents", "prompt", "inputs", "texts")


class ContentHasher:
    """Hashes contents of requests.

    Args:
        key: The secret, `KEY_BYTES_MIN` bytes or more; None where contents are not to be read, so that only
            hashes count that the application makes itself.
    """

    def __init__(self, key: bytes | None = None) -> None:
        # BLAKE2b takes keys of 64 bytes at most.
        self._key = b"" if key is None else blake2b(key, digest_size=64).digest()
        self._reads_contents = key is not None

    def hashes(
        self, attributes: Mapping[str, object], told_prompt: object = None, told_prefix: object = None
    ) -> tuple[int | None, int | None]:
        """The hashes of a request and of its beginning, int64; each None where nothing is known to hash.

        The lowest byte of the second is no part of the hash: it tells which share of the prompt's characters
        the beginning has; see `split_prefix`.

        Args:
            attributes: Attributes of the span.
            told_prompt: What the application says to be equal for equal requests; goes before the contents.
            told_prefix: What it says to be equal for equal instructions and tools.
        """
        prompt, prefix = self._told(_PROMPT, told_prompt), self._told(_PREFIX, told_prefix)
        share = SHARE_UNKNOWN
        if self._reads_contents and (prompt is None or prefix is None):
            parts = _parts_of(attributes)
            if parts is not None:
                lead, rest, parameters = parts
                if prefix is None and lead:
                    prefix = self._hash(_PREFIX, lead)
                    share = _share(lead, rest)
                if prompt is None and rest:
                    prompt = self._hash(_PROMPT, [*lead, "", *rest, "", *parameters])
        return prompt, None if prefix is None else (prefix & ~0xFF) | share

    def _told(self, purpose: bytes, text: object) -> int | None:
        if text is None or isinstance(text, bool) or not isinstance(text, (str, int)):
            return None
        return self._hash(purpose, [str(text)])

    def _hash(self, purpose: bytes, parts: Sequence[str]) -> int:
        """64 bits of a keyed hash as a signed integer; any part may be any text."""
        digest = blake2b(digest_size=8, key=self._key, person=purpose)
        for part in parts:
            data = part.encode("utf-8", "surrogatepass")
            digest.update(len(data).to_bytes(8, "big"))
            digest.update(data)
        number = int.from_bytes(digest.digest(), "big", signed=True)
        return number if number >> 8 != _INT64_MIN >> 8 else 0  # the ledger's writer takes it for "absent"


def split_prefix(prefix_hash: int) -> tuple[int, float | None]:
    """The hash of a request's beginning, and its share of the prompt's characters (0 to 1; None: unknown)."""
    share = prefix_hash & 0xFF
    return prefix_hash >> 8, None if share == SHARE_UNKNOWN else share / _SHARE_STEPS


def _share(lead: Sequence[str], rest: Sequence[str]) -> int:
    beginning, whole = sum(map(len, lead)), sum(map(len, (*lead, *rest)))
    return round(_SHARE_STEPS * beginning / whole) if whole else SHARE_UNKNOWN


class _UnreadableError(Exception):
    """Contents are cut off or too long: a hash of them would take different requests for equal ones."""


def _parts_of(attributes: Mapping[str, object]) -> tuple[list[str], list[str], list[str]] | None:
    """The beginning, the messages and the parameters of a request; None where its contents are cut off."""
    try:
        lead = [*_whole(attributes, "system"), *_tools(attributes)]
        first, rest = _messages(attributes)
        parameters = list(_parameters(attributes))
    except (_UnreadableError, RecursionError):
        return None
    return [*first, *lead], rest, parameters


def _whole(attributes: Mapping[str, object], kind: str) -> Iterator[str]:
    """Contents that one attribute holds, in one form."""
    for key in CONTENT[kind]:
        value = attributes.get(key)
        if value is not None and value != "":
            yield _canonical(_parsed(value))
            return


def _tools(attributes: Mapping[str, object]) -> Iterator[str]:
    yield from _whole(attributes, "tools")
    for _, pairs in _numbered(attributes, "tools"):
        yield _canonical(pairs)


def _messages(attributes: Mapping[str, object]) -> tuple[list[str], list[str]]:
    """The instructions at the beginning of the messages, and the other messages."""
    for key in CONTENT["messages"]:
        value = attributes.get(key)
        if value is not None and value != "":
            return _split(_parsed(value))
    flat = [pairs for _, pairs in _numbered(attributes, "messages")]
    if flat:
        return _split([{**pairs, "role": _role_of(pairs)} for pairs in flat])
    for key in CONTENT["request"]:
        value = attributes.get(key)
        if value is not None and value != "":
            return _of_request(_parsed(value))
    return [], []


def _of_request(request: Any) -> tuple[list[str], list[str]]:
    """The parts of a whole request; its other keys are parameters, or change nothing."""
    if not isinstance(request, Mapping):
        return _split(request)
    lead: list[str] = [_canonical(request[key]) for key in (*_SYSTEM_KEYS, *_TOOL_KEYS) if request.get(key)]
    asked = [request[key] for key in _MESSAGE_KEYS if request.get(key)]
    if not asked:
        return lead, [_canonical(request)]
    parameters = [
        f"{key}={_canonical(request[key])}"
        for key in sorted(CONTENT_PARAMETERS)
        if request.get(key) is not None
    ]
    first: list[str] = []
    rest: list[str] = []
    for one in asked:
        leading, others = _split(one)
        first += leading
        rest += others
    return [*first, *lead], [*rest, *parameters]


def _split(messages: Any) -> tuple[list[str], list[str]]:
    """Instructions at the beginning, and what follows them."""
    if not isinstance(messages, Sequence) or isinstance(messages, str):
        return [], [_canonical(messages)]
    count = 0
    for message in messages:
        if not isinstance(message, Mapping) or message.get("role") not in _LEADING:
            break
        count += 1
    written = [_canonical(message) for message in messages]
    return written[:count], written[count:]


def _numbered(attributes: Mapping[str, object], kind: str) -> list[tuple[tuple[str, int], dict[str, object]]]:
    """Attributes of the form `<prefix><number>.<part>`, by prefix and number."""
    found: dict[tuple[str, int], dict[str, object]] = {}
    prefixes = CONTENT_PREFIXES[kind]
    for key, value in attributes.items():
        if not key.startswith(prefixes) or value is None:
            continue
        prefix = next(one for one in prefixes if key.startswith(one))
        number, _, part = key[len(prefix) :].partition(".")
        if number.isdecimal() and len(number) < 9 and not part.endswith("vector"):
            _expect_whole(value)
            found.setdefault((prefix, int(number)), {})[part] = value
    return sorted(found.items())


def _role_of(pairs: Mapping[str, object]) -> object:
    return next((value for key, value in pairs.items() if key in ("role", "message.role")), None)


def _parameters(attributes: Mapping[str, object]) -> Iterator[str]:
    told = {
        name: attributes[key] for key, name in CONTENT_PARAMETERS.items() if "." in key and key in attributes
    }
    for key in CONTENT["parameters"]:
        value = attributes.get(key)
        given = parse_mapping(value) if isinstance(value, str) else value
        for name, one in given.items() if isinstance(given, Mapping) else ():
            if name in CONTENT_PARAMETERS:
                told.setdefault(name, one)
    for name in sorted(told):
        if told[name] is not None:
            yield f"{name}={_canonical(told[name])}"


def _parsed(value: object) -> Any:
    """A value, parsed where it is JSON."""
    _expect_whole(value)
    if isinstance(value, str) and value[:1] in ("[", "{"):
        try:
            return json.loads(value)
        except ValueError:
            # Cut off at an attribute's length limit, as a rule.
            raise _UnreadableError from None
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_parsed(one) for one in value]
    return value


def _expect_whole(value: object) -> None:
    if isinstance(value, str) and len(value) > TEXT_MAX:
        raise _UnreadableError


def _canonical(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True, default=str)
