"""Hard limits on a model, and what each excludes and why. Three-valued: unknown never passes.

Knows candidates and nothing of relevance or ranking.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from datetime import date
from enum import StrEnum
from typing import Any, TypeVar, cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Known

from .candidate import Candidate

_V = TypeVar("_V")


class Ability(StrEnum):
    """What a model can be required to do."""

    TOOL_CALL = "tool_call"
    STRUCTURED_OUTPUT = "structured_output"
    REASONING = "reasoning"


@dataclass(frozen=True, slots=True, kw_only=True)
class Constraints:
    """Hard limits; None or empty sets no limit, except an empty allow-list, which allows nothing.

    Prices are USD per million tokens. ``max_cost_usd`` is for one call of ``tokens_in`` and
    ``tokens_out``. Words are compared without regard to case.
    """

    max_price_in_usd: float | None = None
    max_price_out_usd: float | None = None
    max_cost_usd: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    min_context_tokens: int | None = None
    min_output_tokens: int | None = None
    modalities_in: frozenset[str] = frozenset()
    modalities_out: frozenset[str] = frozenset()
    licenses: frozenset[str] | None = None
    open_weights: bool | None = None
    regions: frozenset[str] | None = None
    """A region allows its parts: ``eu`` allows ``eu-west-1``."""
    abilities: frozenset[Ability] = frozenset()
    max_parameters_b: float | None = None
    max_p95_first_token_ms: float | None = None
    max_p95_latency_ms: float | None = None
    max_error_rate: float | None = None
    providers: frozenset[str] | None = None
    without_providers: frozenset[str] = field(default_factory=frozenset[str])

    @property
    def is_empty(self) -> bool:
        """Whether nothing is limited."""
        estimates = {"tokens_in", "tokens_out"}
        return all(
            getattr(self, f.name) in (None, frozenset())
            for f in fields(self)
            if f.name not in estimates
        ) and not any(allowed is not None for allowed in self._allow_lists.values())

    @property
    def _allow_lists(self) -> dict[str, frozenset[str] | None]:
        return {"licenses": self.licenses, "regions": self.regions, "providers": self.providers}

    def check(self) -> None:
        """Refuse limits that make no sense by themselves.

        Raises:
            InvalidInput: A limit is negative, or a cost limit comes without a call's size.
        """
        for f in fields(self):
            value = getattr(self, f.name)
            if isinstance(value, int | float) and not value >= 0:
                raise InvalidInput(f"{f.name} is {value}; a limit cannot be below zero.")
        if self.max_cost_usd is not None and self.tokens_in is None and self.tokens_out is None:
            raise InvalidInput(
                "max_cost_usd needs the size of a call: give tokens_in and tokens_out."
            )

    def contradictions(self) -> tuple[str, ...]:
        """Say which limits no candidate can ever meet, whatever is registered."""
        return tuple(self._contradictions())

    def _contradictions(self) -> Iterator[str]:
        for name, allowed in self._allow_lists.items():
            if allowed is not None and not allowed:
                yield f"{name} is an empty list, which allows none. Leave it out to allow all."
        denied = {name.casefold() for name in self.without_providers}
        if self.providers and not {name.casefold() for name in self.providers} - denied:
            yield "Every provider in providers is also in without_providers."


@dataclass(frozen=True, slots=True, kw_only=True)
class Violation:
    """One limit that a candidate does not meet. ``value`` is None when it is unknown."""

    field: str
    value: object | None
    bound: str
    source: str | None = None
    as_of: date | None = None

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.field} is unknown, and must be {self.bound}"
        return f"{self.field} is {_text(self.value)} ({self._origin}), and must be {self.bound}"

    @property
    def _origin(self) -> str:
        return f"{self.source}, {self.as_of}" if self.as_of else str(self.source)


@dataclass(frozen=True, slots=True)
class Exclusion:
    """A candidate that was excluded, with every limit that it fails."""

    candidate: Candidate
    violations: tuple[Violation, ...]

    def __str__(self) -> str:
        return f"{self.candidate.label}: {'; '.join(map(str, self.violations))}"


@dataclass(frozen=True, slots=True)
class Limit:
    """One hard limit: the field it is on, and which of that field's values pass."""

    field: str
    read: Callable[[Candidate], Known[Any] | None]
    passes: Callable[[Any], bool]
    bound: str
    cost_of: tuple[int, int] | None = None
    """Tokens in and out of the call whose cost is limited; then the value is no field."""
    most_cost: float = 0.0

    def __call__(self, candidate: Candidate) -> Violation | None:
        """Tell what is wrong with a candidate, or None."""
        known = self.read(candidate)
        if known is None:
            return Violation(field=self.field, value=None, bound=self.bound)
        if self.passes(known.value):
            return None
        return Violation(
            field=self.field,
            value=known.value,
            bound=self.bound,
            source=known.source,
            as_of=None if known.source == _OWN_WORD else known.as_of,
        )


def limits_of(constraints: Constraints) -> tuple[Limit, ...]:
    """Turn constraints into limits, cheapest and most telling first."""
    return tuple(_limits(constraints))


def violations_of(candidate: Candidate, limits: tuple[Limit, ...]) -> tuple[Violation, ...]:
    """Return every limit that a candidate fails; empty when it may be chosen."""
    found = (limit(candidate) for limit in limits)
    return tuple(violation for violation in found if violation is not None)


def _limits(c: Constraints) -> Iterator[Limit]:
    yield from _provider_limits(c)
    yield from _price_limits(c)
    yield from _size_limits(c)
    yield from _kind_limits(c)
    yield from _measured_limits(c)


