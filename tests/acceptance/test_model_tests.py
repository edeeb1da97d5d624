"""`toolcrib models test`: a model is put to the test from the command line, and remembered."""

import json
import sys

import pytest

SERVE = ["-m", "toolcrib_server.upstream.models.testing", "{port}"]
LAUNCH = {"command": sys.executable, "args": SERVE}


@pytest.fixture(autouse=True)
def models(toolcrib, tmp_path):
    """Register a model that answers all with one number, and one that nobody serves."""
    prices = {"priceInUsd": 1, "priceOutUsd": 1}
    offers = [{"provider": "here", "remoteModel": "says:391", "launch": LAUNCH, **prices}]
    models = [{"name": "calculator", "offers": offers}, {"name": "nowhere", "offers": []}]
    (tmp_path / "models.json").write_text(json.dumps(models))

    assert toolcrib("import", tmp_path / "models.json").code == 0


def test_a_model_is_tested_and_what_came_of_it_is_an_outcome(toolcrib):
    test = ("models", "test", "calculator", "--area", "arithmetic", "--yes")
    code, out, err = toolcrib(*test, "--json")
    assert code == 0, err
    assert "at most" in err
    (report,) = json.loads(out)["models"]
    assert (report["total"]["right"], report["total"]["asked"]) == (1, 5)
    assert report["questions"][0] == {
        "id": "arithmetic-1",
        "area": "arithmetic",
        "passed": True,
        "detail": "the pattern is found in it",
    }
    code, out, _ = toolcrib("outcomes", "list", "--json")
    kept = json.loads(out)
    assert {one["source"] for one in kept} == {"aptitude"}
    assert sorted(one["score"] for one in kept) == [0, 0, 0, 0, 1]
    code, out, err = toolcrib(*test)
    assert code == 0, err
    assert "20%" in out
    assert "arithmetic-2: the pattern is not found in it" in err


def test_nothing_is_asked_where_nobody_agreed_or_the_model_cannot_be_called(toolcrib):
    code, _, err = toolcrib("models", "test", "calculator")
    assert code == 2
    assert "--yes" in err
    code, _, err = toolcrib("models", "test", "nowhere", "--yes")
    assert code == 1
    assert "no endpoint" in err
    code, _, err = toolcrib("models", "test", "calculater", "--yes")
    assert code == 3
    assert "calculator" in err
    code, _, err = toolcrib("models", "test", "calculator", "--area", "poetry")
    assert code == 2
    assert "arithmetic" in err
    assert toolcrib("outcomes", "list", "--json").json == []
