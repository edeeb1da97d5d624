"""The HTTP face: REST under ``/api/v1``. Translates; every decision is made on a floor below."""

from .app import build_api
from .deps import Deps, Indexer, Invoker, Registrar, Searcher, Syncer

__all__ = ["Deps", "Indexer", "Invoker", "Registrar", "Searcher", "Syncer", "build_api"]
