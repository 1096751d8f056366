"""Plots of pages: matplotlib's SVG inside of the HTML, in the colours of the page and with the same bytes every time.

Shapes: P points.
"""

import hashlib
import io
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from html import escape
from textwrap import wrap

import numpy as np
from markupsafe import Markup
from matplotlib import rc_context
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator
from numpy.typing import NDArray

from assets.reports.text import visible
from ops.visualisation import PALETTE

Curve = Sequence[tuple[float, float]]
"""(x, y) of each point."""
INK = "#010203"
"""A colour that no line has: what is drawn in it takes the colour of the page's text."""
STYLE = {
    "axes.edgecolor": INK,
    "axes.grid": True,
    "axes.labelcolor": INK,
    "axes.spines.right": False,
    "axes.spines.top": False,
    "font.size": 10,
    "grid.alpha": 0.2,
    "grid.color": INK,
    "legend.frameon": False,
    "savefig.transparent": True,
    "svg.fonttype": "none",
    "text.color": INK,
    "text.parse_math": False,
    "xtick.color": INK,
    "ytick.color": INK,
}
DASHES = ("-", "--", ":")
LEGEND_LINE = 0.21
"""Height of a line of the legend, inches."""
LEGEND_LETTERS = 48
"""Letters of a name that fit into a line of the legend, unless most of them are wide."""
NO_METADATA = dict.fromkeys(("Creator", "Date", "Format", "Type"))


@dataclass(frozen=True, kw_only=True)
class PointGroup:
    """Points of one kind in a scatter plot."""

    name: str
    points_P2: NDArray[np.floating]
    size: float
    """Area of a marker, square points."""
    colour: str
    marker: str = "o"


def line_plot(
    series: Mapping[str, Curve],
    *,
    x_label: str,
    y_label: str,
    y_range: tuple[float, float] | None = None,
    legend_below: bool = False,
) -> Markup:
    """One line for each name, with a legend where there are several; points that are not finite are left out.

    After ten lines colours come again, dashed.

    Args:
        series: name in the legend -> points.
        x_label: below the plot.
        y_label: beside it.
        y_range: where the axis begins and ends; without it, where the values do.
        legend_below: each name below the plot, in lines of its own, for many or long names.
    """
    finite = {name: [point for point in curve if np.isfinite(point).all()] for name, curve in series.items()}
    labels = {name: _folded(name) if legend_below else visible(name) for name in finite}
    lines = sum(1 + label.count("\n") for label in labels.values()) if legend_below else 0
    with _plot(salt=repr((finite, x_label, y_label)), size=(5, 2.6 + LEGEND_LINE * lines)) as (figure, axes):
        for number, (name, curve) in enumerate(finite.items()):
            xs, ys = zip(*curve, strict=True) if curve else ((), ())
            dash = DASHES[number // len(PALETTE) % len(DASHES)]
            axes.plot(xs, ys, label=labels[name], color=_colour(number), linewidth=1.5, linestyle=dash)
        axes.set(xlabel=visible(x_label), ylabel=visible(y_label))
        whole = all(float(x).is_integer() for curve in finite.values() for x, _ in curve)
        axes.xaxis.set_major_locator(MaxNLocator(5, integer=whole))
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if y_range is not None:
            axes.set_ylim(*y_range)
        if legend_below and finite:
            figure.legend(loc="outside lower left")
        elif len(finite) > 1:
            axes.legend()
        return _inline(figure, alt=f"{y_label} over {x_label}")


def scatter_plot(groups: Sequence[PointGroup], *, alt: str) -> Markup:
    """Points of several kinds in a plane whose axes have no unit; the legend stands beside it."""
    salt = repr([(group.name, group.points_P2.tolist()) for group in groups])
    with _plot(salt=salt, size=(4.6, 2.2)) as (figure, axes):
        axes.set(xticks=[], yticks=[])
        for group in groups:
            xs, ys = group.points_P2.T
            axes.scatter(xs, ys, s=group.size, c=group.colour, marker=group.marker, label=visible(group.name))
        figure.legend(loc="outside right upper", fontsize=8)
        return _inline(figure, alt=alt)


def without_styles(plot: Markup) -> Markup:
    """The plot with attributes in place of styles, for pages whose policy lets no element bring its own."""

    def attributes(style: re.Match[str]) -> str:
        pairs = (rule.split(":", 1) for rule in style[1].split(";") if rule.strip())
        return " ".join(f'{name.strip()}="{value.strip()}"' for name, value in pairs)

    return Markup(re.sub(r'style="([^"]*)"', attributes, plot))  # noqa: S704 - markup of our own before and after


@contextmanager
def _plot(*, salt: str, size: tuple[float, float]) -> Iterator[tuple[Figure, Axes]]:
    """An empty plot; ids of its parts follow from `salt`, so that two plots of a page share none by chance."""
    with rc_context({**STYLE, "svg.hashsalt": hashlib.sha256(salt.encode("utf-8", "replace")).hexdigest()}):
        figure = Figure(figsize=size, layout="constrained")
        yield figure, figure.add_subplot()


def _inline(figure: Figure, *, alt: str) -> Markup:
    """The figure as an element of a page: no prolog, no size but its proportions, no style for the whole page."""
    buffer = io.StringIO()
    figure.savefig(buffer, format="svg", metadata=NO_METADATA)
    svg = buffer.getvalue()
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    content = svg[svg.index(">", svg.index("<svg")) + 1 :]
    content = re.sub(r"<defs>\s*<style.*?</style>\s*</defs>", "", content, count=1, flags=re.DOTALL)
    content = re.sub(r'<g id="[^"]*"', "<g", content).replace(INK, "currentColor")
    label = escape(visible(alt), quote=True)
    namespaces = 'xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"'
    style = "stroke-linejoin:round;stroke-linecap:butt"
    root = f'<svg class="plot" {box[0]} role="img" aria-label="{label}" style="{style}" {namespaces}>'
    return Markup(root + content.strip())  # noqa: S704 - matplotlib escapes what it writes, and `label` is escaped


def _folded(name: str) -> str:
    """A name in lines that fit below a plot."""
    return "\n".join(wrap(visible(name), LEGEND_LETTERS))


def _colour(number: int) -> str:
    return "#{:02x}{:02x}{:02x}".format(*PALETTE[number % len(PALETTE)])
