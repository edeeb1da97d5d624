"""The points at which a sync can be made to die, for proofs that it converges."""

import os
import signal
import subprocess
import sys

import pytest

from toolcrib_registry.errors import InvalidInput
from toolcrib_server.sync.checkpoints import CRASH_AT, checkpoint_from_environment

PASS_TWO_POINTS = """
from toolcrib_server.sync.checkpoints import checkpoint_from_environment

checkpoint = checkpoint_from_environment()
checkpoint("listed")
print("passed", flush=True)
checkpoint("after-commit")
print("survived", flush=True)
"""


def test_a_process_dies_at_the_named_point_and_not_before() -> None:
    done = subprocess.run(
        [sys.executable, "-c", PASS_TWO_POINTS],
        env={**os.environ, CRASH_AT: "after-commit"},
        stdout=subprocess.PIPE,
        text=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == "passed\n"


def test_without_a_name_nothing_happens(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(CRASH_AT, raising=False)
    checkpoint_from_environment()("after-commit")


def test_a_name_that_is_no_point_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CRASH_AT, "lunch")
    with pytest.raises(InvalidInput, match="after-commit"):
        checkpoint_from_environment()
