"""Token counts as reported, turned into disjoint buckets with a confidence."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from spanbudget.processors.call import TOKENS_MAX, Usage, UsageConfidence
from spanbudget.processors.dialects import RARE_FIELDS, CacheReport, Field, ScopeRule
from spanbudget.processors.spans import STATUS_OK

_COUNTS: Final = tuple(range(Field.INPUT, Field.IMAGE_INPUT + 1))
OPENAI_CACHE_MIN: Final = 1_024
"""Shortest prompt that OpenAI caches, tokens."""
_WITHOUT_REASONING: Final = ("gpt-3", "gpt-4", "chatgpt-4", "text-", "ft:gpt-3", "ft:gpt-4")
_WITHOUT_CACHE_WRITES: Final = (
    "gpt-3",
    "gpt-4",
    "chatgpt-4",
    "o1",
    "o3",
    "o4",
    "text-",
    "ft:gpt-3",
    "ft:gpt-4",
)
"""OpenAI models from before cache writes were counted."""


def plain_usage(found: list[object]) -> Usage | None:
    """The buckets of a span whose scope needs no second thought (`ScopeRule.plain`); None where it does.

    This is `usage_of` for the common case: whole, believable counts with the cached tokens inside the input.
    """
    prompt, output = found[Field.INPUT], found[Field.OUTPUT]
    read, write, reasoning = found[Field.CACHE_READ], found[Field.CACHE_WRITE], found[Field.REASONING]
    if read is None:
        read = 0
    if write is None:
        write = 0
    if not (type(prompt) is int and type(output) is int and type(read) is int and type(write) is int):
        return None
    if read < 0 or write < 0 or not 0 < output <= TOKENS_MAX or not read + write <= prompt <= TOKENS_MAX:
        return None
    if reasoning is not None and (type(reasoning) is not int or not 0 <= reasoning <= output):
        return None
    if write or found[RARE_FIELDS] != _NONE_RARE:
        return None
    # Usage(...) without its __new__ in Python: half the time.
    return tuple.__new__(Usage, (prompt - read, read, 0, 0, 0, output, reasoning, None, None, None, None))


_NONE_RARE: Final[list[object]] = [None] * (RARE_FIELDS.stop - RARE_FIELDS.start)


@dataclass(frozen=True, slots=True)
class Reading:
    """Everything that decides how the counts of one span are to be understood.

    Attributes:
        found: The values by `Field`.
        rule: The rule of the scope.
        version: The scope's version.
        provider: Normalised provider.
        model: Normalised model.
        asked: The model asked for, as spelled, "" where unknown.
        attributes: All attributes, in the order in which the emitter set them.
        embeddings: The call made embeddings: no output, no cache.
        aggregate: The span is an agent's or a workflow's.
        stream: The span says that it streamed.
        finish: The span has a finish reason.
        status: Status of the span.
        inside: Whether the input count includes cached tokens; None: nobody knows.
        complete: The counts come from the provider's whole usage object: what is absent is 0.
    """

    found: list[object]
    rule: ScopeRule
    version: str
    provider: str | None
    model: str | None
    asked: str
    attributes: Mapping[str, object]
    embeddings: bool
    aggregate: bool
    stream: bool
    finish: bool
    status: int
    inside: bool | None
    complete: bool


def usage_of(reading: Reading) -> tuple[Usage, UsageConfidence, Sequence[str], Sequence[str]]:
    """Makes the buckets of one span disjoint.

    Returns:
        The usage, its confidence, the reasons, and the names of values that were malformed.
    """
    bad: list[str] = []
    counts = _numbers(reading.found, bad)
    doubts = ["bad_value"] if bad else []
    notes: list[str] = []
    if reading.rule.output_from_total and counts[Field.TOTAL] is not None and counts[Field.INPUT] is not None:
        counts[Field.OUTPUT] = None  # taken from the total instead
    prompt, output = _totals(counts, embeddings=reading.embeddings)
    if not prompt and not output and not counts[Field.CACHE_READ] and not counts[Field.CACHE_WRITE]:
        return Usage(), "unknown", (*doubts, "zero_usage"), bad
    output = _corrected_output(reading, counts, output, doubts, notes)
    _doubt_completeness(reading, output, doubts)
    read, write = counts[Field.CACHE_READ], counts[Field.CACHE_WRITE]
    short, long = counts[Field.CACHE_WRITE_5M], counts[Field.CACHE_WRITE_1H]
    if not write and (short or long):  # LangChain loses the total where it has the lifetimes
        write = (short or 0) + (long or 0)
    read, write = _cache_counts(reading, prompt, read, write, doubts)
    uncached = _uncached(reading, prompt, read, write, doubts)
    short, long = _lifetimes(write, short, long)
    if uncached is None or output is None:
        doubts.append("input_not_reported" if uncached is None else "output_not_reported")
        confidence: UsageConfidence = "unknown"
    else:
        confidence = "estimated" if doubts else "exact"
    usage = Usage(
        uncached, read, write, short, long, output,
        _at_most(counts[Field.REASONING], output),
        _at_most(counts[Field.AUDIO_INPUT], uncached),
        _at_most(counts[Field.AUDIO_OUTPUT], output),
        _at_most(counts[Field.AUDIO_CACHE_READ], read),
        _at_most(counts[Field.IMAGE_INPUT], uncached),
    )  # fmt: skip
    return usage, confidence, (*doubts, *notes) if doubts or notes else (), bad


def _numbers(found: list[object], bad: list[str]) -> list[int | None]:
    """The counts as integers; what is no count from 0 to `TOKENS_MAX` becomes None and is named in `bad`."""
    numbers: list[int | None] = [None] * (Field.IMAGE_INPUT + 1)
    for field in _COUNTS:
        value = found[field]
        if value is None:
            continue
        if isinstance(value, str) and len(value) <= 10 and value.isascii() and value.isdigit():
            value = float(value)  # 10 digits are exact
        if type(value) is int:
            number = value
        elif isinstance(value, float) and value.is_integer():
            number = int(value)
        else:
            bad.append("bad_token_count")
            continue
        if 0 <= number <= TOKENS_MAX:
            numbers[field] = number
        else:
            bad.append("bad_token_count")
    return numbers


def _totals(counts: list[int | None], *, embeddings: bool) -> tuple[int | None, int | None]:
    prompt, output, total = counts[Field.INPUT], counts[Field.OUTPUT], counts[Field.TOTAL]
    if embeddings:
        return (prompt if prompt is not None else total), output or 0
    if total is not None:
        if prompt is None and output is not None and total >= output:
            prompt = total - output
        elif output is None and prompt is not None and total >= prompt:
            output = total - prompt
    return prompt, output


def _corrected_output(
    reading: Reading, counts: list[int | None], output: int | None, doubts: list[str], notes: list[str]
) -> int | None:
    """Mends what a version of an emitter is known to get wrong, and doubts what it may get wrong."""
    rule = reading.rule
    if output is None:
        return None
    if rule.plus_one_versions and _streamed(reading):
        if reading.version.startswith(rule.plus_one_versions) and output > 0:
            notes.append("corrected_stream_output")
            return output - 1
        doubts.append("stream_output_doubt")
    reasoning = counts[Field.REASONING]
    if rule.double_reasoning and reasoning and "/" in reading.asked:
        if reading.version.startswith(rule.double_reasoning_versions) and output >= 2 * reasoning:
            notes.append("corrected_double_reasoning")
            return output - reasoning
        doubts.append("reasoning_doubt")
    if reasoning is not None and reasoning > output:
        doubts.append("reasoning_exceeds_output")
    return output


def _streamed(reading: Reading) -> bool:
    """OpenLLMetry's stream handler sets the response model after the usage; its other handler before it."""
    if reading.stream:
        return True
    order = list(reading.attributes)
    usage, model = "gen_ai.usage.output_tokens", "gen_ai.response.model"
    return usage in order and model in order and order.index(model) > order.index(usage)


