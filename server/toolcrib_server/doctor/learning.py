"""Examines what is learned from use, and what a model writes."""

from __future__ import annotations

from toolcrib_registry.errors import ToolcribError
from toolcrib_server.runtime import Runtime

from .check import Check


async def examine_learning(runtime: Runtime) -> Check:
    """Say what was recorded, and whether it is in use."""
    try:
        states = await runtime.feedback.states()
    except ToolcribError as error:
        return Check("learning", error.detail, ok=False)
    outcomes = sum(state.outcomes for state in states)
    used = sum(state.in_use is not None for state in states)
    detail = f"{runtime.feedback.mode}: {outcomes} outcomes of {len(states)} tenants"
    return Check("learning", f"{detail}, in use for {used}" if states else detail)


async def examine_writing(runtime: Runtime) -> Check:
    """Say whether a model writes, and how far it is."""
    writer = runtime.writing.questions
    if writer.model is None:
        return Check("writer", "off")
    found = await writer.survey()
    detail = (
        f"{writer.model}: {found.written} of {found.tools} tools have written questions, "
        f"{found.declared} declared ones, {len(found.waiting)} wait"
    )
    try:
        await writer.find()
    except ToolcribError as error:
        advice = "Register it, or name another in TOOLCRIB_WRITER_MODEL. Search works without."
        return Check("writer", f"{detail}. {error.detail}", ok=False, advice=advice)
    return Check("writer", detail)
