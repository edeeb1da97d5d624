"""What an upstream sent, from bytes to JSON that can be handed on, or the reason why it cannot.

Knows how messages nest and which request they answer; nothing of methods and transports.
"""

from __future__ import annotations

import json
import re
from typing import Any, cast

from toolcrib_server.jsonrpc.text import MAX_DEPTH, MAX_DIGITS, is_deeper, mend
from toolcrib_server.upstream.failures import TooDeep, Unrelayable

from .rpc import is_response

_ID = r'"id"\s*:\s*"?(?P<id>\d{1,19})"?\s*'
_VERSION = r'"jsonrpc"\s*:\s*"2\.0"\s*'
_IS_MESSAGE = re.compile(r"\s*(?:\[\s*)?\{")
_OPENS_WITH_METHOD = re.compile(rf'\s*\{{\s*(?:{_VERSION},\s*)?(?:{_ID},\s*)?"method"')
_OPENS_WITH_ID = re.compile(rf"\s*\{{\s*(?:{_VERSION},\s*)?{_ID},")
_ENDS_WITH_ID = re.compile(rf",\s*{_ID}(?:,\s*{_VERSION})?\}}\s*\Z")
_TAIL_CHARS = 200


def decode(data: bytes | str) -> Any:
    """Read JSON. Bytes that are not UTF-8 and lone surrogates become U+FFFD.

    Raises:
        ValueError: It is not JSON.
        Unrelayable: It is, and cannot be handed on.
    """
    text = data if isinstance(data, str) else data.decode("utf-8", "replace")
    text = text.removeprefix("\ufeff")
    try:
        decoded = json.loads(text)
    except json.JSONDecodeError:
        raise
    except RecursionError:
        if not _IS_MESSAGE.match(text):
            raise ValueError("nested too deeply") from None
        raise Unrelayable(_describe_depth(), _guess_answered(text)) from None
    except ValueError:  # an integer too long for Python
        raise _describe_integers(text) from None
    if text.count("{") + text.count("[") > MAX_DEPTH and is_deeper(decoded, MAX_DEPTH):
        raise TooDeep(_describe_depth(), _answered(decoded), _result_in(decoded))
    # Escapes are the only way in: UTF-8 cannot spell a surrogate.
    return mend(decoded) if "\\ud" in text or "\\uD" in text else decoded


def _describe_depth() -> str:
    return f"sent JSON that is nested more than {MAX_DEPTH} levels deep"


def _describe_integers(text: str) -> Unrelayable:
    """Read it once more, without its long integers, to learn whom it answers."""
    reason = f"sent an integer of more than {MAX_DIGITS} digits"
    try:
        decoded = json.loads(text, parse_int=_short_integer)
    except RecursionError:
        return Unrelayable(reason, _guess_answered(text))
    return Unrelayable(reason, _answered(decoded))


def _short_integer(literal: str) -> int:
    return int(literal) if len(literal) <= MAX_DIGITS else 0


# --- which request it answers ------------------------------------------------------------------


def _messages(decoded: Any) -> list[dict[str, Any]]:
    # Revisions before 2025-06-18 allowed batches.
    listed = cast("list[Any]", decoded) if isinstance(decoded, list) else [decoded]
    return [cast("dict[str, Any]", each) for each in listed if isinstance(each, dict)]


def _answered(decoded: Any) -> tuple[object, ...]:
    return tuple(each.get("id") for each in _messages(decoded) if is_response(each))


def _result_in(decoded: Any) -> dict[str, Any] | None:
    result = cast("dict[str, Any]", decoded).get("result") if isinstance(decoded, dict) else None
    return cast("dict[str, Any]", result) if isinstance(result, dict) else None


def _guess_answered(text: str) -> tuple[object, ...] | None:
    """Find the id where servers write it, first or last, in what no parser can read."""
    if _OPENS_WITH_METHOD.match(text):
        return ()
    found = _OPENS_WITH_ID.match(text) or _ENDS_WITH_ID.search(text, len(text) - _TAIL_CHARS)
    return (int(found["id"]),) if found else None
