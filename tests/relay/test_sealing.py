"""What clients carry can be neither read nor altered, and its time is over at some point."""

import base64
import os
import stat

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidConfig
from toolcrib_server.relay.keys import FILE_NAME, load_state_keys
from toolcrib_server.relay.sealing import Seal, SealError

KEY, OTHER = "k" * 32, "o" * 32
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


@given(st.dictionaries(st.text(), JSON))
def test_what_was_sealed_is_opened_again(content):
    seal = Seal([KEY])
    assert seal.open(seal.seal(content, ttl_s=60)) == content


def test_nothing_of_it_can_be_read():
    sealed = Seal([KEY]).seal({"password": "correct horse"}, ttl_s=60)
    raw = base64.urlsafe_b64decode(sealed + "=" * (-len(sealed) % 4))
    assert b"password" not in raw
    assert b"horse" not in raw


def test_any_change_of_a_character_is_noticed():
    seal = Seal([KEY])
    sealed = seal.seal({"a": 1}, ttl_s=60)
    for at, was in enumerate(sealed):
        for other in {"A", "B", "-", "!", "="} - {was}:
            with pytest.raises(SealError):
                seal.open(sealed[:at] + other + sealed[at + 1 :])


@pytest.mark.parametrize("text", ["", "x", "é", "A" * 30, "=" * 40, "\0", "A" * 10_000])
def test_what_nobody_sealed_is_refused(text):
    with pytest.raises(SealError):
        Seal([KEY]).open(text)


def test_it_expires():
    clock = Clock()
    seal = Seal([KEY], now=clock)
    sealed = seal.seal({"a": 1}, ttl_s=60)
    clock.now += 60
    assert seal.open(sealed) == {"a": 1}
    clock.now += 0.1
    with pytest.raises(SealError, match="expired"):
        seal.open(sealed)


def test_keys_can_be_changed_one_after_another():
    old = Seal([KEY]).seal({"a": 1}, ttl_s=60)
    both = Seal([OTHER, KEY])
    assert both.open(old) == {"a": 1}
    new = both.seal({"a": 2}, ttl_s=60)
    assert Seal([OTHER]).open(new) == {"a": 2}
    with pytest.raises(SealError, match="key is no longer in use"):
        Seal([OTHER]).open(old)


def test_the_same_content_is_never_sealed_the_same():
    seal = Seal([KEY])
    assert len({seal.seal({"a": 1}, ttl_s=60) for _ in range(50)}) == 50


def test_it_is_bounded_both_ways():
    seal = Seal([KEY], max_chars=1000)
    assert seal.seal({"a": "x" * 100_000}, ttl_s=60)  # it is compressed
    with pytest.raises(SealError, match="too large"):
        seal.seal({"a": os.urandom(1000).hex()}, ttl_s=60)
    with pytest.raises(SealError, match="longer"):
        seal.open("A" * 1001)


def test_a_key_is_made_once_and_for_its_owner_alone(tmp_path):
    first = load_state_keys(tmp_path)
    path = tmp_path / FILE_NAME
    assert load_state_keys(tmp_path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert len(first[0]) >= 32
    assert [one.name for one in tmp_path.iterdir()] == [FILE_NAME]


def test_configured_keys_need_no_file(tmp_path):
    assert load_state_keys(tmp_path, [KEY, OTHER]) == (KEY, OTHER)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o622])
def test_a_key_that_others_can_use_is_refused(tmp_path, mode):
    load_state_keys(tmp_path)
    (tmp_path / FILE_NAME).chmod(mode)
    with pytest.raises(InvalidConfig, match="can be used by others"):
        load_state_keys(tmp_path)


@pytest.mark.parametrize("mode", [0o770, 0o707, 0o777])
def test_a_folder_that_others_can_write_is_refused(tmp_path, mode):
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(mode)
    with pytest.raises(InvalidConfig, match="chmod go-w"):
        load_state_keys(folder)
    assert not list(folder.iterdir())


def test_a_link_in_its_place_is_refused(tmp_path):
    (tmp_path / "elsewhere").write_text(KEY)
    (tmp_path / FILE_NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(InvalidConfig, match="cannot be used"):
        load_state_keys(tmp_path)


def test_an_empty_file_is_no_key(tmp_path):
    path = tmp_path / FILE_NAME
    path.touch(mode=0o600)
    with pytest.raises(InvalidConfig, match="holds no key"):
        load_state_keys(tmp_path)
