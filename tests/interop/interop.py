"""Other people's MCP clients against Toolcrib, over stdio and HTTP: `make interop`.

Fetches the official Inspector (with a Node of its own) and an SDK from before 2026 once, starts a
Toolcrib of its own beside one upstream server, and prints a table. Not part of `make test`, which
needs no network.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Generator, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx

ROOT = Path(__file__).resolve().parents[2]
HERE = Path(__file__).parent
FOLDER = ROOT / ".cache" / "interop"
TOOLCRIB = Path(sys.executable).with_name("toolcrib")
OLD_SDK = "mcp==1.30.0"
NODE_PACKAGES = ("node@22.23.3", "@modelcontextprotocol/inspector@2.12.0")
INSTALL_TIMEOUT_S = 600
CLIENT_TIMEOUT_S = 120
META_TOOLS = {"search_tools", "get_tool_details", "call_tool", "select_model", "call_model"}

Environment = Mapping[str, str]
Answers = dict[str, Any]
Client = Callable[[list[str], Environment], Answers]
"""Talks to a target (a URL, or a command and its arguments) and returns what it was answered."""


@dataclass(frozen=True)
class Outcome:
    """What one client made of one transport."""

    client: str
    transport: str
    protocol: str
    faults: tuple[str, ...]


def main() -> None:
    """Run every client over every transport; exit 1 when any of them finds a fault."""
    clients = prepare()
    shutil.rmtree(FOLDER / "data", ignore_errors=True)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("TOOLCRIB_")},
        "TOOLCRIB_DATA_DIR": str(FOLDER / "data"),
    }
    upstream = [sys.executable, str(HERE / "echo.py")]
    execute([str(TOOLCRIB), "add", "echo", "--", *upstream], environment)
    outcomes: list[Outcome] = []
    with serving(environment) as url:
        targets = {"stdio": [str(TOOLCRIB), "stdio"], "http": [url]}
        for transport, target in targets.items():
            for name, client in clients.items():
                print(f"… {name} over {transport}", file=sys.stderr, flush=True)
                outcomes.append(attempt(name, transport, client, target, environment))
    print_table(outcomes)
    if any(outcome.faults for outcome in outcomes):
        sys.exit(1)


def attempt(
    name: str, transport: str, client: Client, target: list[str], environment: Environment
) -> Outcome:
    """Let one client talk, and judge what it was answered."""
    try:
        answers = client(target, environment)
    except (RuntimeError, KeyError, ValueError) as error:
        return Outcome(name, transport, "-", (str(error),))
    return Outcome(name, transport, answers["protocol"], tuple(faults_of(answers)))


def faults_of(answers: Answers) -> Iterator[str]:
    """Name what is wrong with the answers a client was given."""
    if not META_TOOLS.issubset(answers["tools"]):
        yield f"listed {answers['tools']}"
    if "echo" not in (answers.get("instructions") or "echo"):
        yield "the instructions do not say what is behind the server"
    found = answers["search"].get("structuredContent", {}).get("results") or [{}]
    if (first := found[0].get("name")) != "echo__echo":
        yield f"search put {first} first"
    if "echo: hello" not in json.dumps(answers["call"]) or answers["call"].get("isError"):
        yield f"the call was answered {json.dumps(answers['call'])[:200]}"
    if not answers["wrong"].get("isError") or "text" not in json.dumps(answers["wrong"]):
        yield f"a wrong argument was answered {json.dumps(answers['wrong'])[:200]}"


# --- the clients -------------------------------------------------------------------------------


def prepare() -> dict[str, Client]:
    """Fetch what is missing; map each client's name to what runs it."""
    old = prepare_old_sdk()
    node, inspector = prepare_inspector()
    session = str(HERE / "session_client.py")
    return {
        "SDK 1.30": partial(run_script, [str(old), session]),
        "SDK 2.x, handshake": partial(run_script, [sys.executable, session]),
        "SDK 2.x": partial(run_script, [sys.executable, str(HERE / "modern_client.py")]),
        "Inspector, handshake": partial(inspect, [str(node), str(inspector)], "legacy"),
        "Inspector": partial(inspect, [str(node), str(inspector)], "modern"),
    }


def prepare_old_sdk() -> Path:
    """Make an environment with an SDK that knows nothing of the protocol of 2026."""
    home = FOLDER / "mcp1"
    python = home / ("Scripts" if os.name == "nt" else "bin") / "python"
    if not has_installed(home, OLD_SDK):
        print(f"Installing {OLD_SDK} …", file=sys.stderr)
        execute([sys.executable, "-m", "venv", "--clear", str(home)])
        execute([str(python), "-m", "pip", "install", "--quiet", OLD_SDK])
        note_installed(home, OLD_SDK)
    return python


