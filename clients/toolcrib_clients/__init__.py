"""The Python client of Toolcrib's HTTP face, in a blocking and an asynchronous form."""

from .asynchronous import AsyncToolcrib
from .synchronous import Toolcrib
from .transport import DEFAULT_URL

__all__ = ["DEFAULT_URL", "AsyncToolcrib", "Toolcrib"]
