"""A client that calls both servers for as long as it lives, by HTTP or as a parent of Toolcrib."""

import json
import subprocess
import sys
import time
import urllib.request

WHERE = sys.argv[1:]
SERVERS = ("polite", "stubborn")
VERSION = "2026-07-28"
META = {
    "io.modelcontextprotocol/protocolVersion": VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "caller", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
PATIENCE_S = 60.0


def request(number, server):
    params = {"name": "call_tool", "arguments": {"name": f"{server}__echo", "arguments": {}}}
    full = {**params, "_meta": META}
    return {"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": full}


def over_http(url):
    headers = {
        "content-type": "application/json",
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": VERSION,
        "mcp-method": "tools/call",
        "mcp-name": "call_tool",
    }

    def ask(message):
        sent = urllib.request.Request(url, json.dumps(message).encode(), headers)
        with urllib.request.urlopen(sent, timeout=30) as answer:
            text = answer.read().decode()
        data = [line[6:] for line in text.splitlines() if line.startswith("data: ")]
        return json.loads(data[-1] if data else text)

    return ask


def over_pipes(argv):
    child = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def ask(message):
        assert child.stdin is not None
        assert child.stdout is not None
        child.stdin.write(json.dumps(message) + "\n")
        child.stdin.flush()
        while True:
            line = child.stdout.readline()
            if not line:
                sys.exit("the gateway is gone")
            answer = json.loads(line)
            if answer.get("id") == message["id"]:
                return answer

    return ask


def answered(answer):
    return "result" in answer and not answer["result"].get("isError")


def main():
    ask = over_http(WHERE[0]) if WHERE[0].startswith("http") else over_pipes(WHERE)
    number, missing, deadline = 0, set(SERVERS), time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline or not missing:
        for server in SERVERS:
            number += 1
            try:
                if answered(ask(request(number, server))) and server in missing:
                    missing.discard(server)
                    if not missing:
                        sys.stdout.write("up\n")
                        sys.stdout.flush()
            except (OSError, ValueError):
                time.sleep(0.1)
        time.sleep(0.05)


main()
