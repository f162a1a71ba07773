"""What messages are made of: their bases, and kinds of fields with their bounds."""

from typing import Annotated, Literal
from uuid import UUID

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    field_validator,
)

Milliseconds = Annotated[float, Field(ge=0, le=1e9, allow_inf_nan=False)]
SignedMilliseconds = Annotated[float, Field(ge=-1e6, le=1e6, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0, le=10_000)]


def _mended(value: object) -> object:
    """Return text that every database can store: no NUL, no half of a character."""
    if not isinstance(value, str):
        return value
    return value.replace("\0", "").encode(errors="replace").decode()


def _storable(value: str) -> str:
    if value != _mended(value):
        raise ValueError("text holds no NUL and no half of a character")
    return value


Text = Annotated[
    str,
    AfterValidator(_storable),
    Field(json_schema_extra={"pattern": r"^[^\u0000]*$"}),
]
FreeText = Annotated[str, BeforeValidator(_mended)]


def _uuid(value: str) -> str:
    return str(UUID(value))


Key = Annotated[
    str,
    Field(max_length=36, json_schema_extra={"format": "uuid"}),
    AfterValidator(_uuid),
]
"""A UUID that the client makes, so that a repeat of its request is known as one."""

# Tuples have another form in JSON Schema than the OpenAPI file is given.
Position = Annotated[
    tuple[int, int],
    WithJsonSchema(
        {"type": "array", "items": {"type": "integer"}, "minItems": 2, "maxItems": 2}
    ),
]
Row = Literal["upper", "lower"]


class Message(BaseModel):
    """A request: unknown fields and wrong types are refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    @field_validator("*", mode="before")
    @classmethod
    def _whole_numbers(cls, value: object) -> object:
        # In JSON 3.0 is a whole number, which a client's language may write so.
        if isinstance(value, list):
            return [cls._whole_numbers(one) for one in value]
        is_whole = isinstance(value, float) and value.is_integer()
        return int(value) if is_whole else value  # type: ignore[call-overload]


class Reply(BaseModel):
    """A reply."""

    model_config = ConfigDict(frozen=True, extra="forbid")
