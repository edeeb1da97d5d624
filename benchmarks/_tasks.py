"""Seventy-two small tasks of our own, each with two checks: what a caller can know, and the truth.

A cascade may use the first alone: a schema, a form. Whether an answer is right is decided by the
second, which holds the answer itself.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

PEOPLE = (
    ("Ada Byron", 36, "London"), ("Kofi Mensah", 51, "Accra"), ("Mei Lin", 27, "Taipei"),
    ("Jonas Vik", 44, "Bergen"), ("Rosa Alvarez", 63, "Quito"), ("Tariq Aziz", 19, "Lahore"),
    ("Nina Petrova", 33, "Sofia"), ("Paul Okafor", 58, "Lagos"), ("Ines Costa", 22, "Porto"),
    ("Yuki Sato", 47, "Osaka"), ("Omar Haddad", 39, "Amman"), ("Lea Martin", 71, "Lyon"),
)  # fmt: skip
REVIEWS = (
    ("I loved every minute of it.", "positive"), ("A complete waste of money.", "negative"),
    ("The staff were rude and slow.", "negative"), ("Best coffee in the whole town!", "positive"),
    ("It broke after two days.", "negative"), ("Works perfectly, highly recommended.", "positive"),
    ("I would not go back there.", "negative"), ("A delightful surprise.", "positive"),
    ("The plot was dull and the acting poor.", "negative"),
    ("Fast delivery and great quality.", "positive"),
    ("My room was dirty and noisy.", "negative"), ("What a wonderful evening!", "positive"),
)  # fmt: skip
DATES = (
    ("3 March 2024", "2024-03-03"), ("21 July 1969", "1969-07-21"),
    ("9 November 1989", "1989-11-09"), ("1 January 2000", "2000-01-01"),
    ("14 April 1912", "1912-04-14"), ("30 June 2021", "2021-06-30"),
    ("5 December 1955", "1955-12-05"), ("17 August 1998", "1998-08-17"),
    ("28 February 2023", "2023-02-28"), ("12 October 1492", "1492-10-12"),
    ("8 May 1945", "1945-05-08"), ("25 September 2016", "2016-09-25"),
)  # fmt: skip
SUMS = (
    ("17 * 23", 391), ("144 / 12", 12), ("347 * 28", 9716), ("1000 - 387", 613),
    ("19 * 19", 361), ("48 * 76 - 19", 3629), ("2 + 2 * 5", 12), ("8463 + 7989", 16452),
    ("613 * 47", 28811), ("81 - 46", 35), ("12345 - 6789", 5556), ("15 * 15 * 15", 3375),
)  # fmt: skip
WORDS = (
    ("pear", "apple", "fig", "kiwi"), ("dog", "cat", "bird", "ant"),
    ("tram", "train", "trolley", "truck", "tractor"), ("sun", "moon", "star", "earth", "sky"),
    ("zinc", "iron", "gold", "lead", "tin", "iridium"), ("oak", "ash", "elm", "birch", "aspen"),
    ("tea", "milk", "cocoa", "juice"), ("bread", "breeze", "bread knife", "break", "breast"),
    ("north", "east", "west", "south", "northeast"), ("wolf", "bear", "lynx", "fox", "boar"),
    ("salt", "saffron", "sage", "sesame", "savory", "sumac"), ("rain", "snow", "fog", "hail"),
)  # fmt: skip
CAPITALS = (
    ("France", "Paris"), ("Japan", "Tokyo"), ("Burkina Faso", "Ouagadougou"), ("Peru", "Lima"),
    ("Bhutan", "Thimphu"), ("Egypt", "Cairo"), ("Suriname", "Paramaribo"), ("Austria", "Vienna"),
    ("Eritrea", "Asmara"), ("Ghana", "Accra"), ("Kyrgyzstan", "Bishkek"), ("Vanuatu", "Port Vila"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class Task:
    """A question, how a caller could check an answer, and what makes it right."""

    id: str
    area: str
    prompt: str
    verify: tuple[dict[str, Any], ...]
    right: str | dict[str, Any]
    """A pattern, or an object that the answer's JSON must equal."""
    reworded: str
    """The same question in other words."""
    schema: dict[str, Any] | None = None
    """The JSON schema that the request asks for."""

    def is_right(self, text: str) -> bool:
        """Whether an answer is the truth."""
        if isinstance(self.right, str):
            return re.search(self.right, text.strip(), re.IGNORECASE) is not None
        try:
            return json.loads(text) == self.right
        except ValueError:
            return False


