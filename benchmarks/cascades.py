"""What a cascade of two registered models is worth: answers that are right, and what each costs.

    python benchmarks/cascades.py --small NAME --large NAME [--url URL] [--agree NAME] [--json FILE]

Seventy-two tasks with certain checks (`_tasks.py`), asked through ``/v1/chat/completions`` of a
running ``toolcrib serve``, at temperature 0, one after the other: of the small model alone, of the
large one alone, and of a cascade of both whose checks know the form of an answer, never the answer.
Then, with `self-consistency` of the model ``--agree`` (the small one unless given) as the only
check: half of the tasks at the default threshold, whose answers are then rated
(``POST /api/v1/outcomes``), and the other half at the threshold that was learned from those
ratings. Any two models will do; both need known prices.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import _command
import httpx
from _tasks import Task, all_tasks, halves

MAX_TOKENS, MAX_TOKENS_JSON = 20, 64
RELEARNED_S = 65.0
"""A threshold is learned again after a minute."""
SAMPLES = 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """An answer, whether it is right, and what it took."""

    task: str
    area: str
    text: str
    right: bool
    accepted: bool
    calls: int
    climbed: bool
    examples: int
    cost_usd: float
    seconds: float


class Door:
    """The OpenAI-compatible door of a running Toolcrib."""

    def __init__(self, url: str, key: str | None) -> None:
        headers = {"authorization": f"Bearer {key}"} if key else {}
        self._http = httpx.Client(base_url=url, headers=headers, timeout=600)

    def ask(
        self,
        task: Task,
        model: str,
        cascade: Mapping[str, Any] | None = None,
        *,
        cache: str = "off",
    ) -> Given:
        """Ask a model, or a cascade."""
        began = time.perf_counter()
        answer = self._post("/v1/chat/completions", _body(task, model, cascade, cache=cache))
        own, climb = answer["toolcrib"], answer["toolcrib"].get("cascade")
        text = answer["choices"][0]["message"].get("content") or ""
        steps: list[dict[str, Any]] = climb["steps"] if climb else []
        return Given(
            task=task.id,
            area=task.area,
            text=text,
            right=task.is_right(text),
            accepted=climb["accepted"] if climb else True,
            calls=sum(step.get("calls", 1) for step in steps) or 1,
            climbed=len(steps) > 1,
            examples=len(own.get("examples", ())),
            cost_usd=float(own["costUsd"]),
            seconds=time.perf_counter() - began,
        )

    def threshold(self, task: Task, cascade: Mapping[str, Any]) -> tuple[float, str]:
        """Read the threshold that holds now, from one more climb."""
        body = _body(task, "auto", cascade)
        climb = self._post("/v1/chat/completions", body)["toolcrib"]["cascade"]
        return climb["threshold"], climb["thresholdReason"]

    def rate(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Say which answers were right."""
        self._post("/api/v1/outcomes", {"outcomes": list(rows)})

    def _post(self, path: str, body: Mapping[str, Any]) -> Any:
        answer = self._http.post(path, json=dict(body))
        if answer.is_error:
            sys.exit(f"{path}: {answer.status_code} {answer.text[:500]}")
        return answer.json()


def _body(
    task: Task, model: str, cascade: Mapping[str, Any] | None, *, cache: str = "off"
) -> dict[str, Any]:
    body: dict[str, Any] = {
        "model": model,
        "messages": [{"role": "user", "content": task.prompt}],
        "temperature": 0,
        "max_tokens": MAX_TOKENS if task.schema is None else MAX_TOKENS_JSON,
        "toolcrib": {"cache": cache, "timeout_s": 300},
    }
    if task.schema is not None:
        named = {"name": "answer", "schema": task.schema}
        body["response_format"] = {"type": "json_schema", "json_schema": named}
    if cascade is not None:
        body["toolcrib"]["cascade"] = dict(cascade)
    return body


