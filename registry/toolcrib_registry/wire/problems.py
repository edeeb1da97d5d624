"""Errors on the wire, after RFC 9457."""

from __future__ import annotations

from typing import Any

from pydantic import ConfigDict

from .shapes import WireOut


class FieldProblemOut(WireOut):
    """One field that does not fit: a dotted path ('' is the whole), what is wrong, what fits."""

    path: str
    problem: str
    expected: str = ""


class ProblemOut(WireOut):
    """An error, after RFC 9457. ``data`` carries what the error's own class knows."""

    model_config = ConfigDict(
        json_schema_extra={
            "examples": [
                {
                    "type": "urn:toolcrib:problem:not-found",
                    "title": "Not found",
                    "status": 404,
                    "code": "not-found",
                    "detail": "No tool is named 'tiem'. Did you mean: time__now?",
                    "data": {"what": "tool", "name": "tiem", "near": ["time__now"]},
                }
            ]
        }
    )

    type: str
    title: str
    status: int
    code: str
    detail: str
    instance: str | None = None
    errors: list[FieldProblemOut] = []
    data: dict[str, Any] = {}