def all_tasks() -> tuple[Task, ...]:
    """List them, the areas in turn, so that any part of the list has some of each."""
    areas = [list(area) for area in (_json(), _reviews(), _dates(), _sums(), _words(), _capitals())]
    return tuple(task for each in zip(*areas, strict=True) for task in each)


def _json() -> Iterator[Task]:
    fields = {"name": {"type": "string"}, "age": {"type": "integer"}, "city": {"type": "string"}}
    schema = {
        "type": "object",
        "properties": fields,
        "required": list(fields),
        "additionalProperties": False,
    }
    for at, (name, age, city) in enumerate(PEOPLE):
        yield Task(
            id=f"json-{at}",
            area="json",
            prompt=f"Extract name, age and city as JSON: {name}, {age} years old, lives in {city}.",
            reworded=f"{name} lives in {city} and is {age}. Give me that as a JSON object.",
            verify=({"kind": "json-schema", "schema": schema},),
            right={"name": name, "age": age, "city": city},
            schema=schema,
        )


def _reviews() -> Iterator[Task]:
    ask = "Is this review positive or negative? Answer with one word."
    again = "Tell me in a word whether a customer who writes this is positive or negative:"
    form = r"(?i)^(positive|negative)\W*$"
    asked = [(f"{ask} {said}", f"{again} {said}", is_) for said, is_ in REVIEWS]
    yield from _patterns("reviews", asked, form)


def _dates() -> Iterator[Task]:
    ask = "Write this date as YYYY-MM-DD, and nothing else:"
    again = "in the form YYYY-MM-DD, please; only that."
    asked = [(f"{ask} {date}", f"{date}, {again}", is_) for date, is_ in DATES]
    yield from _patterns("dates", asked, r"^\d{4}-\d\d-\d\d$")


def _sums() -> Iterator[Task]:
    ask = "Answer with the number alone."
    asked = [
        (f"What is {s}? {ask}", f"Work out {s} and say just the result.", is_) for s, is_ in SUMS
    ]
    yield from _patterns("sums", [(*both, str(is_)) for *both, is_ in asked], r"^-?\d+$")


def _words() -> Iterator[Task]:
    ask = "Put these words in alphabetical order, separated by a comma and a space:"
    again = "Sort from A to Z, with a comma and a space between, and say nothing else:"
    lists = [(", ".join(words), ", ".join(sorted(words))) for words in WORDS]
    asked = [(f"{ask} {given}", f"{again} {given}", is_) for given, is_ in lists]
    yield from _patterns("words", asked, r"^[\w ]+(, [\w ]+)+$")


def _capitals() -> Iterator[Task]:
    asked = [
        (
            f"What is the capital of {country}? Answer with its name alone.",
            f"Which city is the seat of government of {country}? Just the name.",
            capital,
        )
        for country, capital in CAPITALS
    ]
    yield from _patterns("capitals", asked, r"^[A-Z]\w+( [A-Z]\w+)?\.?$")


def _patterns(area: str, asked: Sequence[Sequence[str]], form: str) -> Iterator[Task]:
    for at, (prompt, reworded, answer) in enumerate(asked):
        yield Task(
            id=f"{area}-{at}",
            area=area,
            prompt=prompt,
            reworded=reworded,
            verify=({"kind": "pattern", "pattern": form},),
            right=rf"^{re.escape(answer)}\W*$",
        )


def halves(tasks: Sequence[Task]) -> tuple[list[Task], list[Task]]:
    """Part them so that each half has as much of every area."""
    seen: dict[str, int] = {}
    parts: tuple[list[Task], list[Task]] = ([], [])
    for task in tasks:
        number = seen[task.area] = seen.get(task.area, -1) + 1
        parts[number % 2].append(task)
    return parts
