"""Cuts a result that is too large to what fits, and says where the rest can be read.

What cannot be read page by page (images, sound, links) stays in the result as it is.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from .marking import with_meta
from .shelf import KEPT_S, Kept
from .weighing import texts, weigh_content, weigh_json

CUT_KEY: Final = "io.toolcrib/cut"
"""In the ``_meta`` of a result: how much of it is shown, and where the rest is."""
_STRUCTURED_SHARE: Final = 0.75
"""Of what may be shown: structured content is whole or absent, and text needs some room."""
_LEAST_PAGE: Final = 1024
_EXCUSE: Final = (
    "the call succeeded. It is marked as an error only because its structured content, which "
    "clients insist on, is too large to be handed on"
)


@dataclass(frozen=True, slots=True)
class Weight:
    """How much there is to read in a result, in bytes."""

    text: int
    structured: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.text + self.structured


@dataclass(frozen=True, slots=True, kw_only=True)
class Whole:
    """What a result has to say, as one text, and how much of it goes on a page."""

    text: bytes
    media_type: str
    page_bytes: int
    keeps_structured: bool
    is_promised: bool
    """The client knows an output schema of the tool: the specification has structured content in
    each of its results then, and clients refuse one without, unless it is an error."""

    @property
    def breaks_promise(self) -> bool:
        """Whether a client would refuse it as an ordinary result."""
        return self.is_promised and not self.keeps_structured


def weigh(result: Mapping[str, Any]) -> Weight:
    """Weigh a result."""
    structured = result.get("structuredContent")
    return Weight(weigh_content(result), 0 if structured is None else weigh_json(structured))


def read_whole(result: Mapping[str, Any], weight: Weight, *, limit: int, promised: bool) -> Whole:
    """Read all that a result says, however large. To be done in another thread.

    Structured content that is ``promised`` is kept wherever it fits, for whoever waits for it.
    """
    share = 1.0 if promised else _STRUCTURED_SHARE
    keeps = weight.structured <= share * limit
    content = cast("Sequence[object]", result.get("content") or ())
    said = [text for block in content for text in texts(block)]
    media_type = "text/plain"
    if not keeps:
        structured = result["structuredContent"]
        if not any(_says(text, structured) for text in said):
            said.append(json.dumps(structured, ensure_ascii=False))
        if len(said) == 1:
            media_type = "application/json"
    return Whole(
        text="\n\n".join(said).encode("utf-8", "replace"),
        media_type=media_type,
        page_bytes=max(min(_LEAST_PAGE, limit), limit - weight.structured) if keeps else limit,
        keeps_structured=keeps,
        is_promised=promised,
    )


def cut(result: Mapping[str, Any], whole: Whole, kept: Kept, *, tool: str) -> dict[str, Any]:
    """Put the first page in the place of all text."""
    content = cast("Sequence[object]", result.get("content") or ())
    rest = [block for block in content if not texts(block)]
    shown = kept.read(1)
    blocks = [{"type": "text", "text": shown}, *rest]
    if whole.breaks_promise:
        blocks = [_note(_EXCUSE, kept, shown), *blocks]
    elif kept.pages > 1:
        blocks = [*blocks, _note("the call succeeded", kept, shown)]
    # Else all of it is shown, without its structured twin.
    small = {**result, "content": [*blocks, *_link(kept, tool)]}
    if not whole.keeps_structured:
        del small["structuredContent"]
    if whole.breaks_promise:
        small["isError"] = True
    told = {"bytes": kept.size, "pages": kept.pages, "uri": kept.uri(1)}
    return with_meta(small, CUT_KEY, told)


def _note(what: str, kept: Kept, shown: str) -> dict[str, Any]:
    said = f"[Cut by Toolcrib: {what}, and "
    if kept.pages == 1:
        return {"type": "text", "text": f"{said}all of it follows as text.]"}
    said += (
        f"{len(shown.encode('utf-8', 'replace'))} of the {kept.size} bytes of its result are "
        f"shown. The resource {kept.uri(2)} goes on, page by page up to {kept.pages}; it is kept "
        f"for {KEPT_S / 60:.0f} minutes.]"
    )
    return {"type": "text", "text": said}


def _link(kept: Kept, tool: str) -> list[dict[str, Any]]:
    if kept.pages == 1:
        return []
    return [
        {
            "type": "resource_link",
            "uri": kept.uri(2),
            "name": f"more of {tool}",
            "description": f"Page 2 of {kept.pages} of a result too large to send at once.",
            "mimeType": kept.media_type,
        }
    ]


def _says(text: str, structured: object) -> bool:
    """Whether a text is structured content written as JSON, as most servers send it too."""
    if not text.lstrip().startswith(("{", "[")):
        return False
    try:
        return json.loads(text) == structured
    except (ValueError, RecursionError):
        return False
