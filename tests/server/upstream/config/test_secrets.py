"""Secrets: in one private file, by reference everywhere else, masked in every text."""

import base64
import json
import stat
import subprocess
import sys
import threading
from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from toolcrib_registry.errors import InvalidConfig
from toolcrib_registry.types import (
    CatalogTransport,
    HttpTransport,
    Server,
    ServerName,
    StdioTransport,
)
from toolcrib_server.upstream.config.references import resolve
from toolcrib_server.upstream.config.secrets import MASK, Redactor, SecretStore, seal


@pytest.fixture
def path(tmp_path):
    return tmp_path / "data" / "secrets.json"


def mode_of(path):
    return stat.S_IMODE(path.stat().st_mode)


def test_a_store_without_a_file_is_empty(path):
    store = SecretStore(path)
    assert store.find("a") is None
    assert store.list_keys() == ()
    assert not path.exists()


def test_secrets_survive_and_only_their_owner_may_read_them(path):
    SecretStore(path).put({"b": "2", "a": "1"})
    store = SecretStore(path)
    assert store.list_keys() == ("a", "b")
    assert store.find("a") == "1"
    assert mode_of(path) == 0o600


def test_a_file_that_others_may_read_is_closed_to_them(path):
    store = SecretStore(path)
    store.put({"a": "1"})
    path.chmod(0o644)
    assert SecretStore(path).find("a") == "1"
    assert mode_of(path) == 0o600


def test_removing_a_server_drops_its_secrets_alone(path):
    store = SecretStore(path)
    store.put({"git/env/A": "1", "git/headers/B": "2", "github/env/A": "3"})
    assert store.remove_server(ServerName("git")) == 2
    assert store.list_keys() == ("github/env/A",)


def test_another_stores_writes_are_seen(path):
    one, other = SecretStore(path), SecretStore(path)
    one.put({"a": "1"})
    assert other.find("a") == "1"
    one.put({"a": "a longer one"})
    assert other.find("a") == "a longer one"


def put_many(path, name):
    store = SecretStore(path)
    for number in range(20):
        store.put({f"{name}/{number}": "x"})


def test_writers_at_once_lose_nothing(path):
    script = (
        "import pathlib, sys; from toolcrib_server.upstream.config.secrets import SecretStore as S;"
        "[S(pathlib.Path(sys.argv[1])).put({f'process/{n}': 'x'}) for n in range(20)]"
    )
    threads = [threading.Thread(target=put_many, args=(path, f"t{n}")) for n in range(3)]
    with subprocess.Popen([sys.executable, "-c", script, str(path)]) as process:
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
        assert process.wait(30) == 0
    assert len(SecretStore(path).list_keys()) == 80


@pytest.mark.parametrize("content", ["{", "[]", '{"a": '])
def test_a_damaged_file_is_refused_and_kept(path, content):
    path.parent.mkdir()
    path.write_text(content)
    path.chmod(0o600)
    store = SecretStore(path)
    with pytest.raises(InvalidConfig) as caught:
        store.put({"a": "1"})
    assert caught.value.file == str(path)
    assert path.read_text() == content


def test_sealing_moves_literals_and_leaves_references(path):
    store = SecretStore(path)
    server = Server(
        name=ServerName("gh"),
        transport=StdioTransport("x", (), {"TOKEN": "abc123", "HOME": "${HOME}", "NONE": ""}),
    )
    sealed = seal(server, store)
    assert isinstance(sealed.transport, StdioTransport)
    assert sealed.transport.env == {
        "TOKEN": "${secret:gh/env/TOKEN}",
        "HOME": "${HOME}",
        "NONE": "",
    }
    assert store.list_keys() == ("gh/env/TOKEN",)
    assert seal(sealed, store) == sealed


def test_headers_are_sealed_too_and_a_catalogue_has_none(path):
    store = SecretStore(path)
    web = Server(name=ServerName("web"), transport=HttpTransport("http://h", {"X-Key": "k"}))
    sealed = seal(web, store)
    assert isinstance(sealed.transport, HttpTransport)
    assert sealed.transport.headers == {"X-Key": "${secret:web/headers/X-Key}"}
    papers = Server(name=ServerName("papers"), transport=CatalogTransport("f"))
    assert seal(papers, store) == papers