def run(name: str, tasks: Iterable[Task], ask: Callable[[Task], Given]) -> list[Given]:
    """Ask every task, and say how it goes."""
    given: list[Given] = []
    for task in tasks:
        given.append(ask(task))
        right = sum(one.right for one in given)
        print(f"\r{name}: {right} of {len(given)} right", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    return given


def summed(given: Sequence[Given]) -> dict[str, Any]:
    """Sum up a run."""
    right, cost = sum(one.right for one in given), sum(one.cost_usd for one in given)
    areas: dict[str, list[int]] = {}
    for one in given:
        areas.setdefault(one.area, []).append(one.right)
    accepted = [one for one in given if one.accepted]
    return {
        "asked": len(given),
        "right": right,
        "share": right / len(given),
        "usd": cost,
        "usdPerRight": cost / right if right else None,
        "climbed": sum(one.climbed for one in given),
        "accepted": len(accepted),
        "rightOfAccepted": sum(one.right for one in accepted),
        "calls": sum(one.calls for one in given),
        "seconds": sum(one.seconds for one in given),
        "areas": {area: sum(rights) / len(rights) for area, rights in areas.items()},
    }


def measure(
    door: Door,
    small: str,
    large: str,
    agreeing: str,
    tasks: Sequence[Task],
    *,
    only_agree: bool = False,
) -> dict[str, list[Given]]:
    """Ask everything in every way."""
    both = [small, large]
    agree = {
        "models": list(dict.fromkeys([agreeing, large])),
        "verify": [{"kind": "self-consistency", "samples": SAMPLES}],
    }
    first, second = halves(tasks)
    runs = {"large alone": run("large alone", tasks, lambda t: door.ask(t, large))}
    if not only_agree:
        runs["small alone"] = run("small alone", tasks, lambda t: door.ask(t, small))
        runs["cascade, checks of the form"] = run(
            "cascade, checks of the form",
            tasks,
            lambda t: door.ask(t, "auto", {"models": both, "verify": list(t.verify)}),
        )
    name = "cascade, self-consistency, first half, default threshold"
    runs[name] = run(name, first, lambda t: door.ask(t, "auto", agree))
    who = "large alone" if agreeing == large else "small alone"
    alone = {one.task: one.right for one in runs[who]}
    door.rate([{"query": t.prompt, "model": agreeing, "score": float(alone[t.id])} for t in first])
    time.sleep(RELEARNED_S)
    threshold, reason = door.threshold(first[0], agree)
    print(f"learned threshold: {threshold} ({reason})")
    name = f"cascade, self-consistency, second half, learned threshold {threshold:g}"
    runs[name] = run(name, second, lambda t: door.ask(t, "auto", agree))
    for who in [name for name in runs if name.endswith("alone")]:
        those = {task.id for task in second}
        runs[f"{who}, second half"] = [one for one in runs[who] if one.task in those]
    return runs


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--small", required=True)
    parser.add_argument("--large", required=True)
    parser.add_argument("--agree", help="the model that is to agree with itself")
    parser.add_argument("--url", default="http://127.0.0.1:8321")
    parser.add_argument("--key")
    parser.add_argument("--only-agree", action="store_true", help="self-consistency alone")
    parser.add_argument("--limit", type=int, help="ask so many tasks alone")
    given = parser.parse_args()
    door, tasks = Door(given.url, given.key), all_tasks()[: given.limit]
    agreeing = given.agree or given.small
    runs = measure(door, given.small, given.large, agreeing, tasks, only_agree=given.only_agree)
    print("| | right | USD for 1,000 right | went up | accepted, right of them | calls | seconds |")
    print("|---|---|---|---|---|---|---|")
    for name, each in runs.items():
        s = summed(each)
        cost = "-" if s["usdPerRight"] is None else f"{1000 * s['usdPerRight']:.4g}"
        print(
            f"| {name} | {s['right']} of {s['asked']} ({s['share']:.0%}) | {cost} | {s['climbed']} "
            f"| {s['accepted']}, {s['rightOfAccepted']} | {s['calls']} | {s['seconds']:.0f} |"
        )
    shown = {
        name: summed(each) | {"answers": [asdict(one) for one in each]}
        for name, each in runs.items()
    }
    _command.write(shown, given.json)


if __name__ == "__main__":
    _command.run(main)
