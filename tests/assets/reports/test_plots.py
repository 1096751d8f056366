"""Plots of pages: well formed, escaped, in the colours of the page, and the same bytes every time."""

import math
from collections.abc import Iterable
from xml.etree import ElementTree

import numpy as np
import pytest
from markupsafe import Markup

from assets.reports.plots import LEGEND_LETTERS, PointGroup, line_plot, scatter_plot, without_styles

SVG = "{http://www.w3.org/2000/svg}"
ODD = 'train <loss> & "co" \x00$_{x}$'


def parsed(svg: Markup) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


def texts(svg: Markup) -> list[str | None]:
    return [node.text for node in parsed(svg).iter(f"{SVG}text")]


def lines(svg: Markup) -> list[list[tuple[float, float]]]:
    """Points of each coloured line of a plot, in its own units."""
    paths = [node for node in parsed(svg).iter(f"{SVG}path") if "stroke-width: 1.5" in node.attrib.get("style", "")]
    return [list(points(path.attrib["d"].split())) for path in paths]


def points(words: list[str]) -> Iterable[tuple[float, float]]:
    numbers = [float(word) for word in words if word not in "MLZ"]
    return zip(numbers[::2], numbers[1::2], strict=True)


def test_a_curve_is_well_formed_and_skips_what_is_not_finite() -> None:
    svg = line_plot(
        {ODD: [(0, 2.0), (1, math.nan), (2, 1.0)], "val": [(0, 1.5), (1, 1.5), (2, math.inf)]},
        x_label="step",
        y_label='"loss"',
    )
    train, val = lines(svg)[:2]
    assert [len(train), len(val)] == [2, 2]
    assert train[0][1] < train[1][1]
    assert 'train <loss> & "co" \ufffd$_{x}$' in texts(svg)
    assert parsed(svg).attrib["aria-label"] == '"loss" over step'


@pytest.mark.parametrize("ends", [(3.6e-6, 1), (1, 1000)])
def test_numbers_on_an_axis_are_short(ends: tuple[float, float]) -> None:
    numbers = [text for text in texts(line_plot({"a": [(x, x) for x in ends]}, x_label="x", y_label="y")) if text]
    told = [text for text in numbers if text not in "axy"]
    assert len(told) >= 8
    assert all(len(text) <= 4 for text in told)


def test_a_given_range_of_heights_is_kept() -> None:
    svg = line_plot({"a": [(0, 0), (1, 1)], "b": [(0, 0.5), (1, 0.5)]}, x_label="x", y_label="y", y_range=(0, 2))
    (low, high), (middle, _) = (sorted(y for _, y in line) for line in lines(svg)[:2])
    assert middle == pytest.approx((low + high) / 2, abs=0.01)
    edges = [float(y) for node in parsed(svg).iter(f"{SVG}rect") for y in [node.attrib["y"], node.attrib["height"]]]
    assert high - low == pytest.approx(edges[1] / 2, abs=0.01)


def test_an_empty_curve_is_an_empty_plot() -> None:
    assert {"step", "loss"} <= set(texts(line_plot({"train": []}, x_label="step", y_label="loss")))
    parsed(line_plot({}, x_label="step", y_label="loss"))


def test_one_line_needs_no_legend_and_two_have_one() -> None:
    one, two = ({name: [(0, 1), (1, 2)] for name in names} for names in (("a",), ("a", "b")))
    assert "a" not in texts(line_plot(one, x_label="x", y_label="y"))
    assert {"a", "b"} <= set(texts(line_plot(two, x_label="x", y_label="y")))


def test_many_lines_have_their_legend_below_the_axes_and_no_two_look_alike() -> None:
    names = [f"experiment {number}" for number in range(12)]
    series = {name: [(0, 1), (1, 2)] for name in names}
    svg = line_plot(series, x_label="recall", y_label="y", legend_below=True)
    heights = {node.text: float(node.attrib["y"]) for node in parsed(svg).iter(f"{SVG}text") if "y" in node.attrib}
    assert all(heights[name] > heights["recall"] for name in names)
    drawn = [node.attrib["style"] for node in parsed(svg).iter(f"{SVG}path") if "width: 1.5" in str(node.attrib)]
    assert len(set(drawn)) == 12


def test_a_long_name_is_folded_in_the_legend_below() -> None:
    name = f"{'long_name_' * 6}: ZSBootstrap"
    svg = line_plot({name: [(0, 1), (1, 2)]}, x_label="recall", y_label="y", legend_below=True)
    told = [text for text in texts(svg) if text]
    assert "".join(told[told.index("y") + 1 :]).replace(" ", "") == name.replace(" ", "")
    assert max(map(len, told)) <= LEGEND_LETTERS


def test_a_plot_without_styles_has_the_same_parts_with_attributes() -> None:
    svg = line_plot({"a": [(0, 1), (1, 3)], ODD: [(0, 2), (1, 1)]}, x_label="x", y_label="y")
    bare = without_styles(svg)
    assert "style" not in bare
    for styled, plain in zip(parsed(svg).iter(), parsed(bare).iter(), strict=True):
        rules = [rule.split(":") for rule in styled.attrib.get("style", "").split(";") if rule]
        assert all(plain.attrib[name.strip()] == value.strip() for name, value in rules)
    assert texts(svg) == texts(bare)


def test_steps_are_whole_numbers() -> None:
    told = texts(line_plot({"loss": [(x, x) for x in range(1, 7)]}, x_label="step", y_label="loss"))
    assert not [text for text in told[: told.index("step")] if text and "." in text]


def test_a_plot_has_the_same_bytes_every_time_and_names_no_date() -> None:
    first, again = (line_plot({"a": [(0, 1), (1, 3)]}, x_label="x", y_label="y") for _ in range(2))
    assert first == again
    assert "metadata" not in first


def test_plots_of_different_data_share_no_identifier() -> None:
    one, other = (line_plot({"a": [(0, 1), (1, top)]}, x_label="x", y_label="y") for top in (3, 4))
    ids = [{node.attrib["id"] for node in parsed(svg).iter() if "id" in node.attrib} for svg in (one, other)]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_a_plot_takes_the_colours_of_its_page_and_styles_nothing_else() -> None:
    svg = line_plot({"a": [(0, 1), (1, 3)]}, x_label="x", y_label="y")
    assert "currentColor" in svg
    assert "#010203" not in svg
    assert "<style" not in svg
    assert "#ffffff" not in svg


def test_a_scatter_plot_names_its_kinds_and_draws_every_point() -> None:
    groups = [
        PointGroup(name=name, points_P2=np.arange(2 * count).reshape(count, 2).astype(float), size=9, colour=colour)
        for name, count, colour in (("words", 3, "#1d78dc"), ("<pixels>", 5, "#2a9d54"), ("none", 0, "#e63946"))
    ]
    svg = scatter_plot(groups, alt="a plane & its points")
    assert {"words", "<pixels>", "none"} <= set(texts(svg))
    marks = [node for node in parsed(svg).iter(f"{SVG}use") if "fill: #" in node.attrib.get("style", "")]
    legend = 3
    assert len(marks) == 3 + 5 + legend
    assert parsed(svg).attrib["aria-label"] == "a plane & its points"
