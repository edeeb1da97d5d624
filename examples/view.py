"""A view: a few tools of the registry, as an MCP server of their own, under names of its own."""

from toolcrib_clients import Toolcrib

with Toolcrib() as toolcrib:
    view = toolcrib.put_view(
        {
            "name": "travel",
            "title": "Travel",
            "description": "Use these tools to plan across time zones.",
            "include": {"servers": ["clock"]},
            "exclude": {"tools": ["clock__break_clock"]},
            "overrides": [
                {
                    "tool": "clock__convert_time",
                    "name": "to_berlin_time",
                    "description": "Convert a time of day to Berlin's.",
                    "fixed": {"zone": "Europe/Berlin"},
                }
            ],
        }
    )
    shown = toolcrib.show_view("travel")
    print(f"{view.mcp}: {shown.tokens} tokens")
    for tool in shown.listed:
        print(f"  {tool.name}({', '.join(tool.input_schema.get('properties', {}))})")
