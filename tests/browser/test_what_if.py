"""The what-if lab as a reader has it: chosen, guessed, run, watched, stopped, found again, gone on with, taken away, restored."""

from __future__ import annotations

import re
import statistics

import pytest
from jupyter_pages import assert_no_error_shown, open_with_cells, seconds_until

LAB = """
from physlm_lite.lessons.what_if_lab.dashboard import WhatIf
lab = WhatIf()
lab
"""
TINY = (
    "physlm:what-if?setting=copying%2C+toy&task.n=12&model.width=8&training.batch=8&training.evaluation_rows=16"
    "&training.evaluations=12&training.steps=3000&seeds=0&rates=0.004"
)
ENOUGH = 240_000  # milliseconds: for a busy machine
LINE = ".physlm-line input"
DONE = "[...document.querySelectorAll('.physlm-cell')].filter((cell) => cell.innerText === 'done').length === {}"
IN_TEXT = "document.body.innerText.includes({!r})"
# Buttons, names and numbers whose letters do not fit into their place, and pairs of buttons that lie on each other.
MISPLACED = """() => {
    const seen = [...document.querySelectorAll('.physlm-alive button, .physlm-cell, .physlm-number, .physlm-price')]
        .filter((one) => one.checkVisibility() && one.getBoundingClientRect().width > 0 && one.innerText.trim());
    const cut = seen.filter((one) => one.scrollWidth > one.clientWidth + 2).map((one) => one.innerText);
    const place = (one) => one.getBoundingClientRect();
    const over = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
    const buttons = seen.filter((one) => one.tagName === 'BUTTON');
    const pairs = buttons.flatMap((one, i) => buttons.slice(i + 1).filter((other) => over(place(one), place(other)))
        .map((other) => one.innerText + ' on ' + other.innerText));
    return [...cut, ...pairs];
}"""


def say(page, text: str) -> None:
    """Wait until the page says something."""
    page.wait_for_function(IN_TEXT.format(text), timeout=ENOUGH)


def open_tab(page, name: str) -> None:
    page.locator(".jupyter-widget-tab .lm-TabBar-tab", has_text=name).first.click()
    page.wait_for_selector(".physlm-option:visible", timeout=ENOUGH)


def restore(page, line: str) -> None:
    """Paste a line and press the button behind it."""
    page.locator(LINE).fill(line)
    page.keyboard.press("Tab")
    page.locator("button", has_text="Restore").click()


def turn(page, label: str) -> float:
    """Click a value of a control, and return how long it took until the line of the lab said so."""
    before = page.locator(LINE).input_value()
    page.locator("button.physlm-option:not([disabled]):visible", has_text=re.compile(rf"^[○☐] {label}$")).first.click()
    return seconds_until(page, f"document.querySelector({LINE!r}).value !== {before!r}")


@pytest.mark.browser
@pytest.mark.slow
def test_a_what_if_from_the_question_to_the_claim_file(page, lab, tmp_path):
    page.set_viewport_size({"width": 1280, "height": 2200})
    folder = tmp_path / "notebooks"
    _, other = open_with_cells(page, lab, folder, LAB, "print(6 * 7, 'answers')")
    page.wait_for_selector("button.physlm-question", timeout=ENOUGH)
    assert page.locator("button.physlm-question").count() >= 12

    # choose: a question fills the controls, what does not go together is off, with its reason
    page.locator("button.physlm-question", has_text="only the last layer").click()
    page.wait_for_function(f"document.querySelector({LINE!r}).value.includes('canon_layers')", timeout=ENOUGH)
    open_tab(page, "Canon")
    say(page, "leave 'K' out, or 'B'")
    assert page.locator("button.physlm-option[disabled]", has_text="K").count() == 1
    times = [turn(page, "6"), turn(page, "zeros")]
    page.locator("button.physlm-option", has_text=re.compile("^[○☐] uniform$")).focus()
    page.keyboard.press("Space")  # a keyboard is enough
    page.wait_for_function(f"!document.querySelector({LINE!r}).value.includes('zeros')", timeout=ENOUGH)
    open_tab(page, "size")
    times += [turn(page, "32"), turn(page, "4"), turn(page, "64")]
    for width, tabs in ((1280, ("task", "block", "Canon", "size", "budget")), (1920, ("task", "Canon"))):
        page.set_viewport_size({"width": width, "height": 2200})
        for tab in tabs:
            open_tab(page, tab)
            page.wait_for_timeout(100)
            assert page.evaluate(MISPLACED) == [], (width, tab)
    print(f"a control answers in {1000 * statistics.median(times):.0f} ms (median of {len(times)})")

    # guess, run, watch, stop
    restore(page, TINY)
    say(page, "restored")
    assert page.locator("button.mod-success").is_disabled()
    page.locator("button", has_text="Lock my guess").click()
    page.wait_for_selector("button.mod-success:not([disabled])", timeout=ENOUGH)
    page.locator("button.mod-success").click()
    page.wait_for_function("document.querySelector('.progress-bar')?.style.width > '0%'", timeout=ENOUGH)
    other.locator(".cm-content").click()
    page.keyboard.press("Control+Enter")
    say(page, "42 answers")  # while the run goes on
    page.locator("button.mod-warning").click()
    say(page, "stopped after")
    say(page, "stopped, 0 of 1 runs done")

    # the page is closed and the kernel starts anew: the cell finds it again
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    seconds_until(page, "!document.querySelector('.jp-mod-dirty')")
    (session,) = lab.call("/api/sessions")
    lab.call(f"/api/kernels/{session['kernel']['id']}/restart", {})
    page.goto(lab.page_address("live.ipynb"), timeout=120_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)
    lab.wait_until_idle(session["kernel"]["id"], seconds=60)
    page.locator(".jp-CodeCell .cm-content").first.click()
    page.keyboard.press("Shift+Enter")
    say(page, "stopped, 0 of 1 runs done")
    page.locator("button.widget-button", has_text="Go on").click()
    say(page, "all that was asked for is recorded")
    say(page, "you said 0.50")

    # restore from the line, and a wrong one loses nothing
    restore(page, TINY)
    say(page, "restored")
    line = page.locator(LINE).input_value()
    restore(page, TINY.replace("copying", "copyin"))
    say(page, "unknown setting 'copyin, toy'")
    restore(page, line.replace("model.width=8", "model.canon=ABCD&model.width=8").replace("3000", "150"))
    say(page, "restored")
    page.locator("button", has_text="Run without a guess").click()
    page.wait_for_function(DONE.format(2), timeout=ENOUGH)

    # compare and take away
    ticks = page.locator(".jp-OutputArea input[type=checkbox]:not([disabled])")
    ticks.nth(0).click()
    ticks.nth(1).click()
    say(page, "One seed is an anecdote")
    for name, part in (
        ("Python", "records = [train(run)"),
        ("Command", "physlm train what_if/"),
        ("CSV", "name,record,status"),
    ):
        page.locator("button.widget-button", has_text=name).first.click()
        page.wait_for_function(
            f"document.querySelector('.physlm-given textarea').value.includes({part!r})", timeout=ENOUGH
        )
    page.locator("button.widget-button", has_text="Claim file").click()
    say(page, "differ in training.steps")  # no claim about models: the budgets differ
    assert {path.suffix for path in (folder / "what_if").iterdir()} == {".py", ".yaml", ".csv"}
    assert page.evaluate(MISPLACED) == []
    assert_no_error_shown(page)
    assert "could not draw this" not in page.inner_text("body")
