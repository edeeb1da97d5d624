"""The proof of `tests/proof`, for the long runs of it: the same code, many more histories."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.proof import campaign, houses, killing, live, orphans

__all__ = ["campaign", "houses", "killing", "live", "orphans"]

_FOLDER = Path(__file__).parent.parent / "tests" / "proof"


def __getattr__(name: str) -> object:
    # Tests are no part of the installation, and nothing here edits sys.path.
    if name not in __all__:
        raise AttributeError(name)
    if "proof" not in sys.modules:
        spec = ModuleSpec("proof", None, is_package=True)
        spec.submodule_search_locations = [str(_FOLDER)]
        sys.modules["proof"] = importlib.util.module_from_spec(spec)
    return importlib.import_module(f"proof.{name}")
