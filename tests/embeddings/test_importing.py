"""Whoever serves imports parts of embeddings late, in threads: these must not stop each other."""

import subprocess
import sys

_CODE = """
import importlib, random, threading
from concurrent.futures import ThreadPoolExecutor

import numpy, onnxruntime  # what is under test is ours

PARTS = (
    "toolcrib_embeddings.search",
    "toolcrib_embeddings.ranking.companions",
    "toolcrib_embeddings.indexing.roster",
    "toolcrib_embeddings.encoding.encoder",
    "toolcrib_embeddings.queries.steps",
    "toolcrib_embeddings.learning.lessons",
)

def bring(part):
    together.wait(10)
    if part == "toolcrib_embeddings.search":
        from toolcrib_embeddings import SearchIndex
    importlib.import_module(part)

together = threading.Barrier(len(PARTS))
with ThreadPoolExecutor(len(PARTS)) as threads:
    list(threads.map(bring, PARTS))
"""


def test_parts_can_be_imported_first_in_several_threads_at_once():
    for _ in range(3):
        subprocess.run([sys.executable, "-c", _CODE], check=True, timeout=60)
