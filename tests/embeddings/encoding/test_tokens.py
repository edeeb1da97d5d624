"""The head that makes token vectors: what it keeps, and what it refuses."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from toolcrib_embeddings.encoding.encoder import SentenceTransformerEncoder
from toolcrib_embeddings.encoding.exported import find_or_export
from toolcrib_embeddings.encoding.model_folder import file_sha256, read_model, weights_folder
from toolcrib_embeddings.encoding.tokens import (
    SCALE,
    TokenHead,
    dump_tokens,
    find_head,
    load_tokens,
    pieces,
    vectors,
)
from toolcrib_registry.errors import EncoderError

from ..conftest import CACHE

VOCABULARY = 30_522
SHIPPED_SHA256 = "bf0eb2fc080ac5d14b1f456a8d6929c8d9495df9973b1b68b6d6312b62481e35"
"""Another file makes other rows in every registry."""


def head(encoder_id: str = "an-encoder", *, width: int = 30, tokens: int = 5) -> TokenHead:
    numbers = np.random.default_rng(7)
    matrix = np.linalg.qr(numbers.normal(size=(384, width)))[0].astype(np.float16)
    return TokenHead(
        encoder_id=encoder_id,
        matrix=matrix.astype(np.float32),
        rarity=np.linspace(0, 8, VOCABULARY).astype(np.float16).astype(np.float32),
        tokens=tokens,
        recipe={"seed": 7},
    )


def test_a_head_is_read_as_it_was_written(tmp_path: Path):
    made = head()
    made.dump(tmp_path / "late.safetensors")
    read = TokenHead.load(tmp_path / "late.safetensors")
    assert read.name("e") == made.name("e")
    assert read.recipe == {"seed": 7}
    assert np.array_equal(read.matrix, made.matrix)


def test_another_head_or_encoder_makes_what_has_another_name():
    heads = (head(), head(width=20), head(tokens=6))
    assert len({*(each.name("e") for each in heads), head().name("another")}) == 4


def test_a_head_of_a_model_reads_it_tuned_too():
    assert all(
        head("model@1").reads(id_) for id_ in ("model@1", "model@1+t@2/onnx", "model@1/onnx")
    )
    assert not any(head("model@1").reads(id_) for id_ in ("model@12", "model", "other+model@1"))


def test_the_head_of_an_encoder_is_found_by_what_it_says_of_itself(tmp_path: Path):
    head("one").dump(tmp_path / "one.safetensors")
    head("two").dump(tmp_path / "two.safetensors")
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    found = find_head(tmp_path, "two")
    assert found
    assert found.encoder_id == "two"
    assert find_head(tmp_path, "three") is None


@pytest.mark.parametrize("what", ["matrix", "rarity", "tokens", "format", "none"])
def test_a_file_that_is_no_head_is_refused_with_its_name(tmp_path: Path, what: str):
    file = tmp_path / "late.safetensors"
    matrix, rarity = np.ones((4, 2), np.float16), np.ones(5, np.float16)
    said = {"format": "toolcrib-late-1", "encoder_id": "e", "tokens": "4"}
    if what == "matrix":
        matrix[0, 0] = np.nan
    if what == "rarity":
        rarity[0] = np.inf
    if what == "tokens":
        said["tokens"] = "0"
    if what == "format":
        said["format"] = "another"
    held = {"head": matrix} if what == "none" else {"head": matrix, "rarity": rarity}
    save_file(held, file, said)
    with pytest.raises(EncoderError, match=r"late\.safetensors"):
        TokenHead.load(file)


def test_token_vectors_are_read_from_bytes_as_they_were(tmp_path: Path):
    rows = head().compress(
        np.random.default_rng(1).normal(size=(4, 384)).astype(np.float32),
        np.array([0, 1, 29_000, 99_999], dtype=np.int32),
    )
    assert np.array_equal(load_tokens(dump_tokens(rows)), rows)
    assert pieces(rows).tolist() == [0, 1, 29_000, VOCABULARY - 1]
    lengths = np.linalg.norm(vectors(rows).astype(float), axis=1)
    assert np.allclose(lengths, SCALE, rtol=0.02)
    nothing = dump_tokens(rows[:0])
    assert load_tokens(nothing).shape == (0, 32)
    for raw in (b"", nothing[:1], dump_tokens(rows)[:-1]):
        with pytest.raises(ValueError, match=r"."):
            load_tokens(raw)


@pytest.fixture(scope="module")
def encoder() -> SentenceTransformerEncoder:
    export = find_or_export(read_model(None), CACHE)
    return SentenceTransformerEncoder(export, head=head(export.encoder_id))


def test_one_pass_gives_the_vectors_that_encoding_alone_gives(encoder: SentenceTransformerEncoder):
    texts = ["convert a time", "", "list the files of a folder and send them " * 4]
    read = encoder.encode_documents(texts)
    assert np.array_equal(read.vectors, encoder.encode(texts))
    assert read.tokens
    assert [len(rows) for rows in read.tokens] == [3, 0, 5]
    assert encoder.token_id
    assert encoder.token_id.startswith(encoder.id)


def test_a_query_is_read_by_the_same_map_and_not_cut(encoder: SentenceTransformerEncoder):
    text = "list the files of a folder"
    read = encoder.encode_query(text, [(0, 14), (15, 26)])
    documents = encoder.encode_documents([text, "x"]).tokens
    assert read.tokens
    assert documents
    assert len(read.tokens[0]) == 6
    assert np.array_equal(pieces(read.tokens[0])[:5], pieces(documents[0]))
    assert np.abs(read.tokens[0][:5].astype(int) - documents[0]).max() <= 1, "but for rounding"
    assert read.inside is not None
    assert read.inside.astype(int).tolist() == [[1, 1, 1, 0, 0, 0], [0, 0, 0, 1, 1, 1]]
    again = encoder.encode_query(text, [(0, 14), (15, 26)])
    assert again.tokens
    assert again.tokens[0] is read.tokens[0], "what was asked last is remembered"


def test_without_a_head_there_are_no_token_vectors():
    plain = SentenceTransformerEncoder(find_or_export(read_model(None), CACHE))
    assert plain.token_id is None
    assert len(plain.rarity) == 0
    assert plain.encode_documents(["a", "b"]).tokens is None
    assert plain.encode_query("a").tokens is None


def test_the_shipped_encoder_and_the_plain_one_have_the_shipped_head(
    encoder: SentenceTransformerEncoder,
):
    shipped = weights_folder() / "toolcrib-late.safetensors"
    assert file_sha256(shipped) == SHIPPED_SHA256
    found = TokenHead.load(shipped)
    assert found.reads(encoder.id)
    assert SentenceTransformerEncoder.open(CACHE).token_id == found.name(encoder.id)
    assert vectors(found.compress(np.ones((1, 384), np.float32), np.zeros(1, np.int32))).any()
