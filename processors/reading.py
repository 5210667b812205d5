"""From a span to an LLM call: one pass over the attributes, then the rules of the span's scope."""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias

from spanbudget.processors.attribution import Attribution
from spanbudget.processors.call import (
    NO_USAGE,
    TOKENS_MAX,
    ZERO_USAGE,
    LLMCall,
    PlainCall,
    Usage,
    UsageConfidence,
)
from spanbudget.processors.circumstances import Circumstances, deterministic_by, error_type, flag_of
from spanbudget.processors.content_hash import ContentHasher
from spanbudget.processors.dialects import (
    FIELD_COUNT,
    INFERENCE,
    INTERACTIVE_KEY,
    LITELLM_MARKS,
    LITELLM_RULE,
    OPERATION_NAMES,
    RULES,
    SPELLINGS,
    TEXT_FIELDS,
    UNKNOWN_SCOPE,
    Field,
    ScopeRule,
    rule_for,
)
from spanbudget.processors.model_names import ModelName, Namer
from spanbudget.processors.outcome import reason_without_usage
from spanbudget.processors.spans import SPAN_ID_END, STATUS_ERROR, TRACE_ID_END, SpanRecord
from spanbudget.processors.tokens import Reading, plain_usage, usage_of
from spanbudget.processors.usage_text import counts_of, details_of, parse_mapping

TIME_MAX_NS: Final = 7_258_118_400_000_000_000
"""2200-01-01; a span that ends later has a broken clock."""
_PLAIN_TIERS: Final = frozenset({"default", "auto", "standard", "standard_only", "on_demand"})


