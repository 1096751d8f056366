"""What the pages share: tables, escaping, and the templates with all that they may be handed."""

import re
from html.parser import HTMLParser
from typing import Any

import numpy as np
import pytest

from assets.reports.figures import PanelFigure
from assets.reports.html import page_table, render
from assets.reports.lengths import Lengths
from assets.reports.plots import line_plot
from assets.reports.provenance import Origin
from assets.reports.sections import LeftOut, Scores, Slices
from assets.ssc.prompt_gallery import PromptsSeen

HOSTILE = "</td><script>alert('x')</script> \"quoted' & <b onmouseover=\"y\">{{ 7 * 7 }} \x00\x1b\u202e\udc80"
"""What a person may type as an expression, a category, or the name of a file or split."""
SHOWN = HOSTILE[:-4] + 4 * "\ufffd"
TEMPLATES = ("report.html.j2", "meres_report.html.j2", "tris_report.html.j2")


class Page(HTMLParser):
    """Tags and attributes of a page, and its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str | None]] = []
        self.texts: list[str] = []
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += attrs

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


def hostile_parts() -> dict[str, Any]:
    """Everything that any template asks for, with what people typed wherever words stand."""
    rows = [{"a": HOSTILE, "b": 0.5}]
    table = page_table(rows, ("a", "b"))
    odd = page_table([{HOSTILE: 1}], (HOSTILE,))
    shown = PanelFigure(panels=((HOSTILE, np.zeros((8, 9, 3), np.uint8)),), subject=HOSTILE, caption=HOSTILE)
    plot = line_plot({HOSTILE: [(0, 1), (1, 2)]}, x_label=HOSTILE, y_label=HOSTILE)
    return {
        "dataset": HOSTILE,
        "experiment": HOSTILE,
        "train": (HOSTILE,),
        "evaluate": (HOSTILE,),
        "embedded": True,
        "origins": [Origin(stages=(HOSTILE,), line=HOSTILE)],
        "reviewed": HOSTILE,
        "taught": [HOSTILE],
        "epochs": [HOSTILE],
        "epoch": HOSTILE,
        "labels": HOSTILE,
        "scores": Scores(table=table, rules=(HOSTILE,)),
        "text": table,
        "reasons": odd,
        "least_sure": odd,
        "absence": HOSTILE,
        "losses": {HOSTILE: plot},
        "gallery": [shown],
        "training": [shown],
        "ranked": [shown],
        "scored": [shown],
        "failures": odd,
        "failed": [shown],
        "prompts": PromptsSeen(score=HOSTILE, figures=[shown]),
        "several": [shown],
        "attention": True,
        "lengths": Lengths(table=table, published=True),
        "areas": table,
        "curves": {HOSTILE: plot},
        "matching": {"referents": 3, "shares": table, "gallery": [shown]},
        "slices": Slices(split=HOSTILE, table=table),
        "left_out": LeftOut(counts=table, references=odd),
    }


def cells(html: str) -> list[str]:
    return re.findall(r"<td>(.*?)</td>", html)


def test_a_table_shows_fractions_as_percentages_and_nothing_as_a_dash() -> None:
    table = page_table([{"a": 0.1234, "b": 7, "c": None, "d": "<x>", "left": "out"}], ("a", "b", "c", "d"))
    assert table.rows == [("12.3", "7", "-", "<x>")]


def test_leading_columns_of_words_are_told_from_numbers() -> None:
    rows = [{"split": "val", "method": "S+S", "rows": 7, "rule": "count"}]
    assert page_table(rows, ("split", "method", "rows", "rule")).words == 2
    assert page_table(rows, ("rows", "split")).words == 0
    assert page_table([{"split": "val", "method": None}], ("split", "method")).words == 1


@pytest.mark.parametrize("template", TEMPLATES)
def test_nothing_that_people_typed_breaks_out_of_its_place(template: str) -> None:
    html = render(template, **hostile_parts())
    page = Page(html)
    assert "script" not in page.tags
    assert not [name for name, _ in page.attributes if name.startswith("on")]
    assert "<script" not in html
    assert "49" not in cells(html)
    html.encode()
    assert SHOWN in page.texts
    assert not set(html) & set("\x00\x1b\u202e\udc80")
    assert [value for name, value in page.attributes if name == "alt"] == [f"{SHOWN}, {SHOWN}"] * html.count("<img")


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_tag_that_opens_closes(template: str) -> None:
    html = re.sub(r"<svg.*?</svg>", "", render(template, **hostile_parts()), flags=re.DOTALL)
    for tag in ("div", "figure", "figcaption", "table", "thead", "tbody", "tr", "p", "h1", "h2", "b", "i", "footer"):
        assert len(re.findall(rf"<{tag}[ >]", html)) == html.count(f"</{tag}>"), tag


@pytest.mark.parametrize("template", TEMPLATES)
def test_every_picture_and_plot_says_what_it_is_and_every_wide_table_scrolls_by_itself(template: str) -> None:
    html = render(template, **hostile_parts())
    assert html.count("<img") == html.count(' alt="') > 0
    assert html.count("<svg") == len(re.findall(r'<svg[^>]* role="img" aria-label="', html)) > 0
    assert html.count("<table") == html.count('<div class="scroll" role="region"') > 0


@pytest.mark.parametrize("template", TEMPLATES)
def test_without_any_ground_truth_the_page_says_so(template: str) -> None:
    nothing = {"scores": Scores(table=None, rules=()), "areas": None, "slices": Slices(split="val", table=None)}
    html = render(template, **{**hostile_parts(), **nothing})
    assert "There is no ground truth to compare with" in html
    assert "What is hard" not in html


@pytest.mark.parametrize(("embedded", "times"), [(True, 1), (False, 0)])
def test_a_page_of_small_models_says_what_their_numbers_are_worth(embedded: bool, times: int) -> None:
    html = render("tris_report.html.j2", **{**hostile_parts(), "embedded": embedded})
    assert html.count("no number here can be compared with a paper") == times


def test_the_foot_of_a_page_names_machine_and_versions() -> None:
    origins = [
        Origin(stages=("references", "scores"), line="Made on a CPU, with torch 2.11.0."),
        Origin(stages=("zs_bootstrap",), line="Made with torch 2.10.0."),
    ]
    html = render("report.html.j2", **{**hostile_parts(), "origins": origins})
    foot = html[html.index("<footer>") :]
    assert "<p>Made on a CPU, with torch 2.11.0.<br>references, scores</p>" in foot
    assert "<p>Made with torch 2.10.0.<br>zs_bootstrap</p>" in foot
