"""A stdio server that can be upgraded between two starts, in plain Python.

Its folder holds what it is (``is.json``: era ``old``, ``both``, ``new`` or ``deadly``, and version)
and gets what it was sent (``sent``, a line a message). As many old ones, it logs methods that it
does not know.
"""

import json
import sys
from pathlib import Path

FOLDER = Path(sys.argv[1])
IS = json.loads((FOLDER / "is.json").read_text())
MODERN = {"supportedVersions": ["2026-07-28"], "capabilities": {"tools": {}}}
HANDSHAKE = {"protocolVersion": "2025-06-18", "capabilities": {"tools": {}}}
INFO = {"name": "ageing", "version": IS["version"]}


def results(era):
    known = {"tools/list": {"tools": [{"name": "echo", "inputSchema": {"type": "object"}}]}}
    if era == "new":
        meta = {"io.modelcontextprotocol/serverInfo": INFO}
        return {**known, "server/discover": {**MODERN, "_meta": meta}}
    return {**known, "initialize": {**HANDSHAKE, "serverInfo": INFO}}


def main():
    era = None if IS["era"] == "both" else {"deadly": "new"}.get(IS["era"], IS["era"])
    for line in sys.stdin:
        message = json.loads(line)
        method = message["method"]
        with (FOLDER / "sent").open("a") as sent:
            sent.write(method + "\n")
        if IS["era"] == "deadly" and method == "initialize":
            sys.exit(1)
        era = era or ("old" if method == "initialize" else "new")
        if "id" not in message:
            continue
        answer = {"jsonrpc": "2.0", "id": message["id"]}
        known = results(era)
        if method in known:
            answer["result"] = {"resultType": "complete", **known[method]}
        else:
            sys.stderr.write(f"unknown method {method}\n")
            sys.stderr.flush()
            answer["error"] = {"code": -32601, "message": "Method not found"}
        sys.stdout.write(json.dumps(answer) + "\n")
        sys.stdout.flush()


main()
