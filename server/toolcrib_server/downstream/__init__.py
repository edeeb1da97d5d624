"""MCP as it is spoken to clients, in both eras, over HTTP and stdio. Knows no registry."""
