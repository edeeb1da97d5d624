"""Errors in the protocol's two forms, made here and nowhere else on this face.

A request that no model could mend is a JSON-RPC error; everything a model can act on (wrong
arguments, an unknown name behind `call_tool`, an upstream's failure) is a result that says so.
"""

from __future__ import annotations

import logging
import uuid
from typing import Any, Final

from toolcrib_registry.errors import (
    BudgetExceeded,
    EntryGone,
    EntryQuarantined,
    InvalidArguments,
    NoModelFits,
    NotCallable,
    NotFound,
    Peer,
    RateLimited,
    ServerBusy,
    ToolcribError,
    UpstreamTimeout,
    UpstreamUnavailable,
)
from toolcrib_server.downstream.service import RpcError

INVALID_PARAMS = -32602
METHOD_NOT_FOUND = -32601

logger = logging.getLogger(__name__)
_OF: Final = {Peer.SERVER: "tool", Peer.PROVIDER: "model", Peer.SOURCE: "source"}
"""What to use in the place of what is away."""


def unknown_tool(name: str, known: list[str]) -> RpcError:
    """Refuse a tool that this server does not have."""
    return RpcError(
        INVALID_PARAMS,
        f"Unknown tool: {name!r}. This server's tools are {', '.join(known)}; a tool that "
        "search_tools found is run as call_tool(name, arguments).",
    )


def error_result(error: ToolcribError) -> dict[str, Any]:
    """Answer with an error and what to do about it."""
    advice = _advice(error)
    detail = error.detail if error.detail.endswith((".", "?", "!")) else f"{error.detail}."
    text = f"{detail} {advice}" if advice else detail
    return {
        "content": [{"type": "text", "text": text}],
        "isError": True,
        "_meta": {"toolcrib/code": error.code},
    }


def internal_error(error: Exception) -> dict[str, Any]:
    """Answer for a defect of ours: logged in full, shown by a number."""
    incident = uuid.uuid4().hex[:12]
    logger.error("Internal error %s", incident, exc_info=error)
    text = f"Toolcrib failed by itself (incident {incident}, see its log). Trying again may help."
    return {"content": [{"type": "text", "text": text}], "isError": True}


def _advice(error: ToolcribError) -> str:
    match error:
        case EntryGone(replaced_by=str(name)):
            return f"Use {name!r}: read its details first, for it may have changed."
        case NotFound(what="tool"):
            return "Find the exact name with search_tools."
        case InvalidArguments():
            return "Mend the named fields and call again."
        case UpstreamTimeout(peer=peer):
            return f"It may be slow or stuck: try once more, or use another {_OF[peer]}."
        case UpstreamUnavailable(peer=peer) | ServerBusy(peer=peer):
            return f"Use another {_OF[peer]} for now, or try later."
        case EntryQuarantined():
            return "Only a person can do that, not you. Tell them, or search for another tool."
        case NotCallable() if not isinstance(error, NoModelFits):
            return "Search for another tool or model."
        case _:
            return _advice_on_models(error)


def _advice_on_models(error: ToolcribError) -> str:
    match error:
        case NoModelFits():
            return "Loosen a limit, or name another model."
        case NotFound(what="model"):
            return "Find the exact name with select_model, or leave the choice to 'auto'."
        case RateLimited() | BudgetExceeded():
            return "Use another model for now, or try later."
        case _:
            return ""
