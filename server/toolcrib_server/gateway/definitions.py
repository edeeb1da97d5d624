"""The tools an assistant sees: few, stable, in this order, whatever the registry holds.

Progressive discovery, as the specification's client guide describes it: search, inspect, call. The
list never depends on who asked or what was asked before; only the sentence that names the servers
behind it follows the registry.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from toolcrib_registry.types import Counts, EntryKind
from toolcrib_server.selection.models import Objective

from .constraints import CONSTRAINTS_SCHEMA

SEARCH_TOOLS: Final = "search_tools"
GET_TOOL_DETAILS: Final = "get_tool_details"
CALL_TOOL: Final = "call_tool"
SELECT_MODEL: Final = "select_model"
CALL_MODEL: Final = "call_model"

DEFAULT_K: Final = 5
MAX_K: Final = 50
MIN_TOKENS: Final = 50
MAX_NAMES: Final = 50
MAX_NAME_CHARS: Final = 256
_NAMED_SERVERS: Final = 30

_READ_ONLY: Final = {"readOnlyHint": True, "idempotentHint": True, "openWorldHint": False}
_KINDS: Final = [kind.value for kind in EntryKind]
_NEEDED_HOW: Final = ["declared", "use", "schema"]

_SEARCH_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "query": {
            "anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}],
            "description": (
                "The task in plain words, as 'convert 3pm Berlin time to Tokyo time'; or its "
                "steps, as a list of at most 16."
            ),
        },
        "k": {
            "type": "integer",
            "minimum": 1,
            "maximum": MAX_K,
            "default": DEFAULT_K,
            "description": "How many results.",
        },
        "kind": {"type": "string", "enum": _KINDS, "description": "Only this kind."},
        "server": {"type": "string", "description": "Only entries of this server."},
        "tags": {
            "type": "array",
            "items": {"type": "string"},
            "description": "Only entries with all these tags.",
        },
        "readOnly": {
            "type": "boolean",
            "description": "Only tools that say they change nothing.",
        },
        "destructive": {
            "type": "boolean",
            "description": "false: only tools that say they destroy nothing.",
        },
        "detail": {
            "type": "string",
            "enum": ["brief", "name", "full"],
            "default": "brief",
            "description": "brief: description and arguments; full: schemas too.",
        },
        "max_tokens": {
            "type": "integer",
            "minimum": MIN_TOKENS,
            "description": "Leave out the last results rather than exceed it.",
        },
        "group_by": {"type": "string", "enum": ["server"]},
        "dependencies": {"type": "boolean", "description": "false: not what results need."},
        "explain": {"type": "boolean", "description": "Say why each is there."},
    },
    "required": ["query"],
    "additionalProperties": False,
}

_SEARCH_OUTPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "results": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"type": "string", "enum": _KINDS},
                    "server": {"type": "string"},
                    "title": {"type": "string"},
                    "description": {"type": "string"},
                    "arguments": {"type": ["object", "array"]},
                    "score": {"type": "number"},
                    "signals": {"type": "object"},
                    "likelihood": {"type": "number"},
                    "unlikely": {"type": "boolean"},
                    "alternatives": {"type": "array", "items": {"type": "string"}},
                    "marked": {"type": "array", "items": {"type": "string"}},
                    "neededBy": {"type": "array", "items": {"type": "string"}},
                    "neededHow": {"type": "string", "enum": _NEEDED_HOW},
                    "neededWhy": {"type": "string"},
                    "steps": {"type": "array", "items": {"type": "integer"}},
                },
                "required": ["name", "kind"],
            },
        },
        "searched": {"type": "integer"},
        "revision": {"type": "integer"},
        "abstained": {
            "type": "boolean",
            "description": "Nothing seems to fit: the results are the nearest, and unlikely.",
        },
        "likelihood": {"type": "number"},
        "grounds": {"type": "object"},
        "steps": {"type": "array", "items": {"type": "string"}},
        "unanswered": {"type": "array", "items": {"type": "integer"}},
        "stepLikelihoods": {"type": "array", "items": {"type": "number"}},
        "unwanted": {"type": "array", "items": {"type": "string"}},
        "groups": {"type": "array", "items": {"type": "object"}},
        "detail": {"type": "string"},
        "omitted": {"type": "integer"},
    },
    "required": ["results", "searched", "revision", "abstained"],
}

_DETAILS_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "names": {
            "type": "array",
            "items": {"type": "string", "maxLength": MAX_NAME_CHARS},
            "minItems": 1,
            "maxItems": MAX_NAMES,
            "description": "Names exactly as search_tools gave them.",
        }
    },
    "required": ["names"],
    "additionalProperties": False,
}

_DETAILS_OUTPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "tools": {"type": "array", "items": {"type": "object"}},
        "missing": {"type": "array", "items": {"type": "object"}},
        "quarantined": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["tools", "missing"],
}

_CALL_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "name": {
            "type": "string",
            "maxLength": MAX_NAME_CHARS,
            "description": "A tool's name as search_tools gave it.",
        },
        "arguments": {
            "type": "object",
            "description": "As its inputSchema says.",
            "default": {},
        },
    },
    "required": ["name"],
    "additionalProperties": False,
}

_WEIGHTS: Final[Mapping[str, Any]] = {
    "type": "object",
    "description": "What matters, unsaid 1, 0, 0; default: the model to keep to.",
    "properties": {
        **{
            name: {"type": "number", "minimum": 0}
            for name in ("quality", "cost", "latency", "max_cost_usd", "max_latency_ms")
        },
        "default": {"type": "string"},
    },
    "additionalProperties": False,
}

_SELECT_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "task": {"type": "string", "description": "What the model has to do, in plain words."},
        "constraints": CONSTRAINTS_SCHEMA,
        "objective": {
            "type": "string",
            "enum": [objective.value for objective in Objective],
            "default": Objective.RELEVANCE.value,
            "description": "What to rank by, among those within the limits.",
        },
        "weights": _WEIGHTS,
        "k": {"type": "integer", "minimum": 1, "maximum": MAX_K, "default": DEFAULT_K},
    },
    "required": ["task"],
    "additionalProperties": False,
}

_SELECT_OUTPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "choices": {"type": "array", "items": {"type": "object"}},
        "considered": {"type": "integer"},
        "passed": {"type": "integer"},
        "excludedBy": {"type": "object"},
        "exclusions": {"type": "array", "items": {"type": "object"}},
        "notes": {"type": "array", "items": {"type": "string"}},
        "routing": {
            "type": "object",
            "description": "What past outcomes let expect of each model, stage by stage.",
        },
    },
    "required": ["choices", "considered", "passed", "excludedBy", "exclusions", "notes"],
}


_CALL_MODEL_INPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "messages": {
            "type": ["string", "array"],
            "items": {"type": "object"},
            "description": "A text, or OpenAI chat messages.",
        },
        "model": {
            "type": "string",
            "maxLength": MAX_NAME_CHARS,
            "default": "auto",
            "description": "NAME or NAME@PROVIDER.",
        },
        "constraints": {"type": "object", "description": "As in select_model; so objective."},
        "objective": {"type": "string"},
        "parameters": {"type": "object", "description": "OpenAI's: max_tokens, tools, ..."},
        "cascade": {
            "type": ["boolean", "object"],
            "description": "A small model first, its answer checked.",
        },
        "cache": {"type": ["boolean", "string"], "description": "May it be an earlier answer?"},
        "timeout_s": {"type": "number"},
    },
    "required": ["messages"],
    "additionalProperties": False,
}
"""Limits are spelled out once, at `select_model`: a list of tools costs every conversation."""

_CALL_MODEL_OUTPUT: Final[Mapping[str, Any]] = {
    "type": "object",
    "properties": {
        "model": {"type": "string"},
        "provider": {"type": "string"},
        "text": {"type": "string"},
        "message": {"type": "object"},
        "finishReason": {"type": "string"},
        "reasons": {"type": "array", "items": {"type": "string"}},
        "failed": {"type": "array", "items": {"type": "string"}},
        "usage": {"type": "object"},
        "costUsd": {"type": "number"},
        "cascade": {"type": "object"},
        "cache": {"type": "object"},
        "examples": {"type": "array", "items": {"type": "object"}},
    },
    "required": ["model", "text", "message", "reasons", "usage"],
}


def meta_tools(servers: Sequence[str]) -> list[dict[str, Any]]:
    """Define the tools, naming the servers behind them (in the order given)."""
    behind = _behind(servers)
    return [
        {
            "name": SEARCH_TOOLS,
            "title": "Search tools",
            "description": (
                "Find the tool for a task. START HERE whenever a task needs something that the "
                "tools you see cannot do (fetch, look up, convert, files, repositories, databases, "
                "other services), before you turn to a shell or say that it cannot be done. "
                f"{behind}Say the task in plain words, or its steps as a list; the best matches "
                "come back with their arguments, ready for call_tool."
            ),
            "inputSchema": _SEARCH_INPUT,
            "outputSchema": _SEARCH_OUTPUT,
            "annotations": _READ_ONLY,
        },
        {
            "name": GET_TOOL_DETAILS,
            "title": "Get tool details",
            "description": (
                "Get the complete definition (schemas, annotations) of tools that search_tools "
                "found, before calling one whose arguments are not obvious."
            ),
            "inputSchema": _DETAILS_INPUT,
            "outputSchema": _DETAILS_OUTPUT,
            "annotations": _READ_ONLY,
        },
        {
            "name": CALL_TOOL,
            "title": "Call a tool",
            "description": (
                "Run a tool that search_tools found, by its exact name. The result is the tool's "
                "own. If the arguments do not fit, the answer says which field and what was "
                "expected: mend it and call again."
            ),
            "inputSchema": _CALL_INPUT,
            "annotations": {"openWorldHint": True},
        },
        {
            "name": SELECT_MODEL,
            "title": "Select a model",
            "description": (
                "Choose an AI model for a task under hard limits on price, context length, "
                "modality, licence, region and size. Says why each choice was made and why the "
                "others were excluded."
            ),
            "inputSchema": _SELECT_INPUT,
            "outputSchema": _SELECT_OUTPUT,
            "annotations": _READ_ONLY,
        },
        {
            "name": CALL_MODEL,
            "title": "Call a model",
            "description": (
                "Have another AI model answer: a subtask, an image, a second opinion. Says who "
                "answered, why, and at what cost."
            ),
            "inputSchema": _CALL_MODEL_INPUT,
            "outputSchema": _CALL_MODEL_OUTPUT,
            "annotations": {"readOnlyHint": True, "openWorldHint": True},
        },
    ]


def instructions(counts: Counts, servers: Sequence[str]) -> str:
    """Say what is behind the meta-tools now, so that a model knows to look there."""
    tools = counts.entries.get(EntryKind.TOOL, 0)
    models = counts.entries.get(EntryKind.MODEL, 0)
    if not tools and not models:
        return (
            "Toolcrib finds and calls tools of other MCP servers. None is registered yet: ask the "
            "user to run `toolcrib add NAME -- COMMAND` or `toolcrib import FILE`."
        )
    return (
        f"Toolcrib holds {_count(tools, 'tool')} of {_count(len(servers), 'server')}"
        f"{' and ' + _count(models, 'model') if models else ''}. {_behind(servers)}"
        "They are not listed one by one: call search_tools with the task in plain words, then "
        "call_tool with the name it gives. Search before saying that something cannot be done."
    )


def _behind(servers: Sequence[str]) -> str:
    if not servers:
        return ""
    more = len(servers) - _NAMED_SERVERS
    names = ", ".join(servers[:_NAMED_SERVERS]) + (f" and {more} more" if more > 0 else "")
    return f"Behind it are the servers: {names}. "


def _count(n: int, noun: str) -> str:
    return f"{n:,} {noun}{'' if n == 1 else 's'}"
