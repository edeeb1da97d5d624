"""Whether a URI could reach a resource that is withheld, however the URI is spelled. Pure.

Servers differ in what they take for the same URI: many bring it into a normal form first (WHATWG's
``URL``, pydantic's ``AnyUrl``). So more is refused here than any one of them takes for the same.
Templates and URIs both come from strangers: nothing here backtracks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final
from urllib.parse import unquote

_EXPRESSION: Final = re.compile(r"\{[^{}]*\}")
_DROPPED: Final = re.compile(r"[\x00-\x20\x7f]")
_WEB: Final = re.compile(r"(https?|wss?|ftp|file):/*")
_DEFAULT_PORT: Final = re.compile(r"^([a-z]+://[^/?]*):(?:80|443|21)?(?=[/?]|$)")


class Withheld:
    """The resources of one server that may not be read, and the templates."""

    def __init__(self, listed: Iterable[str] = ()) -> None:
        """Take URIs and URI templates as ``listed``."""
        known = tuple(listed)
        self._uris = {_normal(uri) for uri in known if "{" not in uri}
        self._templates = tuple(_Template.of(each) for each in known if "{" in each)

    def covers(self, uri: str) -> bool:
        """Whether the URI may be one of them, or one that only their templates name."""
        if not self._uris and not self._templates:
            return False
        normal = _normal(uri)
        return normal in self._uris or any(
            template.matches(uri.lower()) or template.matches(normal)
            for template in self._templates
        )


@dataclass(frozen=True, slots=True)
class _Template:
    """What stands between the expressions of a URI template, in lower case."""

    first: str
    middle: tuple[str, ...]
    last: str

    @classmethod
    def of(cls, template: str) -> _Template:
        first, *others = _EXPRESSION.split(template.lower())
        *middle, last = others or [""]  # a brace that never closes is no expression
        return cls(first, tuple(each for each in middle if each), last)

    def matches(self, uri: str) -> bool:
        """Whether it could expand to the URI, and rather more than less."""
        if not uri.startswith(self.first) or not uri.endswith(self.last):
            return False
        at, end = len(self.first), len(uri) - len(self.last)
        for literal in self.middle:
            at = uri.find(literal, at, max(end, 0))
            if at < 0:
                return False
            at += len(literal)
        return at <= end


def _normal(uri: str) -> str:
    """Bring a URI into a form that its other spellings share."""
    text = _DROPPED.sub("", unquote(uri)).lower().replace("\\", "/").partition("#")[0]
    text = _DEFAULT_PORT.sub(r"\1", _WEB.sub(r"\1://", text, count=1))
    scheme, separator, rest = text.partition("://")
    if not separator:
        return text.rstrip("/")
    host, slash, path = rest.partition("/")
    whole = f"{host}/{_without_dots(path)}" if slash else host
    return f"{scheme}://{whole.rstrip('/')}"


def _without_dots(path: str) -> str:
    """Resolve the steps that lead nowhere, or back (RFC 3986, 5.2.4)."""
    steps: list[str] = []
    for step in path.split("/"):
        if step == "..":
            del steps[-1:]
        elif step != ".":
            steps.append(step)
    return "/".join(steps)
