"""One history: random steps done to the product and to the model, and a look at both after each.

A step is a verb and a number, and the number decides all else. So a history is told by its seed,
and one that fails can be shortened by leaving out steps.
"""

from __future__ import annotations

import random
import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import TypeAlias

import anyio

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import EncoderError, ToolcribError
from toolcrib_registry.store import Store
from toolcrib_registry.types import (
    ChangeAction,
    ChangePolicy,
    Entry,
    EntryId,
    EntryKind,
    Model,
    Server,
    ServerName,
    split_id,
)
from toolcrib_server.sync.testing import Fault

from . import audit, model, truth
from .audit import Divergence, require
from .model import Outcome, Policy, ServerHeld, Status
from .scenes import MemoryScene, Scene
from .truth import SERVERS, Truth, Words
from .workers import Died, Worker

Step: TypeAlias = tuple[str, int]
Options: TypeAlias = list[Outcome]
"""What may have become of a server: one of these, and nothing else."""
Touched: TypeAlias = Mapping[str, Options] | None
"""What a deed may have changed, to be looked at; None when nothing, or looked at already."""

STEPS_OF_A_SYNC = 30
"""About as many there are, of one server that changed: where a worker may die or be held."""
_ACTOR = "proof"
_WORD = re.compile(r"q[bcdfghjklm]+x")


@dataclass(slots=True)
class House:
    """The product under proof: one database, two workers, upstreams in memory."""

    stores: tuple[Store, Store]
    folder: Path
    expire_leases: Callable[[], None]
    """Let the time of every lease run out."""


@dataclass(slots=True)
class Seen:
    """What was learned on the way, for the report."""

    steps: int = 0
    checks: int = 0
    deaths: int = 0
    takeovers: int = 0


