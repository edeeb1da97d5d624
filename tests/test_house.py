"""The plan of the house, held by reading the source: doors, rooms, names and quiet modules.

Floors are import-linter's part (see pyproject.toml); this file holds what it cannot say. Every
check is a function from a module to its faults, and each is fed a bad sample to show it can fail.
"""

import ast
import importlib
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = {
    "registry": "toolcrib_registry",
    "embeddings": "toolcrib_embeddings",
    "clients": "toolcrib_clients",
    "migrations": "toolcrib_migrations",
    "server": "toolcrib_server",
}
DATA_FOLDERS = {"clients": {"hosts"}}
"""Folders of a room that hold data and no Python."""

DOORS = {
    "mcp": {
        "toolcrib_server.upstream",
        "toolcrib_server.invocation",
        "toolcrib_server.gateway",
        "toolcrib_server.downstream",
    },
    "fastapi": {"toolcrib_server.rest"},
    "faiss": {"toolcrib_embeddings.indexing.codes"},
    "safetensors": {"toolcrib_embeddings.encoding.tensor_file"},
    "sentence_transformers": {
        "toolcrib_embeddings.encoding.encoder",
        "toolcrib_embeddings.encoding.export",
        "toolcrib_embeddings.training",
    },
    "torch": {
        "toolcrib_embeddings.encoding.encoder",
        "toolcrib_embeddings.encoding.export",
        "toolcrib_embeddings.training",
    },
    "onnx": {"toolcrib_embeddings.encoding.export"},
    "onnxruntime": {"toolcrib_embeddings.encoding.encoder"},
    "opentelemetry": {"toolcrib_server.invocation.records.telemetry"},
    "prometheus_client": {"toolcrib_server.rest.metrics"},
    "sqlmodel": {
        "toolcrib_registry.tables",
        "toolcrib_registry.store",
        "toolcrib_migrations",
    },
    "sqlalchemy": {
        "toolcrib_registry.tables",
        "toolcrib_registry.store",
        "toolcrib_migrations",
    },
    "alembic": {"toolcrib_migrations"},
    "cryptography": {"toolcrib_server.relay.sealing"},
    "yaml": {"toolcrib_server.catalog.card", "toolcrib_server.views.documents"},
    "ir_measures": {"toolcrib_server.evaluation.measures"},
    "matplotlib": {"toolcrib_server.evaluation.paper"},
    "pydantic_settings": {"toolcrib_server.settings"},
    "typer": {"toolcrib_server.cli"},
    "rich": {"toolcrib_server.cli"},
}
"""Which modules (with all below them) may import a library that has one door."""

CLIENT_NEEDS = {"httpx", "toolcrib_registry.wire", "toolcrib_registry.errors", "toolcrib_clients"}
WORDS_THAT_SAY_NOTHING = {"utils", "helpers", "common", "base", "manager", "misc"}
QUIET_CALLS = {
    "APIRouter",
    "AfterValidator",
    "Argument",
    "Depends",
    "Field",
    "JSONDecoder",
    "JSONEncoder",
    "NewType",
    "Option",
    "ParamSpec",
    "PlainSerializer",
    "Revision",
    "StringConstraints",
    "TypeAdapter",
    "TypeAliasType",
    "TypeVar",
    "Typer",
    "compile",
    "dict",
    "frozenset",
    "getLogger",
    "maketrans",
    "range",
    "text",
    "tuple",
    "union",
    "values",
}
"""What a module may call while it is imported: makers of constants, which open and start nothing.
Frozen dataclasses of ours are makers too, and so is a function beside that calls nothing else.
Class bodies and decorators are free: they say what a thing is. Adding a name is a decision."""
RUN_BY_ALEMBIC = ("toolcrib_migrations.env", "toolcrib_migrations.versions")
"""Scripts, not modules: Alembic runs them from top to bottom, and nothing imports them."""


@dataclass(frozen=True)
class Module:
    """One module of ours: its dotted name and its source."""

    name: str
    path: Path
    tree: ast.Module


def parse(name: str, source: str, path: str | None = None) -> Module:
    return Module(name, Path(path or f"{name.rpartition('.')[2]}.py"), ast.parse(source))


