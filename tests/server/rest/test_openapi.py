"""The API's own description is complete: examples, errors, a security scheme."""

import pytest

from toolcrib_registry import wire

pytestmark = pytest.mark.anyio


async def description(api):
    answer = await api.http.get("/openapi.json")
    assert answer.status_code == 200
    return answer.json()


async def test_every_operation_has_a_summary_and_says_how_it_fails(api):
    for path, operations in (await description(api))["paths"].items():
        for method, operation in operations.items():
            assert operation["summary"], (method, path)
            assert operation["description"], (method, path)
            assert "422" not in operation["responses"]
            if path.startswith("/api/"):
                problem = operation["responses"]["400"]["content"]["application/problem+json"]
                assert problem["schema"]["$ref"].endswith("/ProblemOut")
                assert operation["security"] == [{"HTTPBearer": []}]


async def test_bodies_have_examples_that_fit_them(api):
    schemas = (await description(api))["components"]["schemas"]
    checked = 0
    for name, schema in schemas.items():
        for example in schema.get("examples", []):
            getattr(wire, name).model_validate(example)
            checked += 1
    assert checked >= 8


async def test_every_reference_leads_somewhere(api):
    whole = await description(api)
    schemas = whole["components"]["schemas"]

    def references(part):
        if isinstance(part, dict):
            if isinstance(part.get("$ref"), str):
                yield part["$ref"]
            for inner in part.values():
                yield from references(inner)
        elif isinstance(part, list):
            for inner in part:
                yield from references(inner)

    found = set(references(whole))
    assert found
    assert {ref.removeprefix("#/components/schemas/") for ref in found} <= set(schemas)


async def test_input_that_has_unknown_fields_is_described_as_refused(api):
    schemas = (await description(api))["components"]["schemas"]
    assert schemas["SearchQuery"]["additionalProperties"] is False
    assert "maxTokens" in schemas["SearchQuery"]["properties"]
