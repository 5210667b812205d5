"""Signatures of webhooks as the Standard Webhooks specification has them."""

import base64
import binascii
import hmac
from collections.abc import Sequence
from hashlib import sha256
from typing import Final

BASE64_SECRET: Final = "whsec_"  # noqa: S105 - a prefix, not a secret
KEY_BYTES_MIN: Final = 16


def signing_key(secret: str) -> bytes:
    """The key of a secret: what is in Base64 behind `whsec_`, or else its own characters.

    Raises:
        ValueError: It is too short, or not Base64; the message does not hold it.
    """
    if not secret.startswith(BASE64_SECRET):
        key = secret.encode()
    else:
        try:
            key = base64.b64decode(secret.removeprefix(BASE64_SECRET), validate=True)
        except (binascii.Error, ValueError):
            raise ValueError(f"what follows {BASE64_SECRET} must be Base64") from None
    if len(key) < KEY_BYTES_MIN:
        raise ValueError(f"must have at least {KEY_BYTES_MIN} bytes; `openssl rand -base64 32` makes one")
    return key


def signed_headers(message_id: str, at_seconds: int, body: bytes, keys: Sequence[bytes]) -> dict[str, str]:
    """The headers that identify a message and prove who sent it.

    Args:
        message_id: The same for every attempt.
        at_seconds: The time of this attempt, seconds since the epoch.
        body: What is sent.
        keys: One signature for each, so that a receiver may know the old key or the new one; without any,
            the message is not signed.
    """
    headers = {"webhook-id": message_id, "webhook-timestamp": str(at_seconds)}
    content = f"{message_id}.{at_seconds}.".encode() + body
    signatures = [base64.b64encode(hmac.digest(key, content, sha256)).decode() for key in keys]
    if signatures:
        headers["webhook-signature"] = " ".join(f"v1,{signature}" for signature in signatures)
    return headers
