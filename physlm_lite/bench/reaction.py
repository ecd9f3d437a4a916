"""How fast the pictures of the lessons follow the finger: from an input event to the next picture on the screen.

A scripted hand drags through every picture and moves every slider, in a headless Chromium and by the browser's own events.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import statistics
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..lab.frame import Touch

CHROMIUM_NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MOVES = 12  # of the hand, from one end of a picture to the other
# When the browser has drawn what an event led to. A hand that holds nothing does not count.
WATCH = """() => {
    window.reaction = [];
    const seen = (event) => {
        if (event.type === 'pointermove' && !event.buttons) return;
        requestAnimationFrame(() => setTimeout(() => reaction.push(performance.now() - event.timeStamp)));
    };
    for (const kind of ['pointermove', 'input', 'keydown']) addEventListener(kind, seen, true);
}"""
SHOWN = "document.querySelector('.touch').innerHTML"


def chromium() -> str | None:
    """The path of a Chromium, or None."""
    names = [os.environ["PHYSLM_CHROMIUM"]] if os.environ.get("PHYSLM_CHROMIUM") else CHROMIUM_NAMES
    return next(filter(None, map(shutil.which, names)), None)


def pictures() -> dict[str, Touch]:
    """Each picture that follows the finger, as its notebook shows it."""
    from ..lessons.brevo.figures import brevo_graph
    from ..lessons.canon_layer.figures import canon_taps
    from ..lessons.depo.figures import depo_ring
    from ..lessons.lano.figures import lano_walk
    from ..lessons.mamba2_and_gated_delta.figures import delta_state
    from ..tasks import Brevo, Depo, Lano

    return {
        "Canon taps": canon_taps(),
        "Depo ring": depo_ring(Depo(N=8, K=6, V=12, longest=1, sizes="fixed")),
        "Brevo graph": brevo_graph(Brevo(N=8, sizes="fixed"), seed=1),
        "Lano tree": lano_walk(Lano("cfg3f", root=14, context=None)),
        "delta rule": delta_state(),
    }


def walk(page: Any, frame: Any, moves: int = MOVES) -> tuple[list[float], list[str]]:
    """Drag through every picture of a frame, and move its sliders by keys. page, frame: those of Playwright's sync interface.

    Returns the milliseconds of all events, and the names of those parts that changed nothing.
    """
    frame.evaluate(WATCH)
    idle = []
    for picture in frame.locator("svg.follows").all():
        before = frame.evaluate(SHOWN)
        picture.scroll_into_view_if_needed()
        box = picture.bounding_box()
        for begin, end in ((0.3, 0.8), (0.85, 0.15)):  # across, once down and once up
            page.mouse.move(box["x"] + 0.1 * box["width"], box["y"] + begin * box["height"])
            page.mouse.down()
            page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + end * box["height"], steps=moves)
            page.mouse.up()
        if frame.evaluate(SHOWN) == before:
            idle.append(picture.get_attribute("aria-label"))
    for dial in frame.locator("input[type=range], g[role=slider]").all():
        dial.focus()
        seen = set()
        for key in ("Home", "ArrowRight", "ArrowRight", "ArrowLeft", "End", "ArrowLeft"):
            dial.press(key)
            seen.add(frame.evaluate(SHOWN))
        if len(seen) < 3:
            idle.append(dial.get_attribute("aria-label") or dial.get_attribute("id"))
    return frame.evaluate("new Promise((done) => setTimeout(() => done(reaction), 50))"), idle


def bench_reaction(quick: bool = False) -> dict[str, Any]:
    """The median over the events of each picture, in ms; nothing where Playwright or a Chromium is missing."""
    path = chromium()
    if path is None or importlib.util.find_spec("playwright") is None:
        return {}
    from playwright.sync_api import sync_playwright

    rows = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=["--no-sandbox", "--disable-gpu"])
        for name, picture in pictures().items():
            page = browser.new_page(viewport={"width": 1000, "height": 900})
            page.set_content(picture.page())
            page.wait_for_selector(".touch")
            times, _ = walk(page, page.main_frame, MOVES // 4 if quick else MOVES)
            rows[name] = {"ms": round(statistics.median(times), 2)}
            page.close()
        browser.close()
    return rows
