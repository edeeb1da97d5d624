"""Server-sent events to changes: a line at a time, as a stream gives them. Knows no connection."""

from __future__ import annotations

from dataclasses import dataclass, field

from toolcrib_registry import wire
from toolcrib_registry.errors import ToolcribError


@dataclass(slots=True)
class ChangeEvents:
    """Reads the lines of a stream of changes."""

    last_id: str | None = None
    """The id of the last event that was read whole: where a reader that was cut off goes on."""
    _id: str | None = None
    _event: str = ""
    _data: list[str] = field(default_factory=list[str])

    def read(self, line: str) -> wire.ChangeOut | None:
        """Take a line; give the change when it ended one.

        Raises:
            ToolcribError: The stream says that it has to end, or what it sends is no change.
        """
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        if name == "data":
            self._data.append(value)
        elif name == "id":
            self._id = value
        elif name == "event":
            self._event = value
        return None if line else self._end()

    def _end(self) -> wire.ChangeOut | None:
        event, data, id_ = self._event, "\n".join(self._data), self._id
        self._event, self._data, self._id = "", [], None
        if event == "problem":
            raise ToolcribError(f"The server ended the stream of changes: {data}.")
        if event != "change" or not data:
            return None
        try:
            change = wire.ChangeOut.model_validate_json(data)
        except ValueError as error:
            raise ToolcribError("The stream of changes sent something else.") from error
        self.last_id = id_
        return change