class SpanReader:
    """Reads spans of every dialect.

    Args:
        attribution: Where labels come from.
        namer: Normalises providers and models.
        scopes: Rules from the configuration by scope name; they replace the built-in ones.
        hash_key: The secret of the application that opted into hashes of contents; None never reads any.

    Attributes:
        rejected: How many spans or values were malformed, by reason.
    """

    def __init__(
        self,
        *,
        attribution: Attribution | None = None,
        namer: Namer | None = None,
        scopes: Mapping[str, ScopeRule] | None = None,
        hash_key: bytes | None = None,
    ) -> None:
        self._attribution = attribution or Attribution()
        self._namer = namer or Namer()
        self._rules = {**RULES, **(scopes or {})}
        self._slots: dict[str, tuple[int, int]] = {
            key: (int(field), rank) for field, keys in SPELLINGS.items() for rank, key in enumerate(keys)
        }
        self._also: dict[str, tuple[int, int]] = {}  # keys that the configuration also makes labels
        for key, slot in self._attribution.spellings.items():
            (self._also if key in self._slots else self._slots)[key] = slot
        self._width = FIELD_COUNT + len(self._attribution.names)
        self._blank: list[object] = [None] * self._width
        self._last: list[int] = [99] * self._width
        self._shapes: dict[tuple[object, ...], _Shape | None] = {}
        self._places: dict[tuple[str, ...], _Places | None] = {}
        self._circumstances = Circumstances()
        self._hasher = ContentHasher(hash_key)
        self._hashes_contents = hash_key is not None
        self._resource: Mapping[str, object] | None = (
            None  # of the last span, and what it says of all its spans
        )
        self._resource_flag: bool | None = None
        self.rejected: dict[str, int] = {}

    def read(self, span: SpanRecord) -> LLMCall | None:
        """The call that a span describes; None where it describes none, or is malformed (`rejected`)."""
        found = self._collect(span.attributes)
        if span.scope == "litellm" and span.name == "raw_gen_ai_request":
            _add_raw_request(found, span.attributes)
        shape = self._shape(span, found)
        if shape is None:
            return None
        if (
            found[Field.INPUT] is None
            and found[Field.OUTPUT] is None
            and found[Field.TOTAL] is None
            and found[Field.USAGE_TEXT] is None
            and not shape.inference
        ):
            return None
        if not (
            0 < span.trace_id < TRACE_ID_END
            and 0 < span.span_id < SPAN_ID_END
            and 0 <= span.parent_id < SPAN_ID_END
            and 0 < span.end_ns < TIME_MAX_NS
        ):
            reason = _unsound(span)
            self.rejected[reason] = self.rejected.get(reason, 0) + 1
            return None
        call = self._call(span, found, shape)
        return None if shape.aggregate and call.usage is NO_USAGE else call

    def _shape(self, span: SpanRecord, found: list[object]) -> "_Shape | None":
        """What all spans with the same scope, names and operation have in common; None where not counted."""
        marked = span.scope not in self._rules and any(mark in span.attributes for mark in LITELLM_MARKS)
        key = (span.scope, marked, *found[: Field.KIND + 1], "" if found[Field.OPERATION] else span.name)
        try:
            known = self._shapes.get(key, _UNSEEN)
        except TypeError:  # a list where a name belongs
            return self._work_out(span, found)
        if known is _UNSEEN:
            if len(self._shapes) >= _SHAPES_MAX:
                self._shapes.clear()
            known = self._shapes[key] = self._work_out(span, found)
        return known  # type: ignore[return-value]

    def _work_out(self, span: SpanRecord, found: list[object]) -> "_Shape | None":
        rule = rule_for(span.scope, self._rules)
        if rule is None:
            litellm = any(mark in span.attributes for mark in LITELLM_MARKS)
            rule = LITELLM_RULE if litellm else UNKNOWN_SCOPE
        if rule.ignore:
            return None
        operation, aggregate = _operation(found, span)
        provider, asked, answered = (
            _text(found[field]) for field in (Field.PROVIDER, Field.REQUEST_MODEL, Field.RESPONSE_MODEL)
        )
        name = self._namer.name(provider, asked, answered)
        if name.provider is None:
            behind = _text(found[Field.PROVIDER_MODEL])
            if behind is not None and "/" in behind:
                name = self._namer.name(provider, behind, answered)
            if name.provider is None and rule.provider is not None:
                name = self._namer.name(rule.provider, asked, answered)
        spoken = "chat" if operation is None else OPERATION_NAMES.get(operation, operation)
        return _Shape(
            rule=rule,
            plain=rule.plain and not aggregate and spoken != "embeddings",
            operation=spoken,
            inference=operation is not None and not aggregate,
            aggregate=aggregate,
            name=name,
            asked=asked,
            answered=answered,
        )

    def _collect(self, attributes: Mapping[str, object]) -> list[object]:
        """The best value of each field; where a span has several spellings, the first of the table wins.

        One emitter sets the same keys again and again, so what is where is worked out once for each set.
        """
        keys = tuple(attributes)
        places = self._places.get(keys, _UNSEEN)
        if places is _UNSEEN:
            places = self._places_of(keys)
        if places is not None:
            values = list(attributes.values())
            if "" not in values:
                found = self._blank.copy()
                for index, place in places:  # type: ignore[attr-defined]
                    found[place] = values[index]
                return found
        return self._collect_slowly(attributes)

    def _places_of(self, keys: tuple[str, ...]) -> "_Places | None":
        """Which value goes to which field.

        None where it depends on the values: two keys tell the same field, or one is also a label.
        """
        slots = self._slots
        places = tuple((index, slots[key][0]) for index, key in enumerate(keys) if key in slots)
        simple = len({place for _, place in places}) == len(places) and self._also.keys().isdisjoint(keys)
        if len(self._places) >= _SHAPES_MAX:
            self._places.clear()
        known = self._places[keys] = places if simple else None
        return known

    def _collect_slowly(self, attributes: Mapping[str, object]) -> list[object]:
        found = self._blank.copy()
        ranks: list[int] | None = None
        slots = self._slots
        for key, value in attributes.items():
            slot = slots.get(key)
            if slot is None or value is None or value == "":
                continue
            place, rank = slot
            if found[place] is None:
                found[place] = value
                if rank:
                    ranks = ranks or self._last.copy()
                    ranks[place] = rank
            elif ranks is not None and rank < ranks[place] < 99:
                found[place] = value
                ranks[place] = rank
        for key, (place, _) in self._also.items():
            if found[place] is None and attributes.get(key):
                found[place] = attributes[key]
        return found

    def _call(self, span: SpanRecord, found: list[object], shape: "_Shape") -> LLMCall:
        usage = plain_usage(found) if shape.plain else None
        confidence: UsageConfidence = "exact"
        reasons: tuple[str, ...] = ()
        plain = usage is not None
        if usage is None:
            usage, confidence, reasons = self._usage(span, found, shape)
        tier = found[Field.TIER]
        if type(tier) is str:
            tier = _TIERS.get(tier) or tier.lower()
        else:
            tier, doubt = _requested_tier(found)
            reasons = (*reasons, doubt) if doubt else reasons
        name = shape.name
        if name.note is not None:
            reasons = (*reasons, name.note)
        if shape.aggregate and confidence == "exact":
            confidence, reasons = "estimated", (*reasons, "agent_total")
        start, end, metadata = span.start_ns, span.end_ns, found[Field.METADATA]
        reported = claimed = None
        if found[Field.CLAIMED_COST] is not None or found[Field.COST_AMOUNT] is not None:
            reported, claimed = _costs(found, name.provider)
        searches = None if metadata is None else _web_searches(metadata)
        response_id = found[Field.RESPONSE_ID]
        sure = plain and not reasons and reported is None and claimed is None and searches is None
        failed = span.status == STATUS_ERROR or "not_billed" in reasons
        told_prompt, told_prefix = found[Field.PROMPT_HASH], found[Field.PREFIX_HASH]
        prompt_hash = prefix_hash = None
        if self._hashes_contents or told_prompt is not None or told_prefix is not None:
            prompt_hash, prefix_hash = self._hasher.hashes(span.attributes, told_prompt, told_prefix)
        if span.resource is not self._resource:
            self._resource, self._resource_flag = span.resource, flag_of(span.resource, INTERACTIVE_KEY)
        circumstances = (
            found[Field.FINISH], found[Field.TEMPERATURE], found[Field.INTERACTIVE],
            span.interactive, self._resource_flag,
        )  # fmt: skip
        try:
            finish, interactive, fixed = self._circumstances[circumstances]
        except TypeError:  # a list
            finish, interactive, fixed = self._circumstances.of_lists(circumstances)
        if fixed is None and found[Field.PARAMETERS] is not None:
            fixed = deterministic_by(found[Field.PARAMETERS])
        # The record without its __new__ in Python: half the time.
        return tuple.__new__(
            PlainCall if sure else LLMCall,
            (
                span.trace_id, span.span_id, span.parent_id, span.scope, name.provider, name.model,
                shape.asked, shape.answered, shape.operation, shape.aggregate, tier, usage, confidence,
                reasons, start if 0 < start <= end else end, end,
                failed,
                _answer_id(response_id) if type(response_id) is str else None,
                self._attribution.labels(found[FIELD_COUNT:], span.resource, metadata),
                reported, claimed, searches, prompt_hash, prefix_hash, finish,
                error_type(span, found, reasons) if failed or reasons else None, interactive, fixed,
            ),
        )  # fmt: skip

    def _usage(
        self, span: SpanRecord, found: list[object], shape: "_Shape"
    ) -> tuple[Usage, UsageConfidence, tuple[str, ...]]:
        rule = shape.rule
        from_text, complete = None, False
        if any(found[field] is not None for field in TEXT_FIELDS):
            from_text, complete = _add_text(found, span.scope, litellm=rule is LITELLM_RULE)
        stream, finish = _truth(found[Field.STREAM]), found[Field.FINISH] is not None
        silent = found[Field.INPUT] is None and found[Field.OUTPUT] is None and found[Field.TOTAL] is None
        # Some emitters write 0 where a call failed.
        if silent or (span.status == STATUS_ERROR and not any(found[Field.INPUT : Field.CACHE_WRITE + 1])):
            return _without_usage(span, found, stream=stream, answered=finish)
        reading = Reading(
            found=found,
            rule=rule,
            version=span.version,
            provider=shape.name.provider,
            model=shape.name.model,
            asked=shape.asked or "",
            attributes=span.attributes,
            embeddings=shape.operation == "embeddings",
            aggregate=shape.aggregate,
            stream=stream,
            finish=finish,
            status=span.status,
            inside=from_text if from_text is not None else rule.input_includes_cache,
            complete=complete,
        )
        usage, confidence, reasons, bad = usage_of(reading)
        for value in bad:
            self.rejected[value] = self.rejected.get(value, 0) + 1
        return usage, confidence, tuple(reasons)


