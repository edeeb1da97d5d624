"""How often the answer cache takes one question for another, and how often it knows one again.

    python benchmarks/cache.py --data FOLDER [--json FILE] [--limit 400] [--show]

Real questions of seven public sets. *Paraphrases*: each question said politely, shortened, with a
phrase moved, a synonym, other case and points (rules below), and pairs of different wordings of the
same question where a set has them (scalemcp_synth: one tool, one company). *Minimal pairs*: one
number, name, negation or opposite changed, or two names exchanged. *Neighbours*: of each question
the most similar other one of its set, which asks something else. A false hit is a pair that asks
something different and is taken for the same; shown by threshold, with and without the verifier.
"""

from __future__ import annotations

import json
import random
import re
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import _command
import numpy as np

from toolcrib_embeddings import Encoder, SentenceTransformerEncoder
from toolcrib_server.answers.sameness import Strictness, difference

ROOT = Path(__file__).parent.parent
SETS = (
    "retrieval/metatool_single",
    "retrieval/bfcl_pool",
    "retrieval/toollinkos",
    "retrieval/scalemcp_synth",
    "routing/guard_dev",
    "routing/llmrouter_9",
    "routing/routellm_mmlu",
)
THRESHOLDS = (0.80, 0.85, 0.90, 0.93, 0.95, 0.97, 0.98, 0.99)
SEED = 7
LONGEST = 400
SHOWN = 12
_CAPITAL = re.compile(r"(?<=[a-z,] )[A-Z][a-z]{3,}")
_NUMBER = re.compile(r"\d+")
_SWAPPED = (
    ("first", "last"), ("before", "after"), ("highest", "lowest"), ("increase", "decrease"),
    ("today", "tomorrow"), ("best", "worst"), ("most", "least"), ("from", "to"),
    ("with", "without"), ("oldest", "newest"), ("min", "max"), ("buy", "sell"),
    ("when", "where"), ("open", "close"),
)  # fmt: skip
_SYNONYM = (
    ("buy", "purchase"), ("show", "display"), ("picture", "photo"), ("movie", "film"),
    ("find", "search for"), ("choose", "select"), ("start", "begin"), ("calculate", "compute"),
    ("big", "large"), ("fix", "repair"), ("get", "obtain"), ("help", "assist"), ("create", "make"),
)  # fmt: skip
Pair = tuple[str, str]


@dataclass(frozen=True)
class Kind:
    """Pairs of one kind."""

    name: str
    same: bool
    pairs: Sequence[Pair]


