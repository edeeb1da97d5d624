"""Paper for pictures, light and dark, and how a picture is finished; the only door to matplotlib.

Colours are Okabe and Ito's, told apart by markers too; what is drawn stands in tables as well.
"""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from toolcrib_registry.errors import InvalidInput

from .measures import missing

_DPI: Final = 160
_WIDTH: Final = 9.0
_MARKERS: Final = "osD^vPX*h"
_LEGEND_COLUMNS: Final = 5


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of one paper."""

    name: str
    paper: str
    ink: str
    faint: str
    colours: tuple[str, ...]


_LIGHT: Final = Theme(
    "light",
    "#ffffff",
    "#1f2328",
    "#d8dde3",
    ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#8a6d00", "#3b9fd6", "#555b66", "#7b3fa0"),
)
_DARK: Final = Theme(
    "dark",
    "#14181d",
    "#e6e9ed",
    "#343b44",
    ("#56b4e9", "#ff9d5c", "#3fd0a4", "#e8a5cb", "#f0e442", "#8fb4ff", "#b3bac4", "#c79bee"),
)
THEMES: Final = (_LIGHT, _DARK)


@dataclass(frozen=True, slots=True)
class Plot:
    """A picture, and what it shows in words."""

    png: bytes
    caption: str


def check_available() -> None:
    """Check that the library is installed.

    Raises:
        InvalidInput: It is not; says what to install.
    """
    _figure_class()


def style(theme: Theme, place: int) -> dict[str, Any]:
    """Give the colour and marker of the line at ``place``."""
    return {
        "color": theme.colours[place % len(theme.colours)],
        "marker": _MARKERS[place % len(_MARKERS)],
        "markersize": 5.5,
    }


def open_paper(theme: Theme, height: float) -> tuple[Any, Any]:
    """Open a figure with one pair of axes, ``height`` inches high."""
    figure = _figure_class()(figsize=(_WIDTH, height), dpi=_DPI, facecolor=theme.paper)
    axes = figure.add_subplot()
    axes.set_facecolor(theme.paper)
    return figure, axes


def finish(figure: Any, axes: Any, theme: Theme, *, grid: str) -> bytes:
    """Finish a figure, with a legend above, and give it as PNG."""
    axes.grid(visible=True, axis=grid, color=theme.faint, linewidth=0.7)
    axes.set_axisbelow(True)
    axes.tick_params(colors=theme.ink, length=0, labelsize=10)
    for side in axes.spines.values():
        side.set_visible(False)
    for label in (axes.xaxis.label, axes.yaxis.label):
        label.set_color(theme.ink)
    handles, labels = axes.get_legend_handles_labels()
    figure.legend(
        handles,
        labels,
        loc="outside upper left",
        ncols=_columns(labels),
        frameon=False,
        labelcolor=theme.ink,
    )
    figure.set_layout_engine("constrained")
    out = io.BytesIO()
    figure.savefig(out, format="png", metadata={"Software": None})
    return out.getvalue()


def _columns(labels: Sequence[str]) -> int:
    return min(len(labels), _LEGEND_COLUMNS)


def _figure_class() -> Any:
    try:
        from matplotlib.figure import Figure  # noqa: PLC0415  # an extra, and slow to import
    except ImportError as error:
        raise InvalidInput(missing("matplotlib")) from error
    return Figure
