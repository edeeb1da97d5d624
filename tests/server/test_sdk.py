"""The SDK comes along when it is needed, and no assistant waits for it."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import toolcrib_server


def _loaded(code: str) -> bool:
    look = f"import sys; {code}; sys.exit('mcp' in sys.modules)"
    return subprocess.run([sys.executable, "-c", look], check=False).returncode == 1


def test_an_assistant_starts_without_it():
    assert not _loaded("import toolcrib_server.cli.assistant")


def test_it_can_be_loaded_beforehand():
    assert _loaded("from toolcrib_server.sdk import load_sdk; load_sdk()")


RACE = """
import sys, threading, time
from toolcrib_server.sdk import load_sdk

failed = []
threading.excepthook = failed.append


def use():
    import mcp.shared.inbound


ways = [load_sdk, use]
first, second = ways if sys.argv[1] == "before" else reversed(ways)
one, other = threading.Thread(target=first), threading.Thread(target=second)
one.start()
while "mcp" not in sys.modules:
    time.sleep(0.0001)
other.start()
one.join()
other.join()
print(failed)
sys.exit(bool(failed))
"""


@pytest.mark.parametrize("order", ["before", "after"])
def test_it_may_be_loaded_while_a_part_of_it_is(order: str) -> None:
    done = subprocess.run([sys.executable, "-c", RACE, order], check=False, capture_output=True)
    assert done.returncode == 0, done.stdout


def _begins_with_a_part(function: ast.AST) -> bool:
    """Whether a function imports a part of the SDK without `load_sdk` just before."""
    body: list[ast.stmt] = getattr(function, "body", [])
    parts = [
        place
        for place, statement in enumerate(body)
        if isinstance(statement, ast.ImportFrom) and str(statement.module).startswith("mcp.")
    ]
    return bool(parts) and (parts[0] == 0 or ast.unparse(body[parts[0] - 1]) != "load_sdk()")


def test_whoever_imports_a_part_of_it_waits_for_the_whole():
    # Two threads that begin with two parts fail both: a call at the start of `stdio` did.
    found: list[str] = []
    for path in Path(toolcrib_server.__path__[0]).rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            is_run = isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.With | ast.Try)
            if is_run and _begins_with_a_part(node):
                found.append(f"{path}:{node.lineno}")
    assert not found
