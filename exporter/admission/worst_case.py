"""The most that a call can cost, from its request and the prices."""

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from spanbudget.exporter.admission.request import CallRequest
from spanbudget.processors.limits import TokenRates, affordable_output, rates_for
from spanbudget.processors.rates import RateCard

MODELS_MAX: Final = 1_000
HISTORY_MAX: Final = 200
"""Costs that are remembered of one route."""
HISTORY_MIN: Final = 20
"""Below so many a p95 says nothing, and the worst case is held."""

Doubt = Literal["unbounded", "unpriced"]


class Windows(Protocol):
    """Who knows how long the context of a model is."""

    def context_window(self, provider: str | None, model: str) -> int | None:
        """Tokens of prompt and answer together; None where unknown."""
        ...

    def dearest(self) -> tuple[int, int]:
        """The dearest rates of any model for a token of a prompt and of an answer, pico-USD."""
        ...


class Cards(Protocol):
    """Who knows what a model costs."""

    def card(self, provider: str | None, model: str | None, tier: str | None, at_ns: int) -> RateCard | None:
        """The price at a moment; None where there is none."""
        ...


@dataclass(frozen=True, slots=True)
class WorstCase:
    """The most that a call can take.

    Attributes:
        cost: pico-USD; None where it is not known, see `doubt`.
        tokens: Of prompt and answers together; 0 where nothing is known.
        output: Most tokens of all answers together; None where unknown.
        prompt: Most tokens of the prompt; None where unknown.
        rates: The dearest rates that apply; None where the cost was given or is not priced.
        doubt: Why there is no cost: `unbounded`, nobody can say how long the prompt or the answer may be;
            `unpriced`, the model has no price.
    """

    cost: int | None
    tokens: int
    output: int | None = None
    prompt: int | None = None
    rates: TokenRates | None = None
    doubt: Doubt | None = None

    def clamped(self, available: int, choices: int) -> tuple[int, int, int] | None:
        """How long one answer may be so that an amount pays for the call.

        Args:
            available: pico-USD.
            choices: Answers asked for.

        Returns:
            Tokens of one answer, the cost of the call in pico-USD, and all its tokens; None where not even
            the prompt is paid for.
        """
        if self.rates is None or self.prompt is None or self.output is None:
            return None
        affordable = affordable_output(self.rates, self.prompt, available)
        if affordable is None:
            return None
        each = min(affordable, self.output) // choices
        cost = self.rates.fee + self.prompt * self.rates.input + each * choices * self.rates.output
        return each, cost, self.prompt + each * choices


def token_rates(card: RateCard, *, cache_writes: str) -> tuple[TokenRates, ...]:
    """The dearest rates of a card for each length of prompt.

    Args:
        card: A completed card.
        cache_writes: How long the prompt may be written to a cache: `no`, `5m` or `1h`.
    """
    steps = []
    for rates in card.rates:
        inputs = [rates.input, rates.image_input, rates.cache_read]
        inputs += [rates.cache_write_5m] if cache_writes != "no" else []
        inputs += [rates.cache_write_1h] if cache_writes == "1h" else []
        outputs = (rates.output, rates.reasoning)
        steps.append(
            TokenRates(
                max((rate for rate in inputs if rate is not None), default=0),
                max((rate for rate in outputs if rate is not None), default=0),
                card.request,
                rates.prompt_above,
            )
        )
    return tuple(steps)


@dataclass(slots=True)
class WorstCases:
    """Works out worst cases.

    Args:
        cards: Prices.
        windows: Lengths of contexts.
        output_limits: Most tokens of an answer, by model as it is asked for; from the configuration.
    """

    cards: Cards
    windows: Windows
    output_limits: Mapping[str, int] = field(default_factory=dict)
    _windows: dict[tuple[str | None, str], int | None] = field(default_factory=dict)

    def of(self, request: CallRequest, provider: str | None, model: str | None, now_ns: int) -> WorstCase:
        """The worst case of a call.

        Args:
            request: What is known of it.
            provider: Normalised provider.
            model: Normalised model.
            now_ns: Nanoseconds since the epoch; chooses the price.
        """
        prompt, output = self._lengths(request, provider, model)
        tokens = (prompt or 0) + (output or 0)
        if request.cost is not None:
            return WorstCase(request.cost, tokens, output, prompt)
        card = self.cards.card(provider, model, request.tier, now_ns)
        if card is None or (
            card.rates[0].input is None and card.rates[0].output is None and not card.request
        ):
            return WorstCase(None, tokens, output, prompt, doubt="unpriced")
        if prompt is None or output is None:
            return WorstCase(None, tokens, output, prompt, doubt="unbounded")
        rates = rates_for(token_rates(card, cache_writes=request.cache_writes), prompt)
        cost = rates.fee + prompt * rates.input + output * rates.output
        return WorstCase(cost, tokens, output, prompt, rates)

    def dearest(self, request: CallRequest, provider: str | None, model: str | None) -> int | None:
        """What a call costs at the dearest price known, pico-USD; None where its length is unknown."""
        prompt, output = self._lengths(request, provider, model)
        if prompt is None or output is None:
            return None
        per_input, per_output = self.windows.dearest()
        return prompt * per_input + output * per_output

    def _lengths(
        self, request: CallRequest, provider: str | None, model: str | None
    ) -> tuple[int | None, int | None]:
        window = self._window(provider, model) if model else None
        prompt = request.input_tokens
        if prompt is None:
            prompt = window
        elif window is not None:
            prompt = min(prompt, window)  # a longer one is refused by the provider, and not billed
        if request.operation == "embeddings":
            return prompt, 0
        output = request.max_tokens
        if output is None:
            known = self.output_limits.get(request.model or "", self.output_limits.get(model or ""))
            output = known if known is not None else window
        return prompt, None if output is None else output * request.choices

    def _window(self, provider: str | None, model: str) -> int | None:
        key = (provider, model)
        if key not in self._windows:
            if len(self._windows) >= MODELS_MAX:
                self._windows.clear()
            self._windows[key] = self.windows.context_window(provider, model)
        return self._windows[key]


@dataclass(slots=True)
class CostHistory:
    """What the calls of one route have cost, the last 200."""

    costs: deque[int] = field(default_factory=lambda: deque(maxlen=HISTORY_MAX))
    _p95: tuple[int, int] = (0, 0)
    _count: int = 0

    def add(self, cost: int) -> None:
        """Takes note of a cost, pico-USD."""
        self.costs.append(cost)
        self._count += 1

    def p95(self) -> int | None:
        """The cost that 95 % of the calls stay at or below, pico-USD; None with fewer than 20 calls."""
        if len(self.costs) < HISTORY_MIN:
            return None
        if self._p95[0] + 10 <= self._count or not self._p95[0]:  # sorted anew every ten calls
            ordered = sorted(self.costs)
            self._p95 = (self._count, ordered[-(-len(ordered) * 95 // 100) - 1])
        return self._p95[1]
