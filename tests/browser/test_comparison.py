"""A person looks where two experiments differ: both masks side by side, split by split, and on to the gallery."""

from pathlib import Path
from typing import Any

import pytest

from assets.reports.comparison.writing import write_comparison
from assets.reports.gallery.writing import write_gallery
from tests.browser.test_gallery import COVERED, PAINTED, until
from tests.browser.test_ui import CHROMIUM, page  # noqa: F401  a fixture
from tests.comparisons import compared, measured
from tests.galleries import grey, simulated

pytestmark = [
    pytest.mark.browser,
    pytest.mark.skipif(not CHROMIUM.exists(), reason=f"no browser at {CHROMIUM}"),
]


@pytest.mark.timeout(200)
def test_masks_that_differ_stand_side_by_side(page: Any, tmp_path: Path) -> None:  # noqa: F811
    seen = measured(compared(["base", "other", "third"], images=30, trained=["other", "third"]))
    write_gallery(simulated(30), tmp_path / "gallery", grey, links=[("Comparison of all", "../../page/index.html")])
    gallery = "../gallery/simulated/index.html"
    written = write_comparison(seen, tmp_path, grey, gallery=gallery, drawn=tmp_path / "gallery" / "simulated")
    problems: list[str] = []
    page.on("pageerror", lambda problem: problems.append(str(problem)))
    page.set_viewport_size({"width": 1300, "height": 900})
    page.goto(written.page.as_uri())
    until(page, f"({PAINTED})('canvas') > 20")
    assert page.locator("article.pair").count() == 12
    assert page.locator("article.pair").first.locator("figcaption b").all_inner_texts() == [
        "other",
        "third",
        "ground truth",
    ]
    assert page.locator("article.said").count() == 3
    until(page, f"({PAINTED})('article.said canvas') > 20")
    first_said = page.locator("article.said").first.locator("figcaption b").all_inner_texts()
    assert first_said == ["other", "third", "ground truth"] * 3
    page.screenshot(path=tmp_path / "light.png", full_page=True)

    page.get_by_label("Experiments").select_option(label="base, other: choice (S2)")
    page.get_by_label("Split").select_option("val")
    until(page, "location.hash === '#pair=1&split=val'")
    pair = seen.pairs[1]
    farthest = next(iter(pair.ious["val"]))
    row = next(row for row in seen.comparison.rows if row.sent_id == farthest)
    first = page.locator("article.pair").first
    assert first.locator("h3").inner_text() == row.expression
    until(page, f"({PAINTED})('canvas') > 5")
    for title, masks in seen.comparison.parts[1].masks.items():
        mask = masks.masks[farthest]
        if title in ("base", "other") and mask:
            assert page.evaluate(COVERED.replace('"figure"', '"article.pair figure"'), title) == pytest.approx(
                mask.area / (mask.height * mask.width), rel=0.02
            )
    until(page, "[...document.images].every((image) => image.complete && image.naturalWidth)")
    page.get_by_role("button", name="More").click()
    assert page.locator("article.pair").count() > 12

    page.emulate_media(color_scheme="dark")
    page.set_viewport_size({"width": 390, "height": 844})
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(23, 23, 26)"
    page.screenshot(path=tmp_path / "phone.png")
    first.get_by_role("link", name="in the gallery").click()
    page.get_by_role("heading", name=row.expression, exact=True).wait_for()
    page.get_by_role("link", name="Comparison of all", include_hidden=True).wait_for(state="attached")
    assert not problems
