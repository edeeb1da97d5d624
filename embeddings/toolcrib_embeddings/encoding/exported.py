"""Finished ONNX exports in a cache folder: found, checked, or made once in a child process.

The child (`toolcrib_embeddings.encoding.export`) imports torch, so that this process never has to.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from toolcrib_registry.errors import EncoderError

from .model_folder import ModelFolder, file_sha256

EXPORT_FORMAT: Final = 2
MANIFEST: Final = "encoder.json"
GRAPH: Final = "model.onnx"
GRAPH_DATA: Final = "model.onnx.data"
TOKENIZER: Final = "tokenizer.json"
VECTORS: Final = "embedding"
"""The graph's output of one vector a text."""
TOKEN_VECTORS: Final = "tokens"  # noqa: S105  # an output of the graph
"""Its output of one vector a token, where a text's vector is their mean."""

_TIMEOUT_S: Final = 600.0
_OFFLINE: Final = {
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "CUDA_VISIBLE_DEVICES": "",
    "OMP_NUM_THREADS": "2",
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Export:
    """An ONNX graph with its tokenizer, and how to feed them."""

    folder: Path
    encoder_id: str
    dimension: int
    max_tokens: int
    inputs: tuple[str, ...]
    pad_id: int
    prefix: str
    """What the model wants before every text; usually nothing."""
    gives_tokens: bool
    """Whether the graph has `TOKEN_VECTORS`."""

    def dump(self) -> None:
        """Write the manifest of the files that are in ``folder``."""
        files = {name: file_sha256(self.folder / name) for name in (GRAPH, GRAPH_DATA, TOKENIZER)}
        said = {key: value for key, value in asdict(self).items() if key != "folder"}
        text = json.dumps({"format": EXPORT_FORMAT, "files": files, **said}, indent=1)
        (self.folder / MANIFEST).write_text(text + "\n", encoding="utf-8")

    @classmethod
    def load(cls, folder: Path) -> Export:
        """Read a manifest, and check the files it names: 0.1 s for 90 MB.

        Raises:
            EncoderError: it or a file is missing, damaged, or of another release.
        """
        try:
            said: dict[str, Any] = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
            files, found = said.pop("files"), said.pop("format")
            damaged = [name for name in files if file_sha256(folder / name) != files[name]]
            inputs = tuple(said.pop("inputs"))
            export = cls(folder=folder, inputs=inputs, **said)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise EncoderError(
                f"The exported encoder in {folder} is not whole: {error}."
            ) from error
        if damaged or found != EXPORT_FORMAT:
            raise EncoderError(f"The exported encoder in {folder} is damaged: {damaged}.")
        return export


def find_or_export(model: ModelFolder, cache_dir: Path) -> Export:
    """Return the model's export, making it first when there is no sound one.

    Making takes tens of seconds. Processes that start together wait for the first of them.

    Raises:
        EncoderError: the model cannot be exported, or the cache cannot be written.
    """
    folder = cache_dir / f"{model.fingerprint[:32]}-{EXPORT_FORMAT}"
    return _find(folder) or _export_in_turn(model, folder)


def _find(folder: Path) -> Export | None:
    if not folder.exists():
        return None
    try:
        return Export.load(folder)
    except EncoderError as error:
        _log.warning("%s It is made anew.", error.detail)
        return None


def _export_in_turn(model: ModelFolder, folder: Path) -> Export:
    from filelock import FileLock, Timeout  # noqa: PLC0415  # only the first start needs it

    lock = folder.with_suffix(".lock")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(lock, timeout=_TIMEOUT_S):
            found = _find(folder)
            if found is None:
                _export(model, folder)
            return found or Export.load(folder)
    except Timeout as error:
        raise EncoderError(
            f"Another process has been exporting {model.name} for {_TIMEOUT_S:.0f} s: end it, and "
            f"remove {lock}."
        ) from error
    except OSError as error:
        raise EncoderError(f"The encoder cannot be kept in {folder.parent}: {error}.") from error


def _export(model: ModelFolder, folder: Path) -> None:
    _log.info("Exporting %s to ONNX, once; this takes some tens of seconds.", model.name)
    for left_over in folder.parent.glob(f"{folder.name}.tmp-*"):
        shutil.rmtree(left_over, ignore_errors=True)
    work = Path(tempfile.mkdtemp(prefix=f"{folder.name}.tmp-", dir=folder.parent))
    try:
        _run_child(model, work)
        shutil.rmtree(folder, ignore_errors=True)
        work.rename(folder)
    finally:
        shutil.rmtree(work, ignore_errors=True)


def _run_child(model: ModelFolder, target: Path) -> None:
    command = [sys.executable, "-P", "-m", "toolcrib_embeddings.encoding.export"]
    what = [str(model.path), str(target.resolve()), model.encoder_id]
    tuning = [str(model.tuning)] if model.tuning else []
    try:
        done = subprocess.run(
            [*command, *what, *tuning],
            env={**os.environ, **_OFFLINE},
            stdin=subprocess.DEVNULL,  # ours may be a protocol's
            capture_output=True,
            timeout=_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise EncoderError(
            f"Exporting {model.path} to ONNX took over {_TIMEOUT_S:.0f} s and was stopped."
        ) from error
    if done.returncode != 0:
        said = done.stderr.decode("utf-8", "replace").strip().splitlines() or ["it said nothing"]
        raise EncoderError(
            f"{model.path} cannot be exported to ONNX (exit status {done.returncode}): {said[-1]}"
        )