@dataclass(frozen=True, slots=True)
class _Shape:
    """What spans with the same scope, names and operation have in common.

    Attributes:
        rule: Rule of the scope.
        plain: `plain_usage` may be tried.
        operation: Operation under its one name.
        inference: The span says that it is one call to a model.
        aggregate: The span's usage may repeat its children's.
        name: Normalised names.
        asked: The model asked for, as spelled.
        answered: The model that answered, as spelled.
    """

    rule: ScopeRule
    plain: bool
    operation: str
    inference: bool
    aggregate: bool
    name: ModelName
    asked: str | None
    answered: str | None


def _unsound(span: SpanRecord) -> str:
    """Why a span is refused that is not sound."""
    if not span.trace_id or not span.span_id:
        return "no_span_id"
    return "bad_id" if 0 < span.end_ns < TIME_MAX_NS else "bad_time"


def _without_usage(
    span: SpanRecord, found: list[object], *, stream: bool, answered: bool
) -> tuple[Usage, UsageConfidence, tuple[str, ...]]:
    """The usage of a span without a count: nothing where the provider refused the call, else unknown."""
    reason = reason_without_usage(
        span,
        error_type=found[Field.ERROR_TYPE],
        http_status=found[Field.HTTP_STATUS],
        stream=stream,
        first_chunk=found[Field.FIRST_CHUNK] is not None,
        answered=answered,
    )
    if reason == "not_billed":
        return ZERO_USAGE, "exact", (reason,)
    return NO_USAGE, "unknown", (reason,)


