"""Files of tensors with a few words about them: written whole or not at all, read with care.

Knows the form of such files, not what the tensors are.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from numpy.typing import NDArray

from toolcrib_registry.errors import EncoderError
from toolcrib_registry.files import write_whole

SUFFIX: Final = ".safetensors"
_FORMAT: Final = "format"
_UNREADABLE: Final = (OSError, KeyError, ValueError, TypeError, RecursionError, MemoryError)


def save_tensors(
    file: Path, tensors: Mapping[str, NDArray[Any]], said: Mapping[str, str], *, form: str
) -> None:
    """Write tensors and what is said of them, in the form that `open_tensors` will ask for.

    Raises:
        OSError: it cannot be written.
    """
    import safetensors.numpy  # noqa: PLC0415  # no process that searches needs it

    library: Any = safetensors.numpy  # partly without types
    write_whole(file, library.save(dict(tensors), {_FORMAT: form, **said}), mode=0o644)


@contextmanager
def open_tensors(file: Path, *, form: str) -> Generator[tuple[Any, Mapping[str, str]]]:
    """Open a file of one form; gives the tensors, by name, and what is said of them.

    Raises:
        EncoderError: it is missing, damaged or of another form, or what is done with it inside
            fails as if it were.
    """
    import safetensors  # noqa: PLC0415  # only a process that encodes pays for it

    library: Any = safetensors
    try:
        with library.safe_open(str(file), framework="numpy") as tensors:
            said: Mapping[str, str] = tensors.metadata() or {}
            if said.get(_FORMAT) != form:
                raise EncoderError(f"{file} is no {form}: `training` writes them.")
            yield tensors, said
    except (*_UNREADABLE, safetensors.SafetensorError) as error:
        raise EncoderError(f"The weights in {file} cannot be read: {error}") from error
