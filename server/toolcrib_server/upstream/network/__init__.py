"""HTTP below MCP: bare connections, pools of them, event streams, and one endpoint's client."""
