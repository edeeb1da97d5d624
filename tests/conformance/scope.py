"""Which scenarios have a meaning where: the rest need fixtures that are not there."""

from __future__ import annotations

from collections.abc import Mapping

GENERIC: Mapping[str, frozenset[str]] = {
    "2026-07-28": frozenset(
        {
            "server-stateless",
            "tools-list",
            "resources-list",
            "prompts-list",
            "dns-rebinding-protection",
            "http-header-validation",
            "sep-2164-resource-not-found",
            "server-sse-multiple-streams",
            "caching",
        }
    ),
    "2025-11-25": frozenset(
        {
            "server-initialize",
            "server-session-lifecycle",
            "ping",
            "logging-set-level",
            "tools-list",
            "resources-list",
            "prompts-list",
            "dns-rebinding-protection",
            "server-sse-multiple-streams",
        }
    ),
}
"""What can be asked of any server."""

NOT_BRIDGED: Mapping[str, Mapping[str, str]] = {
    "2026-07-28": dict.fromkeys(
        (
            "input-required-result-basic-elicitation",
            "input-required-result-basic-sampling",
            "input-required-result-basic-list-roots",
            "input-required-result-request-state",
            "input-required-result-multiple-input-requests",
            "input-required-result-multi-round",
            "input-required-result-non-tool-request",
            "input-required-result-result-type",
            "input-required-result-tampered-state",
            "input-required-result-capability-check",
        ),
        "their fixtures answer `input_required`, which no server of the handshake era can",
    ),
    "2025-11-25": dict.fromkeys(
        (
            "tools-call-sampling",
            "tools-call-elicitation",
            "elicitation-sep1034-defaults",
            "elicitation-sep1330-enums",
        ),
        "their fixtures send requests to the client, which no server of 2026-07-28 can",
    ),
}
"""Scenarios whose fixture itself does not work in the era that the server behind the bridge has."""


def is_about_signing_in(scenario: str) -> bool:
    """Whether a scenario for clients asks them to get themselves a token."""
    return scenario.startswith("auth/")
