"""A provider that fails in the way it is asked to, and a client with tight limits."""

from collections.abc import AsyncGenerator, Callable
from dataclasses import replace

import pytest

from toolcrib_server.upstream.config.secrets import Redactor
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.limits import ModelLimits
from toolcrib_server.upstream.models.target import Target
from toolcrib_server.upstream.models.testing import Provider, open_provider

KEY = "sk-canary-0123456789"
LIMITS = ModelLimits(
    idle_timeout_s=20,
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
async def impatient() -> AsyncGenerator[ModelClient]:
    """A client that waits no longer than a second for the next token."""
    async with ModelClient(replace(LIMITS, idle_timeout_s=1)) as opened:
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
