"""What every mapping of the configuration file has in common."""

from typing import Any

from pydantic import BaseModel, ConfigDict, model_validator


class Section(BaseModel):
    """A mapping of the file: frozen, without unknown keys; a key without a value is a key not given."""

    model_config = ConfigDict(frozen=True, extra="forbid", hide_input_in_errors=True)

    @model_validator(mode="before")
    @classmethod
    def _given(cls, values: Any) -> Any:
        if not isinstance(values, dict):
            return values
        return {
            key: value for key, value in values.items() if value is not None or key not in cls.known_keys()
        }

    @classmethod
    def known_keys(cls) -> tuple[str, ...]:
        """The keys as the file spells them."""
        return tuple(field.alias or name for name, field in cls.model_fields.items())