def _doubt_completeness(reading: Reading, output: int | None, doubts: list[str]) -> None:
    rule = reading.rule
    if reading.embeddings or reading.aggregate:
        return
    if rule.guesses_streams and reading.stream and reading.found[Field.CACHE_READ] is None:
        doubts.append("guessed_by_emitter")
    ends_badly = (rule.sets_ok and reading.status != STATUS_OK) or (rule.sets_finish and not reading.finish)
    anthropic_start = (
        reading.provider == "anthropic" and reading.stream and not reading.finish and (output or 0) <= 1
    )
    if ends_badly or anthropic_start:
        doubts.append("aborted_stream")


def _cache_counts(
    reading: Reading, prompt: int | None, read: int | None, write: int | None, doubts: list[str]
) -> tuple[int | None, int | None]:
    """Absent cache counts: 0 where the emitter would have told, otherwise unknown and said so."""
    if reading.embeddings:
        return read or 0, write or 0
    told_read, told_write = _told(reading, reported=read is not None or write is not None)
    short = _too_short_to_cache(reading, prompt)
    nothing_lost = short and _keeps_details(reading)
    no_read = read is None and (told_read == "no" or (told_read == "when_present" and not nothing_lost))
    no_write = write is None and told_write != "yes" and not short and not _never_writes(reading)
    lost = write == 0 and reading.rule.doubts_zero_write and not _is_openai(reading.provider)
    if lost and reading.found[Field.RESPONSE_ID] is not None:
        doubts.append("zero_cache_write")
    if no_read and no_write:
        doubts.append("cache_not_reported")
    elif no_read:
        doubts.append("cache_read_not_reported")
    elif no_write:
        doubts.append("cache_write_not_reported")
    return (None if no_read else read or 0), (None if no_write else write or 0)


