"""What texts and numbers may be on the wire: the small types that every shape is made of."""

from __future__ import annotations

import math
from typing import Annotated, Any, cast
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, PlainSerializer, StringConstraints
from pydantic_core import PydanticCustomError

from toolcrib_registry.numbers import tidy

MAX_JSON_DEPTH = 64
MAX_NUMBER = 2**53


def _clean(text: str) -> str:
    """Refuse what a database or an answer cannot hold: NUL and half characters."""
    if "\0" in text:
        raise PydanticCustomError("nul", "must not contain a NUL character")
    if not text.isascii() and any("\ud800" <= char <= "\udfff" for char in text):
        raise PydanticCustomError("surrogate", "must not contain half a character (a surrogate)")
    return text


def _plain_json(value: dict[str, Any]) -> dict[str, Any]:
    """Refuse what JSON cannot carry on: NaN, lone surrogates, NUL, nesting without end."""
    pending: list[tuple[object, int]] = [(value, 1)]
    while pending:
        item, depth = pending.pop()
        if depth > MAX_JSON_DEPTH:
            raise PydanticCustomError(
                "too_deep", "nests deeper than {limit} levels", {"limit": MAX_JSON_DEPTH}
            )
        if isinstance(item, dict):
            members = cast("dict[str, object]", item)
            pending += [(part, depth + 1) for pair in members.items() for part in pair]
        elif isinstance(item, list):
            pending += [(part, depth + 1) for part in cast("list[object]", item)]
        else:
            _check_scalar(item)
    return value


def _check_scalar(item: object) -> None:
    if isinstance(item, str):
        _clean(item)
    elif isinstance(item, float) and not math.isfinite(item):
        raise PydanticCustomError("not_finite", "contains a number that is not finite")


def no_truth(value: object) -> object:
    """Refuse what is true or false where a number is wanted: to Python they are 1 and 0."""
    if isinstance(value, bool):
        raise PydanticCustomError("int_type", "Input should be a valid integer")
    return value


Text = Annotated[str, AfterValidator(_clean)]
Name = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_clean)]
ServerNameText = Annotated[
    str, StringConstraints(min_length=1, max_length=64, pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]*$")
]
JsonDict = Annotated[dict[str, Any], AfterValidator(_plain_json)]


def _parsable(url: str) -> str:
    try:
        urlsplit(url)
    except ValueError as error:
        raise PydanticCustomError("url", "is not a URL: {why}", {"why": str(error)}) from error
    return url


Url = Annotated[
    str,
    StringConstraints(max_length=4096, pattern=r"^https?://[^\s/]+"),
    AfterValidator(_clean),
    AfterValidator(_parsable),
]
Tags = Annotated[list[Name], Field(max_length=64)]
Question = Annotated[str, StringConstraints(min_length=1, max_length=300), AfterValidator(_clean)]
Price = Annotated[float, Field(ge=0, le=MAX_NUMBER, allow_inf_nan=False, strict=True)]
Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False, strict=True)]
Tokens = Annotated[int, Field(ge=1, le=MAX_NUMBER, strict=True)]
Billions = Annotated[float, Field(gt=0, le=MAX_NUMBER, allow_inf_nan=False, strict=True)]
Seconds = Annotated[float, Field(gt=0, le=86_400, allow_inf_nan=False)]
Words = Annotated[list[Name], Field(max_length=256)]
Figure = Annotated[float, PlainSerializer(tidy, return_type=float)]
"""A number that was worked out."""
Query = Annotated[Text, Field(min_length=1, max_length=100_000)]
Weight = Annotated[float, Field(ge=0, le=MAX_NUMBER, allow_inf_nan=False)]
ToolName = Annotated[str, StringConstraints(min_length=1, max_length=256), AfterValidator(_clean)]
