"""Names on the wire are camelCase, also where no shape of the wire spells them."""

import pytest
from pydantic.alias_generators import to_camel

from toolcrib_registry.spelling import camel


@pytest.mark.parametrize("name", ["name", "expires_at", "price_in_usd", "p95_first_token_ms"])
def test_a_name_is_spelt_as_the_shapes_of_the_wire_spell_it(name: str) -> None:
    assert camel(name) == to_camel(name)