def _told(reading: Reading, *, reported: bool) -> tuple[CacheReport, CacheReport]:
    """What an absent count of cache reads and of cache writes means on this span."""
    rule = reading.rule
    openai = _is_openai(reading.provider)
    by_method = rule.cache_methods is not None and reading.attributes.get("rpc.method") in rule.cache_methods
    vouched = rule.tier_vouches and (reading.found[Field.TIER] is not None or not openai)
    if reading.complete or vouched or by_method or (reported and not rule.known):
        return "yes", "yes"
    if rule.id_hides_cache and reading.found[Field.RESPONSE_ID] is not None:
        return "no", "no"
    if rule.cache_write_openai is not None and (openai or reading.provider is None):
        return rule.cache_read, rule.cache_write_openai
    return rule.cache_read, rule.cache_write


def _is_openai(provider: str | None) -> bool:
    return provider in ("openai", "azure.ai.openai")


def _too_short_to_cache(reading: Reading, prompt: int | None) -> bool:
    """OpenAI caches no prompt below 1,024 tokens (platform documentation, "Prompt caching")."""
    return _is_openai(reading.provider) and prompt is not None and prompt < OPENAI_CACHE_MIN


def _keeps_details(reading: Reading) -> bool:
    """Whether a span that shows no cache read may be believed where its emitter loses details now and then.

    What loses cache reads loses reasoning as well, so a model that reasons must show some.
    """
    without_reasoning = (reading.model or "").startswith(_WITHOUT_REASONING)
    return without_reasoning or reading.found[Field.REASONING] is not None


def _never_writes(reading: Reading) -> bool:
    return reading.provider == "openai" and (reading.model or "").startswith(_WITHOUT_CACHE_WRITES)


def _uncached(
    reading: Reading, prompt: int | None, read: int | None, write: int | None, doubts: list[str]
) -> int | None:
    if prompt is None:
        return None
    cached = (read or 0) + (write or 0)
    if cached > prompt:
        if reading.inside and not reading.complete:
            doubts.append("cache_exceeds_input")
        return prompt
    if reading.inside is None and cached:
        doubts.append("inclusion_unknown")
    return prompt if reading.inside is False else prompt - cached


def _lifetimes(write: int | None, short: int | None, long: int | None) -> tuple[int | None, int | None]:
    """The split of cache writes by lifetime, None where it is unknown or contradicts the total."""
    if write is None:
        return None, None
    if write == 0:
        return 0, 0
    if short is None and long is not None and long <= write:
        short = write - long
    elif long is None and short is not None and short <= write:
        long = write - short
    return (short, long) if short is not None and long is not None and short + long == write else (None, None)


def _at_most(part: int | None, whole: int | None) -> int | None:
    return part if part is None or (whole is not None and part <= whole) else None
