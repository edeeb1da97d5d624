"""Rows follow the ids they hold, whatever happened before."""

from hypothesis import given, settings
from hypothesis import strategies as st

from toolcrib_embeddings.documents.corpus import Document
from toolcrib_embeddings.indexing.roster import Roster
from toolcrib_embeddings.indexing.scope import EVERYTHING, Scope
from toolcrib_registry.types import EntryId, EntryKind, ServerName, entry_id

_KINDS = st.sampled_from(list(EntryKind))
_SERVERS = st.sampled_from([None, ServerName("a"), ServerName("b"), ServerName("c")])


def _document(name: str, kind: EntryKind, server: ServerName | None) -> Document:
    return Document(
        id=entry_id(EntryKind.TOOL, name), kind=kind, server=server, name=name, text="", terms=""
    )


_DOCUMENTS = st.builds(_document, st.sampled_from("abcdefgh"), _KINDS, _SERVERS)
_STEPS = st.lists(
    st.tuples(st.lists(_DOCUMENTS, max_size=5), st.sets(st.sampled_from("abcdefgh"), max_size=4)),
    max_size=6,
)


@settings(deadline=None)
@given(steps=_STEPS, kinds=st.none() | st.sets(_KINDS), servers=st.none() | st.sets(_SERVERS))
def test_any_history_gives_the_rows_and_masks_of_what_is_left(steps, kinds, servers):
    roster, model, contents = Roster.empty(), {}, []
    for upserts, names in steps:
        removals = {entry_id(EntryKind.TOOL, name) for name in names}
        move = roster.after(upserts, removals)
        arrived = [upserts[number].id for number in move.newcomers]
        contents = [(contents + arrived)[place] for place in move.source]
        roster = move.roster
        for id_ in removals:
            model.pop(id_, None)
        model |= {document.id: document for document in upserts}
    assert list(roster.ids) == sorted(model) == contents
    assert roster.rows == {id_: row for row, id_ in enumerate(roster.ids)}

    mask = roster.mask(Scope.of(kinds=kinds, servers=servers))
    expected = [
        (kinds is None or model[id_].kind in kinds)
        and (servers is None or (model[id_].server in servers and model[id_].server is not None))
        for id_ in roster.ids
    ]
    assert (mask.tolist() if mask is not None else [True] * len(roster)) == expected

    copy = Roster.load(roster.dump())
    assert copy.dump() == roster.dump()


def test_the_mask_of_everything_is_none():
    roster = Roster.empty().after([_document("a", EntryKind.TOOL, None)], ()).roster
    assert roster.mask(EVERYTHING) is None


def test_many_scopes_stay_correct():
    documents = [_document(str(n), EntryKind.TOOL, ServerName(f"s{n}")) for n in range(200)]
    roster = Roster.empty().after(documents, ()).roster
    for document in documents:
        mask = roster.mask(Scope(servers=frozenset({ServerName(str(document.server))})))
        assert mask is not None
        assert [EntryId(roster.ids[row]) for row in mask.nonzero()[0]] == [document.id]


def test_a_scope_of_ids_holds_those_that_are_there_and_no_others():
    documents = [_document(name, EntryKind.TOOL, None) for name in "abc"]
    roster = Roster.empty().after(documents, ()).roster
    wanted = {entry_id(EntryKind.TOOL, name) for name in ("a", "c", "gone")}
    mask = roster.mask(Scope.of(ids=wanted))
    assert mask is not None
    assert mask.tolist() == [True, False, True]
    nothing = roster.mask(Scope.of(ids=()))
    assert nothing is not None
    assert not nothing.any()
