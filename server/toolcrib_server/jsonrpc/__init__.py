"""JSON-RPC as text: what both sides of Toolcrib share of it. Knows no method and no transport."""
