"""What every shape on the wire is built on: input, output, facts with their sources, and pages."""

from __future__ import annotations

import difflib
from collections.abc import Mapping
from datetime import date
from typing import Generic, Self, TypeVar, cast

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from toolcrib_registry.complaints import complaints
from toolcrib_registry.errors import InvalidInput

from .words import Name

T = TypeVar("T")


class WireOut(BaseModel):
    """What is answered. A client takes fields it does not know, from a later server."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        extra="ignore",
    )


class WireIn(BaseModel):
    """What is asked. Unknown fields are refused: a misspelt limit must not pass for none."""

    model_config = ConfigDict(
        alias_generator=to_camel,
        populate_by_name=True,
        serialize_by_alias=True,
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
    )

    @classmethod
    def parse(cls, given: object) -> Self:
        """Check input, decoded from JSON or built by hand.

        Raises:
            InvalidInput: It does not fit; the sentence names each field and what is wrong.
        """
        try:
            return cls.model_validate(given)
        except ValidationError as error:
            found = complaints(error.errors(include_url=False, include_input=False))
            raise InvalidInput(f"{'; '.join(map(str, found))}.") from error

    @model_validator(mode="before")
    @classmethod
    def _refuse_unknown_fields(cls, value: object) -> object:
        if not isinstance(value, Mapping):
            return value
        given = cast("Mapping[object, object]", value)
        known = {f.alias or name for name, f in cls.model_fields.items()}
        fields = [str(key) for key in given]
        unknown = [f for f in fields if f not in known and f not in cls.model_fields]
        if unknown:
            near = difflib.get_close_matches(unknown[0], sorted(known), n=1)
            raise PydanticCustomError(
                "unknown_field",
                "has no field {field}{hint}; known fields: {known}",
                {
                    "field": repr(unknown[0][:80]),
                    "hint": f" (did you mean {near[0]!r}?)" if near else "",
                    "known": ", ".join(sorted(known)),
                },
            )
        return given


class FactIn(WireIn, Generic[T]):
    """A field with who said so and when. A plain value may stand for it: source "api", today."""

    value: T
    source: Name = "api"
    as_of: date | None = None


class FactOut(WireOut, Generic[T]):
    """A field that is known. An unknown field is null."""

    value: T
    source: str
    as_of: date


class PageOut(WireOut, Generic[T]):
    """One page; ``nextCursor`` is null on the last."""

    items: list[T]
    next_cursor: str | None = None
