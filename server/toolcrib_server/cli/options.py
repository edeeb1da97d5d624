"""Options, and the reading of values, that several verbs share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from toolcrib_server.selection.question import MAX_K

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]
Count = Annotated[int, typer.Option("-k", "--limit", min=1, max=MAX_K, help="How many at most.")]
"""Of results or choices. Refused here, where it has the name that the caller knows it by."""


def parse_value(value: str) -> Any:
    """Take text that is JSON as JSON, and any other as text."""
    try:
        return json.loads(value)
    except ValueError:
        return value
