"""An offer's references are filled in for a call, and what cannot be sent is refused by name."""

import pytest

from toolcrib_registry.errors import NotCallable
from toolcrib_registry.types import Offer
from toolcrib_server.upstream.models.target import resolve_target

KEY = "sk-in-the-path-0123456789"


class OneSecret:
    def find(self, key: str) -> str | None:
        return "sk-stored-0123456789" if key == "acme/api_key" else None


def resolve(api_key: str | None = None, url: str = "https://models.example.com/v1/", **env: str):
    offer = Offer(provider="acme", remote_model="small", endpoint=url, api_key=api_key)
    return resolve_target(offer, url=url, env=env, secrets=OneSecret())


def test_the_key_comes_from_the_environment_or_the_secrets_and_is_masked():
    target = resolve("${ACME_KEY}", ACME_KEY="sk-from-env-0123456789\n")
    assert target.headers == {"authorization": "Bearer sk-from-env-0123456789"}
    assert target.url == "https://models.example.com/v1"
    assert "0123456789" not in target.redact("bad key sk-from-env-0123456789")
    assert "0123456789" not in repr(target)
    stored = resolve("${secret:acme/api_key}")
    assert stored.headers == {"authorization": "Bearer sk-stored-0123456789"}


def test_a_key_in_the_path_of_an_endpoint_is_masked_and_its_host_is_not():
    target = resolve(url="https://${HOST}/${ACME_KEY}/v1", HOST="models.example", ACME_KEY=KEY)
    assert target.url == f"https://models.example/{KEY}/v1"
    assert target.redact(f"{target.url} says {KEY}") == "https://models.example/•••/v1 says •••"


def test_without_a_key_no_header_is_sent():
    assert resolve().headers == {}


@pytest.mark.parametrize(
    ("api_key", "url", "env", "says"),
    [
        ("${ACME_KEY}", "https://x.example/v1", {}, "'acme': api_key: .*ACME_KEY is not set"),
        ("${TOOLCRIB_ADMIN_KEYS}", "https://x.example/v1", {}, "setting of Toolcrib itself"),
        ("${secret:other/key}", "https://x.example/v1", {}, "belongs to another"),
        ("${ACME_KEY}", "https://x.example/v1", {"ACME_KEY": "a\r\nx-evil: 1"}, "line break"),
        (None, "file:///etc/passwd", {}, "not an http or https URL"),
        (None, "http://user:pass@x.example/v1", {}, "user name or password"),
        (None, "${WHERE}", {"WHERE": "ftp://x.example"}, "not an http or https URL"),
    ],
)
def test_what_cannot_be_sent_is_refused_by_name(api_key, url, env, says):
    with pytest.raises(NotCallable, match=says):
        resolve(api_key, url, **env)
