"""A stdio server with a family that is hard to get rid of; each writes its number to a roll.

The server itself may ignore that its input was closed and SIGTERM; of its family one is a plain
child, one leads a session of its own, one is orphaned on purpose and forgets its environment.
"""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROLL, MANNERS = os.environ.get("ROLL", sys.argv[1]), sys.argv[2]
ENTRY = f"""
import os, signal, sys, time
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
with open({ROLL!r}, "a") as roll:
    roll.write(str(os.getpid()) + "\\n")
while True:
    time.sleep(60)
"""


def sign_in():
    with Path(ROLL).open("a") as roll:
        roll.write(f"{os.getpid()}\n")


def start_family():
    argv = [sys.executable, "-c", ENTRY, "of-the-clan"]
    subprocess.Popen(argv)
    subprocess.Popen(argv, start_new_session=True)
    if os.fork() == 0:
        os.setsid()
        subprocess.Popen(argv, env={}, start_new_session=True, close_fds=True)
        os._exit(0)


def answer(request):
    results = {
        "initialize": {
            "protocolVersion": "2025-11-25",
            "capabilities": {"tools": {}},
            "serverInfo": {"name": "clan", "version": "1"},
        },
        "tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]},
        "tools/call": {"content": [{"type": "text", "text": str(os.getpid())}]},
    }
    reply = {"jsonrpc": "2.0", "id": request["id"]}
    if request["method"] in results:
        return {**reply, "result": results[request["method"]]}
    return {**reply, "error": {"code": -32601, "message": "Method not found"}}


def main():
    if MANNERS == "stubborn":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sign_in()
    start_family()
    sys.stderr.write("the clan is up\n")
    sys.stderr.flush()
    for line in sys.stdin:
        request = json.loads(line)
        if "id" in request:
            sys.stdout.write(json.dumps(answer(request)) + "\n")
            sys.stdout.flush()
    while MANNERS == "stubborn":
        time.sleep(60)


main()