def seal_args(path, *args, name="s"):
    store = SecretStore(path)
    sealed = seal(Server(name=ServerName(name), transport=StdioTransport("run", args)), store)
    assert isinstance(sealed.transport, StdioTransport)
    assert seal(sealed, store) == sealed
    resolved = resolve(sealed, env={"T": "t"}, secrets=store)
    return sealed.transport.args, {key: store.find(key) for key in store.list_keys()}, resolved


@pytest.mark.parametrize(
    ("args", "sealed", "secret"),
    [
        (("--api-key", "abc"), ("--api-key", "${secret:s/args/1}"), "abc"),
        (("-password", "abc"), ("-password", "${secret:s/args/1}"), "abc"),
        (("--token=a=b",), ("--token=${secret:s/args/0}",), "a=b"),
        (("-e", "GH_TOKEN=abc"), ("-e", "GH_TOKEN=${secret:s/args/1}"), "abc"),
        (
            ("--header", "Authorization: Bearer abc"),
            ("--header", "Authorization: ${secret:s/args/1}"),
            "Bearer abc",
        ),
        (("postgres://u:pw@h/db",), ("${secret:s/args/0}",), "postgres://u:pw@h/db"),
        (("https://h/?api_key=abc",), ("${secret:s/args/0}",), "https://h/?api_key=abc"),
    ],
)
def test_secrets_among_the_arguments_are_sealed(path, args, sealed, secret):
    found, stored, resolved = seal_args(path, *args)
    assert found == sealed
    assert list(stored.values()) == [secret]
    assert resolved.transport == StdioTransport("run", args)
    assert secret in resolved.secrets
    assert SecretStore(path).remove_server(ServerName("s")) == 1


@pytest.mark.parametrize(
    "args",
    [
        ("-y", "package@1.2", "/home/me/docs", "--port", "80"),
        ("--token", "--verbose", "x"),
        ("--token", "${T}"),
        ("--token=${T}",),
        ("--token-${T:-a=b}",),
        ("https://h.example:80/path?page=2", "http://me@h/"),
        ("keys:/run/keys", "--token=", "auth:"),
    ],
)
def test_arguments_without_a_literal_secret_stay(path, args):
    found, stored, _ = seal_args(path, *args)
    assert found == args
    assert stored == {}


def test_a_moved_argument_keeps_its_secret_when_another_takes_its_place(path):
    store = SecretStore(path)
    first = Server(name=ServerName("s"), transport=StdioTransport("x", ("--api-key", "old")))
    sealed = seal(first, store).transport
    assert isinstance(sealed, StdioTransport)
    args = ("--token", "new", "--api-key", sealed.args[1])
    second = seal(Server(name=ServerName("s"), transport=StdioTransport("x", args)), store)
    resolved = resolve(second, env={}, secrets=store)
    assert isinstance(resolved.transport, StdioTransport)
    assert resolved.transport.args == ("--token", "new", "--api-key", "old")


@pytest.mark.parametrize(
    ("url", "sealed", "secrets"),
    [
        (
            "https://h/mcp?a=1&api_key=p%2Fq+r&z=2#f",
            "https://h/mcp?a=1&api_key=${secret:w/query/api_key}&z=2#f",
            ["p%2Fq+r"],
        ),
        (
            "https://h/?key=one&key=two",
            "https://h/?key=${secret:w/query/key}&key=${secret:w/query/key-2}",
            ["one", "two"],
        ),
        ("https://h/?to%7Dken=x", "https://h/?to%7Dken=x", []),
        ("https://h/?a%7Dtoken=x", "https://h/?a%7Dtoken=${secret:w/query/a_7Dtoken}", ["x"]),
        ("https://h/?key=${K}&token=&flag", "https://h/?key=${K}&token=&flag", []),
        ("${U:-http://h/?a=b&key=c}", "${U:-http://h/?a=b&key=c}", []),
        ("https://h/?x=${U:-a&key=c}&y=1", "https://h/?x=${U:-a&key=c}&y=1", []),
    ],
)
def test_secrets_in_a_query_are_sealed_and_nothing_else_is_touched(path, url, sealed, secrets):
    store = SecretStore(path)
    web = seal(Server(name=ServerName("w"), transport=HttpTransport(url)), store)
    assert isinstance(web.transport, HttpTransport)
    assert web.transport.url == sealed
    assert [store.find(key) for key in store.list_keys()] == secrets
    assert seal(web, store) == web
    resolved = resolve(web, env={"K": "k", "U": "u"}, secrets=store)
    assert isinstance(resolved.transport, HttpTransport)
    assert resolved.transport.url == url.replace("${K}", "k") or "${U" in url
    assert resolved.secrets >= set(secrets)


