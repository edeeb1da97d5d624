"""The real encoder, exported once per clone, and small documents to search."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from toolcrib_embeddings import Document, FloatMatrix, SentenceTransformerEncoder
from toolcrib_registry.types import EntryKind, ServerName, entry_id

CACHE = Path(__file__).parents[2] / ".cache" / "encoders"

MakeDocument = Callable[..., Document]


@pytest.fixture
def document() -> MakeDocument:
    """Make a document of a text, as the corpus would."""

    def make(
        name: str, text: str, *, kind: EntryKind = EntryKind.TOOL, server: str | None = "s"
    ) -> Document:
        owner = None if server is None else ServerName(server)
        return Document(
            id=entry_id(kind, name), kind=kind, server=owner, name=name, text=text, terms=text
        )

    return make


@pytest.fixture(scope="session")
def real_encoder() -> SentenceTransformerEncoder:
    """Serve the default model; the first run of a clone exports it."""
    return SentenceTransformerEncoder.open(CACHE)


class Originals:
    """What sentence-transformers itself says, asked in a process of its own."""

    texts = (
        "time__convert_time. Convert time between timezones",
        "What is the weather like in Paris tomorrow?",
        "",
        "   ",
        "naïve café 東京 — получить прогноз 🌦",
        "git_commit git_push gitDiffStaged HTTPServer2",
        "word " * 700,
        "x" * 5_000,
        *(f"Tool number {n} lists the files of folder {n * 7}." * (n % 5 + 1) for n in range(24)),
    )

    def __init__(self, folder: Path) -> None:
        self.small_model = folder / "small-model"
        (folder / "texts.txt").write_text("\0".join(self.texts), encoding="utf-8")
        script = Path(__file__).with_name("originals.py")
        subprocess.run([sys.executable, "-W", "ignore", str(script), str(folder)], check=True)
        self.bundled: FloatMatrix = np.load(folder / "bundled.npy")
        self.tuned: FloatMatrix = np.load(folder / "tuned.npy")
        self.small: FloatMatrix = np.load(folder / "small.npy")


@pytest.fixture(scope="session")
def originals(tmp_path_factory: pytest.TempPathFactory) -> Originals:
    """Ask once: importing torch takes seconds."""
    return Originals(tmp_path_factory.mktemp("originals"))
