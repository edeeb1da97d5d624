"""What worked examples do for a small model: right answers with and without them.

    python benchmarks/examples.py --small NAME --large NAME [--url URL] [--json FILE]

Of a running ``toolcrib serve`` with ``TOOLCRIB_ANSWER_CACHE=examples``. The large model answers
half of the tasks (`_tasks.py`); its answers are kept, and rated by whether they are right
(``POST /api/v1/outcomes``). Then the small model is asked the other half (other questions of the
same kinds), and the first half again in other words: each with ``cache: off`` and with
``cache: examples``. No answer of the large model is given again: the small one is asked by name.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, replace

import _command
from _tasks import Task, all_tasks, halves
from cascades import Door, Given, run, summed


def main() -> None:
    parser = _command.parser(__doc__)
    parser.add_argument("--small", required=True)
    parser.add_argument("--large", required=True)
    parser.add_argument("--url", default="http://127.0.0.1:8321")
    parser.add_argument("--key")
    parser.add_argument("--limit", type=int, help="ask so many tasks alone")
    given = parser.parse_args()
    door = Door(given.url, given.key)
    taught, others = halves(all_tasks()[: given.limit])
    reworded = [replace(task, prompt=task.reworded) for task in taught]
    runs = {"large, taught": run("large", taught, asking(door, given.large, "examples"))}
    door.rate(ratings(taught, runs["large, taught"], given.large))
    for name, tasks in (("other questions", others), ("other words", reworded)):
        for wish in ("off", "examples"):
            title = f"small, {name}, {'with' if wish == 'examples' else 'without'} examples"
            runs[title] = run(title, tasks, asking(door, given.small, wish))
    print("| | right | shown examples | USD for 1,000 right | seconds | by area |")
    print("|---|---|---|---|---|---|")
    for name, each in runs.items():
        s = summed(each)
        cost = "-" if s["usdPerRight"] is None else f"{1000 * s['usdPerRight']:.4g}"
        shown = sum(one.examples > 0 for one in each)
        areas = ", ".join(f"{area} {share:.0%}" for area, share in s["areas"].items())
        print(
            f"| {name} | {s['right']} of {s['asked']} ({s['share']:.0%}) | {shown} | {cost} "
            f"| {s['seconds']:.0f} | {areas} |"
        )
    shown_all = {name: [asdict(one) for one in each] for name, each in runs.items()}
    _command.write(shown_all, given.json)


def asking(door: Door, model: str, wish: str) -> Callable[[Task], Given]:
    """Ask a model, with or without what is kept."""
    return lambda task: door.ask(task, model, cache=wish)


def ratings(tasks: Sequence[Task], answers: Sequence[Given], model: str) -> list[dict[str, object]]:
    """Say of each answer whether it was right."""
    return [
        {"query": task.prompt, "model": model, "score": float(one.right)}
        for task, one in zip(tasks, answers, strict=True)
    ]


if __name__ == "__main__":
    _command.run(main)
