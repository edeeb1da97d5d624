"""The SDK comes along when it is needed, and no assistant waits for it."""

import subprocess
import sys


def _loaded(code: str) -> bool:
    look = f"import sys; {code}; sys.exit('mcp' in sys.modules)"
    return subprocess.run([sys.executable, "-c", look], check=False).returncode == 1


def test_an_assistant_starts_without_it():
    assert not _loaded("import toolcrib_server.cli.assistant")


def test_it_can_be_loaded_beforehand():
    assert _loaded("from toolcrib_server.upstream.sdk import load_sdk; load_sdk()")
