"""A model server does not outlive a Toolcrib that was killed."""

import subprocess
import sys

import anyio
import psutil
import pytest

pytestmark = pytest.mark.anyio

OWNER = """
import sys, anyio
from toolcrib_registry.types import Launch, Offer
from toolcrib_server.upstream.models.local import LocalServers

class NoSecrets:
    def find(self, key):
        return None

args = ("-m", "toolcrib_server.upstream.models.testing", "{port}")
launch = Launch(command=sys.executable, args=args, start_timeout_s=20)

async def main():
    async with LocalServers(env={}, secrets=NoSecrets()) as local:
        async with local.use(Offer(provider="here", remote_model="ok", launch=launch)):
            print(local.states()[0].pid, flush=True)
            await anyio.sleep_forever()

anyio.run(main)
"""


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


async def test_a_model_server_ends_when_its_owner_is_killed():
    argv = [sys.executable, "-c", OWNER]
    with anyio.fail_after(30):
        async with await anyio.open_process(argv, stderr=subprocess.DEVNULL) as owner:
            assert owner.stdout is not None
            pid = int(await owner.stdout.receive())
            assert alive(pid)
            owner.kill()
    with anyio.fail_after(30):
        while alive(pid):  # noqa: ASYNC110  # no event tells of it
            await anyio.sleep(0.05)
