"""The client is light: it brings no model, no index and no server with it."""

import json
import subprocess
import sys

HEAVY = {
    "torch",
    "faiss",
    "numpy",
    "onnxruntime",
    "sentence_transformers",
    "fastapi",
    "sqlmodel",
    "sqlalchemy",
    "mcp",
    "toolcrib_server",
    "toolcrib_embeddings",
    "toolcrib_migrations",
}


def test_importing_the_client_imports_nothing_heavy():
    code = "import json, sys, toolcrib_clients; print(json.dumps(sorted(sys.modules)))"
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, check=True, timeout=60)
    loaded = {name.partition(".")[0] for name in json.loads(ran.stdout)}
    assert "toolcrib_clients" in loaded
    assert loaded & HEAVY == set()
