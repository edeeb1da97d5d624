"""Which script and language a query is in, and whether an encoder knows anything of the script.

By letters and a few words of each language: cheap, and sure enough to decide whether somebody
should be told, or asked to translate. Knows no index.
"""

from __future__ import annotations

import re
from collections import Counter
from enum import StrEnum
from functools import cache
from typing import Final

import numpy as np

from .encoder import Encoder


class Script(StrEnum):
    """A script that is not Latin, by a name for readers."""

    CHINESE = "Chinese"
    JAPANESE = "Japanese"
    KOREAN = "Korean"
    CYRILLIC = "Cyrillic"
    GREEK = "Greek"
    ARABIC = "Arabic"
    HEBREW = "Hebrew"
    DEVANAGARI = "Devanagari"
    THAI = "Thai"


_LETTERS: Final = {
    Script.CHINESE: re.compile(r"[\u3400-\u4dbf\u4e00-\u9fff\U00020000-\U0002fa1f]"),
    Script.JAPANESE: re.compile(r"[\u3040-\u30ff\uff66-\uff9d]"),
    Script.KOREAN: re.compile(r"[\u1100-\u11ff\uac00-\ud7a3]"),
    Script.CYRILLIC: re.compile(r"[\u0400-\u052f]"),
    Script.GREEK: re.compile(r"[\u0370-\u03ff\u1f00-\u1fff]"),
    Script.ARABIC: re.compile(r"[\u0600-\u06ff\u0750-\u077f]"),
    Script.HEBREW: re.compile(r"[\u0590-\u05ff]"),
    Script.DEVANAGARI: re.compile(r"[\u0900-\u097f]"),
    Script.THAI: re.compile(r"[\u0e00-\u0e7f]"),
}
_IN_A_WORD: Final = {
    Script.CHINESE: 2.0,
    Script.JAPANESE: 2.5,
    Script.KOREAN: 2.5,
    Script.THAI: 4.0,
}
"""Letters; of the others as many as Latin words have."""
_IN_A_LATIN_WORD: Final = 5.0
_SHARE: Final = 1 / 3
"""Of the words, from which a query is not one in Latin script with a name in another."""
_LATIN: Final = re.compile(r"[A-Za-z\u00c0-\u024f]")
_TELLING: Final = {
    "German": (
        "der die das und ist mir mich ein eine einen für mit wie wird was ich"
        " bitte den dem von zu auf nicht im"
    ),
    "French": (
        "le la les des un une et est je mon ma mes pour avec dans sur du quel"
        " quelle quels que qui à en trouve"
    ),
    "Spanish": (
        "el la los las un una y es mi para con por del qué cuál cómo quiero de"
        " en al hay dónde busca"
    ),
    "Portuguese": (
        "o a os as um uma e é meu minha para com por do da que qual como quero no na em não você"
    ),
    "Italian": (
        "il lo la gli un una e è mio mia per con del della che quale come voglio di nel sono trova"
    ),
    "Dutch": ("de het een en is mijn voor met van hoe wat ik op niet te zijn wordt naar"),
    "Polish": "się jest jak dla na nie po co że jaki gdzie",
    "Turkish": "ve bir bu için ile ne bana mi var kaç olan",
}
_TELLING_ENGLISH: Final = (
    "the a an and is are of to for in on my me i with how what which please find get show need"
    " want can you do from by at this that it"
)
_ENGLISH: Final = "English"
_ENGLISH_ENOUGH: Final = 3
"""Telling words of English, from which what is in another language is quoted."""
_READ: Final = 500
"""Characters."""
_WORD: Final = re.compile(r"[^\W\d_]+")
_MEANINGS: Final = ("weather", "music", "money", "photo", "hotel", "book", "doctor", "airplane")
_SAID: Final = {
    Script.CHINESE: "天气 音乐 钱 照片 酒店 书 医生 飞机",
    Script.JAPANESE: "天気 おんがく おかね しゃしん ホテル ほん いしゃ ひこうき",
    Script.KOREAN: "날씨 음악 돈 사진 호텔 책 의사 비행기",
    Script.CYRILLIC: "погода музыка деньги фотография гостиница книга врач самолёт",
    Script.GREEK: "καιρός μουσική χρήματα φωτογραφία ξενοδοχείο βιβλίο γιατρός αεροπλάνο",
    Script.ARABIC: "الطقس موسيقى نقود صورة فندق كتاب طبيب طائرة",
    Script.HEBREW: "מזג-אוויר מוזיקה כסף תמונה מלון ספר רופא מטוס",
    Script.DEVANAGARI: "मौसम संगीत पैसा फोटो होटल किताब डॉक्टर हवाईजहाज",
    Script.THAI: "อากาศ ดนตรี เงิน ภาพถ่าย โรงแรม หนังสือ หมอ เครื่องบิน",
}
_KNOWN: Final = 0.6
"""Of the words, that must be nearest to what they mean, for a script to count as known."""


def script_of(text: str) -> Script | None:
    """Name the script of a third of the words or more, if it is not Latin."""
    if text.isascii():
        return None
    words = {script: _count(text, script) for script in _LETTERS}
    latin = len(_LATIN.findall(text)) / _IN_A_LATIN_WORD
    most = max(words, key=lambda script: words[script])
    if not words[most] or sum(words.values()) < _SHARE * (latin + sum(words.values())):
        return None
    # Japanese is written in both; Chinese knows no kana.
    return Script.JAPANESE if most is Script.CHINESE and words[Script.JAPANESE] else most


def language_of(text: str) -> str | None:
    """Name the language that a query seems to be in, where it does not seem to be English."""
    text = text[:_READ]
    words = Counter(_WORD.findall(text.lower()))
    english = sum(words[word] for word in _telling()[_ENGLISH])
    if english >= _ENGLISH_ENOUGH:
        return None
    script = script_of(text)
    if script is not None:
        return script.value
    scores = {name: sum(words[word] for word in its) for name, its in _telling().items()}
    best = max(_TELLING, key=lambda name: scores[name])
    return best if scores[best] > max(english, _least(text)) else None


def knows(encoder: Encoder, script: Script) -> bool:
    """Tell whether an encoder puts words of a script beside what they mean; encodes 16 words."""
    said = encoder.encode(_SAID[script].split())
    meant = encoder.encode(_MEANINGS)
    nearest: list[int] = np.argmax(said @ meant.T, axis=1).tolist()
    right = sum(place == meaning for meaning, place in enumerate(nearest))
    return right >= _KNOWN * len(_MEANINGS)


@cache
def _telling() -> dict[str, frozenset[str]]:
    listed = {**_TELLING, _ENGLISH: _TELLING_ENGLISH}
    return {name: frozenset(words.split()) for name, words in listed.items()}


def _least(text: str) -> int:
    """Say how many telling words may be there by chance: fewer where letters tell as well."""
    return 1 if text.isascii() else 0


def _count(text: str, script: Script) -> float:
    return len(_LETTERS[script].findall(text)) / _IN_A_WORD.get(script, _IN_A_LATIN_WORD)
