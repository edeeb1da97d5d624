"""The workshop over this process's own standard input and output, with noise on both."""

import os
import signal
import sys

import anyio

from toolcrib_registry.types import JsonObject
from toolcrib_server.downstream.pipes import claimed_stdio
from toolcrib_server.downstream.service import Request
from toolcrib_server.downstream.stdio import serve_stdio
from toolcrib_server.downstream.testing import Workshop, text


class NoisyShop(Workshop):
    """Prints while it works, in every way there is."""

    async def handle(self, request: Request) -> JsonObject:
        """Answer a request, noisily."""
        if request.params.get("name") != "noise":
            return await super().handle(request)
        sys.stdout.write("printed\n")
        sys.stdout.flush()
        os.write(1, b"written\n")
        said = await anyio.run_process(
            [sys.executable, "-c", "import sys; print('child', repr(sys.stdin.read()))"],
            stdin=None,
            stdout=None,
            stderr=None,
        )
        return text(f"noise {said.returncode} {'y' * int(request.params['arguments']['size'])}")


async def main() -> None:
    """Serve until the client leaves or a signal comes."""
    ending = anyio.Event()

    async def watch() -> None:
        with anyio.open_signal_receiver(signal.SIGTERM) as signals:
            async for _ in signals:
                ending.set()

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(watch)
        with claimed_stdio() as (inlet, outlet):
            await serve_stdio(NoisyShop(), inlet, outlet, ending=ending)
        tasks.cancel_scope.cancel()
    if not ending.is_set():
        sys.stdout.write("bye\n")


if __name__ == "__main__":
    loop = {"use_uvloop": sys.argv[1:] == ["uvloop"]}
    anyio.run(main, backend_options=loop)
