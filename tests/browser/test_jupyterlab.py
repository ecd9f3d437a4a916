"""What only a browser shows: the notebook opens in JupyterLab, runs, and answers to the mouse."""

import subprocess
import sys
import time
from pathlib import Path

import nbformat
import pytest
from jupyter_pages import assert_no_error_shown, open_with_cells, seconds_until
from nbconvert import HTMLExporter

NOTEBOOK = Path(__file__).parents[2] / "notebooks" / "06_mano.ipynb"

# Run All may train for a minute and a half on two free cores; a busy machine gets several times that.
RUN_ALL_SECONDS = 480
REDRAW_SECONDS = 60

COUNT_EXECUTED = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .filter(prompt => /\\[\\d+\\]/.test(prompt.textContent)).length"""
COUNT_STARTED = """() => [...document.querySelectorAll('.jp-CodeCell .jp-InputPrompt')]
    .filter(prompt => /\\[(\\d+|\\*)\\]/.test(prompt.textContent)).length"""
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


LIVE = """
import dataclasses
from physlm_lite.claims import claim
from physlm_lite.lab import Live
from physlm_lite.training import Training
depth = claim("R2-depth")
training = Training(steps=100_000, batch=4, evaluations=1000, evaluation_rows=4)
endless = dataclasses.replace(depth.experiment("smoke"), seeds=(0,), rules=(), training=training)
live = Live(dataclasses.replace(depth, experiments={"smoke": endless}))
live
"""
ANSWER_SECONDS = 1.0
IS_RUNNING = (
    "[...document.querySelectorAll('button.widget-button')].some(b => b.innerText.includes('Stop') && !b.disabled)"
)


MINE = """
title: Two terminals and a notebook ask for this
task: copy
task_options: {n: 8, shortest: 4}
model: {width: 16, layers: 1, heads: 1}
training: {steps: 100, batch: 16, evaluations: 4, evaluation_rows: 64}
grid: [4e-3, 8e-3, 1.6e-2]
sides:
  plain: {}
  canon: {canon: ABCD}
rules:
  - ahead: {metric: accuracy, better: canon, worse: plain, by: 0.1}
"""
SHARED = """
from pathlib import Path
from physlm_lite.claims.own import read_claim
from physlm_lite.lab import Live
Live(read_claim(Path("mine.yaml")), "toy", workers=1, all_seeds=True)
"""
SHARING_SECONDS = 300


@pytest.mark.sampled(2)
@pytest.mark.browser
@pytest.mark.slow
def test_two_terminals_and_a_notebook_share_their_runs(page, lab, tmp_path):
    (tmp_path / "notebooks" / "mine.yaml").write_text(MINE)
    command = [sys.executable, "-m", "physlm_lite.cli", "replicate", "mine.yaml", "--scale", "toy"]
    there = {"cwd": tmp_path / "notebooks", "env": lab.environment, "text": True}
    terminals = [subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, **there) for _ in range(2)]
    try:
        open_with_cells(page, lab, tmp_path / "notebooks", SHARED)
        written, deadline = {}, time.monotonic() + SHARING_SECONDS
        done = "document.body.innerText.includes('Verdict: ')"
        while not (page.evaluate(done) and all(terminal.poll() is not None for terminal in terminals)):
            for path in lab.runs.glob("*.json"):
                state = path.stat()
                if '"finished"' in path.read_text():  # half a run may be replaced, a whole one never is
                    assert written.setdefault(path.name, state.st_ino) == state.st_ino, "a run was carried out twice"
            assert time.monotonic() < deadline, "it took too long"
            page.wait_for_timeout(50)
        said = [terminal.communicate()[0] for terminal in terminals]
        assert all(terminal.returncode == 0 for terminal in terminals), said
        word = page.locator(".widget-html b").first.inner_text()
        assert all(f"verdict: {word.upper()}" in text for text in said), (word, said)
        assert_no_error_shown(page)
    finally:
        for terminal in terminals:
            terminal.kill()
            terminal.wait()
    # two sides: three rates or more on two seeds, then five seeds; and nothing but their records is left
    assert len(written) >= 2 * (3 * 2 + 5)
    deadline = time.monotonic() + 10  # the manager of the notebook looks a few times a second
    while left := {path.name for path in lab.runs.iterdir()} - {"figures", *written}:
        assert time.monotonic() < deadline, left
        time.sleep(0.1)


@pytest.mark.browser
@pytest.mark.slow
def test_while_runs_go_on_other_cells_answer_and_a_stop_is_heard_within_a_second(page, lab, tmp_path):
    _, second = open_with_cells(page, lab, tmp_path / "notebooks", LIVE, "print(6 * 7, 'answers')")
    page.wait_for_function("() => document.querySelector('.progress-bar')?.style.width > '0%'", timeout=120_000)

    times = []
    for _ in range(5):
        second.locator(".cm-content").click()
        before = second.locator(".jp-InputPrompt").inner_text()
        page.keyboard.press("Control+Enter")
        times.append(
            seconds_until(
                page,
                f"""() => {{ const cell = document.querySelectorAll('.jp-CodeCell')[1];
                const prompt = cell.querySelector('.jp-InputPrompt').textContent;
                return /\\d/.test(prompt) && prompt !== {before!r} && cell.innerText.includes('42 answers') }}""",
            )
        )
    stops = []
    for go_on in (True, True, False):
        page.locator("button.widget-button", has_text="Stop").click()
        stops.append(seconds_until(page, "() => document.body.innerText.includes('stopped after')"))
        if go_on:
            page.locator("button.widget-button", has_text="Go on").click()
            page.wait_for_function(f"() => {IS_RUNNING}", timeout=60_000)
            page.wait_for_timeout(1000)
    print(f"answered after {times} s, stopped after {stops} s")
    assert min(times) <= ANSWER_SECONDS and min(stops) <= ANSWER_SECONDS, (times, stops)
    assert_no_error_shown(page)


WIDGETS = (
    "from physlm_lite.lessons.mamba2_and_gated_delta.figures import step_explorer\nstep_explorer()",
    "from physlm_lite.lab import Prediction\nPrediction('How many?')",
    """
