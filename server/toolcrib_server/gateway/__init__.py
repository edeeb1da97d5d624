"""The MCP face: a handful of stable tools in front of everything the registry holds."""
