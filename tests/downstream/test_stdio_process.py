"""A face over a real process's standard streams: real clients, and everything that goes wrong."""

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import anyio
import mcp_types as types
import pytest
from mcp import Client, StdioServerParameters

pytestmark = pytest.mark.anyio

SCRIPT = str(Path(__file__).parent / "servers" / "workshop.py")
META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientCapabilities": {},
}
LOOPS = ["asyncio", "uvloop"]


def request(method: str, params: Any = None, *, call_id: Any = 1) -> bytes:
    whole = {**(params or {}), "_meta": META}
    message = {"jsonrpc": "2.0", "id": call_id, "method": method, "params": whole}
    return json.dumps(message).encode() + b"\n"


def noise(size: int, *, call_id: Any = 1) -> bytes:
    return request("tools/call", {"name": "noise", "arguments": {"size": size}}, call_id=call_id)


@contextmanager
def started(
    loop: str = "uvloop", *, stdin: Any = subprocess.PIPE, stdout: Any = subprocess.PIPE
) -> Generator[subprocess.Popen[bytes]]:
    argv = [sys.executable, SCRIPT, loop]
    with subprocess.Popen(argv, stdin=stdin, stdout=stdout, stderr=subprocess.PIPE) as process:
        try:
            yield process
        finally:
            process.kill()


def read(process: subprocess.Popen[bytes], *, timeout_s: float = 30) -> Any:
    assert process.stdout is not None
    ready, _, _ = select.select([process.stdout], [], [], timeout_s)
    assert ready, "no answer"
    return json.loads(process.stdout.readline())


# --- real clients --------------------------------------------------------------------------------


@pytest.mark.parametrize(("mode", "version"), [("auto", "2026-07-28"), ("legacy", "2025-11-25")])
async def test_the_sdks_client_does_everything_in_either_era(mode: Any, version: str) -> None:
    asked: list[str] = []
    steps: list[tuple[float, float | None, str | None]] = []

    async def elicit(context: Any, params: Any) -> types.ElicitResult:
        asked.append(params.message)
        return types.ElicitResult(action="accept", content={"name": "Ada"})

    async def step(progress: float, total: float | None, message: str | None) -> None:
        steps.append((progress, total, message))

    command = StdioServerParameters(command=sys.executable, args=[SCRIPT, "uvloop"])
    async with Client(
        command, mode=mode, elicitation_callback=elicit, read_timeout_seconds=20
    ) as client:
        assert client.protocol_version == version
        assert client.server_info is not None
        assert client.server_info.name == "workshop"
        assert "echo" in {tool.name for tool in (await client.list_tools()).tools}
        echoed = await client.call_tool("echo", {"text": "hello"})
        assert echoed.structured_content == {"text": "hello"}
        counted = await client.call_tool("count", {"upto": 3}, progress_callback=step)
        assert "heard" in str(counted.content)
        assert "Ada" in str((await client.call_tool("ask", {})).content)
        read_back = await client.read_resource("tool://hammer")
        assert "a hammer" in str(read_back.contents)
        assert "printed" not in str(await client.call_tool("noise", {"size": 5}))
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(client.call_tool, "echo", {"text": "x" * 10_000})
    assert asked == ["Who are you?"]
    assert steps == [(1, 3, None), (2, 3, None), (3, 3, None)]


# --- nothing but MCP -----------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_what_is_printed_goes_to_standard_error_and_children_find_nothing_to_read(
    loop: str,
) -> None:
    with started(loop) as process:
        out, err = process.communicate(noise(3) + request("tools/list", call_id=2), timeout=20)
    answered = [json.loads(line) for line in out.splitlines() if line != b"bye"]
    assert {each["id"] for each in answered} == {1, 2}
    assert out.endswith(b"bye\n")  # its own again
    assert err.splitlines() == [b"printed", b"written", b"child ''"]
    assert process.returncode == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_a_large_answer_waits_for_a_slow_reader_and_nothing_else_does(loop: str) -> None:
    size = 3_000_000
    with started(loop) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdin.write(noise(size, call_id="big") + request("tools/list", call_id="small"))
        process.stdin.flush()
        first, second = read(process), read(process)
        assert {first["id"], second["id"]} == {"big", "small"}
        big = first if first["id"] == "big" else second
        assert len(big["result"]["content"][0]["text"]) > size


def test_two_sockets_will_do() -> None:
    ours, theirs = socket.socketpair()
    with ours, started(stdin=theirs.fileno(), stdout=theirs.fileno()) as process:
        theirs.close()
        ours.settimeout(30)
        ours.sendall(noise(2_000_000))
        got = b""
        while not got.endswith(b"\n"):
            got += ours.recv(1_000_000)
        assert len(json.loads(got)["result"]["content"][0]["text"]) > 2_000_000
        ours.shutdown(socket.SHUT_WR)
        assert process.wait(timeout=30) == 0


@pytest.mark.parametrize("loop", LOOPS)
def test_files_will_do(tmp_path: Path, loop: str) -> None:
    (tmp_path / "in").write_bytes(request("tools/list").rstrip(b"\n"))
    with (
        (tmp_path / "in").open("rb") as taken,
        (tmp_path / "out").open("wb") as given,
        started(loop, stdin=taken, stdout=given) as process,
    ):
        assert process.wait(timeout=30) == 0
    first = (tmp_path / "out").read_bytes().splitlines()[0]
    assert json.loads(first)["result"]["tools"]


@pytest.mark.parametrize("loop", LOOPS)
def test_nothing_to_read_is_the_end(loop: str) -> None:
    with started(loop, stdin=subprocess.DEVNULL) as process:
        out, err = process.communicate(timeout=30)
        assert (process.returncode, out, err) == (0, b"bye\n", b"")


# --- the end -------------------------------------------------------------------------------------


@pytest.mark.parametrize("loop", LOOPS)
def test_a_signal_ends_it_while_the_client_neither_reads_nor_writes(loop: str) -> None:
    with started(loop, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        process.stdin.write(request("tools/list"))
        process.stdin.flush()
        assert read(process)["id"] == 1
        process.stdin.write(noise(1_000_000))  # more than the pipe takes
        process.stdin.flush()
        assert process.stderr is not None
        while process.stderr.readline() != b"child ''\n":
            pass
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=30) is not None


def test_a_reader_that_has_gone_is_the_end() -> None:
    inner, outer = os.pipe()
    with started(stdout=outer) as process:
        os.close(outer)
        os.close(inner)
        assert process.stdin is not None
        process.stdin.write(request("tools/list"))
        process.stdin.flush()
        assert process.wait(timeout=30) is not None


def test_the_descriptors_flags_are_left_as_they_were() -> None:
    inner, outer = os.pipe()
    with started(stdin=inner, stdout=subprocess.PIPE) as process:
        os.write(outer, request("tools/list"))
        assert read(process)["id"] == 1
        assert os.get_blocking(inner)
        os.close(outer)
        os.close(inner)
        assert process.wait(timeout=30) == 0
