"""Calling a model from the command line."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.cascade.climbing import Climbed
from toolcrib_server.cascade.showing import climb_line
from toolcrib_server.chat.desk import ChatDesk
from toolcrib_server.chat.reply import Prepared
from toolcrib_server.chat.showing import call_text, call_view
from toolcrib_server.gateway.calling import request_of
from toolcrib_server.invocation.models.objectives import is_auto, objective_of
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.models import Objective

from .ask import parse_limits
from .batch import open_index
from .checking import read_cascade
from .options import AsJson
from .output import print_json, print_line, print_note, print_piece
from .running import run
from .selecting import learn_now


def chat(
    prompt: Annotated[str, typer.Argument(help="What to say to the model; - reads stdin.")],
    limits: Annotated[
        list[str] | None,
        typer.Argument(help="Hard limits as NAME=VALUE, as `select` takes them."),
    ] = None,
    model: Annotated[
        str, typer.Option("--model", "-m", help="A model's name, NAME@PROVIDER, or auto.")
    ] = "auto",
    objective: Annotated[
        Objective | None, typer.Option(help="What auto ranks by, within the limits.")
    ] = None,
    system: Annotated[str | None, typer.Option(help="What the model is told beforehand.")] = None,
    max_tokens: Annotated[
        int | None, typer.Option(min=1, help="At most so many in return.")
    ] = None,
    temperature: Annotated[float | None, typer.Option(help="As the model takes it.")] = None,
    timeout_s: Annotated[float | None, typer.Option("--timeout", help="Seconds to wait.")] = None,
    cascade: Annotated[
        bool, typer.Option("--cascade", help="Ask a small model first; check what it answers.")
    ] = False,
    verify: Annotated[
        list[str] | None,
        typer.Option(
            help="How answers are checked (implies --cascade): json-schema:FILE, pattern:REGEX, "
            "command:NAME, self-consistency:N, judge:MODEL. May be given again."
        ),
    ] = None,
    up: Annotated[
        list[str] | None,
        typer.Option(help="A model of the cascade, the smallest first. May be given again."),
    ] = None,
    accept: Annotated[
        float | None, typer.Option(help="The least score, 0 to 1, that a check must give.")
    ] = None,
    cache: Annotated[
        str | None,
        typer.Option(
            help="Whether an earlier answer of this process will do: off, exact, semantic, "
            "examples, on or refresh, as far as TOOLCRIB_ANSWER_CACHE allows."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a model, chosen for the task unless you name one.

    The answer is printed as it comes; who answered, and why, goes to standard error.

    Example: toolcrib chat "Translate to French: good morning" max_price_in_usd=1

    Example: toolcrib chat "What is 17 * 23? Only the number." --verify 'pattern:^[0-9]+$'
    """
    arguments = _arguments(prompt, system=system, max_tokens=max_tokens, temperature=temperature)
    arguments |= {"model": model, "constraints": parse_limits(limits or [])}
    if objective is not None:
        arguments["objective"] = objective.value
    if timeout_s is not None:
        arguments["timeout_s"] = timeout_s

    if cascade or verify or up:
        arguments["cascade"] = read_cascade(verify or [], up or [], accept)
    if cache is not None:
        arguments["cache"] = cache

    async def work(runtime: Runtime) -> None:
        if is_auto(model):
            await open_index(runtime, quiet=as_json)
            if objective_of(model, objective) is Objective.RELEVANCE:
                await learn_now(runtime, quiet=as_json)
        desk = runtime.chat
        prepared = await desk.prepare(request_of(arguments, principal="local", face="cli"))
        if as_json:
            print_json(call_view(await desk.answer(prepared)))
        elif prepared.streams:
            await _print_stream(desk, prepared)
        else:
            await _print_whole(desk, prepared)

    run(work)


def _arguments(prompt: str, *, system: str | None, **more: Any) -> dict[str, Any]:
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise InvalidInput("The prompt is empty: say what the model is to do.")
    told = [{"role": "system", "content": system}] if system else []
    given = {name: value for name, value in more.items() if value is not None}
    return {"messages": [*told, {"role": "user", "content": text}], "parameters": given}


async def _print_whole(desk: ChatDesk, prepared: Prepared) -> None:
    reply = await desk.answer(prepared)
    if reply.climbed is not None:
        _note_climb(reply.climbed)
    else:
        print_note(f"{reply.model}: {' '.join(reply.reasons)}")
    print_line(call_text(reply))
    print_note(f"All of it cost {_cost(reply.cost_usd)}.")


def _note_climb(climbed: Climbed) -> None:
    for line in climb_line(climbed).split("; "):
        print_note(line)
    if not climbed.accepted:
        print_note(f"No answer was accepted ({climbed.threshold.reason}); this is the best.")


async def _print_stream(desk: ChatDesk, prepared: Prepared) -> None:
    async with desk.stream(prepared) as chat:
        flow = chat.flow
        for failed in flow.failed:
            print_note(f"{failed.candidate.label} failed: {failed.error.detail}")
        print_note(f"{flow.pick.candidate.label}: {' '.join(flow.pick.reasons)}")
        async for chunk in chat.chunks():
            print_piece(chunk.text)
    print_line("")
    measured = flow.measured
    if measured is not None:
        tokens = f"{measured.tokens_in} tokens in, {measured.tokens_out} out"
        print_note(f"{tokens}; cost {_cost(measured.cost_usd)}.")


def _cost(cost_usd: float | None) -> str:
    return "unknown" if cost_usd is None else f"{cost_usd:.6g} USD"
