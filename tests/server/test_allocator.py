"""Threads that come and go leave no heaps of their own behind."""

import subprocess
import sys

import pytest

from toolcrib_server.allocator import limit_arenas

TELLS_ITS_HEAPS = """
import ctypes, threading
from toolcrib_server.allocator import limit_arenas

libc = ctypes.CDLL(None)
libc.malloc.restype = ctypes.c_void_p
assert not {limited} or limit_arenas()
ready = threading.Barrier(9)

def hold():
    ready.wait()
    libc.malloc(ctypes.c_size_t(1000))
    ready.wait()

for _ in range(8):
    threading.Thread(target=hold).start()
ready.wait()
ready.wait()
libc.fdopen.restype = ctypes.c_void_p
out = ctypes.c_void_p(libc.fdopen(1, b"w"))
libc.malloc_info(0, out)
libc.fflush(out)
"""


def heaps(*, limited):
    script = TELLS_ITS_HEAPS.replace("{limited}", str(limited))
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True, timeout=60
    )
    return done.stdout.count("<heap nr=")


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="of glibc alone")
def test_threads_share_two_heaps():
    assert heaps(limited=False) > 2
    assert heaps(limited=True) == 2


def test_who_has_set_it_is_not_overruled(monkeypatch):
    monkeypatch.setenv("MALLOC_ARENA_MAX", "4")
    assert not limit_arenas()
