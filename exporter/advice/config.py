"""The section `advice` of the configuration: whether contents are hashed."""

from typing import Final

from pydantic import SecretStr, model_validator

from spanbudget.exporter.config_section import Section
from spanbudget.processors.content_hash import KEY_BYTES_MIN

_MAKE_ONE: Final = "`openssl rand -hex 32` makes one; keep it out of the file, with ${NAME}"


class AdviceConfig(Section):
    """What advice may look at.

    Attributes:
        hash_key: The secret of keyed hashes of contents; None, and contents are never read. One key for all
            processes: hashes of different keys never agree.
    """

    hash_key: SecretStr | None = None

    # Said of the section: a message about the key itself would show what it holds.
    @model_validator(mode="after")
    def _is_a_secret(self) -> "AdviceConfig":
        key = self.key
        if key is not None and len(key) < KEY_BYTES_MIN:
            raise ValueError(f"hash_key must have at least {KEY_BYTES_MIN} bytes; {_MAKE_ONE}")
        return self

    @property
    def key(self) -> bytes | None:
        """The secret as bytes; None where nobody opted in."""
        return None if self.hash_key is None else self.hash_key.get_secret_value().encode()