def modules() -> list[Module]:
    found: list[Module] = []
    for room, package in ROOMS.items():
        for path in sorted((ROOT / room / package).rglob("*.py")):
            parts = path.relative_to(ROOT / room).with_suffix("").parts
            name = ".".join(parts).removesuffix(".__init__")
            found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"))))
    return found


def imports(module: Module) -> Iterator[tuple[str, int]]:
    """Name every absolute import of a module, wherever it stands, with its line."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and not node.level and node.module:
            # `from toolcrib_registry import wire` imports the module wire.
            yield node.module, node.lineno
            yield from ((f"{node.module}.{alias.name}", node.lineno) for alias in node.names)


def is_within(name: str, parent: str) -> bool:
    return name == parent or name.startswith(f"{parent}.")


def faults_of_doors(module: Module) -> Iterator[str]:
    for name, line in imports(module):
        doors = DOORS.get(name.partition(".")[0])
        if doors and not any(is_within(module.name, door) for door in doors):
            yield f"{module.name}:{line}: {name} may be imported in {sorted(doors)} only"


def faults_of_the_client(module: Module) -> Iterator[str]:
    if not is_within(module.name, "toolcrib_clients"):
        return
    for name, line in imports(module):
        allowed = any(is_within(name, need) or is_within(need, name) for need in CLIENT_NEEDS)
        if not allowed and name.partition(".")[0] not in sys.stdlib_module_names:
            yield f"{module.name}:{line}: the client may not need {name}"


def faults_of_the_docstring(module: Module) -> Iterator[str]:
    docstring = ast.get_docstring(module.tree)
    if not docstring or not docstring.strip():
        yield f"{module.name}: does not say what it is for"


def faults_of_import_style(module: Module) -> Iterator[str]:
    """Within its folder a module imports by one dot; beyond it, by the whole name."""
    is_face = module.path.name == "__init__.py"
    folder = module.name if is_face else module.name.rpartition(".")[0]
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ImportFrom) and node.level > 1:
            yield f"{module.name}:{node.lineno}: climbs by dots; name the whole path"
    for name, line in imports(module):
        if "." in folder and is_within(name, folder):
            yield f"{module.name}:{line}: {name} is in the same folder; import it by one dot"


def faults_of_names(module: Module) -> Iterator[str]:
    for part in module.name.split("."):
        if part in WORDS_THAT_SAY_NOTHING:
            yield f"{module.name}: the name {part!r} says nothing"


def faults_of_work_at_import(module: Module) -> Iterator[str]:
    if any(is_within(module.name, script) for script in RUN_BY_ALEMBIC):
        return
    makers = {
        node.name
        for node in module.tree.body
        if isinstance(node, ast.FunctionDef)
        and all(_callee(call) in QUIET_CALLS for call in _calls_in(node))
    }
    quiet = QUIET_CALLS | frozen_dataclasses() | makers
    for statement in module.tree.body:
        yield from _work(module.name, statement, quiet)


def _work(where: str, statement: ast.stmt, quiet: set[str]) -> Iterator[str]:
    match statement:
        case ast.Import() | ast.ImportFrom() | ast.FunctionDef() | ast.AsyncFunctionDef():
            pass
        case ast.ClassDef() | ast.Pass() | ast.Expr(value=ast.Constant()):
            pass
        case (
            ast.Expr(value=ast.Call(func=ast.Call(func=ast.Attribute(attr="command"))))
            | ast.Expr(value=ast.Call(func=ast.Attribute(attr="add_typer")))
        ):
            pass  # a verb's decorator, or a group's, written as a call: it says what the command is
        case ast.If(test=test) if "__name__" in ast.unparse(test):
            pass
        case ast.If(body=body, orelse=orelse) | ast.Try(body=body, orelse=orelse):
            for inner in [*body, *orelse]:
                yield from _work(where, inner, quiet)
        case ast.Assign() | ast.AnnAssign():
            for call in _calls_now(statement.value):
                if _callee(call) not in quiet:
                    yield f"{where}:{call.lineno}: {ast.unparse(call.func)}() runs at import"
        case _:
            yield f"{where}:{statement.lineno}: {type(statement).__name__} runs at import"


@cache
def frozen_dataclasses() -> frozenset[str]:
    """Name the classes of ours that hold plain frozen data: making one does nothing."""
    return frozenset(
        node.name
        for module in modules()
        for node in ast.walk(module.tree)
        if isinstance(node, ast.ClassDef)
        and any("frozen=True" in ast.unparse(each) for each in node.decorator_list)
    )


def _calls_in(node: ast.AST) -> Iterator[ast.Call]:
    return (inner for inner in ast.walk(node) if isinstance(inner, ast.Call))


def _callee(call: ast.Call) -> str:
    """Name what is called by its last word: ``re.compile`` is ``compile``, ``set[str]`` ``set``."""
    function = call.func
    if isinstance(function, ast.Subscript):
        function = function.value
    return ast.unparse(function).rpartition(".")[2]


def _calls_now(value: ast.expr | None) -> Iterator[ast.Call]:
    """Find the calls that evaluating an expression makes; a lambda's body is made later."""
    if value is None or isinstance(value, ast.Lambda):
        return
    if isinstance(value, ast.Call):
        yield value
    for child in ast.iter_child_nodes(value):
        if isinstance(child, ast.expr):
            yield from _calls_now(child)


