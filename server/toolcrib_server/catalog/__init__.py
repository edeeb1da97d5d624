"""Reads files that describe tools and models into entries. Knows no store and no network."""

from .merge import merge_models
from .models import ModelCatalog, read_models
from .problem import Problem
from .tools import ImportedTool, read_tools_jsonl

__all__ = [
    "ImportedTool",
    "ModelCatalog",
    "Problem",
    "merge_models",
    "read_models",
    "read_tools_jsonl",
]
