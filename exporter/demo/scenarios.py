"""Token counts that the fake provider bills, by the word `scenario:NAME` in a prompt.

Every count is invented. No two scenarios of a family share their counts, so that a span which
carries them names the call it came from. Each family has a cache larger and a cache smaller than
the uncached prompt, reads with and without a write, reasoning, and prompts below 1024 tokens.
"""

import random
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True, slots=True, kw_only=True)
class Counts:
    """What one answered request is billed for; every field is a number of tokens but the last two.

    Attributes:
        uncached_input: Prompt tokens that were neither read from nor written to a cache.
        cache_read: Prompt tokens read from a cache.
        cache_write: Prompt tokens written to a cache, for any time to live.
        cache_write_1h: The part of `cache_write` kept for an hour; the rest is kept for five minutes.
        output: Answer tokens, `reasoning` and `audio_out` included.
        reasoning: The part of `output` that was not shown.
        audio_in: The part of `uncached_input` that was sound.
        audio_out: The part of `output` that was sound.
        web_searches: Searches that the provider made itself.
        tier: The service tier that answered.
    """

    uncached_input: int
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0
    output: int = 0
    reasoning: int = 0
    audio_in: int = 0
    audio_out: int = 0
    web_searches: int = 0
    tier: str = "default"

    @property
    def prompt(self) -> int:
        """All prompt tokens, cached or not."""
        return self.uncached_input + self.cache_read + self.cache_write

    @property
    def cache_write_5m(self) -> int:
        """Prompt tokens written to a cache for five minutes."""
        return self.cache_write - self.cache_write_1h


NOTHING = Counts(uncached_input=0)

_OPENAI = {
    "plain": Counts(uncached_input=137, output=53),
    "cached": Counts(uncached_input=611, cache_read=1408, output=287, reasoning=176),
    "cacheread": Counts(uncached_input=97, cache_read=7040, output=58),
    "cachewrite": Counts(uncached_input=391, cache_read=1152, cache_write=1664, output=67),
    "warm": Counts(uncached_input=2711, cache_read=1024, output=39),
    "reasoning": Counts(uncached_input=842, output=1310, reasoning=1088),
    "thinking": Counts(uncached_input=505, output=741, reasoning=512),
    "flex": Counts(uncached_input=1063, output=231, reasoning=144, tier="flex"),
    "priority": Counts(uncached_input=589, cache_read=640, output=113, tier="priority"),
    "audio": Counts(uncached_input=173, output=223, audio_in=118, audio_out=191),
    "tool": Counts(uncached_input=322, output=27),
    "tool_result": Counts(uncached_input=368, output=31),
    "stream_usage": Counts(uncached_input=433, cache_read=1280, output=93),
    "stream_plain": Counts(uncached_input=283, output=104),
    "stream_nousage": Counts(uncached_input=941, output=71),
    "stream_abort": Counts(uncached_input=727, output=410),
    "websearch": Counts(uncached_input=1337, output=121, web_searches=1),
    "embeddings": Counts(uncached_input=43),
}

_ANTHROPIC = {
    "plain": Counts(uncached_input=219, output=84),
    "cached": Counts(uncached_input=29, cache_read=4352, cache_write=640, cache_write_1h=120, output=161),
    "cacheread": Counts(uncached_input=57, cache_read=9728, output=77),
    "cachewrite": Counts(uncached_input=1511, cache_write=2304, cache_write_1h=2304, output=98),
    "warm": Counts(uncached_input=5203, cache_read=1100, cache_write=310, output=143),
    "reasoning": Counts(uncached_input=463, cache_read=2050, output=1204, reasoning=903),
    "thinking": Counts(uncached_input=433, output=927, reasoning=712),
    "priority": Counts(uncached_input=301, output=88, tier="priority"),
    "tool": Counts(uncached_input=397, output=64),
    "tool_result": Counts(uncached_input=461, output=41),
    "stream_usage": Counts(uncached_input=41, cache_read=6144, cache_write=768, output=218),
    "stream_plain": Counts(uncached_input=259, output=101),
    "stream_abort": Counts(uncached_input=347, cache_read=2176, output=452),
    "websearch": Counts(uncached_input=1283, output=109, web_searches=2),
}

_GEMINI = {
    "plain": Counts(uncached_input=411, output=97),
    "cached": Counts(uncached_input=389, cache_read=824, output=158, reasoning=64),
    "cacheread": Counts(uncached_input=1907, cache_read=1090, output=45),
    "thinking": Counts(uncached_input=622, output=1011, reasoning=803),
    "reasoning": Counts(uncached_input=118, cache_read=2060, output=530, reasoning=377),
    "audio": Counts(uncached_input=366, output=74, audio_in=250),
    "tool": Counts(uncached_input=205, output=19),
    "tool_result": Counts(uncached_input=251, output=24),
    "stream_usage": Counts(uncached_input=276, cache_read=1096, output=133, reasoning=41),
    "stream_abort": Counts(uncached_input=588, output=396),
    "embeddings": Counts(uncached_input=47),
}

_BEDROCK = {
    "plain": Counts(uncached_input=187, output=59),
    "cached": Counts(uncached_input=33, cache_read=3584, cache_write=896, output=144),
    "cacheread": Counts(uncached_input=2501, cache_read=1300, output=62),
    "cachewrite": Counts(uncached_input=701, cache_write=1472, output=37),
    "tool": Counts(uncached_input=341, output=49),
    "tool_result": Counts(uncached_input=392, output=36),
    "stream_usage": Counts(uncached_input=51, cache_read=2944, output=172),
    "stream_abort": Counts(uncached_input=357, output=388),
    "embeddings": Counts(uncached_input=53),
}

SCENARIOS: Mapping[str, Mapping[str, Counts]] = MappingProxyType(
    {"openai": _OPENAI, "anthropic": _ANTHROPIC, "gcp.gemini": _GEMINI, "aws.bedrock": _BEDROCK}
)

# The status that a failing scenario answers with; it bills nothing.
FAILURES: Mapping[str, int] = MappingProxyType({"err429": 429, "err500": 500, "err529": 529})

_CHARACTERS_PER_TOKEN = 4  # the usual rule of thumb for English text
_CACHE_BLOCK_TOKENS = 128  # providers cache prompts in blocks of this size, from 1024 tokens on
_CACHEABLE_TOKENS_MIN = 1024


def counts_of(family: str, scenario: str) -> Counts:
    """Returns the counts of a named scenario, those of `plain` where the family has no such name."""
    table = SCENARIOS[family]
    return table.get(scenario, table["plain"])


def demo_counts(seed: int, prompt_characters: int) -> Counts:
    """Invents counts for a prompt without a scenario; the same seed and length give the same counts."""
    chance = random.Random(f"{seed}:{prompt_characters}")  # noqa: S311 - demo figures, not secrets
    prompt = max(1, prompt_characters // _CHARACTERS_PER_TOKEN)
    blocks = prompt // _CACHE_BLOCK_TOKENS if prompt >= _CACHEABLE_TOKENS_MIN else 0
    cache_read = chance.randint(0, blocks) * _CACHE_BLOCK_TOKENS
    return Counts(uncached_input=prompt - cache_read, cache_read=cache_read, output=chance.randint(20, 600))
