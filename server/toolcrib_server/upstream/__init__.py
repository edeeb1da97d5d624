"""Live links to upstream servers: how they are described, opened, kept warm and talked to.

From below to above, each room knowing only those before it:

- `failures` are what goes wrong on a link, `limits` how much a server may send; `backoff`, `sdk`.
- `config`: how servers are written down, and what in it is secret. `processes`: servers that run
  here. `messages`: what is said on a connection, whatever carries it.
- `network`: HTTP below MCP. `oauth`: logging in to a server.
- `transports` carry messages; `models` are asked over HTTP, and are no MCP servers.
- `connecting`: one live connection. `lists`: what a server lists. `pool`: every connection to
  every server, and the door for all above.
"""