class Story:
    """Plays steps. ``told`` says in words what happened, for whoever looks into a divergence."""

    def __init__(self, house: House, seen: Seen, scene: Scene | None = None) -> None:
        self.seen = seen
        self.told: list[str] = []
        self._house = house
        self._store = house.stores[0]
        self._words = Words()
        self._truths = {name: Truth(name) for name in SERVERS}
        self._held: dict[str, ServerHeld] = {}
        self._departed: dict[str, Mapping[model.Id, model.Held]] = {}
        self._scene = scene or MemoryScene()
        self._replay = audit.Replay()
        self._written: list[EntryId] = []
        """What the last look found added or updated, and in use."""
        self._rendering = audit.Rendering(HashEncoder(64))
        self._workers = [
            Worker(store, self._scene.lister(number), house.folder / str(number))
            for number, store in enumerate(house.stores)
        ]

    async def play(self, steps: Sequence[Step]) -> None:
        """Do every step, and look after each.

        Raises:
            Divergence: The product is not as the model has it.
        """
        for verb, number in steps:
            rng = random.Random(number)
            self.told.append(f"{verb}:{number}")
            self.seen.steps += 1
            if verb in CHANGES:
                self._change(CHANGES[verb], rng)
            else:
                touched = await DEEDS[verb](self, rng)
                if touched is not None:
                    self._look(touched)
        await self._settle()

    def _change(self, change: Callable[..., None], rng: random.Random) -> None:
        """Have an upstream say something else; nobody is told of it."""
        name = rng.choice(SERVERS[: rng.choice((1, 1, 2, 3))])
        self._change_one(name, change, rng)

    def _change_one(self, name: str, change: Callable[..., None], rng: random.Random) -> None:
        listed = self._truths[name]
        change(listed, self._words, rng)
        self._scene.publish(listed, page_size=rng.randrange(1, 6))
        self.told[-1] += f" {name} -> {[item.id for item in listed.items]}"

    # --- looking -------------------------------------------------------------------------------

    def _look(self, touched: Mapping[str, Options]) -> audit.Actual:
        """Require that the database is as the model has it; whatever was not touched, as before."""
        self.seen.checks += 1
        actual, changes = audit.read(self._store), self._replay.read_on(self._store)
        plain = (ChangeAction.ADDED, ChangeAction.UPDATED)
        self._written = [EntryId(c.subject) for c in changes if c.action in plain and c.server]
        noted: dict[str, list[model.Noted]] = {}
        for change in changes:
            line = model.Noted(change.action.value, change.subject, change.related)
            noted.setdefault(change.server or "", []).append(line)
        noted.pop("", None)
        for name in {*self._held, *touched, *noted}:
            options = touched.get(name) or [Outcome(self._held.get(name))]
            self._settle_on(name, options, actual, noted.get(name, []))
        audit.check_log(self._replay, actual)
        return actual

    def _settle_on(
        self, name: str, options: Options, actual: audit.Actual, noted: Sequence[model.Noted]
    ) -> None:
        faults: list[str] = []
        for option in options:
            fault = audit.difference(name, option, actual, noted)
            if fault is None:
                if option.server is None:
                    self._held.pop(name, None)
                else:
                    self._held[name] = option.server
                return
            faults.append(fault)
        raise Divergence("; or ".join(dict.fromkeys(faults)))

    async def _look_at_index(
        self, worker: Worker, actual: audit.Actual, rng: random.Random
    ) -> None:
        """Require that a worker's index holds exactly what must be findable, and finds it."""
        index = worker.indexer.opened
        require(index is not None, "the index is not open")
        assert index is not None
        who, wanted = f"worker {self._workers.index(worker)}", self._searchable(actual)
        lacking = audit.check_index(index, actual, wanted, self._rendering, who)
        if lacking or rng.random() < 0.3:
            health = await worker.guard.check()
            require(health.gaps == lacking, f"{who}: lacks {lacking}, says {health.say()!r}")
        if lacking and not worker.encoder.is_broken:
            require(worker.has_lapsed, f"{who}: its encoder never failed, and it lacks {lacking}")
            await worker.guard.mend()
            lacking = audit.check_index(index, actual, wanted, self._rendering, who)
            require(not lacking, f"{who}: {lacking} have no vector after they were mended")
            worker.has_lapsed = False
        embedded = [actual.entries[id_] for id_ in wanted if id_ not in lacking]
        audit.check_vectors(self._store, embedded, self._rendering)
        owners = _owners([actual.entries[id_] for id_ in self._searchable(actual)])
        asked = rng.sample(sorted(owners), min(1, len(owners)))
        for word in {*asked, self._words.any(rng)}:
            # Entries that say the same share a word: those are not asked for.
            owner = owners.get(word, [])
            if len(owner) < 2:
                audit.check_found(index, word, next(iter(owner), None), who)

    def _searchable(self, actual: audit.Actual) -> list[model.Id]:
        models = [id_ for id_ in actual.entries if id_.startswith("model:")]
        return [*model.findable(self._held), *models]

    async def _settle(self) -> None:
        """At the end: nothing is wrong any more, everything is synced once; all must agree."""
        await self.mend_servers(random.Random())
        for worker in self._workers:
            worker.encoder.is_broken = False
        self._house.expire_leases()
        self.told.append("the end: all is well, and synced")
        worker = self._workers[0]
        require(await _sync(worker), "all is well, and a sync failed")
        names = [name for name, server in self._held.items() if server.enabled]
        actual = self._look({name: [self._synced(name)] for name in names})
        rng = random.Random(self.seen.steps)
        for worker in self._workers:
            await worker.indexer.catch_up()
            await self._look_at_index(worker, actual, rng)
        for name in SERVERS:
            most = self._scene.most_at_once(name)
            require(most <= 1, f"{name} was listed {most} times at once")

    def _synced(self, name: str, held: ServerHeld | None = None) -> Outcome:
        """What must become of a server that is synced as its upstream is now."""
        server = held or self._held[name]
        fault = self._scene.fault(name)
        if fault not in {None, Fault.BREAKS_PROMPTS}:
            return model.after_failure(server)
        broken = fault is Fault.BREAKS_PROMPTS
        return model.after_listing(server, self._truths[name].items, prompts_broken=broken)

    # --- deeds: each says which servers it touched, and what may have become of them -------------

    async def sync_one(self, rng: random.Random) -> Touched:
        """A sync of one server, with the same notice coming up to three times."""
        name, worker = self._pick_enabled(rng), rng.choice(self._workers)
        if name is None:
            return None
        options = self._options(name, worker)
        times = rng.choice((1, 1, 2, 3))
        async with anyio.create_task_group() as tasks:
            for _ in range(times):
                tasks.start_soon(_sync, worker, name)
        await self._after(worker, {name: options}, rng)
        return None

    async def sync_all(self, rng: random.Random) -> Touched:
        worker = rng.choice(self._workers)
        names = [name for name, server in self._held.items() if server.enabled]
        options = {name: self._options(name, worker) for name in names}
        await _sync(worker)
        await self._after(worker, options, rng)
        return None

    async def sync_both(self, rng: random.Random) -> Touched:
        """Two workers at once; whoever comes second finds the server taken, or synced."""
        name = self._pick_enabled(rng)
        if name is None:
            return None
        options = [o for worker in self._workers for o in self._options(name, worker)]
        async with anyio.create_task_group() as tasks:
            for worker in self._workers:
                tasks.start_soon(_sync, worker, name)
        return {name: options}

    async def sync_late(self, rng: random.Random) -> Touched:
        """One worker stops in the middle; its lease may run out; another comes; the first goes on.

        What the first one brings late must not undo what the second one wrote.
        """
        name = self._pick_enabled(rng)
        if name is None:
            return None
        first, second = rng.sample(self._workers, 2)
        heard = self._options(name, first)
        expires = rng.random() < 0.6
        first.fuse.hold_after(rng.randrange(1, STEPS_OF_A_SYNC))
        reports: list[bool] = []
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(_sync_and_release, first, name)
            second_one = partial(self._second, name, first, second, reports)
            tasks.start_soon(partial(second_one, expires=expires, rng=rng))
        then = self._options(name, second)
        chained = [
            replace(late, noted=(*early.noted, *late.noted))
            for early in heard
            if early.server is not None
            for late in [self._synced(name, early.server)]
        ]
        return {name: [*then, *chained] if reports and reports[0] else [*heard, *then, *chained]}

    async def _second(
        self,
        name: str,
        first: Worker,
        second: Worker,
        reports: list[bool],
        *,
        expires: bool,
        rng: random.Random,
    ) -> None:
        await first.fuse.wait_held()
        if first.fuse.is_held:
            changes = (truth.add, truth.edit, truth.retire, truth.rename)
            self._change_one(name, rng.choice(changes), rng)
            if expires:
                self._house.expire_leases()
            reports.append(await _sync(second, name))
            self.seen.takeovers += int(reports[0] and expires)
        first.fuse.release()

    async def sync_dying(self, rng: random.Random) -> Touched:
        """A worker dies somewhere in a sync and is started again, with nothing but the disk."""
        worker = rng.choice(self._workers)
        names = [name for name, server in self._held.items() if server.enabled]
        options = {
            name: [*self._options(name, worker), Outcome(self._held[name])] for name in names
        }
        worker.fuse.die_after(rng.randrange(1, STEPS_OF_A_SYNC))
        try:
            await _sync(worker)
            await worker.indexer.save()
        except Died:
            pass
        except BaseExceptionGroup as group:
            require(group.subgroup(Died), f"a death became {group!r}")
        self.seen.deaths += int(worker.fuse.is_dead)
        was_broken = worker.encoder.is_broken
        worker.start()
        self._house.expire_leases()
        actual = self._look(options)
        if not was_broken:
            # Written with the entries: nobody has come to make up for them yet.
            fresh = [actual.entries[id_] for id_ in self._written if id_ in actual.entries]
            audit.check_vectors(self._store, fresh, self._rendering)
        return None

    async def restart(self, rng: random.Random) -> Touched:
        worker = rng.choice(self._workers)
        if rng.random() < 0.7 and worker.indexer.opened is not None:
            await worker.indexer.save()
        worker.start()
        await worker.indexer.catch_up()
        await self._look_at_index(worker, self._look({}), rng)
        return None

    async def follow(self, rng: random.Random) -> Touched:
        """An index that heard nothing catches up with what others wrote."""
        worker = rng.choice(self._workers)
        worker.encoder.is_broken = False
        await worker.indexer.catch_up()
        await self._look_at_index(worker, self._look({}), rng)
        return None

    async def break_server(self, rng: random.Random) -> Touched:
        name = rng.choice(sorted(self._held) or SERVERS)
        # The last one is the only one after which something is to be written.
        self._scene.set_fault(name, rng.choice([*Fault, Fault.BREAKS_PROMPTS]))
        self.told[-1] += f" {name} {self._scene.fault(name)}"
        return None

    async def mend_servers(self, rng: random.Random) -> Touched:
        del rng
        for name in SERVERS:
            self._scene.set_fault(name, None)
        return None

    async def break_encoder(self, rng: random.Random) -> Touched:
        rng.choice(self._workers).break_encoder()
        return None

    async def mend_encoder(self, rng: random.Random) -> Touched:
        del rng
        for worker in self._workers:
            worker.encoder.is_broken = False
        return None

    async def add_server(self, rng: random.Random) -> Touched:
        missing = [name for name in SERVERS if name not in self._held]
        if not missing:
            return None
        name, policy = missing[0], rng.choice(list(Policy))
        server = Server(
            name=ServerName(name),
            transport=self._scene.transport(name),
            on_change=ChangePolicy(policy.value),
        )
        self._store.add_server(server, actor=_ACTOR)
        added = (model.Noted("added", f"server:{name}"),)
        self.told[-1] += f" {name} {policy}"
        held = ServerHeld(policy, departed=self._departed.get(name, {}))
        return {name: [Outcome(held, added)]}

    async def remove_server(self, rng: random.Random) -> Touched:
        name = self._pick(rng)
        if name is None:
            return None
        self._store.remove_server(ServerName(name), actor=_ACTOR)
        self.told[-1] += f" {name}"
        held = self._held[name]
        self._departed[name] = {**held.departed, **held.entries}
        return {name: [model.after_removal(held, name)]}

    async def switch_server(self, rng: random.Random) -> Touched:
        name = self._pick(rng)
        if name is None:
            return None
        held = self._held[name]
        changed = replace(held, enabled=not held.enabled)
        server = self._store.get_server(ServerName(name))
        self._store.update_server(replace(server, enabled=changed.enabled), actor=_ACTOR)
        action = "enabled" if changed.enabled else "disabled"
        self.told[-1] += f" {name} {action}"
        return {name: [Outcome(changed, (model.Noted(action, f"server:{name}"),))]}

    async def set_policy(self, rng: random.Random) -> Touched:
        name = self._pick(rng)
        policy = rng.choice(list(Policy))
        if name is None or self._held[name].policy is policy:
            return None
        server = self._store.get_server(ServerName(name))
        wanted = replace(server, on_change=ChangePolicy(policy.value))
        self._store.update_server(wanted, actor=_ACTOR)
        noted = (model.Noted("updated", f"server:{name}"),)
        self.told[-1] += f" {name} {policy}"
        return {name: [Outcome(replace(self._held[name], policy=policy), noted)]}

    async def switch_entry(self, rng: random.Random) -> Touched:
        name, id_ = self._pick_entry(rng)
        if name is None or id_ is None:
            return None
        enabled = not self._held[name].entries[id_].enabled
        kind, entry_name = split_id(EntryId(id_))
        self._store.set_entry_enabled(kind, entry_name, enabled=enabled, actor=_ACTOR)
        self.told[-1] += f" {id_} {enabled}"
        return {name: [model.switched(self._held[name], id_, enabled=enabled)]}

    async def approve(self, rng: random.Random) -> Touched:
        name, id_ = self._pick_entry(rng, distrusted=rng.random() < 0.8)
        if name is None or id_ is None:
            return None
        kind, entry_name = split_id(EntryId(id_))
        self._store.approve(kind, entry_name, actor=_ACTOR)
        self.told[-1] += f" {id_}"
        return {name: [model.approved(self._held[name], id_)]}

    async def put_model(self, rng: random.Random) -> Touched:
        """Something that no server owns, which every sync must leave alone."""
        name = f"acme/{rng.randrange(2)}"
        if rng.random() < 0.3 and self._store.find_entry(EntryKind.MODEL, name):
            self._store.remove_model(name, actor=_ACTOR)
        else:
            made = Model(name=name, description=f"Writes {self._words.new()}")
            self._store.put_model(made, actor=_ACTOR)
        return {}

    # --- parts of deeds --------------------------------------------------------------------------

    def _pick(self, rng: random.Random) -> str | None:
        return rng.choice(sorted(self._held)) if self._held else None

    def _pick_enabled(self, rng: random.Random) -> str | None:
        names = sorted(name for name, server in self._held.items() if server.enabled)
        name = rng.choice(names) if names else None
        self.told[-1] += f" {name}"
        return name

    def _pick_entry(
        self, rng: random.Random, *, distrusted: bool = False
    ) -> tuple[str | None, model.Id | None]:
        ids = [
            (name, id_)
            for name, server in sorted(self._held.items())
            for id_, held in sorted(server.entries.items())
            if not distrusted or held.trust is not model.Trust.TRUSTED
        ]
        return rng.choice(ids) if ids else (None, None)

    def _options(self, name: str, worker: Worker) -> Options:
        """What may become of a server that this worker syncs alone."""
        synced = self._synced(name)
        if not worker.encoder.is_broken:
            return [synced]
        # Nothing may be written without its vectors; that there is nothing new is no failure.
        kept = Outcome(self._held[name])
        failed = Outcome(replace(self._held[name], status=Status.UNREACHABLE))
        return [synced, kept, failed]

    async def _after(self, worker: Worker, touched: dict[str, Options], rng: random.Random) -> None:
        actual = self._look(touched)
        if touched and not worker.encoder.is_broken:
            await self._look_at_index(worker, actual, rng)


