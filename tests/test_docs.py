"""Documentation that is derived is up to date, and documentation that is written is true."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
FIRST = [ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md")]
PAGES = [*FIRST, *sorted((ROOT / "docs").rglob("*.md"))]
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]+\]\((?!https?://)([^)#]*)#?([^)]*)\)")
HEADING = re.compile(r"^#+ (.+)$", re.MULTILINE)


def blocks(language: str) -> list[tuple[Path, str]]:
    found = ((page, BLOCK.findall(page.read_text())) for page in PAGES)
    return [(page, code) for page, pairs in found for name, code in pairs if name == language]


def leads(page: Path, to: str, heading: str) -> bool:
    target = page.parent / to if to else page
    return target.exists() and (not heading or heading in anchors(target.read_text()))


def anchors(text: str) -> set[str]:
    """Name the headings as the pages' host does."""
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in HEADING.findall(text))
    return {heading.replace(" ", "-") for heading in plain}


def test_derived_pages_are_up_to_date() -> None:
    script = [sys.executable, str(ROOT / "scripts/docs.py"), "--check"]
    checked = subprocess.run(script, capture_output=True, text=True, check=False)
    assert checked.returncode == 0, checked.stderr


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert not [link for link in LINK.findall(page.read_text()) if not leads(page, *link)]


def test_python_blocks_are_examples_that_the_tests_run() -> None:
    examples = [ast.unparse(ast.parse(p.read_text())) for p in (ROOT / "examples").glob("*.py")]
    for page, code in blocks("python"):
        body = ast.unparse(ast.parse(code))
        assert any(body in example for example in examples), f"{page.name}:\n{code}"


def test_every_command_in_the_pages_exists() -> None:
    verbs = set(re.findall(r"^## (\w+)$", (ROOT / "docs/cli.md").read_text(), re.MULTILINE))
    assert len(verbs) > 10
    for page, code in blocks("bash"):
        for verb in re.findall(r"(?:^|&& )toolcrib (\w[\w-]*)", code, re.MULTILINE):
            assert verb in verbs, f"{page.name}: toolcrib {verb}"
    for page, code in blocks("bash"):
        for target in re.findall(r"^make (\w+)", code, re.MULTILINE):
            assert f"\n{target}:" in (ROOT / "Makefile").read_text(), f"{page.name}: make {target}"
