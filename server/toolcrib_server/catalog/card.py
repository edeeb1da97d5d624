"""Reads a Hugging Face model card: the YAML at the head of its README.md.

What a card says is its maker's own word, and bears ``huggingface:NAME`` as its source.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from datetime import date
from typing import Any, Final, cast

import yaml

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Evaluation, Known, Model, ModelDescriptor

SOURCE: Final = "huggingface"
_MAX_HEAD_CHARS: Final = 1_000_000
_MAX_EVALUATIONS: Final = 500
_MAX_WORDS: Final = 256
_HEAD: Final = re.compile(r"\A\ufeff?---[ \t]*\r?\n(.*?)\r?\n---[ \t]*(?:\r?\n|\Z)", re.DOTALL)
_SPDX: Final = {
    "apache-2.0": "Apache-2.0",
    "mit": "MIT",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause",
    "cc-by-4.0": "CC-BY-4.0",
    "cc-by-sa-4.0": "CC-BY-SA-4.0",
    "cc-by-nc-4.0": "CC-BY-NC-4.0",
    "cc-by-nc-sa-4.0": "CC-BY-NC-SA-4.0",
    "cc0-1.0": "CC0-1.0",
    "gpl-3.0": "GPL-3.0-only",
    "agpl-3.0": "AGPL-3.0-only",
    "lgpl-3.0": "LGPL-3.0-only",
    "mpl-2.0": "MPL-2.0",
    "unlicense": "Unlicense",
    "isc": "ISC",
}
_NO_LICENSE: Final = frozenset({"unknown", ""})
_MODALITIES: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = {
    "text-generation": (("text",), ("text",)),
    "text2text-generation": (("text",), ("text",)),
    "summarization": (("text",), ("text",)),
    "translation": (("text",), ("text",)),
    "question-answering": (("text",), ("text",)),
    "image-text-to-text": (("text", "image"), ("text",)),
    "visual-question-answering": (("text", "image"), ("text",)),
    "image-to-text": (("image",), ("text",)),
    "audio-text-to-text": (("text", "audio"), ("text",)),
    "video-text-to-text": (("text", "video"), ("text",)),
    "automatic-speech-recognition": (("audio",), ("text",)),
    "text-to-speech": (("text",), ("audio",)),
    "text-to-audio": (("text",), ("audio",)),
    "text-to-image": (("text",), ("image",)),
    "image-to-image": (("image",), ("image",)),
    "text-to-video": (("text",), ("video",)),
    "feature-extraction": (("text",), ("embedding",)),
    "sentence-similarity": (("text",), ("embedding",)),
}


def is_card(text: str) -> bool:
    """Whether a text begins as a model card does."""
    return _HEAD.match(text) is not None


def read_card(text: str, *, name: str | None, as_of: date) -> Model:
    """Read a card. Without ``name``, the one its evaluations are given under.

    Raises:
        InvalidInput: There is no YAML at its head, it is broken, or nobody says what it is of.
    """
    head = _head(text)
    named = name or _index_name(head)
    if not named:
        raise InvalidInput("The card does not say which model it is of: give --name ORG/MODEL.")
    source = f"{SOURCE}:{named}"
    task = _text(head.get("pipeline_tag"))
    taken, given = _MODALITIES.get(task or "", ((), ()))
    library = _text(head.get("library_name"))
    return Model(
        name=named,
        source_id=named,
        title=_text(head.get("model_name")),
        family=next(_words(head.get("base_model")), None),
        tags=tuple(dict.fromkeys(word for word in (task, library) if word)),
        descriptor=ModelDescriptor(
            license=_fact(_license(head), source, as_of),
            open_weights=Known(value=True, source=source, as_of=as_of),
            modalities_in=_fact(taken, source, as_of),
            modalities_out=_fact(given, source, as_of),
            languages=_fact(tuple(_words(head.get("language"))), source, as_of),
            evaluations=tuple(_evaluations(head, source, as_of))[:_MAX_EVALUATIONS],
        ),
    )


def _head(text: str) -> Mapping[str, Any]:
    found = _HEAD.match(text)
    if found is None or len(found[1]) > _MAX_HEAD_CHARS:
        raise InvalidInput("This is no model card: one begins with YAML between lines of ---.")
    try:
        head: object = yaml.safe_load(found[1])
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        raise InvalidInput(f"The card's YAML is broken: {' '.join(str(error).split())}") from error
    if not isinstance(head, dict):
        raise InvalidInput("The card's YAML is no mapping of fields.")
    return cast("Mapping[str, Any]", head)


def _license(head: Mapping[str, Any]) -> str | None:
    """Read the licence as SPDX; one that SPDX does not know is a ``LicenseRef-``."""
    given = (_text(head.get("license")) or "").casefold()
    if given in _NO_LICENSE:
        return None
    if given in _SPDX:
        return _SPDX[given]
    own = _text(head.get("license_name")) if given == "other" else given
    return f"LicenseRef-{re.sub(r'[^A-Za-z0-9.-]+', '-', own)}" if own else None


def _index_name(head: Mapping[str, Any]) -> str | None:
    return next((name for one in _index(head) if (name := _text(one.get("name")))), None)


def _index(head: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    yield from _mappings(head.get("model-index"))


def _evaluations(head: Mapping[str, Any], source: str, as_of: date) -> Iterator[Evaluation]:
    for one in _index(head):
        for result in _mappings(one.get("results")):
            data = _mapping(result.get("dataset"))
            benchmark = _text(data.get("name")) or _text(data.get("type"))
            version = "/".join(filter(None, map(_text, (data.get("config"), data.get("split")))))
            for metric in _mappings(result.get("metrics")):
                said = _text(metric.get("type")) or _text(metric.get("name"))
                score = _number(metric.get("value"))
                if benchmark and said and score is not None:
                    yield Evaluation(
                        benchmark=benchmark,
                        metric=said,
                        score=score,
                        version=version or None,
                        source=source,
                        as_of=as_of,
                    )


def _number(value: object) -> float | None:
    if not isinstance(value, int | float) or isinstance(value, bool):
        return None
    return float(value) if math.isfinite(value) else None


def _mapping(value: object) -> Mapping[str, Any]:
    return cast("Mapping[str, Any]", value) if isinstance(value, dict) else {}


def _mappings(value: object) -> Iterator[Mapping[str, Any]]:
    items = cast("list[object]", value) if isinstance(value, list) else []
    yield from (cast("Mapping[str, Any]", item) for item in items if isinstance(item, dict))


def _words(value: object) -> Iterator[str]:
    items = cast("list[object]", value) if isinstance(value, list) else [value]
    yield from (word for item in items[:_MAX_WORDS] if (word := _text(item)))


def _text(value: object) -> str | None:
    """Read text; YAML takes the Norwegian ``no`` for a boolean."""
    if value is False:
        return "no"
    if not isinstance(value, str) or "\0" in value:
        return None
    return value.strip()[:256] or None


def _fact(value: Any, source: str, as_of: date) -> Known[Any] | None:
    return Known(value, source, as_of) if value else None
