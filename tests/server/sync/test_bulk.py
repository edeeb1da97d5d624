"""The collector of cycles rests while entries are many, and works again whatever happened."""

import gc

import pytest

from toolcrib_server.sync.bulk import uncollected


def test_cycles_lie_until_the_end():
    with uncollected():
        assert not gc.isenabled()
    assert gc.isenabled()


def test_a_failure_ends_it_as_well():
    with pytest.raises(ValueError, match="broken"), uncollected():
        raise ValueError("broken")
    assert gc.isenabled()


def test_who_had_it_off_already_has_it_off_still():
    gc.disable()
    try:
        with uncollected():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()
