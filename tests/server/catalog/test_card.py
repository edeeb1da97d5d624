"""Hugging Face model cards. The card is made for this test, in the shape that cards have."""

from datetime import date

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_registry.types import Evaluation, Known
from toolcrib_server.catalog.card import is_card, read_card

DAY = date(2026, 10, 1)
CARD = """---
license: apache-2.0
base_model:
- org/base-7b
pipeline_tag: image-text-to-text
language: [en, no, de]
library_name: transformers
model-index:
- name: org/tuned-7b
  results:
  - task: {type: text-generation}
    dataset: {name: MMLU, type: cais/mmlu, config: all, split: test}
    metrics:
    - {type: acc, value: 63.5, name: accuracy}
    - {type: broken, value: n/a}
---
# Tuned 7B
"""


def test_a_card_is_its_makers_word():
    model = read_card(CARD, name=None, as_of=DAY)
    source = "huggingface:org/tuned-7b"
    says = model.descriptor
    assert (model.name, model.family) == ("org/tuned-7b", "org/base-7b")
    assert model.tags == ("image-text-to-text", "transformers")
    assert says.license == Known("Apache-2.0", source, DAY)
    assert says.modalities_in == Known(("text", "image"), source, DAY)
    assert says.languages == Known(("en", "no", "de"), source, DAY)
    assert says.evaluations == (
        Evaluation(
            benchmark="MMLU",
            metric="acc",
            score=63.5,
            version="all/test",
            source=source,
            as_of=DAY,
        ),
    )


@pytest.mark.parametrize(
    ("lines", "known"),
    [
        ("license: other\nlicense_name: llama3", "LicenseRef-llama3"),
        ("license: gemma", "LicenseRef-gemma"),
        ("license: unknown", None),
        ("license: [mit]", None),
        ("tags: [x]", None),
    ],
)
def test_a_licence_is_spdx_or_unknown(lines, known):
    says = read_card(f"---\n{lines}\n---\n", name="m", as_of=DAY).descriptor
    assert (says.license.value if says.license else None) == known


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("# Only prose", "no model card"),
        ("---\n{broken: [\n---\n", "YAML is broken"),
        ("---\n- a list\n---\n", "no mapping"),
        ("---\n!!python/object:os.system {}\n---\n", "YAML is broken"),
        ("---\nlicense: mit\n---\n", "give --name"),
    ],
)
def test_what_is_no_card_says_why(text, reason):
    with pytest.raises(InvalidInput, match=reason):
        read_card(text, name=None, as_of=DAY)


def test_a_card_is_told_from_other_text():
    assert is_card(CARD)
    assert is_card(CARD.replace("\n", "\r\n"))
    assert not is_card("--- a dash\n")