Check = Callable[[Module], Iterator[str]]

CHECKS: dict[Check, list[tuple[str, str]]] = {
    faults_of_doors: [
        ("toolcrib_server.sync.diff", "from mcp.types import Tool"),
        ("toolcrib_server.sync.diff", "def f():\n    import faiss"),
        ("toolcrib_server.upstreams", "import mcp"),
        ("toolcrib_embeddings.search", "import faiss as f"),
        ("toolcrib_registry.types", "import sqlmodel"),
    ],
    faults_of_the_client: [
        ("toolcrib_clients.client", "import requests"),
        ("toolcrib_clients.client", "from toolcrib_registry.store import Store"),
        ("toolcrib_clients.client", "from toolcrib_registry import store"),
        ("toolcrib_clients", "import toolcrib_server"),
    ],
    faults_of_the_docstring: [
        ("toolcrib_server.cli", "x = 1"),
        ("toolcrib_server.cli", '"""  """'),
        ("toolcrib_server", ""),
    ],
    faults_of_import_style: [
        ("toolcrib_server.sync.diff", "from ..runtime import open_runtime"),
        ("toolcrib_server.sync.diff", "from toolcrib_server.sync.watch import Watch"),
        ("toolcrib_server.sync.diff", "import toolcrib_server.sync.watch"),
    ],
    faults_of_names: [
        ("toolcrib_server.utils", ""),
        ("toolcrib_server.common.words", ""),
    ],
    faults_of_work_at_import: [
        ("toolcrib_server.rest.app", "app = FastAPI()"),
        ("toolcrib_server.rest.app", "app: object = FastAPI()"),
        ("toolcrib_server.settings", "settings = [Settings()]"),
        ("toolcrib_server.cli", "print('hello')"),
        ("toolcrib_server.cli", "with open('x') as f:\n    pass"),
        ("toolcrib_server.cli", "try:\n    start()\nexcept ImportError:\n    pass"),
        ("toolcrib_server.cli", "if sys.platform == 'win32':\n    start()"),
        ("toolcrib_server.cli", "CACHE[1] = load()"),
        ("toolcrib_server.cli", "def _make():\n    return Engine()\n\nENGINE = _make()"),
        ("toolcrib_server.cli", "for x in y:\n    pass"),
    ],
}

GOOD = '''\
"""A module as it should be."""

import re
from typing import TYPE_CHECKING, NewType

from toolcrib_registry.errors import NotFound

from .sibling import thing

if TYPE_CHECKING:
    from collections.abc import Iterator

Name = NewType("Name", str)
WORD = re.compile("x")
later = lambda: open("x")


class Thing:
    field: int = make()


if __name__ == "__main__":
    main()
'''


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_house_has_no(check: Check) -> None:
    found = modules()
    assert len(found) > len(ROOMS), "no module was read"
    assert [fault for module in found for fault in check(module)] == []


