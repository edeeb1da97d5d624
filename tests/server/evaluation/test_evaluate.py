"""A whole evaluation, with an instant encoder: figures, files and the report."""

import csv
import json
import re
from base64 import b64decode
from collections.abc import Callable, Generator
from contextlib import contextmanager
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import ir_measures
import pytest

from toolcrib_embeddings.options import Fusion, Rerank
from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import InvalidInput
from toolcrib_server.evaluation.configurations import NAMES, find_configuration, switches
from toolcrib_server.evaluation.evaluate import Plan, evaluate
from toolcrib_server.evaluation.files import write_evaluation
from toolcrib_server.evaluation.results import Evaluation, render_results
from toolcrib_server.evaluation.tables import (
    comparison_tables,
    latency_table,
    notices,
    score_table,
    set_table,
)

from .conftest import TOOLS, WriteSet

PNG = b"\x89PNG\r\n"


class Bars:
    """Remembers which bars were shown, and how far each came."""

    def __init__(self) -> None:
        self.shown: dict[str, tuple[int, int]] = {}

    @contextmanager
    def show(self, label: str) -> Generator[Callable[[int, int], None]]:
        def step(done: int, total: int) -> None:
            self.shown[label] = (done, total)

        yield step


def ran(*folders: Path, names: tuple[str, ...] = ("shipped",), **plan: Any) -> Evaluation:
    fold = bool(plan.get("fold"))
    configurations = tuple(find_configuration(name, fold=fold) for name in names)
    return evaluate(
        Plan(paths=folders, configurations=configurations, **plan),
        HashEncoder,
        cache=None,
        show_progress=Bars().show,
        command="toolcrib eval retrieval <mine>",
        version="1.2.3",
    )


def test_a_set_is_judged_with_what_it_takes_to_judge_it_again(write_set: WriteSet) -> None:
    folder = write_set()
    done = render_results(ran(folder))
    (only,) = done["sets"]
    assert (only["name"], only["tools"], only["queries"]) == ("mine", 3, 2)
    assert only["scores"]["shipped"]["measures"]["recall@10"]["mean"] == 1.0
    assert only["scores"]["shipped"]["measures"]["ndcg@10"]["mean"] > 0.9
    assert done["macro"] == only["scores"] | {}
    assert done["encoder"] == HashEncoder().id
    assert done["command"] == "toolcrib eval retrieval <mine>"
    assert done["version"] == "1.2.3"
    assert only["index"]["bytes"] > 0
    assert only["memory"]["searchedBytes"] > 0
    times = only["scores"]["shipped"]["latency"]
    assert times["search"]["queries"] == times["encode"]["queries"] == 2
    assert times["whole"]["p50Ms"] >= times["search"]["p50Ms"] > 0
    assert json.loads(json.dumps(done)) == done


def test_the_same_evaluation_gives_the_same_figures(write_set: WriteSet) -> None:
    folder = write_set()
    one, two = (
        {name: score.measures for name, score in ran(folder, names=("bm25", "rrf")).macro.items()}
        for _ in range(2)
    )
    assert one == two


def test_every_configuration_runs_and_is_told(write_set: WriteSet) -> None:
    done = ran(write_set(), names=NAMES, fold=True)
    assert set(done.macro) == set(NAMES)
    told = {each["name"]: each["options"] for each in render_results(done)["configurations"]}
    assert told["bm25"]["fusion"] == Fusion.LEXICAL
    assert told["no-rerank"]["rerank"] == Rerank.OFF
    assert told["shipped"]["fold"] is True
    assert told["no-fold"] == told["shipped"] | {"fold": False}


def test_rankings_are_not_folded_unless_that_is_asked_for() -> None:
    assert find_configuration("shipped").options.fold is False
    assert find_configuration("shipped", fold=True).options.fold is True
    assert find_configuration("rrf", fold=True).options.fold is False
    assert "no-fold" not in switches(fold=False)
    assert "no-fold" in switches(fold=True)


def test_an_unknown_configuration_is_named_with_its_neighbour() -> None:
    with pytest.raises(InvalidInput, match="Did you mean no-rerank"):
        find_configuration("norerank")


