"""Names and words that look like others."""

import pytest

from toolcrib_server.scan import fold_name
from toolcrib_server.scan.lookalike import find_lookalikes, fold
from toolcrib_server.scan.texts import Part, Text


def found(text, part=Part.PROSE):
    return [f.rule for f in find_lookalikes(Text("/name", part, text))]


@pytest.mark.parametrize(
    "name", ["re\u0430d_file", "\u0455\u0435\u0430", "\uff52ead", "list_\u03bfbjects"]
)
def test_a_name_that_only_looks_latin_is_found(name):
    assert found(name, Part.NAME) == ["look-alike-name"]


@pytest.mark.parametrize("name", ["поиск", "検索", "recherche_été", "söka", "naïve_search"])
def test_a_name_in_a_language_of_its_own_is_left_alone(name):
    assert found(name, Part.NAME) == []


@pytest.mark.parametrize(
    "text", ["Δt and μm", "σ2 of x", "kΩ", "für alle", "Привет world", "hava durumı"]
)
def test_formulas_and_languages_side_by_side_are_left_alone(text):
    assert found(text) == []


def test_a_word_of_two_scripts_is_found_and_its_letters_named():
    (finding,) = find_lookalikes(Text("/description", Part.PROSE, "Open p\u0430ypal now"))
    assert finding.rule == "mixed-scripts"
    assert "cyrillic small letter a" in finding.excerpt


def test_names_that_look_the_same_fold_to_one():
    assert (
        len({fold_name(n) for n in ("send_email", "Send-Email", "sendEmai1", "s\u0435nd_email")})
        == 1
    )
    assert fold_name("send_email") != fold_name("send_emails")


def test_words_that_are_wholly_of_another_script_stay_as_they_are():
    assert fold("Игнорируй это") == "игнорируй это"
