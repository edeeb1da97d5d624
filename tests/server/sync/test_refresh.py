"""Asking endpoints what they serve: over loopback, against a server that lists models."""

import json
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from toolcrib_embeddings.testing import HashEncoder
from toolcrib_registry.errors import InvalidInput, NotCallable, UpstreamError
from toolcrib_registry.types import EntryKind, Model
from toolcrib_server.runtime import Runtime, open_runtime
from toolcrib_server.settings import Settings
from toolcrib_server.sync.refresh import NOT_LISTED, read_url, refresh

pytestmark = pytest.mark.anyio
DAY = date(2026, 10, 1)


@dataclass
class Endpoint:
    """What the server answers, and what it was sent."""

    models: list[str]
    url: str = ""
    keys: list[str | None] = field(default_factory=list[str | None])
    status: int = 200


@pytest.fixture
def endpoint() -> Iterator[Endpoint]:
    told = Endpoint(models=["small", "large"])

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            told.keys.append(self.headers.get("authorization"))
            rows = [{"id": name, "max_model_len": 2048} for name in told.models]
            body = json.dumps({"object": "list", "data": rows}).encode()
            self.send_response(told.status)
            self.send_header("content-length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: Any) -> None:  # noqa: A002
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        told.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield told
        server.shutdown()
        thread.join(30)


@pytest.fixture
async def runtime(tmp_path: Path) -> Any:
    settings = Settings(data_dir=tmp_path / "data", cache_dir=tmp_path / "cache")
    async with open_runtime(settings, open_encoder=HashEncoder) as opened:
        yield opened


def stored(runtime: Runtime, name: str) -> Model:
    entry = runtime.store.get_entry(EntryKind.MODEL, name)
    assert isinstance(entry, Model)
    return entry


async def test_an_endpoint_is_imported_and_asked_again(
    runtime: Runtime, endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ENDPOINT_KEY", "a-secret-key")
    catalog = await read_url(
        f"{endpoint.url}/models",
        name=None,
        api_key="${ENDPOINT_KEY}",
        secrets=runtime.secrets,
        today=DAY,
    )
    await runtime.registrar.import_models(catalog.models, actor="test")
    assert endpoint.keys == ["Bearer a-secret-key"]
    assert stored(runtime, "small").offers[0].api_key == "${ENDPOINT_KEY}"

    endpoint.models = ["small", "huge"]
    done = await refresh(runtime.store, runtime.registrar, runtime.secrets, names=None, today=DAY)

    (asked,) = done.asked
    assert (asked.place, asked.models, asked.gone, asked.more) == (
        endpoint.url,
        1,
        ("large",),
        1,
    )
    status = stored(runtime, "large").offers[0].status
    assert status is not None
    assert (status.value, status.source) == (NOT_LISTED, f"endpoint:{endpoint.url}")
    assert "a-secret-key" not in repr(stored(runtime, "small"))


async def test_a_refusal_is_reported_and_nothing_is_changed(
    runtime: Runtime, endpoint: Endpoint
) -> None:
    url = f"{endpoint.url}/models"
    catalog = await read_url(url, name=None, api_key=None, secrets=runtime.secrets, today=DAY)
    await runtime.registrar.import_models(catalog.models, actor="test")
    before = stored(runtime, "small")
    endpoint.status = 401
    done = await refresh(
        runtime.store, runtime.registrar, runtime.secrets, names=["small"], today=DAY
    )
    assert "status 401" in (done.asked[0].error or "")
    assert stored(runtime, "small") == before
    with pytest.raises(UpstreamError, match="status 401"):
        await read_url(url, name=None, api_key=None, secrets=runtime.secrets, today=DAY)


async def test_a_reference_that_leads_nowhere_sends_nothing(
    runtime: Runtime, endpoint: Endpoint
) -> None:
    with pytest.raises(NotCallable):
        await read_url(
            endpoint.url, name=None, api_key="${NO_SUCH}", secrets=runtime.secrets, today=DAY
        )
    assert endpoint.keys == []


async def test_nobody_to_ask_is_said(runtime: Runtime) -> None:
    with pytest.raises(InvalidInput, match="Nobody can be asked"):
        await refresh(runtime.store, runtime.registrar, runtime.secrets, names=None, today=DAY)
