"""The command line: arguments to calls, and answers to text. No logic of its own."""

import sys

__all__ = ["main"]


def main() -> None:
    """Run the ``toolcrib`` command."""
    if sys.argv[1:2] == ["stdio"]:
        # An assistant waits for this one: it starts without the parts that only people need.
        from . import assistant  # noqa: PLC0415

        if place := assistant.read_place(sys.argv[2:]):
            return assistant.main(*place)
    from .app import main as run  # noqa: PLC0415

    return run()
