"""What a call goes by is named once: in the place of the model's name, or beside it."""

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.invocation.models.objectives import objective_of
from toolcrib_server.selection.models import Objective


def test_an_objective_given_twice_must_be_one():
    assert objective_of("auto:cheapest", Objective.COST) is Objective.COST
    assert objective_of("auto", None) is Objective.RELEVANCE
    with pytest.raises(InvalidInput, match="make them one"):
        objective_of("auto:cheapest", Objective.CONTEXT)
