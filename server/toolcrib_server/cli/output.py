"""How answers look in a terminal: tables for people, JSON for scripts, progress on long work.

Answers go to standard output; progress, warnings and errors to standard error.
"""

from __future__ import annotations

import dataclasses
import json
import os
import select
import sys
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from datetime import date, datetime
from enum import StrEnum
from typing import Any, cast

from toolcrib_registry.numbers import tidy
from toolcrib_registry.spelling import camel

Cell = object

_LEAST_SHOWN = 16
_LEAST_OF_ALL = 4
_GAP = 2
_UNCUT = 10_000
_LONGEST_PROSE = 160


def print_json(value: Any) -> None:
    """Print a value as indented JSON."""
    print_line(json.dumps(plain(value), indent=2, ensure_ascii=False))


def print_line(text: str) -> None:
    """Print a line of an answer. On a terminal, others' control characters do not reach it."""
    text = text.encode("utf-8", "replace").decode()
    sys.stdout.write((_printable(text) if sys.stdout.isatty() else text) + "\n")


def print_piece(text: str) -> None:
    """Print part of an answer at once, with no line break of ours."""
    text = text.encode("utf-8", "replace").decode()
    sys.stdout.write(_printable(text) if sys.stdout.isatty() else text)
    sys.stdout.flush()


def print_note(text: str) -> None:
    """Print a line that is not part of the answer, as harmless to a terminal as one that is."""
    text = text.encode("utf-8", "replace").decode()
    sys.stderr.write((_printable(text) if sys.stderr.isatty() else text) + "\n")
    sys.stderr.flush()


def counted(number: int, noun: str) -> str:
    """Say how many there are of something: ``1 tool``, ``2 tools``."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Style(StrEnum):
    """What a part of a line is, for a terminal that has colours: an SGR sequence's numbers."""

    PLAIN = ""
    STRONG = "1"
    FAINT = "2"
    NEW = "32"
    GONE = "31;9"
    GONE_ACTION = "31"
    ALARM = "33"


def has_colour() -> bool:
    """Whether answers may have colours: on a terminal, unless ``NO_COLOR`` is set."""
    return sys.stdout.isatty() and not os.environ.get("NO_COLOR")


def print_styled(*parts: tuple[str, Style]) -> None:
    """Print a line of parts, each in its style where there are colours."""
    if not has_colour():
        print_line("".join(text for text, _ in parts))
        return
    clean = ((_printable(text.encode("utf-8", "replace").decode()), style) for text, style in parts)
    drawn = (f"\x1b[{style}m{text}\x1b[0m" if style else text for text, style in clean)
    sys.stdout.write("".join(drawn) + "\n")


def flush() -> None:
    """Send what was printed to whoever reads it.

    Raises:
        BrokenPipeError: nobody reads it any more.
    """
    sys.stdout.flush()
    # A reader that left shows at the next write; a watch may have nothing to write for hours.
    if not sys.stdout.isatty() and hasattr(select, "poll") and _is_unread(sys.stdout.fileno()):
        raise BrokenPipeError


def _is_unread(descriptor: int) -> bool:
    poll = select.poll()
    poll.register(descriptor, 0)
    return any(event & select.POLLERR for _, event in poll.poll(0))


def print_table(
    columns: Sequence[str],
    rows: Iterable[Sequence[Cell]],
    *,
    empty: str,
    spare: Sequence[str] = (),
) -> None:
    """Print rows under headings, or ``empty`` when there are none.

    A row is a line, whatever its cells hold. In a terminal without room for all, the ``spare``
    columns are left out, the first of them first, and the last column gives way; elsewhere nothing
    is cut but what its caller clips.
    """
    lines = [[_cell(cell) for cell in row] for row in rows]
    if not lines:
        print_line(empty)
        return
    # Rich is imported late: most of a command's time would be its import.
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    console = Console(highlight=False, width=None if sys.stdout.isatty() else _UNCUT)
    table = Table(box=None, pad_edge=False, header_style="bold")
    columns, lines = _spared(columns, lines, spare, console.width)
    for column, width in zip(columns, widths(columns, lines, console.width), strict=True):
        table.add_column(column, no_wrap=True, overflow="ellipsis", width=width)
    for line in lines:
        # `Text`, because names and descriptions are other people's and may look like markup.
        table.add_row(*(Text(cell) for cell in line))
    with console.capture() as drawn:
        console.print(table)
    for drawn_line in drawn.get().splitlines():
        sys.stdout.write(drawn_line.rstrip() + "\n")


