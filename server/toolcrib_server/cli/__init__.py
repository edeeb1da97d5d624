"""The command line: arguments to calls, and answers to text. No logic of its own."""

import os
import sys

__all__ = ["main"]

_INTERRUPTED = 130


def main() -> None:
    """Run the ``toolcrib`` command."""
    try:
        _run()
    except KeyboardInterrupt:
        # The parts are still being imported: nothing was begun.
        sys.stderr.write("Interrupted.\n")
        sys.exit(_INTERRUPTED)


def _run() -> None:
    _open_closed_streams()
    if sys.argv[1:2] == ["stdio"]:
        # An assistant waits for this one: it starts without the parts that only people need.
        from . import assistant  # noqa: PLC0415

        if place := assistant.read_place(sys.argv[2:]):
            return assistant.main(*place)
    from .app import main as run  # noqa: PLC0415

    return run()


def _open_closed_streams() -> None:
    """Give a process that was started with a closed standard stream one that leads nowhere.

    Else the next file that is opened takes its number, and is written to as if it were the stream.
    """
    for descriptor, name, mode in ((0, "stdin", "r"), (1, "stdout", "w"), (2, "stderr", "w")):
        if getattr(sys, name) is None:
            os.open(os.devnull, os.O_RDWR)  # takes the lowest number that is free: this one
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", closefd=False))  # noqa: SIM115  # by number
