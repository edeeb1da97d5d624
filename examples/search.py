"""Find what a task needs, and what the first hit takes.

Needs a running server: TOOLCRIB_URL says where (http://127.0.0.1:8321 unless set).
"""

import json
import sys

from toolcrib_clients import Toolcrib


def main(task: str) -> None:
    """Print the hits for a task, best first."""
    with Toolcrib() as crib:
        results = crib.search(task, k=5)
        if not results.hits:
            print(f"Nothing fits {task!r}: {results.searched} entries were searched.")
            return
        if results.abstained:
            print("Nothing seems to fit. The nearest, all unlikely:")
        for hit in results.hits:
            found_by = ", ".join(f"{name} #{s.rank}" for name, s in hit.signals.items())
            print(f"{hit.score:6.3f}  {hit.kind:8}  {hit.name}  ({found_by})")
            if hit.alternatives:
                print(f"{'':18}also at: {', '.join(hit.alternatives)}")
        best = results.hits[0]
        if best.kind == "tool":
            schema = crib.get_tool(best.name).input_schema
            print(f"\n{best.name} takes {json.dumps(schema.get('properties', {}))}")


if __name__ == "__main__":
    main(" ".join(sys.argv[1:]) or "what time is it in Tokyo")
