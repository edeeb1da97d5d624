"""What the upstream servers are made to say, in a random but repeatable way.

Every body holds a word of its own, so that what is findable can be told apart.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from toolcrib_registry.types import qualified_name

from .model import Item

SERVERS = ("alpha", "beta", "gamma")
_VERBS = ("get", "list", "send", "convert", "count", "read")
_NOUNS = ("issue", "invoice", "zone", "paper", "user", "file")
_TYPES = ("string", "integer", "boolean")
_LETTERS = "bcdfghjklm"


@dataclass(slots=True)
class Words:
    """Words that come once each."""

    given: int = 0

    def new(self) -> str:
        self.given += 1
        return self._word(self.given)

    def any(self, rng: random.Random) -> str:
        """One that was given before, whatever became of who said it."""
        return self._word(rng.randrange(self.given + 1))

    @staticmethod
    def _word(number: int) -> str:
        return "q" + "".join(_LETTERS[int(digit)] for digit in str(number)) + "x"


@dataclass(slots=True)
class Truth:
    """The lists of one upstream server, as they are and as they have been."""

    name: str
    items: list[Item] = field(default_factory=list[Item])
    retired: list[Item] = field(default_factory=list[Item])

    def sent(self, kind: str) -> list[Any]:
        return [item.sent for item in self.items if item.id.startswith(f"{kind}:")]

    def sound(self, kind: str = "tool") -> list[Item]:
        """Those that a change can be made to: the first of each name."""
        first = {item.id: item for item in reversed(self.items) if item.sound}
        return [item for item in first.values() if item.id.startswith(f"{kind}:")]

    def replace(self, old: Item, new: Item) -> None:
        self.items[self.items.index(old)] = new
        self.retired.append(old)

    def has_body(self, item: Item) -> bool:
        """Whether something listed says the same under any name."""
        return any(other.sound and other.body == item.body for other in self.items)

    def named(self, local_name: str, sent: dict[str, Any], kind: str = "tool") -> Item:
        return Item(f"{kind}:{qualified_name(self.name, local_name)}", sent)


def new_tool(truth: Truth, words: Words, rng: random.Random) -> Item:
    name = f"{rng.choice(_VERBS)}_{rng.choice(_NOUNS)}{rng.randrange(4)}"
    sent: dict[str, Any] = {
        "name": name,
        "description": f"{rng.choice(_VERBS)} one {rng.choice(_NOUNS)} {words.new()}".capitalize(),
        "inputSchema": _schema(rng),
    }
    if rng.random() < 0.5:
        sent["annotations"] = {"readOnlyHint": True}
    return truth.named(name, sent)


def new_prompt(truth: Truth, words: Words, rng: random.Random) -> Item:
    name = f"ask_{rng.choice(_NOUNS)}"
    sent = {"name": name, "description": f"Ask about {words.new()}"}
    return truth.named(name, sent, "prompt")


def new_resource(truth: Truth, words: Words, rng: random.Random) -> Item:
    uri = f"memo://{rng.choice(_NOUNS)}/{rng.randrange(3)}"
    sent = {"uri": uri, "name": "memo", "description": f"Notes of {words.new()}"}
    return truth.named(uri, sent, "resource")


def _schema(rng: random.Random) -> dict[str, Any]:
    names = rng.sample(_NOUNS, rng.randrange(3))
    return {"type": "object", "properties": {n: {"type": rng.choice(_TYPES)} for n in names}}


# --- what happens to a server's lists; each takes (truth, words, rng) --------------------------


def add(truth: Truth, words: Words, rng: random.Random) -> None:
    for _ in range(rng.randrange(1, 4)):
        kinds = (new_tool, new_tool, new_tool, new_prompt, new_resource)
        item = rng.choice(kinds)(truth, words, rng)
        if item.id not in {known.id for known in truth.items}:
            truth.items.insert(rng.randrange(len(truth.items) + 1), item)


def edit(truth: Truth, words: Words, rng: random.Random) -> None:
    old = _any(truth.sound(), rng)
    if old is None:
        return
    sent = dict(old.sent)
    match rng.choice(("description", "schema", "annotations", "meta", "title")):
        case "description":
            sent["description"] = f"Now does {words.new()}"
        case "schema":
            sent["inputSchema"] = {**_schema(rng), "description": words.new()}
        case "annotations":
            sent["annotations"] = {**sent.get("annotations", {}), "title": words.new()}
        case "meta":
            sent["_meta"] = {"version": words.new()}
        case _:
            sent["title"] = words.new().capitalize()
    truth.replace(old, replace(old, sent=sent))


def turn_grave(truth: Truth, words: Words, rng: random.Random) -> None:
    del words
    reading = [i for i in truth.sound() if i.sent.get("annotations", {}).get("readOnlyHint")]
    old = _any(reading, rng)
    if old is not None:
        annotations = {**old.sent["annotations"], "readOnlyHint": False, "destructiveHint": True}
        truth.replace(old, replace(old, sent={**old.sent, "annotations": annotations}))


def take_back(truth: Truth, words: Words, rng: random.Random) -> None:
    """Say again what was said before."""
    del words
    earlier = [(o, i) for o in truth.retired for i in truth.sound() if o.id == i.id and o != i]
    earlier = [(o, i) for o, i in earlier if o.sound and not truth.has_body(o)]
    pair = _any(earlier, rng)
    if pair is not None:
        truth.replace(pair[1], pair[0])


def rename(truth: Truth, words: Words, rng: random.Random) -> None:
    old = _any(truth.sound(), rng)
    if old is None:
        return
    name = words.new()
    truth.replace(old, truth.named(name, {**old.sent, "name": name}))


def retire(truth: Truth, words: Words, rng: random.Random) -> None:
    del words
    item = _any(truth.items, rng)
    if item is not None:
        truth.items = [other for other in truth.items if other.id != item.id]
        truth.retired.append(item)


def empty(truth: Truth, words: Words, rng: random.Random) -> None:
    del words, rng
    truth.retired += truth.items
    truth.items = []


def bring_back(truth: Truth, words: Words, rng: random.Random) -> None:
    del words, rng
    there = {item.id for item in truth.items}
    for item in reversed(truth.retired):
        if item.sound and item.id not in there and not truth.has_body(item):
            truth.items.append(item)
            there.add(item.id)


def come_back_otherwise(truth: Truth, words: Words, rng: random.Random) -> None:
    """List again what was gone, saying something else under its old name."""
    there = {item.id for item in truth.items}
    gone = [i for i in truth.retired if i.sound and i.id not in there]
    old = _any([item for item in gone if item.id.startswith("tool:")], rng)
    if old is not None:
        sent = {**old.sent, "description": f"Came back for {words.new()}"}
        truth.items.append(replace(old, sent=sent))


def reorder(truth: Truth, words: Words, rng: random.Random) -> None:
    """Send the same in another order, so that another may be the first of its name."""
    del words
    rng.shuffle(truth.items)


def malform(truth: Truth, words: Words, rng: random.Random) -> None:
    name = words.new()
    bad: Sequence[Any] = (
        {"name": name},
        {"name": name, "inputSchema": "none"},
        {"name": name, "inputSchema": {"type": "array"}},
        {"name": name, "inputSchema": {"type": "object", "properties": 7}},
        {"name": "", "inputSchema": {"type": "object"}},
        {"name": f"{name}\u202e", "inputSchema": {"type": "object"}},
        {"name": name, "inputSchema": {"type": "object"}, "description": 7},
        {"name": name, "inputSchema": {"type": "object"}, "annotations": []},
        {"inputSchema": {"type": "object"}},
        "not an object",
        None,
    )
    item = Item(f"tool:{name}", rng.choice(bad), sound=False)
    truth.items.insert(rng.randrange(len(truth.items) + 1), item)


def duplicate(truth: Truth, words: Words, rng: random.Random) -> None:
    """List another thing under a name that has been listed: the first one counts."""
    item = _any(truth.sound(), rng)
    if item is not None:
        again = replace(item, sent={**item.sent, "description": f"Again {words.new()}"})
        truth.items.insert(truth.items.index(item) + 1, again)


def _any(options: Sequence[Any], rng: random.Random) -> Any:
    return rng.choice(options) if options else None
