"""Each notebook as a page that nobody serves: exported, opened without a network, and read."""

from __future__ import annotations

from pathlib import Path

import pytest
from nbconvert import HTMLExporter

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9][0-9]*_*.ipynb"))
LETTERS_PX = 11
# Every text that is seen and smaller than that, in the page or in one of its frames; indices of formulas are small by nature.
SMALL = """limit => {
    const found = [], texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (texts.nextNode()) {
        const text = texts.currentNode, place = text.parentElement;
        if (!text.textContent.trim() || place.closest('style, script, sub, sup') || !place.checkVisibility()) continue;
        const { a, b } = (place.closest('svg') && place.getScreenCTM?.()) || { a: 1, b: 0 };
        const drawn = Math.hypot(a, b); // a turned letter is as large as it was
        const size = parseFloat(getComputedStyle(place).fontSize) * drawn;
        if (size < limit - 0.05) found.push([size, text.textContent.trim().slice(0, 40)]);
    }
    return found;
}"""


# What is neither code nor printed by it, where a dollar is no formula.
PROSE = """() => {
    const main = document.querySelector('main').cloneNode(true);
    main.querySelectorAll('pre, code, style, script, iframe').forEach((part) => part.remove());
    return main.textContent;
}"""


@pytest.mark.browser
@pytest.mark.slow
@pytest.mark.sampled(5)
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_an_exported_notebook_can_be_read_without_a_network(page, path: Path, tmp_path: Path) -> None:
    html, _ = HTMLExporter().from_filename(str(path))
    target = tmp_path / f"{path.stem}.html"
    target.write_text(html)
    page.context.set_offline(True)
    page.goto(f"file://{target}")
    page.wait_for_timeout(500)
    for frame in page.frames:
        assert frame.evaluate(SMALL, LETTERS_PX) == [], "letters that are too small"
    assert "Error displaying widget" not in page.inner_text("main")
    prose = page.evaluate(PROSE)
    assert len(prose) > 1000 and "\\frac" not in prose and "$" not in prose
    assert page.locator("img:not([alt]), img[alt='']").count() == 0
    assert page.evaluate("document.documentElement.scrollWidth") <= 1280, "the page is wider than its window"