def _provider_limits(c: Constraints) -> Iterator[Limit]:
    if c.providers is not None:
        allowed = _folded(c.providers)
        yield _provider_must(lambda v: v in allowed, f"one of {_names(c.providers)}")
    if c.without_providers:
        denied = _folded(c.without_providers)
        yield _provider_must(lambda v: v not in denied, f"none of {_names(c.without_providers)}")
    if c.regions is not None:
        regions = _folded(c.regions)
        yield _must(
            "region",
            lambda k: k.region,
            lambda v: any(v.casefold() == r or v.casefold().startswith(f"{r}-") for r in regions),
            f"in {_names(regions)}",
        )


def _price_limits(c: Constraints) -> Iterator[Limit]:
    if (most_in := c.max_price_in_usd) is not None:
        bound = f"at most {most_in:g} USD per million tokens"
        yield _must("price_in_usd", lambda k: k.price_in_usd, lambda v: v <= most_in, bound)
    if (most_out := c.max_price_out_usd) is not None:
        bound = f"at most {most_out:g} USD per million tokens"
        yield _must("price_out_usd", lambda k: k.price_out_usd, lambda v: v <= most_out, bound)
    if (most := c.max_cost_usd) is not None:
        sent, received = c.tokens_in or 0, c.tokens_out or 0
        yield Limit(
            "cost_usd",
            lambda k: k.cost_usd(tokens_in=sent, tokens_out=received),
            lambda v: v <= most,
            f"at most {most:g} USD for {sent} tokens in and {received} out",
            cost_of=(sent, received),
            most_cost=most,
        )


def _size_limits(c: Constraints) -> Iterator[Limit]:
    if (least := c.min_context_tokens) is not None:
        bound = f"at least {least} tokens"
        yield _must("context_tokens", lambda k: k.context_tokens, lambda v: v >= least, bound)
    if (output := c.min_output_tokens) is not None:
        bound = f"at least {output} tokens"
        yield _must(
            "max_output_tokens", lambda k: k.max_output_tokens, lambda v: v >= output, bound
        )
    if (most := c.max_parameters_b) is not None:
        yield _must(
            "parameters_b",
            lambda k: k.model.descriptor.parameters_b,
            lambda v: v <= most,
            f"at most {most:g} billion",
        )


def _kind_limits(c: Constraints) -> Iterator[Limit]:
    if sent := _folded(c.modalities_in):
        bound = f"with {_names(sent)}"
        yield _must("modalities_in", lambda k: k.modalities_in, lambda v: sent <= _folded(v), bound)
    if answered := _folded(c.modalities_out):
        bound = f"with {_names(answered)}"
        yield _must(
            "modalities_out", lambda k: k.modalities_out, lambda v: answered <= _folded(v), bound
        )
    if c.licenses is not None:
        allowed = _folded(c.licenses)
        yield _must(
            "license",
            lambda k: k.model.descriptor.license,
            lambda v: license_allowed(v, allowed),
            f"one of {_names(c.licenses)}",
        )
    if (weights := c.open_weights) is not None:
        bound = "true" if weights else "false"
        yield _must("open_weights", lambda k: k.open_weights, lambda v: v is weights, bound)
    for ability in sorted(c.abilities):
        yield _must(ability.value, _ABILITIES[ability], lambda v: v is True, "true")


def _measured_limits(c: Constraints) -> Iterator[Limit]:
    if (begins := c.max_p95_first_token_ms) is not None:
        yield _must(
            "p95_first_token_ms",
            lambda k: k.p95_first_token_ms,
            lambda v: v <= begins,
            f"at most {begins:g} ms",
        )
    if (ends := c.max_p95_latency_ms) is not None:
        yield _must(
            "p95_latency_ms",
            lambda k: k.p95_latency_ms,
            lambda v: v <= ends,
            f"at most {ends:g} ms",
        )
    if (most := c.max_error_rate) is not None:
        yield _must("error_rate", lambda k: k.error_rate, lambda v: v <= most, f"at most {most:g}")


_ABILITIES: dict[Ability, Callable[[Candidate], Known[bool] | None]] = {
    Ability.TOOL_CALL: lambda candidate: candidate.tool_call,
    Ability.STRUCTURED_OUTPUT: lambda candidate: candidate.structured_output,
    Ability.REASONING: lambda candidate: candidate.reasoning,
}


def license_allowed(expression: str, allowed: frozenset[str]) -> bool:
    """Whether an SPDX expression may be met within an allow-list of case-folded licences.

    ``A OR B`` needs one of them, ``A AND B`` both. Brackets are not taken apart: such an
    expression is allowed only as a whole.
    """
    folded = " ".join(expression.casefold().split())
    if folded in allowed:
        return True
    if "(" in folded:
        return False
    return any(
        all(term in allowed for term in choice.split(" and ")) for choice in folded.split(" or ")
    )


_OWN_WORD = "the offer itself"


def _must(
    name: str,
    read: Callable[[Candidate], Known[_V] | None],
    passes: Callable[[_V], bool],
    bound: str,
) -> Limit:
    return Limit(name, read, passes, bound)


def _provider_must(passes: Callable[[str], bool], bound: str) -> Limit:
    return Limit("provider", _provider, lambda name: passes(name.casefold()), bound)


def _provider(candidate: Candidate) -> Known[str] | None:
    name = candidate.provider
    return None if name is None else Known(name, _OWN_WORD, date.min)


def _folded(words: Iterable[str]) -> frozenset[str]:
    return frozenset(" ".join(word.casefold().split()) for word in words)


def _names(words: Iterable[str]) -> str:
    return ", ".join(sorted(words)) or "an empty list"


def _text(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, tuple):
        return _names(cast("tuple[str, ...]", value))
    return str(value)
