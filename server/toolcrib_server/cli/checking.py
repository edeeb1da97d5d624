"""Reads how answers of a cascade are to be checked, from words of the command line."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.cascade.verdicts import CheckKind


def read_cascade(verify: Sequence[str], up: Sequence[str], accept: float | None) -> dict[str, Any]:
    """Make of ``KIND:VALUE`` words the plan that the other faces take as JSON.

    Raises:
        InvalidInput: A word is no check, or its file cannot be read.
    """
    plan: dict[str, Any] = {"models": list(up), "accept": accept}
    if verify:
        plan["verify"] = [_read_check(word) for word in verify]
    return plan


def _read_check(word: str) -> dict[str, Any]:
    kind, _, value = word.partition(":")
    check: dict[str, Any] = {"kind": kind}
    match kind:
        case CheckKind.JSON_SCHEMA if value:
            check["schema"] = _read_schema(Path(value))
        case CheckKind.PATTERN:
            check["pattern"] = value
        case CheckKind.COMMAND:
            check["name"] = value
        case CheckKind.SELF_CONSISTENCY if value:
            check["samples"] = int(value) if value.isdecimal() else value
        case CheckKind.JUDGE:
            check["model"] = value
        case _:
            pass  # refused, or completed, by who reads the plan
    return check


def _read_schema(path: Path) -> Any:
    try:
        return json.loads(path.read_text("utf-8"))
    except OSError as error:
        raise InvalidInput(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(f"{path} is not JSON: {error}.") from error