def test_a_better_configuration_is_shown_to_be_better(write_set: WriteSet) -> None:
    # BM25 knows that the rare number counts more than the common word; hashed words do not.
    about = "is the number of what this one is really about, come what may"
    tools = [
        {"id": f"t{n}", "server": "s", "name": "run", "description": f"{n} {about}"}
        for n in range(100, 130)
    ]
    tools += [
        {"id": f"d{n}", "server": "s", "name": "thing", "description": "thing " * n}
        for n in range(3, 33)
    ]
    queries = {f"q{n}": f"{n} thing" for n in range(100, 130)}
    judged = [(f"q{n}", f"t{n}", 1) for n in range(100, 130)]
    folder = write_set(tools=tools, queries=queries, judged=judged)
    plan: dict[str, Any] = {"comparisons": (("dense", "bm25"), ("bm25", "bm25"))}
    done = ran(folder, names=("dense", "bm25"), **plan)
    between, same = render_results(done)["comparisons"]
    found = between["macro"]["ndcg@10"]
    assert found["difference"] > 0
    assert found["pCorrected"] < 0.05
    means = {name: score.measures["ndcg@10"].mean for name, score in done.macro.items()}
    assert found["difference"] == pytest.approx(means["bm25"] - means["dense"], abs=1e-6)
    assert found["low"] <= found["difference"] <= found["high"]
    assert same["macro"]["ndcg@10"] == {
        "difference": 0.0,
        "low": 0.0,
        "high": 0.0,
        "p": 1.0,
        "pCorrected": 1.0,
    }


def test_several_sets_are_averaged_with_the_same_weight(write_set: WriteSet) -> None:
    easy = write_set("easy", queries={"q1": "weather of a city"}, judged=[("q1", "w/1", 1)])
    never = write_set(
        "never",
        queries={f"q{n}": "x" for n in range(9)},
        judged=[(f"q{n}", "gone", 1) for n in range(9)],
    )
    done = ran(easy, never)
    assert [each.name for each in done.sets] == ["easy", "never"]
    assert done.macro["shipped"].measures["recall@10"].mean == pytest.approx(0.5)
    assert [row[0] for row in score_table(done).rows][-1] == "macro average"


def test_progress_counts_texts_and_queries(write_set: WriteSet) -> None:
    bars = Bars()
    evaluate(
        Plan(paths=(write_set(),), configurations=(find_configuration("bm25"),)),
        HashEncoder,
        cache=None,
        show_progress=bars.show,
        command="",
        version="",
    )
    assert bars.shown["mine: encoding"] == (3, 3)
    assert bars.shown["mine: searching, bm25"] == (2, 2)


@pytest.mark.parametrize(
    ("plan", "says"),
    [
        ({"k": 9}, "k is 9; it must be from 10"),
        ({"k": 1001}, "to 1000"),
        ({"limit": 0}, "at least one query"),
        ({"seed": -1}, "The seed is -1"),
    ],
)
def test_what_makes_no_sense_is_refused_before_any_work(
    write_set: WriteSet, plan: dict[str, Any], says: str
) -> None:
    with pytest.raises(InvalidInput, match=says):
        ran(write_set(), **plan)


def test_tables_tell_what_was_found(write_set: WriteSet) -> None:
    tools = [*TOOLS, {"name": ""}]
    queries = {"q1": "weather of a city", "q2": "list unread e-mails", "q3": "not judged"}
    judged = [("q1", "w/1", 1), ("q2", "gone", 1), ("q9", "w/1", 1)]
    off = switches(fold=True)
    done = ran(
        write_set(tools=tools, queries=queries, judged=judged),
        names=("shipped", *off, "rrf"),
        comparisons=(*(("shipped", name) for name in off), ("rrf", "shipped")),
        ablation=True,
        fold=True,
    )
    ablation, comparison = comparison_tables(done)
    assert [row[0] for row in ablation.rows] == ["shipped", *off]
    assert [row[0] for row in comparison.rows] == ["mine"]
    for table in (score_table(done), score_table(done, brief=True), latency_table(done)):
        assert all(len(row) == len(table.columns) for row in table.rows)
    assert set_table(done).rows[0][:3] == ("mine", "3", "2")
    said = "\n".join(notices(done.sets[0]))
    for part in (
        "1 rows of tools cannot be read",
        "line 4: no 'name'",
        "1 queries have no relevant tool",
        "1 queries are judged and not in queries.jsonl",
        "1 judgements name tools that are not in tools.jsonl; they count as not found",
    ):
        assert part in said


