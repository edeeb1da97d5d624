"""What the catalogue must be, told by itself: small, pure, and written from the requirements.

Knows no code of the product. A listing, the policy of its server and what people decided give the
entries that must be there, how far each is trusted, and which changes the log must show.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any

Id = str


class Policy(StrEnum):
    APPLY = "apply"
    MARK = "mark"
    QUARANTINE = "quarantine"


class Trust(StrEnum):
    TRUSTED = "trusted"
    MARKED = "marked"
    QUARANTINED = "quarantined"


class Status(StrEnum):
    NEW = "new"
    READY = "ready"
    DEGRADED = "degraded"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Item:
    """One thing on an upstream's list: what it sends, and whether that is as MCP has it."""

    id: Id
    """The id that it must have in the catalogue; of no meaning when it is malformed."""
    sent: Any
    sound: bool = True

    @property
    def said(self) -> str:
        return canonical(self.sent)

    @property
    def body(self) -> str:
        """All that it says but its name: what a rename leaves as it was."""
        return canonical({key: value for key, value in self.sent.items() if key != "name"})


@dataclass(frozen=True, slots=True)
class Held:
    """One entry of the catalogue, as it must be."""

    item: Item
    pinned: str
    trust: Trust = Trust.TRUSTED
    enabled: bool = True
    is_late: bool = False
    """Whether it came after the first listing of a server whose changes all wait."""

    @property
    def said(self) -> str:
        return self.item.said


@dataclass(frozen=True, slots=True)
class ServerHeld:
    """A registered server, with what the catalogue must hold of it."""

    policy: Policy = Policy.MARK
    enabled: bool = True
    status: Status = Status.NEW
    entries: Mapping[Id, Held] = field(default_factory=dict[Id, Held])
    departed: Mapping[Id, Held] = field(default_factory=dict[Id, Held])
    """What went, as it was last: to go and to come back is no way to be trusted."""
    is_pinned: bool = False
    """Whether it has been listed: what comes first is trusted as it comes."""


@dataclass(frozen=True, slots=True)
class Noted:
    """One line that the change log must gain. ``replaced`` is the other end of a rename."""

    action: str
    subject: Id
    replaced: Id | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """What must have become of a server, and what the log must say of it, in any order."""

    server: ServerHeld | None
    noted: tuple[Noted, ...] = ()


def canonical(value: Any) -> str:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def after_failure(server: ServerHeld) -> Outcome:
    """A server that cannot be listed keeps everything, and is marked."""
    return Outcome(replace(server, status=Status.UNREACHABLE))


def after_listing(
    server: ServerHeld, items: Sequence[Item], *, prompts_broken: bool = False
) -> Outcome:
    """What a server lists is what it has; each sound object once, the first of a name."""
    listed: dict[Id, Item] = {}
    aside = int(prompts_broken)
    for item in items:
        if prompts_broken and item.id.startswith("prompt:"):
            continue
        if not item.sound or item.id in listed:
            aside += 1
        else:
            listed[item.id] = item
    kept = {
        id_: held
        for id_, held in server.entries.items()
        if prompts_broken and id_.startswith("prompt:")
    }
    gone = [id_ for id_ in server.entries if id_ not in listed and id_ not in kept]
    new = [id_ for id_ in listed if id_ not in server.entries]
    renamed = dict(_renames(server, gone, [listed[id_] for id_ in new]))
    noted: list[Noted] = [Noted("removed", id_, renamed.get(id_)) for id_ in gone]
    became = {new_id: old_id for old_id, new_id in renamed.items()}
    for id_, item in listed.items():
        before = server.entries.get(id_)
        if before is None:
            old = server.entries.get(became.get(id_, ""))
            kept[id_] = _arrival(server, item, old or server.departed.get(id_))
        elif before.said == item.said:
            kept[id_] = before
            continue
        else:
            kept[id_] = _changed(server, before, item)
        noted.append(_note(before, kept[id_], became.get(id_)))
    status = Status.DEGRADED if aside else Status.READY
    departed = {**server.departed, **{id_: server.entries[id_] for id_ in gone}}
    now = replace(server, status=status, entries=kept, departed=departed, is_pinned=True)
    return Outcome(now, tuple(noted))