_Places: TypeAlias = tuple[tuple[int, int], ...]
"""Pairs: the place of a value among a span's attributes, and the field that it tells."""
_UNSEEN: Final = object()
_SHAPES_MAX: Final = 4096
_TIERS: Final = {name: name for name in ("default", "standard", "flex", "priority", "batch", "auto")}


def _operation(found: list[object], span: SpanRecord) -> tuple[str | None, bool]:
    """The operation of a span, and whether its usage may repeat its children's."""
    operation = _text(found[Field.OPERATION])
    kind = _text(found[Field.KIND])
    if operation is not None:
        return operation, operation not in INFERENCE
    if kind is not None:
        return kind, kind not in INFERENCE and kind.upper() not in INFERENCE
    if span.scope.startswith("openlit."):  # its failed Anthropic calls have a name and nothing else
        word, _, model = span.name.partition(" ")
        if word in INFERENCE:
            found[Field.REQUEST_MODEL] = found[Field.REQUEST_MODEL] or model
            return word, False
    return None, False


def _add_raw_request(found: list[object], attributes: Mapping[str, object]) -> None:
    """LiteLLM's `raw_gen_ai_request`: the provider's answer under `llm.<provider>.<key>`, as text."""
    for key, value in attributes.items():
        parts = key.split(".", 2)
        if len(parts) != 3 or parts[0] != "llm" or value in (None, ""):
            continue
        field = _RAW_FIELDS.get(parts[2])
        if field is not None:
            found[field] = value
            if parts[1] != "None":
                found[Field.PROVIDER] = parts[1]
    if found[Field.USAGE_TEXT] is not None:
        found[Field.OPERATION] = "chat"


