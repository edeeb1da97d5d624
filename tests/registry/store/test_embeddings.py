from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from toolcrib_registry.store import Store


def test_vectors_come_back_as_they_were_stored(store: Store) -> None:
    vectors = {f"{number:04x}": bytes([number % 256] * 16) for number in range(6_000)}

    store.put_embeddings("encoder-a", vectors)

    assert store.get_embeddings("encoder-a", [*vectors, "absent"]) == vectors
    assert store.get_embeddings("encoder-b", list(vectors)) == {}
    assert store.counts().embeddings == 6_000
    assert store.head() == 0


def test_a_vector_stored_again_replaces_the_first(store: Store) -> None:
    store.put_embeddings("encoder", {"x": b"one", "y": b"two"})
    store.put_embeddings("encoder", {"x": b"new"})

    assert store.get_embeddings("encoder", ["x", "y"]) == {"x": b"new", "y": b"two"}


def test_putting_and_getting_nothing_is_allowed(store: Store) -> None:
    store.put_embeddings("encoder", {})

    assert store.get_embeddings("encoder", []) == {}
    assert store.prune_embeddings("encoder", ()) == 0


def test_pruning_drops_other_encoders_and_unused_texts(store: Store) -> None:
    store.put_embeddings("old", {"x": b"1", "y": b"2"})
    store.put_embeddings("new", {"x": b"1", "y": b"2", "z": b"3"})

    assert store.prune_embeddings("new", {"x", "never-stored"}) == 4
    assert store.get_embeddings("new", ["x", "y", "z"]) == {"x": b"1"}
    assert store.counts().embeddings == 1


def test_token_vectors_of_texts_that_are_kept_are_kept_with_the_vectors(store: Store) -> None:
    for name in ("old", "new", "new/tokens"):
        store.put_embeddings(name, {"x": b"1", "y": b"2"})
    assert store.prune_embeddings("new", {"x"}, token_id="new/tokens") == 4
    left = [store.get_embeddings(name, ["x", "y"]) for name in ("old", "new", "new/tokens")]
    assert left == [{}, {"x": b"1"}, {"x": b"1"}]


def test_writers_of_the_same_texts_at_once_do_not_stop_each_other(store: Store) -> None:
    texts = [f"{number:03}" for number in range(300)]

    def put(writer: int) -> None:
        order = texts if writer % 2 else texts[::-1]
        for _ in range(5):
            store.put_embeddings("encoder", {text: bytes([writer]) for text in order})

    with ThreadPoolExecutor(4) as threads:
        list(threads.map(put, range(4), timeout=60))

    found = store.get_embeddings("encoder", texts)
    assert sorted(found) == texts
    assert len(set(found.values())) == 1
