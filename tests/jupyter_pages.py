"""A notebook's page in a browser: opened, run, and looked at for errors."""

import time
from pathlib import Path

import nbformat
import pytest

# The text of every exception shown, those of widget callbacks included: these stop no cell. JupyterLab shows them as
# it shows other lines of stderr.
ERRORS_SHOWN = """() => [...document.querySelectorAll(".jp-OutputArea [data-mime-type$='stderr']")]
    .map(output => output.innerText).filter(text => text.includes('Traceback (most recent call last)'))"""


def assert_no_error_shown(page) -> None:
    """Fail with the exceptions that the page shows, if there are any."""
    if errors := page.evaluate(ERRORS_SHOWN):
        pytest.fail("\n\n".join(["the page shows an error:", *errors]))


def seconds_until(page, condition: str, seconds: float = 60) -> float:
    """How long a condition takes to become true on the page."""
    begin = time.monotonic()
    page.wait_for_function(condition, timeout=1000 * seconds, polling=20)
    return time.monotonic() - begin


def open_with_cells(page, lab, folder: Path, *texts: str) -> list:
    """Open a new notebook with these cells, and run the first; returns the cells."""
    cells = [nbformat.v4.new_code_cell(text.strip()) for text in texts]
    nbformat.write(nbformat.v4.new_notebook(cells=cells), folder / "live.ipynb")
    kernel = lab.start_kernel("live.ipynb")
    page.goto(lab.page_address("live.ipynb"), timeout=120_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)
    lab.wait_until_idle(kernel, seconds=60)
    shown = page.locator(".jp-CodeCell").all()
    shown[0].locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    return shown
