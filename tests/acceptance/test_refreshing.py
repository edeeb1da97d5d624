"""Asking those who serve models again, from the shell: each source says how that went."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from .conftest import Toolcrib


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
        thread.join(30)


def test_one_source_that_fails_is_named_and_told_by_the_exit_code(
    tmp_path: Path, toolcrib: Toolcrib, endpoint: str
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
    assert toolcrib("import", file).code == 0

    code, out, err = toolcrib("refresh", "--json")

    assert code == 4
    asked = {one["place"]: one["error"] for one in json.loads(out)["asked"]}
    assert asked[offers["small"]] is None
    assert "status 500" in asked[offers["lost"]]
    assert f"{offers['lost']}: " in err
    assert "1 of 2 sources did not answer." in err
    assert toolcrib("refresh", "small").code == 0
    assert toolcrib("refresh", "lost").code == 4