# --- files ---------------------------------------------------------------------------------------


@pytest.fixture
def written(write_set: WriteSet, tmp_path: Path) -> Path:
    folder = tmp_path / "out"
    done = ran(write_set(), names=("shipped", "bm25"), comparisons=(("bm25", "shipped"),))
    paths = write_evaluation(folder, done)
    assert sorted(paths) == sorted(path for path in folder.rglob("*") if path.is_file())
    return folder


def test_what_is_written_is_what_was_judged(written: Path) -> None:
    results = json.loads((written / "results.json").read_text())
    qrels = list(ir_measures.read_trec_qrels(str(written / "qrels/mine.txt")))
    for name in ("shipped", "bm25"):
        run = list(ir_measures.read_trec_run(str(written / f"runs/{name}/mine.trec")))
        again = ir_measures.calc_aggregate([ir_measures.nDCG @ 10, ir_measures.RR], qrels, run)
        measures = results["sets"][0]["scores"][name]["measures"]
        assert {str(m): v for m, v in again.items()} == pytest.approx(
            {"nDCG@10": measures["ndcg@10"]["mean"], "RR": measures["mrr"]["mean"]}, abs=1e-6
        )


def test_every_query_has_a_row_with_its_measures(written: Path) -> None:
    with (written / "per_query.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert {(row["configuration"], row["query"]) for row in rows} == {
        (name, query) for name in ("shipped", "bm25") for query in ("q1", "q2")
    }
    first = rows[0]
    assert (first["set"], first["text"], first["ndcg@10"]) == (
        "mine",
        "weather of a city",
        "1.0000",
    )
    assert first["found"].split(" | ")[0] == "w/1"
    assert first["missed"] == ""


def test_plots_are_pictures(written: Path) -> None:
    for name in ("ndcg", "recall", "latency"):
        assert (written / f"{name}.png").read_bytes().startswith(PNG)


class Page(HTMLParser):
    """Collects what a page refers to, and checks that its tags are closed."""

    def __init__(self) -> None:
        super().__init__()
        self.refers: list[str] = []
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.refers += [value or "" for key, value in attrs if key in {"src", "srcset", "href"}]
        if tag not in {"meta", "img", "source"}:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def test_the_report_needs_nothing_but_itself(written: Path) -> None:
    text = (written / "report.html").read_text()
    page = Page()
    page.feed(text)
    assert page.open == []
    assert len(page.refers) == 6, "three pictures, on light and on dark paper"
    for address in page.refers:
        kind, _, data = address.partition(",")
        assert kind == "data:image/png;base64"
        assert b64decode(data).startswith(PNG)
    assert not re.search(r"https?://|@import|url\(", text)
    assert "prefers-color-scheme: dark" in text
    assert "toolcrib eval retrieval &lt;mine&gt;" in text


def test_a_second_evaluation_replaces_the_first_and_leaves_what_is_not_its_own(
    written: Path, write_set: WriteSet
) -> None:
    (written / "notes.txt").write_text("mine")
    before = (written / "results.json").read_text()
    write_evaluation(written, ran(write_set("other")))
    assert (written / "results.json").read_text() != before
    assert (written / "notes.txt").read_text() == "mine"
    assert not list(written.glob(".writing-*"))


def test_a_place_that_cannot_be_written_to_is_named(tmp_path: Path, write_set: WriteSet) -> None:
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(InvalidInput, match="cannot be written to"):
        write_evaluation(tmp_path / "file", ran(write_set()))


def test_an_id_with_white_space_is_one_word_in_a_run(write_set: WriteSet, tmp_path: Path) -> None:
    tools = [{"id": "a tool", "server": "s", "name": "x", "description": "weather of a city"}]
    folder = write_set(
        tools=tools, queries={"a query": "weather"}, judged=[("a query", "a tool", 1)]
    )
    write_evaluation(tmp_path / "out", ran(folder))
    assert (tmp_path / "out/runs/shipped/mine.trec").read_text() == (
        "a_query Q0 a_tool 1 1 toolcrib\n"
    )
    assert (tmp_path / "out/qrels/mine.txt").read_text() == "a_query 0 a_tool 1\n"
