"""A person looks through a gallery on the disk: searches, filters, sorts, opens, on a phone and at night."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from assets.data.tables import ExpressionRow
from assets.reports.gallery.reading import Gallery
from assets.reports.gallery.writing import write_gallery
from tests.browser.test_ui import CHROMIUM, page  # noqa: F401  a fixture
from tests.galleries import OBJECTS, grey, simulated

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]
IMAGES = 60
ADA = 'Ada "A"'
ATTACK = "<img src=x onerror=document.title='taken'> red herring"
SHIFTS = """() => { window.shifts = 0; new PerformanceObserver((list) => {
  for (const one of list.getEntries()) window.shifts += one.value;
}).observe({type: "layout-shift", buffered: true}) }"""
PAINTED = """(selector) => [...document.querySelectorAll(selector)].filter((canvas) =>
  canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data.some((byte) => byte)).length"""
COVERED = """(title) => {
  const figure = [...document.querySelectorAll("figure")].find((one) => one.querySelector("b").textContent === title);
  const canvas = figure.querySelector("canvas");
  const {data} = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
  let count = 0;
  for (let at = 3; at < data.length; at += 4) count += data[at] > 0;
  return count / (canvas.width * canvas.height);
}"""
TITLES = ["image", "candidates (S1)", "response map", "choice (S2)", "model 0", "ground truth"]


def texts(page: Any) -> list[str]:  # noqa: F811
    """The expressions in view, from top to bottom."""
    rows = page.evaluate(
        "() => [...document.querySelectorAll('.row[id]')].map((row) => [+row.getAttribute('aria-posinset'),"
        " row.querySelector('b').textContent])"
    )
    return [text for _, text in sorted(rows)]


def until(page: Any, condition: str) -> None:  # noqa: F811
    """Playwright's own waiting evaluates text in the page, which its policy forbids."""
    deadline = time.monotonic() + 30
    while not page.evaluate(condition):
        assert time.monotonic() < deadline, condition
        time.sleep(0.03)


def read_by_keyboard(page: Any, gallery: Gallery) -> None:  # noqa: F811
    """The search, the list, one expression, the next, and back."""
    page.keyboard.press("/")
    page.keyboard.type("herring")
    page.get_by_text(f"1 of {IMAGES * OBJECTS**2} expressions").wait_for()
    assert (texts(page), page.title()) == ([ATTACK], "simulated - wordmask gallery")
    page.keyboard.press("Enter")
    page.get_by_role("heading", name=ATTACK).wait_for()
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Clear", exact=True).click()
    page.get_by_text(f"{IMAGES * OBJECTS**2} expressions").wait_for()
    page.focus("#list")
    page.keyboard.press("Home")
    for _ in range(9):
        page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")  # the first of the second image, of the split that is scored
    until(page, "document.querySelectorAll('figure').length > 3")
    assert page.locator("figure b").all_inner_texts() == TITLES
    row = gallery.rows[9]
    for title, mask in (
        ("choice (S2)", gallery.methods[0].masks[row.sent_id]),
        ("ground truth", gallery.truth[row.sent_id]),
    ):
        assert mask
        assert page.evaluate(COVERED, title) == pytest.approx(mask.area / (mask.height * mask.width), rel=0.02)
    assert page.get_by_role("img", name="mask by ground truth of").count() == 1
    assert page.locator(".taken").inner_text().split()[0] == str(gallery.methods[0].choices[row.ref_id].chosen)
    page.keyboard.press("ArrowRight")
    page.get_by_role("heading", name=gallery.rows[10].expression).wait_for()
    assert page.url.endswith(f"row={gallery.rows[10].sent_id}")
    page.go_back()
    until(page, "!document.getElementById('one').open")


def filtered(page: Any, gallery: Gallery) -> tuple[str, ExpressionRow]:  # noqa: F811
    """Filters, order, and an address that says all of it; with the row that it opens."""
    page.get_by_label("Split").select_option("val")
    page.get_by_label("Class").select_option("cup")
    page.get_by_label("Sort by").select_option("margin")
    page.get_by_label("From").fill("2")
    page.get_by_label("largest first").check()
    until(page, "location.hash.includes('down=1')")
    choices = gallery.methods[0].choices
    margins = {one.sent_id: choices[one.ref_id].margin for one in gallery.rows}
    wanted = [one for one in gallery.rows if one.split == "val" and gallery.classes[one.ref_id] == "cup"]
    wanted = [one for one in wanted if (margins[one.sent_id] or 0) >= 2]
    wanted.sort(key=lambda one: -(margins[one.sent_id] or 0))
    page.get_by_text(f"{len(wanted)} of").wait_for()  # all parts of the index are read
    first = "document.querySelector('.row[aria-posinset=\"1\"] b')?.textContent"
    until(page, f"{first} === {json.dumps(wanted[0].expression)}")  # rows are painted after the count
    assert texts(page)[:6] == [one.expression for one in wanted[:6]]
    linked = page.url + f"&row={wanted[3].sent_id}"
    page.get_by_role("button", name="Numbers").click()
    page.get_by_role("cell", name="model 0").wait_for()
    page.keyboard.press("Escape")
    return linked, wanted[3]


