"""Has a server looked at again when what it answers shows that the registry is out of date."""

from __future__ import annotations

from typing import Any

from mcp_types import INVALID_PARAMS

from toolcrib_registry.errors import UpstreamProtocolError
from toolcrib_registry.types import ServerStatus
from toolcrib_server.invocation.errands.errand import Errand

from .signs import (
    Drift,
    Notices,
    describe_drift,
    find_drift_in_error,
    find_drift_in_result,
    read_text,
)


class Lookout:
    """Reads answers for what they tell of the server."""

    def __init__(self, notices: Notices) -> None:
        self._notices = notices

    def explain(self, error: UpstreamProtocolError, errand: Errand) -> UpstreamProtocolError:
        """Say of an error that the tool is not what it was, if that is what it means."""
        tool = errand.target.tool
        drift = find_drift_in_error(tool, error) if tool else None
        if drift is None:
            return error
        self._notices.tell(errand.target.server.name)
        return describe_drift(error, drift)

    def read(self, result: dict[str, Any], errand: Errand) -> dict[str, Any]:
        """Hand a result on that is one.

        Raises:
            UpstreamProtocolError: It asks for what nobody here can give, or says that there is no
                such tool.
        """
        tool, server = errand.target.tool, errand.target.server
        if result.get("resultType") == "input_required" and not errand.asker.takes_input:
            raise UpstreamProtocolError(
                server.name,
                f"{errand.called} asks for something only a person can give, and nobody can be "
                "asked here.",
            )
        drift = find_drift_in_result(tool, result) if tool else None
        if drift is not None or server.health.status is ServerStatus.UNREACHABLE:
            self._notices.tell(server.name)
        if drift is Drift.GONE:
            # An error by the specification, whatever many servers do.
            error = UpstreamProtocolError(server.name, read_text(result), rpc_code=INVALID_PARAMS)
            raise describe_drift(error, drift)
        return result
