"""Options, and the reading of values, that several verbs share."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for scripts.")]


def parse_value(value: str) -> Any:
    """Take text that is JSON as JSON, and any other as text."""
    try:
        return json.loads(value)
    except ValueError:
        return value