class Remembering:
    """An encoder that reads no text twice."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[str, Any] = {}

    def __call__(self, texts: Sequence[str]) -> Any:
        new = [text for text in dict.fromkeys(texts) if text not in self._known]
        if new:
            self._known.update(zip(new, self._encoder.encode(new), strict=True))
        return np.stack([self._known[text] for text in texts])


def read_set(data: Path, name: str, limit: int, rng: random.Random) -> list[dict[str, Any]]:
    with (data / name / "queries.jsonl").open(encoding="utf-8") as lines:
        read = [json.loads(line) for line in lines]
    rows = [row for row in read if len(row["text"]) <= LONGEST]
    seen = {row["text"].casefold(): row for row in rows}
    unique = list(seen.values())
    return rng.sample(unique, min(limit, len(unique)))


# --- the same in other words ----------------------------------------------------------------------


def polite(text: str, rng: random.Random) -> str:
    opening = rng.choice(("Could you please tell me: ", "Hi, ", "Please, ", "I'd like to know: "))
    return f"{opening}{text}{rng.choice(('', ' Thanks!', ' Thank you in advance.'))}"


def careless(text: str, _: random.Random) -> str:
    return text.lower().rstrip("?.! ")


def shortened(text: str, _: random.Random) -> str | None:
    new = re.sub(r"\b(What|Who|Where|How) is\b", r"\1's", text)
    new = re.sub(r"\bdo not\b", "don't", re.sub(r"\bI am\b", "I'm", new))
    return new if new != text else None


def synonym(text: str, _: random.Random) -> str | None:
    for one, other in _SYNONYM:
        new = re.sub(rf"\b{one}\b", other, text, count=1)
        if new != text:
            return new
    return None


def moved(text: str, _: random.Random) -> str | None:
    found = re.fullmatch(r"([A-Z].{12,}?) ((?:in|on|at|for) [^,.?!]{3,40})([?.!])", text)
    if found is None:
        return None
    return f"{found[2].capitalize()}, {found[1][0].lower()}{found[1][1:]}{found[3]}"


# --- something else in almost the same words ------------------------------------------------------


def other_number(text: str, rng: random.Random) -> str | None:
    found = list(_NUMBER.finditer(text))
    if not found:
        return None
    at = rng.choice(found)
    return f"{text[: at.start()]}{int(at[0]) + 1}{text[at.end() :]}"


def other_name(text: str, rng: random.Random, names: Sequence[str]) -> str | None:
    found = list(_CAPITAL.finditer(text))
    if not found:
        return None
    at = rng.choice(found)
    new = rng.choice([name for name in names if name != at[0]])
    return f"{text[: at.start()]}{new}{text[at.end() :]}"


def exchanged(text: str, _: random.Random) -> str | None:
    found = list(_CAPITAL.finditer(text))
    if len(found) < 2 or found[0][0] == found[1][0]:  # noqa: PLR2004  # two to exchange
        return None
    a, b = found[:2]
    return f"{text[: a.start()]}{b[0]}{text[a.end() : b.start()]}{a[0]}{text[b.end() :]}"


def negated(text: str, _: random.Random) -> str | None:
    new = re.sub(r"\b(is|are|does|do|did|can|should|was|were|will)\b", r"\1 not", text, count=1)
    return new if new != text else None


def opposite(text: str, _: random.Random) -> str | None:
    for pair in _SWAPPED:
        for one, other in (pair, pair[::-1]):
            new = re.sub(rf"\b{one}\b", other, text, count=1)
            if new != text:
                return new
    return None


def other_word(text: str, rng: random.Random, words: Sequence[str]) -> str | None:
    """Put another plain word of the set in the place of one: what no rule looks for."""
    found = [m for m in re.finditer(r"\b[a-z]{5,}\b", text) if m[0] in set(words)]
    if not found:
        return None
    at = rng.choice(found)
    new = rng.choice([word for word in words if word != at[0]])
    return f"{text[: at.start()]}{new}{text[at.end() :]}"


# --- pairs ----------------------------------------------------------------------------------------


def made(
    texts: Sequence[str], rng: random.Random, make: Callable[[str, random.Random], str | None]
) -> list[Pair]:
    pairs = ((text, make(text, rng)) for text in texts)
    return [(text, new) for text, new in pairs if new is not None and new != text]


def kinds(texts: Sequence[str], rng: random.Random) -> Iterator[Kind]:
    names = sorted({m[0] for text in texts for m in _CAPITAL.finditer(text)}) or ["London", "Paris"]
    counts: dict[str, int] = defaultdict(int)
    for text in texts:
        for word in set(re.findall(r"\b[a-z]{5,}\b", text)):
            counts[word] += 1
    words = sorted(word for word, count in counts.items() if count <= 20)  # noqa: PLR2004  # content
    for make in (polite, careless, shortened, synonym, moved):
        yield Kind(make.__name__, same=True, pairs=made(texts, rng, make))
    for make in (other_number, exchanged, negated, opposite):
        yield Kind(make.__name__, same=False, pairs=made(texts, rng, make))
    yield Kind(
        "other_name", same=False, pairs=made(texts, rng, lambda t, r: other_name(t, r, names))
    )
    yield Kind(
        "other_word", same=False, pairs=made(texts, rng, lambda t, r: other_word(t, r, words))
    )


def bare(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))


def neighbours(rows: Sequence[dict[str, Any]], encode: Callable[..., Any]) -> Kind:
    """Pair each question with the one that is most like it."""
    texts = [row["text"] for row in rows]
    vectors = encode(texts)
    likeness = vectors @ vectors.T
    np.fill_diagonal(likeness, -1.0)
    nearest = likeness.argmax(axis=1)
    pairs = [(texts[i], texts[j]) for i, j in enumerate(nearest)]
    # What differs in case and points alone does not ask something else.
    return Kind("neighbours", same=False, pairs=[(a, b) for a, b in pairs if bare(a) != bare(b)])


def reworded(data: Path, rng: random.Random, limit: int) -> Kind:
    """Pair wordings that a set itself has for the same: one company, one figure."""
    folder = data / "retrieval/scalemcp_synth"
    texts = {q["id"]: q for q in map(json.loads, (folder / "queries.jsonl").open())}
    wanted: dict[str, set[str]] = defaultdict(set)
    for line in (folder / "qrels.tsv").read_text().splitlines():
        query, tool, _ = line.split("\t")
        wanted[query].add(tool)
    groups: dict[frozenset[str], list[str]] = defaultdict(list)
    for query, tools in wanted.items():
        if len(tools) == 1 and "compan" not in texts[query].get("kind", ""):
            groups[frozenset(tools)].append(texts[query]["text"])
    pairs = [(group[0], other) for group in groups.values() for other in group[1:]]
    pairs = [(a, b) for a, b in pairs if a != b]
    return Kind("reworded", same=True, pairs=rng.sample(pairs, min(limit, len(pairs))))


# --- judging --------------------------------------------------------------------------------------


def judge(kind: Kind, encode: Callable[..., Any]) -> dict[str, Any]:
    """Say what share of the pairs is taken for the same, by threshold and verifier."""
    if not kind.pairs:
        return {"pairs": 0}
    first, second = (encode([pair[side] for pair in kind.pairs]) for side in (0, 1))
    likeness = np.einsum("ij,ij->i", first, second)
    by = {
        "none": np.ones(len(likeness), dtype=bool),
        "facts": np.array([difference(a, b, Strictness.FACTS) is None for a, b in kind.pairs]),
        "words": np.array([difference(a, b) is None for a, b in kind.pairs]),
    }
    hits = {
        name: {f"{at:.2f}": int((passes & (likeness >= at)).sum()) for at in THRESHOLDS}
        for name, passes in by.items()
    }
    missed = [
        (round(float(like), 3), *pair)
        for like, pair, passes in zip(likeness, kind.pairs, by["words"], strict=True)
        if passes != kind.same and (kind.same or like >= 0.9)  # noqa: PLR2004
    ]
    quantiles = np.quantile(likeness, (0.05, 0.5, 0.95)).round(3).tolist()
    return {"pairs": len(kind.pairs), "likeness": quantiles, "hits": hits, "wrong": missed}


def together(found: Sequence[tuple[Kind, dict[str, Any]]], *, same: bool) -> dict[str, Any]:
    """Add up what belongs together."""
    those = [result for kind, result in found if kind.same is same and result["pairs"]]
    pairs = sum(result["pairs"] for result in those)
    shares = {
        name: {
            at: round(sum(result["hits"][name][at] for result in those) / max(pairs, 1), 5)
            for at in (f"{threshold:.2f}" for threshold in THRESHOLDS)
        }
        for name in ("none", "facts", "words")
    }
    return {"pairs": pairs, "shares": shares}


def show(title: str, about: dict[str, Any]) -> None:
    print(f"\n{title}: {about['pairs']} pairs")
    print("  verifier  " + "".join(f"{at:>9.2f}" for at in THRESHOLDS))
    for name, shares in about["shares"].items():
        print(f"  {name:<9} " + "".join(f"{share:>9.2%}" for share in shares.values()))


def main() -> None:
    parser = _command.parser(__doc__, data=True)
    parser.add_argument("--limit", type=int, default=400, help="questions of each set")
    parser.add_argument("--show", action="store_true", help="pairs that the verifier gets wrong")
    given = parser.parse_args()
    began = time.monotonic()
    rng = random.Random(SEED)
    encode = Remembering(SentenceTransformerEncoder.open(ROOT / ".cache" / "encoders"))
    found: list[tuple[Kind, dict[str, Any]]] = []
    for name in SETS:
        rows = read_set(given.data, name, given.limit, rng)
        made_of_it = (*kinds([row["text"] for row in rows], rng), neighbours(rows, encode))
        found.extend((kind, judge(kind, encode)) for kind in made_of_it)
        print(f"{name}: {len(rows)} questions, {time.monotonic() - began:.0f} s", flush=True)
    kind = reworded(given.data, rng, given.limit)
    found.append((kind, judge(kind, encode)))
    results: dict[str, Any] = {
        "paraphrases known again": together(found, same=True),
        "false hits": together(found, same=False),
    }
    for kind_name in dict.fromkeys(kind.name for kind, _ in found):
        those = [pair for pair in found if pair[0].name == kind_name]
        results[kind_name] = together(those, same=those[0][0].same)
    for title, about in results.items():
        show(title, about)
    if given.show:
        for kind, result in found:
            for wrong in result.get("wrong", [])[:SHOWN]:
                print(f"{kind.name}: {wrong}")
    began = time.perf_counter()
    pairs = [pair for kind, _ in found for pair in kind.pairs][:4000]
    for one, other in pairs:
        difference(one, other)
    results["verifier_us_per_pair"] = round((time.perf_counter() - began) / len(pairs) * 1e6, 1)
    print(f"\nThe verifier takes {results['verifier_us_per_pair']} us a pair.")
    _command.write(results, given.json)


if __name__ == "__main__":
    _command.run(main)
