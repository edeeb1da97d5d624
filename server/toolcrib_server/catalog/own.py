"""Our own description of a model (`ModelIn`) as a domain object."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Evaluation, Known, Launch, Model, ModelDescriptor, Offer
from toolcrib_registry.wire import DescriptorIn, EvaluationIn, FactIn, LaunchIn, ModelIn, OfferIn
from toolcrib_server.upstream.config.references import has_reference
from toolcrib_server.upstream.config.sensitive import is_secret, split_args

_PLAIN = frozenset({"provider", "remote_model", "endpoint", "api_key", "launch", "evaluations"})
_PLAIN_SOURCE = "api"


def model_of(given: ModelIn, *, today: date, source: str = _PLAIN_SOURCE) -> Model:
    """Turn a given description into a model; plain values bear ``source`` and ``today``.

    Raises:
        InvalidInput: A launch command holds a secret instead of a reference.
    """
    return Model(
        name=given.name,
        title=given.title,
        description=given.description,
        tags=tuple(given.tags),
        enabled=given.enabled,
        family=given.family,
        descriptor=ModelDescriptor(
            **_facts(given.descriptor, today, source),
            evaluations=tuple(_evaluation(e, today, source) for e in given.descriptor.evaluations),
        ),
        offers=tuple(_offer(offer, given.name, today, source) for offer in given.offers),
    )


def _evaluation(given: EvaluationIn, today: date, source: str) -> Evaluation:
    return Evaluation(
        benchmark=given.benchmark,
        metric=given.metric,
        score=given.score,
        version=given.version,
        samples=given.samples,
        source=given.source if "source" in given.model_fields_set else source,
        as_of=given.as_of or today,
    )


def _offer(given: OfferIn, model: str, today: date, source: str) -> Offer:
    return Offer(
        provider=given.provider,
        remote_model=given.remote_model or model,
        endpoint=given.endpoint,
        api_key=given.api_key,
        launch=_launch(given.launch) if given.launch else None,
        **_facts(given, today, source),
    )


def _launch(given: LaunchIn) -> Launch:
    literals = [
        f"env.{n}" for n, v in given.env.items() if is_secret(n, v) and not has_reference(v)
    ]
    parts = enumerate(split_args(given.args))
    literals += [f"args.{n}" for n, p in parts if p.secret and not has_reference(p.secret)]
    if literals:
        raise InvalidInput(
            f"launch.{literals[0]} looks like a secret: write a reference such as ${{NAME}}."
        )
    return Launch(
        command=given.command,
        args=tuple(given.args),
        env=dict(given.env),
        cwd=given.cwd,
        health=given.health,
        start_timeout_s=given.start_timeout_s,
        idle_timeout_s=given.idle_timeout_s,
    )


def _facts(given: DescriptorIn | OfferIn, today: date, source: str) -> Mapping[str, Any]:
    return {
        name: _known(getattr(given, name), today, source)
        for name in type(given).model_fields
        if name not in _PLAIN
    }


def _known(value: Any, today: date, source: str) -> Known[Any] | None:
    if value is None:
        return None
    if isinstance(value, FactIn):
        named = cast("FactIn[Any]", value)
        given_source = named.source if "source" in named.model_fields_set else source
        return Known(_frozen(named.value), given_source, named.as_of or today)
    return Known(_frozen(value), source, today)


def _frozen(value: Any) -> Any:
    return tuple(cast("list[Any]", value)) if isinstance(value, list) else value
