"""The served encoder against the original, and what it costs the process that serves."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from toolcrib_embeddings import SentenceTransformerEncoder

from ..conftest import CACHE, Originals


def test_vectors_are_those_of_sentence_transformers(
    real_encoder: SentenceTransformerEncoder, originals: Originals
):
    served = real_encoder.encode(originals.texts)
    cosines = np.sum(served * originals.tuned, axis=1)
    assert cosines.min() > 0.9999


def test_the_model_as_published_is_served_when_asked_for(originals: Originals):
    plain = SentenceTransformerEncoder.open(CACHE, model=Path("base"))
    cosines = np.sum(plain.encode(originals.texts) * originals.bundled, axis=1)
    assert cosines.min() > 0.9999
    assert np.sum(originals.bundled * originals.tuned, axis=1).min() < 0.99, "the delta matters"


def test_one_text_alone_has_the_vector_it_has_in_a_batch(
    real_encoder: SentenceTransformerEncoder, originals: Originals
):
    together = real_encoder.encode(originals.texts)
    alone = np.concatenate([real_encoder.encode([text]) for text in originals.texts])
    assert np.allclose(alone, together, atol=1e-5)


def test_rows_have_length_one_and_the_promised_dimension(real_encoder: SentenceTransformerEncoder):
    vectors = real_encoder.encode(["a", "some longer text", ""])
    assert vectors.shape == (3, real_encoder.dimension) == (3, 384)
    assert vectors.dtype == np.float32
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-6)


def test_no_texts_give_no_rows(real_encoder: SentenceTransformerEncoder):
    assert real_encoder.encode([]).shape == (0, 384)


def test_progress_counts_up_to_all_texts(real_encoder: SentenceTransformerEncoder):
    seen: list[int] = []
    real_encoder.encode([f"text {n} " * (n % 9 + 1) for n in range(100)], on_progress=seen.append)
    assert seen == sorted(set(seen))
    assert seen[-1] == 100
    assert len(seen) > 1


def test_a_huge_text_and_lone_surrogates_are_encoded(real_encoder: SentenceTransformerEncoder):
    vectors = real_encoder.encode(["word " * 200_000, "\ud800 broken \udfff", "\0\x07"])
    assert np.isfinite(vectors).all()


def test_changing_a_returned_vector_does_not_change_the_remembered_one(
    real_encoder: SentenceTransformerEncoder,
):
    first = real_encoder.encode(["remember me"])
    before = first.copy()
    first[:] = 0
    second = real_encoder.encode(["remember me"])
    second[:] = 1
    assert np.array_equal(real_encoder.encode(["remember me"]), before)


def test_the_id_names_model_weights_and_form(real_encoder: SentenceTransformerEncoder):
    assert real_encoder.id.startswith("all-MiniLM-L6-v2@53aa5117-")
    assert "+toolcrib-minilm@89237125/" in real_encoder.id
    assert real_encoder.id.endswith("/onnx-fp32")


_SERVE = """
import json, sys
from pathlib import Path
from toolcrib_embeddings import SearchIndex, SentenceTransformerEncoder
from toolcrib_embeddings.documents.corpus import render_document
from toolcrib_registry.types import Revision, ServerName, Tool
encoder = SentenceTransformerEncoder.open(Path(sys.argv[1]))
index = SearchIndex(encoder)
tool = Tool(name="t", server=ServerName("s"), local_name="t", description="Tell the time",
            definition={})
document = render_document(tool)
index.update([(document, encoder.encode([document.text])[0])], (), revision=Revision(1))
found = [hit.id for hit in index.search("what time is it", k=3).hits]
heavy = {"torch", "transformers", "sentence_transformers"} & {m.split(".")[0] for m in sys.modules}
print(json.dumps({"found": found, "heavy": sorted(heavy)}))
"""


@pytest.mark.usefixtures("real_encoder")
def test_serving_imports_neither_torch_nor_transformers():
    done = subprocess.run(
        [sys.executable, "-c", _SERVE, str(CACHE)], capture_output=True, check=True, timeout=60
    )
    assert json.loads(done.stdout) == {"found": ["tool:t"], "heavy": []}


def test_serving_reports_to_nobody(tmp_path: Path) -> None:
    script = (
        "import pathlib, sys; from toolcrib_embeddings import SentenceTransformerEncoder as E;"
        "E.open(pathlib.Path(sys.argv[1])).encode(['a'])"
    )
    env = {"HOME": str(tmp_path), "PATH": os.environ["PATH"]}
    subprocess.run([sys.executable, "-c", script, str(CACHE)], env=env, check=True)
    assert not list(tmp_path.iterdir())


def test_a_span_has_its_own_vector_in_the_pass_of_the_whole(
    real_encoder: SentenceTransformerEncoder,
):
    text = "Convert a time to UTC. Then send an email to Anna."
    spans = [(0, 22), (28, len(text))]
    whole, time, mail = real_encoder.encode_query(text, spans).vectors
    assert np.allclose(whole, real_encoder.encode([text])[0], atol=1e-5)
    assert np.allclose(np.linalg.norm([time, mail], axis=1), 1, atol=1e-5)
    alone = real_encoder.encode(["Convert a time to UTC.", "send an email to Anna."])
    likeness = np.array([time, mail]) @ alone.T
    assert likeness[0, 0] > likeness[0, 1] + 0.2
    assert likeness[1, 1] > likeness[1, 0] + 0.2


def test_a_span_beyond_what_the_model_reads_means_what_the_text_does(
    real_encoder: SentenceTransformerEncoder,
):
    text = "time " * 600
    read = real_encoder.encode_query(text, [(2_800, 2_900), (3, 3)])
    whole, beyond, nothing = read.vectors
    assert np.allclose(whole, beyond, atol=1e-5)
    assert np.allclose(whole, nothing, atol=1e-5)
    assert real_encoder.encode_query("a").vectors.shape == (1, real_encoder.dimension)
