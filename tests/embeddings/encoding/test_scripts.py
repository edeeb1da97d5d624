"""A query's script and language are told by its letters and a few words."""

from __future__ import annotations

import pytest

from toolcrib_embeddings.encoding.scripts import Script, knows, language_of, script_of
from toolcrib_embeddings.testing import HashEncoder


@pytest.mark.parametrize(
    ("query", "script"),
    [
        ("搜索明天的航班", Script.CHINESE),
        ("明日の東京の天気を教えて", Script.JAPANESE),
        ("내일 서울 날씨", Script.KOREAN),
        ("Какая погода завтра", Script.CYRILLIC),
        ("ما هو الطقس غدا", Script.ARABIC),
        ("帮我用 Slack 发消息", Script.CHINESE),
        ("weather in Tokyo", None),
        ("What does the sign 天 mean in the text that I read?", None),
        ("Wie wird das Wetter in Zürich?", None),
        ("", None),
        ("12345 !?", None),
        ("🌧️ 🌧️", None),
    ],
)
def test_the_script_is_that_of_a_third_of_the_words(query: str, script: Script | None):
    assert script_of(query) is script


@pytest.mark.parametrize(
    ("query", "language"),
    [
        ("Wie wird das Wetter morgen in Hamburg?", "German"),
        ("Trouve un restaurant italien à Lyon et réserve une table", "French"),
        ("¿Cuál es el precio del bitcoin hoy?", "Spanish"),
        ("今天东京的天气怎么样", "Chinese"),
        ("get the weather in Hamburg", None),
        ("What are the opening hours of El Corte and La Scala?", None),
        ("Translate the following text to English for me: Le système est la base", None),
        ("convert_time_zone src_tz dst_tz", None),
        ("", None),
    ],
)
def test_the_language_is_told_by_a_few_words_unless_it_seems_english(query, language):
    assert language_of(query) == language


MEANINGS = {
    "天气": "weather",
    "音乐": "music",
    "钱": "money",
    "照片": "photo",
    "酒店": "hotel",
    "书": "book",
}


class Bilingual(HashEncoder):
    """Knows some Chinese words."""

    def encode(self, texts, *, on_progress=None):
        return super().encode([MEANINGS.get(text, text) for text in texts])


def test_an_encoder_knows_a_script_when_words_lie_beside_what_they_mean():
    assert knows(Bilingual(), Script.CHINESE)
    assert not knows(Bilingual(), Script.KOREAN)
    assert not any(knows(HashEncoder(), script) for script in Script)