def prepare_inspector() -> tuple[Path, Path]:
    """Install the Inspector and the Node it needs; return Node and the Inspector's script."""
    home = FOLDER / "npm"
    wanted = " ".join(NODE_PACKAGES)
    modules = home / "node_modules"
    if not has_installed(home, wanted):
        npm = shutil.which("npm")
        if npm is None:
            raise SystemExit("interop: npm is needed to fetch the Inspector.")
        print(f"Installing {wanted} …", file=sys.stderr)
        home.mkdir(parents=True, exist_ok=True)
        options = ["--no-audit", "--no-fund", "--loglevel=error", "--prefix", str(home)]
        execute([npm, "install", *options, *NODE_PACKAGES])
        note_installed(home, wanted)
    package = modules / "@modelcontextprotocol" / "inspector"
    return modules / ".bin" / "node", package / "clients" / "launcher" / "build" / "index.js"


def has_installed(home: Path, what: str) -> bool:
    """Whether a finished install of exactly this is there."""
    stamp = home / ".installed"
    return stamp.is_file() and stamp.read_text(encoding="utf-8") == what


def note_installed(home: Path, what: str) -> None:
    """Note that an install is finished."""
    (home / ".installed").write_text(what, encoding="utf-8")


def run_script(command: list[str], target: list[str], environment: Environment) -> Answers:
    """Run one of our client scripts."""
    return json.loads(execute([*command, *target], environment))


def inspect(command: list[str], era: str, target: list[str], environment: Environment) -> Answers:
    """Ask the Inspector one thing at a time: each is a connection of its own."""
    is_url = target[0].startswith("http")
    where = ["--server-url", target[0], "--transport", "http"] if is_url else target
    options = ["--protocol-era", era, "--format", "json", "--quiet"]
    data_folder = ["-e", f"TOOLCRIB_DATA_DIR={environment['TOOLCRIB_DATA_DIR']}"]
    options += [] if is_url else data_folder

    def ask(method: str, *arguments: str) -> dict[str, Any]:
        asked = [*command, "--cli", *where, *options, "--method", method, *arguments]
        # It exits with 5 when the tool's answer is an error; what it was comes all the same.
        return unwrap(json.loads(execute(asked, environment, accept=(0, 5))))

    def call(tool: str, arguments: dict[str, Any]) -> dict[str, Any]:
        return ask("tools/call", "--tool-name", tool, "--tool-args-json", json.dumps(arguments))

    return {
        "protocol": era,
        "tools": [tool["name"] for tool in ask("tools/list")["tools"]],
        "search": call("search_tools", {"query": "say a text back"}),
        "call": call("call_tool", {"name": "echo__echo", "arguments": {"text": "hello"}}),
        "wrong": call("call_tool", {"name": "echo__echo", "arguments": {"text": 7}}),
    }


def unwrap(printed: dict[str, Any]) -> dict[str, Any]:
    """Take a result out of the envelope the Inspector may put it in."""
    inner = printed.get("result")
    return inner if isinstance(inner, dict) else printed


# --- running things ----------------------------------------------------------------------------


@contextmanager
def serving(environment: Environment) -> Generator[str, None, None]:
    """Run `toolcrib serve` on a free port while the block runs; give its MCP address."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(
            [str(TOOLCRIB), "serve", "--port", str(port)], env=environment, stdout=log, stderr=log
        )
        try:
            wait_until_healthy(f"http://127.0.0.1:{port}/healthz", process, log)
            yield f"http://127.0.0.1:{port}/mcp"
        finally:
            process.terminate()
            process.wait(timeout=30)


def wait_until_healthy(url: str, process: subprocess.Popen[bytes], log: Any) -> None:
    """Wait until the server answers; its connection attempts are spread over half a minute."""
    try:
        with httpx.Client(transport=httpx.HTTPTransport(retries=7)) as client:
            client.get(url).raise_for_status()
    except httpx.HTTPError as error:
        log.seek(0)
        raise SystemExit(
            f"interop: toolcrib serve is not up ({error}; exit {process.poll()}):\n"
            f"{log.read().decode(errors='replace')}"
        ) from error


def execute(
    command: list[str], environment: Environment | None = None, *, accept: tuple[int, ...] = (0,)
) -> str:
    """Run a command and return what it printed.

    Raises:
        RuntimeError: It ended with another status than those accepted, or too late.
    """
    limit_s = CLIENT_TIMEOUT_S if environment else INSTALL_TIMEOUT_S
    try:
        done = subprocess.run(
            command, env=environment, capture_output=True, text=True, check=False, timeout=limit_s
        )
    except subprocess.TimeoutExpired as error:
        raise RuntimeError(f"no answer within {limit_s} s") from error
    if done.returncode not in accept:
        tail = (done.stderr or done.stdout).strip()[-400:]
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {tail}")
    return done.stdout


def print_table(outcomes: list[Outcome]) -> None:
    """Print one line for each client and transport."""
    print(f"{'client':22} {'transport':10} {'protocol':12} result")
    for outcome in outcomes:
        result = "; ".join(outcome.faults) or "ok"
        print(f"{outcome.client:22} {outcome.transport:10} {outcome.protocol:12} {result}")


if __name__ == "__main__":
    main()
