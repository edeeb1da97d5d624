"""Which offers fit a request and its limits; and where none does, what each of them lacks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from toolcrib_registry.errors import ContextTooLong, NoModelFits
from toolcrib_server.invocation.bodies.request import Needs
from toolcrib_server.selection.candidate import Candidate
from toolcrib_server.selection.constraint import Constraints, limits_of, violations_of
from toolcrib_server.selection.measured import SURELY_FAILS
from toolcrib_server.selection.models import Selection

from .order import Pick

_ANY_CONTEXT_TOKENS = 4_096
"""A request of this length is taken to fit a model whose context is unknown."""
MOST_SHOWN = 3
"""Of what was left out: the others are counted."""


def surely_fails(candidate: Candidate) -> bool:
    """Whether calls of an offer fail so often that it is to be asked last."""
    figures = candidate.figures
    return figures is not None and figures.surely_failing > SURELY_FAILS


def fitting(
    asked: str, named: Sequence[Candidate], constraints: Constraints, needs: Needs
) -> tuple[Pick, ...]:
    """Keep the offers that meet the caller's limits and are not known to lack what is needed.

    Raises:
        NoModelFits: None does; each says why.
    """
    limits = limits_of(constraints)
    required = limits_of(Constraints(abilities=needs.abilities, modalities_in=needs.modalities_in))
    picks: list[Pick] = []
    failed: list[str] = []
    for candidate in named:
        violations = violations_of(candidate, limits)
        lacking = (v for v in violations_of(candidate, required) if v.value is not None)
        if said := "; ".join(map(str, (*violations, *lacking))):
            failed.append(f"{candidate.label}: {said}")
        else:
            picks.append(Pick(candidate, tuple(_named_reasons(asked, candidate))))
    if not picks:
        notes = [f"The model {asked!r} cannot answer this.", *constraints.contradictions()]
        raise NoModelFits(" ".join([*notes, _some(failed)]))
    return tuple(picks)


def _named_reasons(asked: str, candidate: Candidate) -> Iterator[str]:
    yield f"{asked} was asked for by name."
    figures = candidate.figures
    if figures is not None and surely_fails(candidate):
        yield f"Asked last: {figures.error_rate:.0%} of its calls failed ({figures.ground})."


def long_enough(picks: Sequence[Pick], needs: Needs, *, unknown_passes: bool) -> tuple[Pick, ...]:
    """Keep what the request fits into; its length is an estimate from below.

    Raises:
        ContextTooLong: It fits into none; the longest is named.
    """
    length = needs.least_tokens_in + (needs.tokens_out or 0)
    unknown_takes = math.inf if unknown_passes else _ANY_CONTEXT_TOKENS
    kept = tuple(pick for pick in picks if _takes(pick.candidate, length, unknown_takes))
    if kept:
        return kept
    known = [(k.value, p.candidate) for p in picks if (k := p.candidate.context_tokens)]
    asked = f"The request has at least {needs.least_tokens_in} tokens"
    if needs.tokens_out:
        asked += f" and allows {needs.tokens_out} for the answer"
    if not known:
        unknown = picks[0].candidate
        raise ContextTooLong(
            unknown.provider or "",
            f"{asked}; the context of {unknown.label} is unknown. Register its contextTokens, or "
            "name the model.",
        )
    longest, candidate = max(known, key=lambda pair: pair[0])
    raise ContextTooLong(
        candidate.provider or "",
        f"{asked}; the longest context among {len(picks)} that could answer is {longest} tokens "
        f"({candidate.label}). Shorten the request, or register a model with a longer context.",
    )


def _takes(candidate: Candidate, length: int, unknown_takes: float) -> bool:
    context = candidate.context_tokens
    return length <= (context.value if context else unknown_takes)


def nothing_fits(selection: Selection) -> NoModelFits:
    """Say why a selection among all models has no choice."""
    if not selection.considered:
        return NoModelFits(
            "No model that can be called is registered: register one with an endpoint or a launch "
            "command, by 'toolcrib import FILE' or POST /api/v1/models."
        )
    excluded = [str(exclusion) for exclusion in selection.exclusions]
    said = ["No model that can be called meets every limit.", *selection.notes, _some(excluded)]
    return NoModelFits(" ".join(said))


def _some(reasons: Sequence[str]) -> str:
    more = len(reasons) - MOST_SHOWN
    said = " ".join(f"{reason.rstrip('.')}." for reason in reasons[:MOST_SHOWN])
    return said + (f" {more} more were excluded too." if more > 0 else "")
