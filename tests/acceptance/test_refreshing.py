"""Asking those who serve models again, from the shell: each source says how that went."""

import json
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from toolcrib_server.cli.app import app
from toolcrib_server.cli.running import told

ROOT = Path(__file__).parents[2]

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def endpoint() -> Iterator[str]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            status = 200 if self.path == "/v1/models" else 500
            body = json.dumps({"object": "list", "data": [{"id": "small"}]}).encode()
            self.send_response(status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}"
        server.shutdown()
        thread.join(10)


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    monkeypatch.setenv("TOOLCRIB_DATA_DIR", str(tmp_path / "data"))
    cache = tmp_path / "cache"
    cache.mkdir()
    (cache / "encoders").symlink_to(ROOT / ".cache" / "encoders")
    monkeypatch.setenv("TOOLCRIB_CACHE_DIR", str(cache))

    def inside(*args: object) -> tuple[int, str, str]:
        monkeypatch.setattr(sys, "argv", ["toolcrib", *map(str, args)])
        code: Any = 0
        try:
            told(app)
        except SystemExit as end:
            code = end.code
        captured = capsys.readouterr()
        return code or 0, captured.out, captured.err

    return inside


def test_one_source_that_fails_is_named_and_told_by_the_exit_code(
    tmp_path: Path, run: Run, endpoint: str
) -> None:
    file = tmp_path / "models.json"
    offers = {"small": f"{endpoint}/v1", "lost": f"{endpoint}/broken"}
    file.write_text(
        json.dumps(
            [
                {"name": name, "offers": [{"provider": "p", "endpoint": url}]}
                for name, url in offers.items()
            ]
        )
    )
    assert run("import", file)[0] == 0

    code, out, err = run("refresh", "--json")

    assert code == 4
    asked = {one["place"]: one["error"] for one in json.loads(out)["asked"]}
    assert asked[offers["small"]] is None
    assert "status 500" in asked[offers["lost"]]
    assert f"{offers['lost']}: " in err
    assert "1 of 2 sources did not answer." in err
    assert run("refresh", "small")[0] == 0
    assert run("refresh", "lost")[0] == 4
