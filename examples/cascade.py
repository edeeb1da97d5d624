"""Ask a small model first, and a larger one only when a check rejects its answer.

Needs a running server (TOOLCRIB_URL, and TOOLCRIB_API_KEY where keys are configured) with two
models that can be called; without them it says so.
"""

from toolcrib_clients import Toolcrib
from toolcrib_registry.errors import ToolcribError

DIGITS = {"verify": [{"kind": "pattern", "pattern": "^[0-9]+$"}]}


def main() -> None:
    """Print the answer and the way to it."""
    with Toolcrib() as crib:
        try:
            answer = crib.chat("What is 17 * 23? Only the number.", cascade=DIGITS)
        except ToolcribError as error:
            print(error.detail)
            return
    for step in (answer.cascade or {}).get("steps", []):
        checks = "; ".join(check["detail"] for check in step.get("checks", []))
        print(f"{step['model']}: {checks or step.get('error')}")
    print(answer.text)


if __name__ == "__main__":
    main()