def test_credentials_are_told_from_ordinary_words(path):
    env = {
        "MODE": "production",
        "MODEL": "gpt-4o-mini-2024-07-18",
        "ROOT": "/home/me/documents",
        "GITHUB_TOKEN": "any word",
        "DB_PASS": "letmein",
        "DATABASE": "postgres://me:letmein2@host/db",
        "GH": "ghp_16C7e42F292c6912E7710c838347Ae178B4a",
    }
    server = seal(
        Server(name=ServerName("s"), transport=StdioTransport("x", (), env)), SecretStore(path)
    )
    resolved = resolve(server, env={}, secrets=SecretStore(path))
    assert resolved.secrets == set(env.values())
    ordinary = {env["MODE"], env["MODEL"], env["ROOT"]}
    assert resolved.credentials == set(env.values()) - ordinary
    assert Redactor(resolved.credentials)("is letmein2 right?") == f"is {MASK} right?"


VALUES = st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1)


@given(value=VALUES)
def test_a_sealed_value_reaches_the_server_unchanged(tmp_path_factory, value):
    store = SecretStore(tmp_path_factory.mktemp("s") / "secrets.json")
    server = Server(name=ServerName("x"), transport=StdioTransport("c", (), {"A": value}))
    if "${" in value:
        return
    transport = resolve(seal(server, store), env={}, secrets=store).transport
    assert isinstance(transport, StdioTransport)
    assert transport.env == {"A": value}


# --- masking -----------------------------------------------------------------------------------

SECRET = "p@ss/w+rd é"


@pytest.mark.parametrize(
    "text",
    [
        f"at {SECRET}!",
        f"url?token={quote(SECRET, safe='')}",
        f"json {json.dumps(SECRET)}",
        f"Basic {base64.b64encode(SECRET.encode()).decode()}",
    ],
)
def test_a_secret_is_masked_in_each_of_its_forms(text):
    masked = Redactor([SECRET])(text)
    assert MASK in masked
    assert SECRET not in masked
    assert "p%40ss" not in masked


def test_a_secret_of_a_query_is_masked_decoded_too():
    assert Redactor(["p%40ss%2Fw+rd"])("p@ss/w rd") == MASK


def test_every_string_of_json_is_masked():
    redact = Redactor(["abcdef"])
    sent = {"abcdef": [{"a": "xabcdef"}, 5, None, True], "b": "abc"}
    assert redact.mask_all(sent) == {MASK: [{"a": f"x{MASK}"}, 5, None, True], "b": "abc"}
    assert Redactor([]).mask_all(sent) is sent


def test_a_token_is_masked_without_its_scheme():
    assert Redactor(["Bearer abcdef123"])("token abcdef123 refused") == f"token {MASK} refused"


def test_the_password_inside_basic_credentials_is_masked():
    header = "Basic " + base64.b64encode(b"me:hunter2000").decode()
    assert Redactor([header])("wrong password hunter2000") == f"wrong password {MASK}"


def test_short_values_are_left_alone():
    assert Redactor(["true", "", "80"])("true on port 80") == "true on port 80"


def test_the_longer_of_two_secrets_is_masked_whole():
    assert Redactor(["abcdef", "abcdefghij"])("abcdefghij") == MASK


@given(
    secret=st.text(st.characters(exclude_categories=["Cs"]), min_size=6),
    before=st.text(),
    after=st.text(),
)
def test_no_text_shows_a_secret(secret, before, after):
    assert secret not in Redactor([secret])(before + secret + after) or secret in MASK * 9