async def _sync(worker: Worker, name: str | None = None) -> bool:
    """Sync one server, or all; say whether it was done."""
    names = None if name is None else [ServerName(name)]
    try:
        reports = await worker.reconciler.sync(names)
    except (ToolcribError, ExceptionGroup) as error:
        if not worker.encoder.is_broken or not _is_encoders(error):
            raise
        return False
    return all(report.error is None for report in reports)


async def _sync_and_release(worker: Worker, name: str) -> None:
    await _sync(worker, name)
    worker.fuse.release()  # it may never have come to where it was to be held


def _is_encoders(error: Exception) -> bool:
    if isinstance(error, ExceptionGroup):
        return all(_is_encoders(each) for each in error.exceptions)
    return isinstance(error, EncoderError)


def _owners(entries: Sequence[Entry]) -> dict[str, list[model.Id]]:
    """Which entries say each of the words that were made up."""
    owners: dict[str, list[model.Id]] = {}
    for entry in entries:
        for word in set(_WORD.findall(f"{entry.name} {entry.title} {entry.description}".lower())):
            owners.setdefault(word, []).append(entry.id)
    return owners


CHANGES: dict[str, Callable[..., None]] = {
    "add": truth.add,
    "edit": truth.edit,
    "turn_grave": truth.turn_grave,
    "take_back": truth.take_back,
    "rename": truth.rename,
    "retire": truth.retire,
    "empty": truth.empty,
    "bring_back": truth.bring_back,
    "come_back_otherwise": truth.come_back_otherwise,
    "reorder": truth.reorder,
    "malform": truth.malform,
    "duplicate": truth.duplicate,
}
DEEDS: dict[str, Callable[[Story, random.Random], Awaitable[Touched]]] = {
    "sync_one": Story.sync_one,
    "sync_all": Story.sync_all,
    "sync_both": Story.sync_both,
    "sync_late": Story.sync_late,
    "sync_dying": Story.sync_dying,
    "restart": Story.restart,
    "follow": Story.follow,
    "break_server": Story.break_server,
    "mend_servers": Story.mend_servers,
    "break_encoder": Story.break_encoder,
    "mend_encoder": Story.mend_encoder,
    "add_server": Story.add_server,
    "remove_server": Story.remove_server,
    "switch_server": Story.switch_server,
    "set_policy": Story.set_policy,
    "switch_entry": Story.switch_entry,
    "approve": Story.approve,
    "put_model": Story.put_model,
}