_RAW_FIELDS: Final[Mapping[str, int]] = {
    "usage": Field.USAGE_TEXT, "id": Field.RESPONSE_ID, "model": Field.RESPONSE_MODEL,
    "service_tier": Field.TIER, "stop_reason": Field.FINISH, "usageMetadata": Field.USAGE_TEXT,
}  # fmt: skip


_WHOLE_USAGE: Final = frozenset({"langfuse-sdk", "litellm"})  # whose usage text is all that there was


def _add_text(found: list[object], scope: str, *, litellm: bool) -> tuple[bool | None, bool]:
    """Adds what a usage text knows to the fields that are empty.

    Returns:
        Whether input includes cached tokens (None: the text does not tell), and whether the text is the
        provider's or LiteLLM's whole usage object, in which an absent count is 0.
    """
    usage = parse_mapping(found[Field.USAGE_TEXT])
    counts, inside = counts_of(usage) if usage else ({}, None)
    counts |= details_of(found[Field.INPUT_DETAILS], output=False)
    counts |= details_of(found[Field.OUTPUT_DETAILS], output=True)
    for field, value in counts.items():
        if found[field] is None:
            found[field] = value
    if usage and found[Field.TIER] is None:
        found[Field.TIER] = usage.get("service_tier")
    if usage and found[Field.CLAIMED_COST] is None and scope in _WHOLE_USAGE:
        found[Field.CLAIMED_COST] = usage.get("cost")
    return inside, bool(counts) and (litellm or scope in _WHOLE_USAGE)


def _requested_tier(found: list[object]) -> tuple[str | None, str | None]:
    """The service tier where no answer names one, with a reason: the provider may have served another."""
    asked = _text(found[Field.REQUEST_TIER])
    parameters = found[Field.PARAMETERS]
    if asked is None and isinstance(parameters, str) and '"service_tier"' in parameters:
        tier = _text((parse_mapping(parameters) or {}).get("service_tier"))
        if tier is not None and "frequency_penalty" in parameters:  # Langfuse puts the answer's tier here
            return tier.lower(), None
        asked = tier
    if asked is None or asked.lower() in _PLAIN_TIERS:
        return None, None
    return asked.lower(), "tier_requested_only"


def _costs(found: list[object], provider: str | None) -> tuple[int | None, int | None]:
    """The cost that the provider's API returned, and the cost that an instrumentation worked out."""
    amount = found[Field.COST_AMOUNT]
    if amount is not None and found[Field.COST_SOURCE] == "provider":
        return _pico(amount), None
    claim = amount if amount is not None else found[Field.CLAIMED_COST]
    if claim is None:
        return None, None
    if isinstance(claim, Mapping):
        claim = claim.get("total_cost")
    if provider == "openrouter" and found[Field.USAGE_TEXT] is not None:
        return _pico(claim), None
    return None, _pico(claim)


def _pico(amount: object) -> int | None:
    """USD as pico-USD; None where it is no finite amount from 0 to a million dollars."""
    if isinstance(amount, bool) or not isinstance(amount, (int, float)) or not math.isfinite(amount):
        return None
    return round(amount * 1e12) if 0 <= amount <= 1e6 else None


def _web_searches(metadata: object) -> int | None:
    if not isinstance(metadata, str) or "web_search_requests" not in metadata:
        return None
    used = (parse_mapping(metadata) or {}).get("server_tool_use")
    count = used.get("web_search_requests") if isinstance(used, Mapping) else None
    return count if isinstance(count, int) and 0 <= count <= TOKENS_MAX else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _answer_id(response_id: str) -> str:
    """The provider's own id: LiteLLM packs that of the Responses API into one of its own, base64."""
    if not response_id.startswith(_PACKED_ID):
        return response_id
    try:
        packed = base64.b64decode(response_id.removeprefix("resp_"), validate=True).decode("ascii")
    except ValueError:
        return response_id
    return packed.rpartition("response_id:")[2] or response_id


_PACKED_ID: Final = "resp_" + base64.b64encode(b"litellm:").decode("ascii")[:10]


def _truth(value: object) -> bool:
    return value is True or value in ("True", "true")
