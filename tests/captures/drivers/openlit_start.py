"""OpenLIT, turned on as the other instrumentations are."""

import json
import tempfile
from pathlib import Path

import openlit

# OpenLIT would else fetch its price list; USD per 1,000 tokens.
PRICES = {
    "chat": {
        "gpt-4o": {"promptPrice": 0.0025, "completionPrice": 0.01, "cacheReadPrice": 0.00125},
        "gpt-4o-mini": {"promptPrice": 0.00015, "completionPrice": 0.0006, "cacheReadPrice": 0.000075},
        "gpt-5": {"promptPrice": 0.00125, "completionPrice": 0.01, "cacheReadPrice": 0.000125},
        "claude-sonnet-4-5": {"promptPrice": 0.003, "completionPrice": 0.015, "cacheReadPrice": 0.0003},
    },
    "embeddings": {"text-embedding-3-small": 0.00002},
    "images": {},
    "audio": {},
}


# The layer below the SDKs, whose spans say nothing about usage.
HTTP_CLIENTS = ["httpx", "requests", "urllib", "urllib3", "aiohttp-client"]


class OpenLIT:
    """Has the one method that the harness calls; OpenLIT finds the global tracer provider itself."""

    def instrument(self, **_: object) -> None:
        prices = Path(tempfile.mkdtemp()) / "prices.json"
        prices.write_text(json.dumps(PRICES))
        openlit.init(
            disable_metrics=True,
            disable_events=True,
            pricing_json=str(prices),
            disabled_instrumentors=HTTP_CLIENTS,
        )
