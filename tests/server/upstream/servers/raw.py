"""A stdio server in plain Python, quick to start, that behaves well or badly as its argument says.

It knows only the handshake of 2024-11-05, as servers did that were never updated.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

MODE = sys.argv[1]
TOOLS = [
    {"name": "echo", "description": "Say it again.", "inputSchema": {"type": "object"}},
    {"name": "slow", "inputSchema": {"type": "object"}},
]
WRONG = {"type": "object", "properties": {"a": {"type": "no-such-type"}}}
INSTRUCTIONS = f"Log in with {os.environ['TOKEN']}." if MODE == "echoes" else "Be kind."
LONG_LINE = 10 * 1024 * 1024


def send(message):
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def answer(request, result):
    send({"jsonrpc": "2.0", "id": request["id"], "result": result})


def refuse(request, code, message):
    send({"jsonrpc": "2.0", "id": request["id"], "error": {"code": code, "message": message}})


def hang():
    while True:
        time.sleep(3600)


def initialize(request):
    answer(
        request,
        {
            "protocolVersion": "2024-11-05",
            "capabilities": {"tools": {"listChanged": True}},
            "serverInfo": {"name": f"raw {MODE}", "version": "1.0"},
            "instructions": INSTRUCTIONS,
        },
    )


def odd_tools():
    if MODE == "duplicates":
        return [{"name": "echo", "description": "An impostor.", "inputSchema": {}}]
    if MODE == "bad-schema":
        return [{"name": "broken", "inputSchema": WRONG}]
    if MODE == "deep-tool":
        deep = {"type": "object"}
        for _ in range(150):
            deep = {"properties": {"a": deep}}
        return [{"name": "deep", "inputSchema": deep}]
    if MODE == "echoes":
        token = os.environ["TOKEN"]
        schema = {"type": "object", "properties": {"a": {"type": "string", "default": token}}}
        return [
            {"name": "leak", "description": f"Uses {token}.", "inputSchema": schema},
            {"name": token, "inputSchema": {"type": "object"}},
            {"name": f"bad {token}"},
        ]
    return []


def list_tools(request):
    tools: list[object] = [*TOOLS]
    extra = {}
    if MODE == "noise":
        sys.stdout.write("Listening on stdio!\n[1,2]\n42\n{broken\n\n")
    if MODE == "long-line":
        sys.stdout.write("x" * LONG_LINE + "\n")
    if MODE == "repeated-cursor":
        extra = {"nextCursor": "again"}
    if MODE == "pages":
        page = int(request["params"].get("cursor", "0"))
        tools = [{"name": f"tool{page}", "inputSchema": {"type": "object"}}]
        extra = {"nextCursor": str(page + 1)} if page < 4 else {}
    if MODE == "wrong-id":
        request = {**request, "id": 987654}
    tools += odd_tools()
    if MODE == "no-list":
        answer(request, {"things": []})
        return
    answer(request, {"tools": tools, **extra})


def call_tool(request):
    params = request["params"]
    if MODE == "hang-on-call":
        hang()
    if MODE == "exit-on-call" or params["arguments"].get("die"):
        sys.stderr.write(f"about to fall over with {os.environ.get('TOKEN', 'no token')}\n")
        sys.stderr.flush()
        os._exit(7)
    if MODE == "error-on-call":
        refuse(request, -32001, f"no access for {os.environ['TOKEN']}")
        return
    if params["name"] == "slow":
        wait_for_cancellation(request)
        return
    if MODE == "progress":
        token = params["_meta"]["progressToken"]
        for step in (1, 2):
            report = {"progressToken": token, "progress": step, "total": 2, "message": f"s{step}"}
            send({"jsonrpc": "2.0", "method": "notifications/progress", "params": report})
    if MODE == "asks-back":
        ask_back(request)
        return
    if MODE == "changes":
        send({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})
    seen = {"arguments": params["arguments"], "environment": dict(os.environ), "pid": os.getpid()}
    answer(request, {"content": [{"type": "text", "text": json.dumps(seen)}]})


def wait_for_cancellation(request):
    for line in sys.stdin:
        message = json.loads(line)
        if message["method"] == "notifications/cancelled":
            Path(os.environ["CANCELLED"]).write_text(
                str(message["params"]["requestId"] == request["id"])
            )
            return


def ask_back(request):
    """Ask for sampling and send a ping; tell what came of it."""
    answers = {}
    for number, method in ((1, "sampling/createMessage"), (2, "ping")):
        send({"jsonrpc": "2.0", "id": f"s{number}", "method": method, "params": {}})
    while len(answers) < 2:
        message = json.loads(sys.stdin.readline())
        answers[message["id"]] = message
    answer(request, {"content": [], "structuredContent": answers})


def start_family():
    """Ignore SIGTERM, and start a child, and a grandchild that detaches in a session of its own."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    stay = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(3600)"
    child = subprocess.Popen([sys.executable, "-c", stay])
    # The one between ends at once, so that nothing ties the grandchild to us by parentage.
    between = (
        "import subprocess, sys;"
        f"p = subprocess.Popen([sys.executable, '-c', {stay!r}], start_new_session=True,"
        "stdout=subprocess.DEVNULL);"
        "print(p.pid)"
    )
    grandchild = subprocess.run(
        [sys.executable, "-c", between], stdout=subprocess.PIPE, text=True, check=True
    )
    Path(os.environ["PIDS"]).write_text(f"{os.getpid()} {child.pid} {grandchild.stdout.strip()}")


def main():
    if MODE == "hang-at-start":
        hang()
    if MODE == "exit-at-start":
        sys.stderr.write("cannot find the flux capacitor\n")
        sys.exit(3)
    if MODE == "family":
        start_family()
    for line in sys.stdin:
        request = json.loads(line)
        if "id" not in request:
            continue
        handler = HANDLERS.get(request["method"])
        if handler is not None:
            handler(request)
        elif MODE == "dies-of-the-unknown":
            sys.exit(1)
        elif MODE != "ignores-the-unknown":
            refuse(request, -32601, "Method not found")
    if MODE == "family":
        hang()


def say_and_call(request):
    sys.stdout.write(os.environ["SAYS"].replace("ID", str(request["id"])) + "\n")
    sys.stdout.flush()
    if "last" in request["params"]["arguments"]:
        call_tool(request)


HANDLERS = {"initialize": initialize, "tools/list": list_tools, "tools/call": call_tool}
if MODE == "says":
    HANDLERS["tools/call"] = say_and_call

if __name__ == "__main__":
    main()
