"""Calling a model from the command line."""

from __future__ import annotations

import sys
from typing import Annotated, Any

import typer

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.cascade.plan import read_plan
from toolcrib_server.cascade.showing import climb_line, climb_view
from toolcrib_server.gateway.calling import order_of, render_answer
from toolcrib_server.gateway.constraints import read_constraints
from toolcrib_server.invocation.models import ModelOrder
from toolcrib_server.invocation.picking import is_auto, objective_of
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

    wanted = read_cascade(verify or [], up or [], accept)

    async def work(runtime: Runtime) -> None:
        if is_auto(model):
            await open_index(runtime, quiet=as_json)
            if objective_of(model, objective) is Objective.RELEVANCE:
                await learn_now(runtime, quiet=as_json)
        picker = runtime.desk.picker
        order = await order_of(picker, arguments, principal="local", face="cli")
        if cascade or verify or up:
            await _climb(runtime, order, wanted, limits=arguments["constraints"], as_json=as_json)
            return
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


async def _climb(
    runtime: Runtime,
    order: ModelOrder,
    wanted: dict[str, Any],
    *,
    limits: dict[str, Any],
    as_json: bool,
) -> None:
    plan = read_plan(wanted, order.body, commands=runtime.cascade.commands)
    climbed = await runtime.cascade.climb(order, plan, constraints=read_constraints(limits))
    view, text = render_answer(climbed.answered)
    if as_json:
        print_json(view | {"cascade": climb_view(climbed), "costUsd": climbed.cost_usd})
        return
    for line in climb_line(climbed).split("; "):
        print_note(line)
    if not climbed.accepted:
        print_note(f"No answer was accepted ({climbed.threshold.reason}); this is the best.")
    print_line(text)
    cost = "unknown" if climbed.cost_usd is None else f"{climbed.cost_usd:.6g} USD"
    print_note(f"All of it cost {cost}.")


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
