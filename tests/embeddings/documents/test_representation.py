"""How parts of a document become one vector."""

import numpy as np
import pytest

from toolcrib_embeddings import render_document
from toolcrib_embeddings.documents.corpus import Component, hash_text
from toolcrib_embeddings.documents.representation import (
    CONCATENATION,
    DEFAULT_REPRESENTATION,
    SCALEMCP,
    Representation,
    choose,
)
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import QUESTIONS_KEY, ServerName, Tool


def _tool(**meta: object) -> Tool:
    definition = {
        "inputSchema": {"type": "object", "properties": {"zone": {"description": "an IANA name"}}},
        "_meta": meta,
    }
    return Tool(
        name="time__now",
        description="Tell the time.",
        server=ServerName("time"),
        local_name="now",
        definition=definition,
    )


ASKED = _tool(**{QUESTIONS_KEY: ["what time is it", "how late is it"]})


def _vector(representation: Representation, tool: Tool) -> np.ndarray:
    parts = representation.parts(render_document(tool))
    encoded = HashEncoder().encode([part.text for part in parts])
    known = {part.text_hash: row for part, row in zip(parts, encoded, strict=True)}
    return representation.combine(parts, known)


def test_concatenation_is_the_vector_of_the_whole_text():
    expected = HashEncoder().encode([render_document(ASKED).text])[0]
    assert np.allclose(_vector(CONCATENATION, ASKED), expected)


def test_example_questions_draw_the_vector_to_what_is_asked():
    query = HashEncoder().encode(["how late is it"])[0]
    plain, with_questions = _vector(CONCATENATION, ASKED), _vector(DEFAULT_REPRESENTATION, ASKED)
    assert with_questions @ query > plain @ query
    assert np.isclose(np.linalg.norm(with_questions), 1)
    assert np.allclose(_vector(DEFAULT_REPRESENTATION, _tool()), _vector(CONCATENATION, _tool()))


def test_the_weighted_average_is_that_of_the_parts():
    document = render_document(ASKED)
    weights = {Component.NAME: 0.2, Component.DESCRIPTION: 0.3, Component.PARAMETERS: 0.2}
    weights[Component.QUESTIONS] = 0.3
    rows = {c: HashEncoder().encode([document.components[c]])[0] for c in weights}
    expected = sum(weight * rows[c] for c, weight in weights.items())
    expected = expected / np.linalg.norm(expected)
    assert np.allclose(_vector(SCALEMCP, ASKED), expected, atol=1e-6)


def test_parts_that_cancel_each_other_out_leave_the_heaviest():
    representation = Representation.of({Component.NAME: 1, Component.DESCRIPTION: 1})
    document = render_document(_tool())
    parts = representation.parts(document)
    there = np.array([1.0, 0.0], dtype=np.float32)
    vectors = {parts[0].text_hash: there, parts[1].text_hash: -there}
    assert np.isclose(np.linalg.norm(representation.combine(parts, vectors)), 1)


def test_a_document_without_any_of_the_parts_is_embedded_whole():
    bare = Tool(name="s__x", server=ServerName("s"), local_name="x", definition={})
    parts = Representation.of({Component.QUESTIONS: 1}).parts(render_document(bare))
    assert [part.text for part in parts] == [render_document(bare).text]


@pytest.mark.parametrize(
    ("weights", "says"),
    [
        ({"colour": 1}, "'colour' is no component"),
        ({"name": -1}, "no average"),
        ({"name": float("nan")}, "no average"),
        ({"name": 0}, "no average"),
    ],
)
def test_weights_that_make_no_average_are_refused(weights: dict[str, float], says: str):
    with pytest.raises(InvalidInput, match=says):
        Representation.of(weights)


def test_the_order_of_weights_does_not_matter():
    one = Representation.of({"name": 1, "description": 2})
    assert one == choose({"description": 2, "name": 1})
    assert one.id != CONCATENATION.id
    assert choose(None) == DEFAULT_REPRESENTATION


def test_a_text_has_one_hash():
    assert hash_text("a") == hash_text("a") != hash_text("b")
