"""What only a browser shows: the notebook opens in JupyterLab, runs, and answers to the mouse."""

import time
from pathlib import Path

import nbformat
import pytest

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "02_canon_layer.ipynb"

# Run All may train for a minute and a half on two free cores; a busy machine gets several times that.
RUN_ALL_SECONDS = 480
REDRAW_SECONDS = 60

COUNT_EXECUTED = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .filter(prompt => /\\[\\d+\\]/.test(prompt.textContent)).length"""
COUNT_STARTED = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .filter(prompt => /\\[(\\d+|\\*)\\]/.test(prompt.textContent)).length"""
# The text of every exception shown, those of widget callbacks included: these stop no cell. JupyterLab shows them as
# it shows other lines of stderr.
ERRORS_SHOWN = """() => [...document.querySelectorAll(".jp-OutputArea [data-mime-type$='stderr']")]
    .map(output => output.innerText).filter(text => text.includes('Traceback (most recent call last)'))"""
# All that is drawn in a code cell's output, as one string; the icons of JupyterLab's own buttons are no pictures.
PICTURES = """cell => [...cell.querySelectorAll('.jp-OutputArea img, .jp-OutputArea svg:not([data-icon])')]
    .map(picture => picture.src || picture.outerHTML).join('\\n')"""


def copy_without_outputs(source: Path, target: Path) -> int:
    """Copy a notebook, leaving out its stored outputs; returns the number of code cells that will run.

    The stored pictures would be mistaken for new ones; and JupyterLab saves as it goes, so the original stays away.
    """
    notebook = nbformat.read(source, as_version=4)
    code_cells = [cell for cell in notebook.cells if cell.cell_type == "code"]
    for cell in code_cells:
        cell.outputs, cell.execution_count = [], None
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, target)
    return sum(bool(cell.source.strip()) for cell in code_cells)


def assert_no_error_shown(page) -> None:
    """Fail with the exceptions that the page shows, if there are any."""
    if errors := page.evaluate(ERRORS_SHOWN):
        pytest.fail("\n\n".join(["the page shows an error:", *errors]))


def run_all(page, code_cells: int) -> None:
    """Choose Run All Cells from the menu and wait until every code cell has its number."""
    page.get_by_role("menuitem", name="Run", exact=True).click()
    page.get_by_role("menuitem", name="Run All Cells", exact=True).click()
    page.wait_for_function(f"({COUNT_STARTED})() > 0", timeout=30_000)
    deadline = time.monotonic() + RUN_ALL_SECONDS
    while (executed := page.evaluate(COUNT_EXECUTED)) < code_cells:
        assert_no_error_shown(page)
        assert time.monotonic() < deadline, f"{executed} of {code_cells} cells ran in {RUN_ALL_SECONDS} s"
        page.wait_for_timeout(250)


def cells_with_slider_and_picture(page) -> list:
    """Return the code cells whose output holds both, in the order of the page."""
    cells = page.locator(".jp-CodeCell").filter(has=page.locator(".widget-slider .noUi-handle"))
    return [cell for cell in cells.all() if cell.evaluate(PICTURES)]


def drag(page, slider) -> None:
    """Take the slider's handle with the mouse and move it to the other side of its track."""
    slider.scroll_into_view_if_needed()
    track, handle = slider.locator(".noUi-base").bounding_box(), slider.locator(".noUi-handle").first.bounding_box()
    x, y = handle["x"] + handle["width"] / 2, handle["y"] + handle["height"] / 2
    share = 0.8 if x < track["x"] + track["width"] / 2 else 0.2
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(track["x"] + share * track["width"], y, steps=8)
    page.mouse.up()


def wait_for_other_picture(page, cell, before: str) -> None:
    """Wait until the cell shows another picture than `before`; between two drawings there may be none."""
    deadline = time.monotonic() + REDRAW_SECONDS
    while cell.evaluate(PICTURES) in (before, ""):
        assert_no_error_shown(page)
        if time.monotonic() > deadline:
            pytest.fail(f"a slider was moved and its picture stayed as it was for {REDRAW_SECONDS} s")
        page.wait_for_timeout(100)


@pytest.mark.browser
@pytest.mark.slow
def test_a_notebook_runs_and_its_slider_redraws_the_picture(page, lab, tmp_path):
    code_cells = copy_without_outputs(NOTEBOOK, tmp_path / "notebooks" / NOTEBOOK.name)
    page_errors = []
    page.on("pageerror", lambda error: page_errors.append(str(error)))

    kernel = lab.start_kernel(NOTEBOOK.name)
    page.goto(lab.page_address(NOTEBOOK.name), timeout=120_000)
    page.wait_for_selector(".jp-NotebookPanel .jp-CodeCell", timeout=120_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)
    lab.wait_until_idle(kernel, seconds=60)

    run_all(page, code_cells)
    lab.wait_until_idle(kernel, seconds=REDRAW_SECONDS)
    page.wait_for_selector(".widget-slider .noUi-handle", timeout=30_000)
    page.wait_for_timeout(1000)  # an idle kernel's last pictures may still be on their way into the page

    cells = cells_with_slider_and_picture(page)
    assert cells, "no cell shows a slider together with a picture"
    for cell in cells:
        before = cell.evaluate(PICTURES)
        drag(page, cell.locator(".widget-slider").first)
        wait_for_other_picture(page, cell, before)

    lab.wait_until_idle(kernel, seconds=REDRAW_SECONDS)
    assert_no_error_shown(page)
    assert page_errors == []
