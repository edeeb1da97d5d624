"""What leads out to models: connections to endpoints, and the servers of this machine."""

from __future__ import annotations

import os
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from toolcrib_server.settings import Settings
from toolcrib_server.upstream.config.secrets import SecretStore
from toolcrib_server.upstream.models.client import ModelClient
from toolcrib_server.upstream.models.limits import ModelLimits
from toolcrib_server.upstream.models.local import LocalServers


@dataclass(frozen=True, slots=True)
class ModelLinks:
    """What leads out: connections to endpoints, and the servers of this machine."""

    client: ModelClient
    local: LocalServers


@asynccontextmanager
async def open_model_links(settings: Settings, secrets: SecretStore) -> AsyncGenerator[ModelLinks]:
    """Open both; leaving leaves no connection and no process."""
    limits = ModelLimits(timeout_s=settings.model_timeout_s)
    local = LocalServers(env=os.environ, secrets=secrets, max_running=settings.max_local_models)
    async with ModelClient(limits) as client, local:
        yield ModelLinks(client, local)