def after_removal(server: ServerHeld, name: str) -> Outcome:
    """A removed server takes all it owns with it."""
    noted = [Noted("removed", id_) for id_ in server.entries]
    return Outcome(None, (*noted, Noted("removed", f"server:{name}")))


def approved(server: ServerHeld, id_: Id) -> Outcome:
    """What is approved is trusted as it is now."""
    held = server.entries[id_]
    pinned = replace(held, trust=Trust.TRUSTED, pinned=held.said, is_late=False)
    if held.trust is Trust.TRUSTED and held.pinned == held.said:
        return Outcome(server)
    entries = {**server.entries, id_: pinned}
    return Outcome(replace(server, entries=entries), (Noted("approved", id_),))


def switched(server: ServerHeld, id_: Id, *, enabled: bool) -> Outcome:
    """An entry that is turned off stays, and is not findable."""
    held = server.entries[id_]
    if held.enabled is enabled:
        return Outcome(server)
    entries = {**server.entries, id_: replace(held, enabled=enabled)}
    action = "enabled" if enabled else "disabled"
    return Outcome(replace(server, entries=entries), (Noted(action, id_),))


def findable(servers: Mapping[str, ServerHeld]) -> dict[Id, Held]:
    """What search must know: enabled, of an enabled server, and not in quarantine."""
    return {
        id_: held
        for server in servers.values()
        if server.enabled
        for id_, held in server.entries.items()
        if held.enabled and held.trust is not Trust.QUARANTINED
    }


def _renames(
    server: ServerHeld, gone: Iterable[Id], new: Sequence[Item]
) -> Iterator[tuple[Id, Id]]:
    """A tool that went while another came with the very same body has been renamed."""
    by_body: dict[str, list[Id]] = {}
    for item in new:
        by_body.setdefault(f"{item.id.partition(':')[0]} {item.body}", []).append(item.id)
    for id_ in gone:
        body = f"{id_.partition(':')[0]} {server.entries[id_].item.body}"
        if id_.startswith("tool:") and by_body.get(body):
            yield id_, by_body[body].pop(0)


def _arrival(server: ServerHeld, item: Item, old: Held | None) -> Held:
    if old is None and server.is_pinned and server.policy is Policy.QUARANTINE:
        return Held(item, item.said, Trust.QUARANTINED, is_late=True)
    if old is None or not server.is_pinned:
        return Held(item, item.said)
    # Another name is a change like any other: no way out of quarantine, and no new pin.
    return _changed(server, old, item)


def _changed(server: ServerHeld, before: Held, item: Item) -> Held:
    return replace(before, item=item, trust=_trust(server, before, item))


def _trust(server: ServerHeld, before: Held, item: Item) -> Trust:
    """Trust what was pinned; anything else as the policy says, and what turned grave never."""
    if item.said == before.said:
        return before.trust
    if item.said == before.pinned and not (before.is_late and before.trust is Trust.QUARANTINED):
        return Trust.TRUSTED
    is_grave = _reads_only(before.item) and not _reads_only(item)
    if is_grave or before.trust is Trust.QUARANTINED or server.policy is Policy.QUARANTINE:
        return Trust.QUARANTINED
    return Trust.MARKED if server.policy is Policy.MARK else Trust.TRUSTED


def _reads_only(item: Item) -> bool:
    """MCP: what does not say that it only reads may destroy."""
    is_tool = item.id.startswith("tool:")
    return is_tool and item.sent.get("annotations", {}).get("readOnlyHint") is True


def _note(before: Held | None, now: Held, replaced: Id | None) -> Noted:
    if now.trust is Trust.QUARANTINED:
        return Noted("quarantined", now.item.id, replaced)
    return Noted("updated" if before else "added", now.item.id, replaced)
