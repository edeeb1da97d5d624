"""A provider that fails in the way it is asked to, and a client with tight limits."""

from collections.abc import AsyncGenerator, Callable

import pytest

from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.limits import ModelLimits
from toolcrib_server.upstream.models.target import Target
from toolcrib_server.upstream.models.testing import Provider, open_provider
from toolcrib_server.upstream.secrets import Redactor

KEY = "sk-canary-0123456789"
LIMITS = ModelLimits(
    idle_timeout_s=1.0,
    max_answer_bytes=1024 * 1024,
    max_event_bytes=256 * 1024,
    max_stream_bytes=512 * 1024,
)


@pytest.fixture
async def provider() -> AsyncGenerator[Provider]:
    async with open_provider() as served:
        yield served


@pytest.fixture
async def client() -> AsyncGenerator[ModelClient]:
    async with ModelClient(LIMITS) as opened:
        yield opened


@pytest.fixture
def target(provider: Provider) -> Callable[[str], Target]:
    def at(model: str) -> Target:
        return Target(
            provider="acme",
            model=model,
            url=provider.url,
            headers={"authorization": f"Bearer {KEY}"},
            redact=Redactor([KEY]),
        )

    return at
