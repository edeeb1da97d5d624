"""Spans: one trace from client to server, nothing secret in it, no harm by hostile ones."""

import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from toolcrib_registry.errors import InvalidArguments, UpstreamProtocolError, UpstreamUnavailable
from toolcrib_registry.types import ServerName
from toolcrib_server.invocation.errands.errand import Asker
from toolcrib_server.invocation.records.telemetry import TRACE_KEYS, well_formed

pytestmark = pytest.mark.anyio

SHOP = ServerName("shop")
TRACE, PARENT = "0af7651916cd43dd8448eb211c80319c", "00f067aa0ba902b7"
META = {
    "traceparent": f"00-{TRACE}-{PARENT}-01",
    "tracestate": "acme=1",
    "baggage": "user=42",
    "com.acme/kept": {"as": "it is"},
}


def traces(meta: dict[str, Any]) -> dict[str, Any]:
    return {key: meta[key] for key in TRACE_KEYS if key in meta}


async def test_without_a_provider_the_client_s_trace_goes_on_as_it_came(house_in, start_workshop):
    running = start_workshop()
    async with house_in() as house:
        await house.add(running.server())
        await house.invoker.call(
            "shop__write", {"text": "x"}, Asker(face="test", principal="me", meta=META)
        )
    (seen,) = running.workshop.metas
    assert traces(seen) == traces(META)
    assert seen["com.acme/kept"] == {"as": "it is"}


async def test_the_spans_join_the_client_s_trace_with_the_server_s(house_in, start_workshop):
    running = start_workshop()
    async with house_in(tracing=True) as house:
        await house.add(running.server())
        await house.invoker.call(
            "shop__write", {"text": "x"}, Asker(face="test", principal="me", meta=META)
        )
        client, server = house.spans.get_finished_spans()
    assert (server.name, server.kind) == ("tools/call shop__write", SpanKind.SERVER)
    assert (client.name, client.kind) == ("tools/call write", SpanKind.CLIENT)
    assert {f"{span.context.trace_id:032x}" for span in (client, server)} == {TRACE}
    assert f"{server.parent.span_id:016x}" == PARENT
    assert client.parent.span_id == server.context.span_id
    told = dict(client.attributes)
    assert told["mcp.method.name"] == "tools/call"
    assert told["gen_ai.operation.name"] == "execute_tool"
    assert told["gen_ai.tool.name"] == "write"
    assert told["network.transport"] == "tcp"
    assert (told["server.address"], told["server.port"]) == ("127.0.0.1", running.port)
    assert server.attributes["gen_ai.tool.name"] == "shop__write"
    (seen,) = running.workshop.metas
    assert seen["traceparent"] == f"00-{TRACE}-{client.context.span_id:016x}-01"
    assert seen["tracestate"] == "acme=1"
    assert seen["baggage"] == "user=42"
    assert seen["com.acme/kept"] == {"as": "it is"}


async def test_a_call_without_a_trace_begins_one_and_each_try_has_a_span(house_in, start_workshop):
    running = start_workshop()
    async with house_in(tracing=True) as house:
        await house.add(running.server())
        running.door.failures = 1
        await house.call("shop__read", text="x")
        first, second, server = house.spans.get_finished_spans()
    assert first.attributes["error.type"] == UpstreamUnavailable.code
    assert second.status.status_code is StatusCode.UNSET
    assert server.parent is None
    assert server.attributes["toolcrib.attempts"] == 2
    assert (
        running.workshop.metas[-1]["traceparent"].split("-")[2] == f"{second.context.span_id:016x}"
    )


async def test_failures_are_named_by_their_kind_and_never_by_values(house_in, start_workshop):
    async with house_in(tracing=True) as house:
        await house.add(start_workshop().server())
        await house.call("shop__fail")
        with pytest.raises(InvalidArguments):
            await house.call("shop__write", text=["my secret"])
        with pytest.raises(UpstreamProtocolError):
            await house.invoker.request(
                SHOP, "acme/unheard", {"x": "my secret"}, Asker(face="test", principal="me")
            )
        spans = house.spans.get_finished_spans()
    kinds = [span.attributes.get("error.type") for span in spans]
    assert kinds == [
        *(None, "tool_error", InvalidArguments.code),
        *(UpstreamProtocolError.code, UpstreamProtocolError.code),
    ]
    assert spans[3].attributes["rpc.response.status_code"] == "-32601"
    assert "my secret" not in "".join(span.to_json() for span in spans)
    assert [span.name for span in spans[3:]] == ["acme/unheard", "acme/unheard"]


async def test_a_resource_is_named_by_its_uri_in_an_attribute_alone(house_in, start_workshop):
    async with house_in(tracing=True) as house:
        await house.add(start_workshop().server())
        await house.invoker.request(
            SHOP, "resources/read", {"uri": "shelf://notes"}, Asker(face="test", principal="me")
        )
        span: ReadableSpan = house.spans.get_finished_spans()[-1]
    assert span.name == "resources/read"
    assert dict(span.attributes or {})["mcp.resource.uri"] == "shelf://notes"


HOSTILE = st.one_of(
    st.text(max_size=80),
    st.sampled_from(
        [
            f"00-{TRACE}-{PARENT}-01\n",
            f"00-{TRACE.upper()}-{PARENT}-01",
            f"ff-{TRACE}-{PARENT}-01",
            f"00-{'0' * 32}-{PARENT}-01",
            f"00-{TRACE}-{'0' * 16}-01",
            f"00-{TRACE}-{PARENT}-01-more",
            f"00-{TRACE}-{PARENT}-01",
            "a" * 10_000_000,
            "=," * 100_000,
            "k=v\r\nevil: header",
        ]
    ),
    st.integers(),
    st.lists(st.text(max_size=3)),
    st.dictionaries(st.text(max_size=3), st.integers()),
    st.none(),
)


@given(parent=HOSTILE, state=HOSTILE, baggage=HOSTILE)
def test_only_what_is_well_formed_is_handed_on(parent: Any, state: Any, baggage: Any) -> None:
    meta = {"traceparent": parent, "tracestate": state, "baggage": baggage, "kept": 1}
    clean = dict(well_formed(meta) or {})
    assert clean["kept"] == 1
    for key in TRACE_KEYS:
        if key in clean:
            assert isinstance(clean[key], str)
            assert len(clean[key]) <= 8192
            assert not set(clean[key]) & set("\r\n\0")
    if "traceparent" not in clean:
        assert "tracestate" not in clean
    if parent == META["traceparent"]:
        assert clean["traceparent"] == parent


@pytest.mark.parametrize("parent", ["x" * 5_000_000, f"00-{TRACE}-{PARENT}-01\r\nx", 7, None])
async def test_a_hostile_trace_is_dropped_and_the_call_goes_on(house_in, start_workshop, parent):
    running = start_workshop()
    meta = {"traceparent": parent, "tracestate": ["a"], "baggage": "é" * 100_000}
    async with house_in(tracing=True) as house:
        await house.add(running.server())
        started = time.process_time()
        await house.invoker.call(
            "shop__write", {"text": "x"}, Asker(face="test", principal="me", meta=meta)
        )
        assert time.process_time() - started < 3
        (_, server) = house.spans.get_finished_spans()
        assert server.parent is None
    (seen,) = running.workshop.metas
    assert "baggage" not in seen
    assert TRACE not in seen["traceparent"]