@pytest.mark.parametrize(
    ("check", "name", "source"),
    [(check, *sample) for check, samples in CHECKS.items() for sample in samples],
)
def test_a_bad_sample_is_found(check: Check, name: str, source: str) -> None:
    assert len(list(check(parse(name, source)))) >= 1


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_a_good_sample_passes(check: Check) -> None:
    assert list(check(parse("toolcrib_clients.client", GOOD))) == []


def faults_of_floors(config: Mapping[str, Any]) -> Iterator[str]:
    """Name every way in which import-linter is told to look away; it sees type-only imports."""
    if config.get("exclude_type_checking_imports"):
        yield "a type-only import is an import all the same"
    for contract in config["contracts"]:
        if contract.get("ignore_imports"):
            yield f"{contract['name']}: {contract['ignore_imports']}"


def test_no_import_is_hidden_from_the_floors() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    config = project["tool"]["importlinter"]
    assert set(config["root_packages"]) == set(ROOMS.values())
    assert list(faults_of_floors(config)) == []


def test_a_hidden_import_is_found() -> None:
    contract = {"name": "floors", "ignore_imports": ["a -> b"]}
    config = {"exclude_type_checking_imports": True, "contracts": [contract]}
    assert len(list(faults_of_floors(config))) == 2


def faults_of_room(folder: Path, package: str, data: set[str]) -> Iterator[str]:
    """Name what a room holds besides its one package, and what its package lacks."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith((".", "__pycache__")) or path.name == package:
            continue
        if path.is_dir() and path.name in data:
            yield from (f"{py}: Python among data" for py in path.rglob("*.py"))
        elif path.is_dir() or path.suffix in {".py", ".pyi", ".so", ".pth"}:
            yield f"{path}: a room holds one import package and nothing else importable"
    for needed in ("__init__.py", "py.typed"):
        if not (folder / package / needed).is_file():
            yield f"{folder / package}: has no {needed}"


@pytest.mark.parametrize(("room", "package"), ROOMS.items())
def test_a_room_holds_one_typed_package(room: str, package: str) -> None:
    assert list(faults_of_room(ROOT / room, package, DATA_FOLDERS.get(room, set()))) == []


def test_a_bad_room_is_found(tmp_path: Path) -> None:
    (tmp_path / "toolcrib_server").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "hosts").mkdir()
    (tmp_path / "hosts" / "code.py").touch()
    (tmp_path / "loose.py").touch()
    assert len(list(faults_of_room(tmp_path, "toolcrib_server", {"hosts"}))) == 5


def faults_of_face(name: str, exported: list[str], available: set[str]) -> Iterator[str]:
    """Name what is wrong with a package's ``__all__``."""
    if len(set(exported)) != len(exported):
        yield f"{name}: __all__ names something twice"
    yield from (f"{name}: __all__ names {each}" for each in exported if each not in available)


def test_every_face_has_what_it_promises() -> None:
    faults: list[str] = []
    for module in modules():
        if module.path.name == "__init__.py":
            face = importlib.import_module(module.name)
            exported = getattr(face, "__all__", [])
            has = {each for each in exported if hasattr(face, each)}  # also what is brought in late
            faults += faults_of_face(module.name, exported, has)
    assert faults == []


def test_a_face_that_promises_too_much_is_found() -> None:
    assert len(list(faults_of_face("x", ["a", "a", "b"], {"a"}))) == 2


HEAVY = {"torch", "sentence_transformers", "transformers", "onnx"}


@pytest.mark.parametrize(
    ("module", "unwanted"),
    [
        ("toolcrib_clients", HEAVY | {"faiss", "numpy", "sqlmodel", "mcp", "fastapi"}),
        ("toolcrib_server.cli", HEAVY),
        ("toolcrib_server.cli.app", HEAVY | {"toolcrib_registry.wire"}),  # no verb needs its shapes
        ("toolcrib_server.runtime", HEAVY),
    ],
)
def test_importing_stays_light(module: str, unwanted: set[str]) -> None:
    assert unwanted.isdisjoint(imported_with(module))


def test_what_an_import_brings_in_is_seen() -> None:
    assert "decimal" in imported_with("decimal")


def imported_with(module: str) -> set[str]:
    """Import a module in a fresh interpreter and list every module that is there then."""
    code = f"import {module}, sys; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=60
    )
    return set(done.stdout.split())