from physlm_lite.claims import claim
from physlm_lite.lab import Live
live = Live(claim("R2-depth"))
live
""",
    """
from physlm_lite.lessons.mamba2_and_gated_delta.figures import step_explorer

@live.when_done
def report(outcome):
    return [step_explorer()]
""",
)
SEEN = """selector => [...document.querySelectorAll('.jp-CodeCell')].map(cell =>
    [...cell.querySelectorAll(selector)].filter(one => one.checkVisibility()).length)"""
GONE = "Error displaying widget"


@pytest.mark.browser
@pytest.mark.slow
def test_a_saved_notebook_that_is_opened_again_shows_its_pictures_and_no_widget_that_is_gone(page, lab, tmp_path):
    cells = open_with_cells(page, lab, tmp_path / "notebooks", *WIDGETS)
    for cell in cells[1:]:
        cell.locator(".cm-content").click()
        page.keyboard.press("Shift+Enter")
    page.wait_for_function("document.querySelectorAll('.widget-slider').length >= 6", timeout=240_000)
    page.wait_for_timeout(1000)
    assert page.evaluate(SEEN, ".jp-OutputArea img")[:4] == [1, 0, 1, 1], "a picture shows beside its living widget"
    assert page.evaluate(SEEN, ".physlm-still")[:4] == [0, 0, 0, 0]
    page.keyboard.press("Escape")
    page.keyboard.press("Control+s")
    saved = tmp_path / "notebooks" / "live.ipynb"
    seconds_until(page, "!document.querySelector('.jp-mod-dirty')")

    (session,) = lab.call("/api/sessions")
    lab.call(f"/api/kernels/{session['kernel']['id']}/restart", {})
    page.goto(lab.page_address("live.ipynb"), timeout=120_000)
    page.wait_for_selector(".jp-Notebook-ExecutionIndicator[data-status='idle']", timeout=60_000)
    page.wait_for_function(f"document.body.textContent.includes({GONE!r})", timeout=60_000)  # it is, but nobody sees it
    assert GONE not in page.inner_text("body")
    assert page.evaluate(SEEN, ".jp-OutputArea img")[:4] == [1, 0, 1, 1]
    assert page.evaluate(SEEN, ".physlm-still")[:4] == [1, 1, 1, 1]

    html, _ = HTMLExporter().from_filename(str(saved))
    (tmp_path / "saved.html").write_text(html)
    page.context.set_offline(True)
    page.goto(f"file://{tmp_path}/saved.html")
    assert page.locator(".jp-OutputArea img").count() == 3
    assert page.locator("img:not([alt]), img[alt='No description has been provided for this image']").count() == 0
    assert GONE not in page.inner_text("body")


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