def linked_to_in_the_dark(page: Any, linked: str, opened: ExpressionRow, folder: Path) -> None:  # noqa: F811
    page.goto("about:blank")
    page.emulate_media(color_scheme="dark")
    page.goto(linked)
    page.get_by_role("heading", name=opened.expression).wait_for()
    page.get_by_text(f"expression {opened.sent_id},").wait_for()
    assert page.get_by_label("Sort by").input_value() == "margin"
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 23, 26)"
    page.screenshot(path=folder / "dark.png")
    page.keyboard.press("Escape")


def emptied_and_read_to_the_end(page: Any, gallery: Gallery) -> None:  # noqa: F811
    page.get_by_label("Reason").select_option("no candidate")
    page.get_by_text("No expression fits").wait_for()
    page.get_by_role("button", name="Clear all filters").click()
    page.get_by_text(f"{IMAGES * OBJECTS**2} expressions").wait_for()
    page.focus("#list")
    page.keyboard.press("End")
    assert texts(page)[-1] == gallery.rows[-1].expression
    until(page, "[...document.querySelectorAll('.row[id] small')].some((one) => /no candidate/.test(one.textContent))")


def only_what_a_person_reviewed(page: Any, gallery: Gallery) -> None:  # noqa: F811
    mine = [row.expression for row in gallery.rows if gallery.reviewers.get(row.ref_id) == ADA]
    page.get_by_label("Reviewed").select_option(f"by {ADA}")
    page.get_by_text(f"{len(mine)} of").wait_for()
    assert texts(page) == mine
    page.get_by_label("Reviewed").select_option("not yet")
    page.get_by_text(f"{len(gallery.rows) - OBJECTS * len(gallery.reviewers)} of").wait_for()
    page.get_by_role("button", name="Clear", exact=True).click()


def fits_a_phone(page: Any, folder: Path) -> None:  # noqa: F811
    for width in (390, 320):
        page.set_viewport_size({"width": width, "height": 844})
        page.screenshot(path=folder / f"phone_{width}.png")
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        assert page.evaluate("[...document.querySelectorAll('.row[id]')].every((row) => row.scrollWidth <= innerWidth)")


@pytest.mark.timeout(200)
def test_a_gallery_on_the_disk_is_searched_opened_and_linked_to(
    page: Any,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:
    for name, count in {"FIRST": 100, "FURTHER": 150}.items():  # its index comes in four parts
        monkeypatch.setattr(f"assets.reports.gallery.parts.{name}", count)
    gallery = simulated(IMAGES)
    attacked = gallery.rows[4]
    gallery = replace(
        gallery,
        rows=[replace(row, expression=ATTACK) if row is attacked else row for row in gallery.rows],
        reviewers={gallery.rows[0].ref_id: ADA, gallery.rows[-1].ref_id: "Bob"},
    )
    written = write_gallery(gallery, tmp_path, grey)
    next(written.page.parent.glob("thumbs/*")).unlink()  # nor does the page fall over a picture that is gone
    problems: list[str] = []
    page.on("pageerror", lambda problem: problems.append(str(problem)))
    page.set_viewport_size({"width": 1300, "height": 900})
    page.add_init_script(f"({SHIFTS})()")
    address = written.page.as_uri()
    page.goto(address)
    page.get_by_text(f"{IMAGES * OBJECTS**2} expressions").wait_for()
    until(page, f"document.documentElement.dataset.whole === '{IMAGES * OBJECTS**2}'")
    assert texts(page)[:5] == [row.expression for row in gallery.rows[:5]]
    until(page, f"({PAINTED})('.row[id] canvas') > 5")
    assert len(page.query_selector_all(".row")) < 30
    assert page.evaluate("window.shifts") < 0.01
    page.screenshot(path=tmp_path / "light.png")
    read_by_keyboard(page, gallery)
    linked, opened = filtered(page, gallery)
    linked_to_in_the_dark(page, linked, opened, tmp_path)
    emptied_and_read_to_the_end(page, gallery)
    only_what_a_person_reviewed(page, gallery)
    fits_a_phone(page, tmp_path)
    assert not problems
