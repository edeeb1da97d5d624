"""Hard limits as a model writes them, and as the selection floor takes them.

The schema and the reader stand together so that neither can know a limit the other does not.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final, cast

from toolcrib_registry.types import JsonObject
from toolcrib_server.selection.constraint import Ability, Constraints

_STRINGS: Final = {"type": "array", "items": {"type": "string"}}
_COUNT: Final = {"type": "integer", "minimum": 1}


def _usd(description: str) -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "description": description}


def _ms(description: str) -> dict[str, Any]:
    return {"type": "number", "minimum": 0, "description": description}


CONSTRAINTS_SCHEMA: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "Hard limits. A model whose value is unknown does not pass a limit.",
    "properties": {
        "max_price_in_usd": _usd("USD per million input tokens."),
        "max_price_out_usd": _usd("USD per million output tokens."),
        "max_cost_usd": _usd("USD for one call of tokens_in and tokens_out."),
        "tokens_in": {"type": "integer", "minimum": 0},
        "tokens_out": {"type": "integer", "minimum": 0},
        "min_context_tokens": _COUNT,
        "min_output_tokens": _COUNT,
        "modalities_in": {**_STRINGS, "description": "All needed, as ['text', 'image']."},
        "modalities_out": {**_STRINGS, "description": "All needed."},
        "licenses": {**_STRINGS, "description": "SPDX ids that are acceptable."},
        "open_weights": {"type": "boolean"},
        "regions": {**_STRINGS, "description": "Acceptable; 'eu' includes 'eu-west-1'."},
        "abilities": {
            "type": "array",
            "items": {"type": "string", "enum": [ability.value for ability in Ability]},
            "description": "All needed.",
        },
        "max_parameters_b": {"type": "number", "minimum": 0, "description": "Billions."},
        "max_p95_first_token_ms": _ms("To the first token in 95 of 100 calls."),
        "max_p95_latency_ms": _ms("To the whole answer in 95 of 100 calls."),
        "max_error_rate": {"type": "number", "minimum": 0, "maximum": 1},
        "providers": {**_STRINGS, "description": "Acceptable."},
        "without_providers": {**_STRINGS, "description": "Not acceptable."},
    },
    "additionalProperties": False,
}


def read_constraints(given: JsonObject) -> Constraints:
    """Read limits that fit the schema."""
    values: dict[str, Any] = {
        name: frozenset(cast("list[str]", value)) if isinstance(value, list) else value
        for name, value in given.items()
    }
    if "abilities" in values:
        values["abilities"] = frozenset(Ability(name) for name in values["abilities"])
    return Constraints(**values)