def clipped(text: str | None) -> str | None:
    """Cut a description, a query or the like to what a table has room for; JSON has it whole."""
    if text is None:
        return None
    line = " ".join(text.split())
    return line if len(line) <= _LONGEST_PROSE else f"{line[: _LONGEST_PROSE - 1]}…"


def widths(columns: Sequence[str], lines: Sequence[Sequence[str]], room: int) -> list[int]:
    """Give each column its width; where there is no room, the last gives way, then the widest."""
    widths = _full_widths(columns, lines)
    missing = sum(widths) + _GAP * (len(widths) - 1) - room
    by_size = sorted(range(len(widths) - 1), key=lambda i: -widths[i])
    for least in (_LEAST_SHOWN, _LEAST_OF_ALL):
        for i in (len(widths) - 1, *by_size):
            given = min(max(missing, 0), max(widths[i] - least, 0))
            widths[i] -= given
            missing -= given
    return widths


def _spared(
    columns: Sequence[str], lines: list[list[str]], spare: Sequence[str], room: int
) -> tuple[Sequence[str], list[list[str]]]:
    """Leave out spare columns as long as more than the last would have to give way."""
    for column in spare:
        *firm, last = _full_widths(columns, lines)
        if sum(firm) + _GAP * len(firm) + min(last, _LEAST_SHOWN) <= room:
            break
        at = columns.index(column)
        columns = [*columns[:at], *columns[at + 1 :]]
        lines = [[*line[:at], *line[at + 1 :]] for line in lines]
    return columns, lines


def _full_widths(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[int]:
    from rich.cells import cell_len  # noqa: PLC0415  # as above

    return [
        max(cell_len(column), *(cell_len(line[i]) for line in lines))
        for i, column in enumerate(columns)
    ]


def _cell(value: Cell) -> str:
    if value is None:
        return "-"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        return value.astimezone().strftime("%Y-%m-%d %H:%M:%S")
    return " ".join(_printable(str(value)).split())


def _printable(text: str) -> str:
    """Drop control characters: what upstream servers send must not drive the terminal."""
    return "".join(c if c.isprintable() or c in "\n\t" else "�" for c in text)


def plain(value: Any) -> Any:
    """Turn domain objects into what JSON can hold, in the wire's spelling."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        pairs = ((f.name, getattr(value, f.name)) for f in dataclasses.fields(value))
        return {camel(name): plain(item) for name, item in pairs}
    if isinstance(value, Mapping):
        return {str(k): plain(v) for k, v in cast("Mapping[Any, Any]", value).items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in cast("Iterable[Any]", value)]
    if isinstance(value, datetime | date):
        return value.isoformat()
    return tidy(value) if isinstance(value, float) else value


@contextmanager
def progress(label: str, *, quiet: bool = False) -> Generator[Progress]:
    """Show a bar on standard error while a block runs, where somebody is there to see it."""
    if quiet:
        yield Progress(None)
        return
    if not sys.stderr.isatty():
        yield Progress(_Lines(label))
        return
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import (  # noqa: PLC0415
        BarColumn,
        MofNCompleteColumn,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as Bar  # noqa: PLC0415

    columns = (TextColumn(label), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        yield Progress(_Bar(bar))


class Progress:
    """Called with (done, total) from any thread."""

    def __init__(self, view: _Bar | _Lines | None) -> None:
        self._view = view
        self._done = self._total = 0

    def __str__(self) -> str:
        """Say how far it is: ``3 of 7``; '' before anything is known of it."""
        return f"{self._done} of {self._total}" if self._total else ""

    def __call__(self, done: int, total: int) -> None:
        """Show how far it is."""
        self._done, self._total = done, total
        if self._view:
            self._view.show(done, total)


class _Bar:
    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._task: Any = None

    def show(self, done: int, total: int) -> None:
        if self._task is None:
            self._task = self._bar.add_task("", total=total)
        self._bar.update(self._task, completed=done, total=total)


class _Lines:
    """Where there is no terminal: a line for each tenth, and none for short work."""

    _SHORT = 500

    def __init__(self, label: str) -> None:
        self._label = label
        self._tenth = 0

    def show(self, done: int, total: int) -> None:
        tenth = 10 * done // max(total, 1)
        if total >= self._SHORT and tenth > self._tenth:
            self._tenth = tenth
            print_note(f"{self._label}: {done} of {total}")
