"""Calling a model from the command line."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.gateway.calling import order_of, render_answer
from toolcrib_server.invocation.models import ModelOrder
from toolcrib_server.invocation.picking import is_auto, objective_of
from toolcrib_server.runtime import Runtime
from toolcrib_server.selection.models import Objective

from .ask import parse_limits
from .batch import open_index
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
    as_json: AsJson = False,
) -> None:
    """Ask a model, chosen for the task unless you name one.

    The answer is printed as it comes; who answered, and why, goes to standard error.

    Example: toolcrib chat "Translate to French: good morning" max_price_in_usd=1
    """
    arguments = _arguments(prompt, system=system, max_tokens=max_tokens, temperature=temperature)
    arguments |= {"model": model, "constraints": parse_limits(limits or [])}
    if objective is not None:
        arguments["objective"] = objective.value
    if timeout_s is not None:
        arguments["timeout_s"] = timeout_s

    async def work(runtime: Runtime) -> None:
        if is_auto(model):
            await open_index(runtime, quiet=as_json)
            if objective_of(model, objective) is Objective.RELEVANCE:
                await learn_now(runtime, quiet=as_json)
        picker = runtime.desk.picker
        order = await order_of(picker, arguments, principal="local", face="cli")
        if as_json:
            print_json(render_answer(await runtime.desk.invoker.chat(order))[0])
        else:
            await _print_stream(runtime, order)

    run(work)


def _arguments(prompt: str, *, system: str | None, **more: Any) -> dict[str, Any]:
    text = sys.stdin.read() if prompt == "-" else prompt
    if not text.strip():
        raise InvalidInput("The prompt is empty: say what the model is to do.")
    told = [{"role": "system", "content": system}] if system else []
    given = {name: value for name, value in more.items() if value is not None}
    return {"messages": [*told, {"role": "user", "content": text}], "parameters": given}


async def _print_stream(runtime: Runtime, order: ModelOrder) -> None:
    async with runtime.desk.invoker.stream(order) as flow:
        for failed in flow.failed:
            print_note(f"{failed.candidate.label} failed: {failed.error.detail}")
        print_note(f"{flow.pick.candidate.label}: {' '.join(flow.pick.reasons)}")
        async for chunk in flow.chunks():
            print_piece(chunk.text)
    print_line("")
    measured = flow.measured
    if measured is not None:
        cost = "unknown" if measured.cost_usd is None else f"{measured.cost_usd:.6g} USD"
        print_note(f"{measured.tokens_in} tokens in, {measured.tokens_out} out; cost {cost}.")
