"""The ledger's page as a reader has it: a file on a disk, no network, a narrow window, a keyboard."""

from __future__ import annotations

import statistics

import pytest

from physlm_lite.claims import PUBLISHED, SHIPPED, claim
from physlm_lite.claims.ledger import every, judged
from physlm_lite.lab import Explorer, ledger_html
from physlm_lite.lab.ledger_page import html, script
from physlm_lite.lab.published_page import curves_data
from physlm_lite.training import Run, Store, Training

pytestmark = pytest.mark.browser
# How long a control takes, from its event to the next picture on the screen.
WALK = """async () => {
    const frame = () => new Promise((done) => requestAnimationFrame(() => setTimeout(done))), times = [];
    const timed = async (act) => {
        await frame();
        const begin = performance.now();
        act();
        await frame();
        times.push(performance.now() - begin);
    };
    const every = async (selects) => {
        for (const select of selects)
            for (const { value } of [...select.options])
                await timed(() => { select.value = value; select.dispatchEvent(new Event('change')); });
    };
    await every(document.querySelectorAll('.tools select'));
    document.querySelector('.tools button').click();
    for (const button of [...document.querySelectorAll('.opener')].slice(0, 12)) await timed(() => button.click());
    await timed(() => document.querySelectorAll('.tabs button')[1].click());
    await every(document.querySelectorAll('.whatif select'));
    return times;
}"""
UNNAMED = """[...document.querySelectorAll('button, select, input')]
    .filter((control) => !control.textContent && !control.labels?.length && !control.ariaLabel).length"""


# What anywidget does with the module, and what it hears back when somebody chooses something.
AS_A_WIDGET = """async ([text, data]) => {
    const { default: module } = await import(URL.createObjectURL(new Blob([text], { type: 'text/javascript' })));
    const heard = [], here = document.getElementById('here');
    const model = {
        get: (name) => ({ data, view: 'what if' })[name],
        set: (name, value) => heard.push([name, value.width]),
        on: (name) => heard.push([name]),
        save_changes: () => heard.push(['saved']),
    };
    const end = module.render({ model, el: here });
    const [width] = [...here.querySelectorAll('label')].filter((label) => label.textContent === 'width');
    width.control.value = '64';
    width.control.dispatchEvent(new Event('change'));
    end();
    return [heard, here.querySelectorAll('polyline').length];
}"""


@pytest.fixture(scope="module")
def found():
    return judged(every(), Store(SHIPPED))


@pytest.fixture(scope="module")
def address(found, tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("page") / "ledger.html"
    path.write_text(ledger_html(found, Store(SHIPPED)), encoding="utf-8")
    return path.as_uri()


@pytest.fixture
def opened(page, address: str):
    """The page in a phone's window, with the network off; whatever it asks for or complains of fails the test."""
    asked, said = [], []
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.context.set_offline(True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(address)
    page.wait_for_selector(".row")
    yield page
    assert asked == [address] and said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= page.viewport_size["width"], (
        "it reaches over the edge"
    )


def test_every_row_is_there_filters_work_and_a_row_opens(opened, found) -> None:
    from playwright.sync_api import expect

    rows = [row for _, row in found]
    shown = opened.locator(".row:visible")
    assert shown.count() == len(rows) + len(PUBLISHED)
    assert opened.locator(".row:not(.blank) .figure svg[role=img][aria-label]").count() >= 50
    opened.get_by_text("Filter, search").click()
    opened.get_by_label("verdict", exact=True).select_option("contradicted")
    assert shown.count() == sum(row["verdict"] == "contradicted" for row in rows)
    opened.get_by_label("verdict of").select_option("equal seconds")
    assert shown.count() == sum(row["equal_seconds"]["verdict"] == "contradicted" for row in rows)
    opened.get_by_role("button", name="clear").click()
    opened.get_by_label("part", exact=True).select_option("R2")
    opened.get_by_label("scale", exact=True).select_option("toy")
    opened.get_by_label("search", exact=True).fill("depo deepen")
    assert [row.get_attribute("id") for row in shown.all()] == ["R2-depth-toy"]
    opened.locator("#R2-depth-toy .opener").click()
    body = opened.locator("#R2-depth-toy .more").inner_text()
    for said in ("The rule", "RoPE + Canon never, 300, 200, 200, never", "Learning curves", "notebooks/03_depo.ipynb"):
        assert said in body
    assert opened.locator("#R2-depth-toy .more polyline").count() == 20  # ten runs on two clocks
    opened.get_by_text("History (2)").click()
    assert "400 steps were chosen" in opened.locator("#R2-depth-toy .more").inner_text()
    opened.get_by_role("button", name="copy: physlm replicate R2-depth").click()
    expect(opened.locator(".said").first).not_to_be_empty()  # the page's own policy forbids the evaluation of a string


def test_what_if_answers_and_what_it_proposes_is_a_run(opened) -> None:
    opened.get_by_role("button", name="what if").click()
    told, curves = opened.locator(".told"), opened.locator(".whatif polyline")
    assert told.inner_text().startswith("Recorded. ") and curves.count() > 2
    opened.get_by_label("seed", exact=True).select_option("203")
    opened.get_by_label("learning rate").select_option("0.008")
    assert "1 run, seeds 203" in told.inner_text() and curves.count() == 2
    opened.get_by_label("width", exact=True).select_option("32")
    opened.get_by_label("Canon set").select_option("AC")
    assert told.inner_text().startswith("Not recorded. Shown is the nearest point: ")
    assert "Canon set ABCD instead of AC" in told.inner_text() and "width 64 instead of 32" in told.inner_text()
    code = opened.locator(".whatif pre").inner_text()
    known: dict = {}
    exec(code[: code.index("train(run")], known)  # what the page proposes, up to the training itself
    run = known["run"]
    assert isinstance(run, Run) and (run.model["width"], run.model["canon"]) == (32, "AC")
    assert (run.seed, run.training.learning_rate, run.training.steps) == (203, 0.008, Training().steps)
    assert run.model_config.width == 32
    opened.get_by_label("task", exact=True).select_option(label="depo: K = 2, N = 8, V = 12")
    opened.get_by_label("mixer, positions").select_option("GLA")
    opened.get_by_label("width", exact=True).select_option("64")
    opened.get_by_label("Canon set").select_option("b")
    opened.get_by_label("learning rate").select_option("every")
    assert opened.locator(".whatif pre").inner_text() == "physlm replicate R6-depth --scale toy"


def test_the_keyboard_reaches_everything_and_sees_where_it_is(opened) -> None:
    seen = set()
    for _ in range(9):
        opened.keyboard.press("Tab")
        seen.add(
            opened.evaluate(
                "[document.activeElement.tagName, document.activeElement.textContent.slice(0, 9)].join(' ')"
            )
        )
        assert opened.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    assert {"BUTTON ledger", "BUTTON what if", "SUMMARY Filter, s"} <= seen
    opened.locator("#R1-toy .opener").focus()
    opened.keyboard.press("Enter")
    assert opened.locator("#R1-toy .opener").get_attribute("aria-expanded") == "true"
    assert opened.locator("#R1-toy .more").is_visible()
    assert opened.evaluate(UNNAMED) == 0


def test_every_control_answers(opened) -> None:
    times = opened.evaluate(WALK)
    print(f"{len(times)} steps: median {statistics.median(times):.0f} ms, slowest {max(times):.0f} ms")
    assert len(times) > 80


def test_in_a_frame_of_a_notebook_it_draws_as_well(page) -> None:
    bundle = Explorer(claim("R4-activation"), store=Store(SHIPPED))._repr_mimebundle_()
    page.set_content(bundle["text/html"])
    frame = page.frame_locator("iframe")
    frame.locator(".whatif polyline").first.wait_for()
    frame.get_by_role("button", name="ledger").click()
    assert frame.locator(".row").count() == 2


def test_anywidget_could_run_the_module_as_it_is(page) -> None:
    page.set_content("<div id='here'></div>")
    heard, lines = page.evaluate(AS_A_WIDGET, [script(), Explorer(claim("R4-activation"), store=Store(SHIPPED)).data])
    assert heard == [["change:data"], ["chosen", 64], ["saved"]] and lines > 0


def test_a_link_can_lead_to_a_row(page, address: str) -> None:
    page.goto(f"{address}#R4-activation-toy")
    assert page.locator("#R4-activation-toy .more").is_visible()
    assert page.locator("#R2-depth-toy .more").count() == 1 and not page.locator("#R2-depth-toy .more").is_visible()


def test_rows_on_published_numbers_open_and_say_what_they_cannot(opened) -> None:
    opened.get_by_text("Filter, search").click()
    opened.get_by_label("part", exact=True).select_option("P42")
    assert opened.locator(".row:visible").count() == len(PUBLISHED)
    row = opened.locator("#P42-MMLU-published")
    row.scroll_into_view_if_needed()  # what is out of sight has no text yet
    opened.wait_for_function("document.querySelector('#P42-MMLU-published').innerText.length > 0")
    assert "published numbers, not our runs" in row.inner_text() and row.locator("svg circle").count() == 16 + 1
    row.locator(".opener").click()
    assert "no seed repeated" in row.inner_text() and "in 8 of 8 pairs" in row.inner_text()
    row.get_by_text("Every number that the rule looks at (8)").click()
    assert "8B, 1T, rate 0.003" in row.inner_text()


def test_the_published_curves_answer_without_a_kernel(page, tmp_path) -> None:
    path = tmp_path / "curves.html"
    path.write_text(html(curves_data(), "published", "curves"), encoding="utf-8")
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.context.set_offline(True)
    page.set_viewport_size({"width": 390, "height": 844})
    page.goto(path.as_uri())
    told, curves = page.locator(".told"), page.locator("polyline")
    assert "MMLU, 8B, after 100 % of the tokens. With Canon ahead in 2 of 2 pairs" in told.inner_text()
    assert curves.count() == 4 and page.locator("svg circle").count() == 28
    page.get_by_label("mixer", exact=True).select_option("every")
    page.get_by_label("size", exact=True).select_option("1B")
    assert curves.count() == 10  # a mean for each of eight sides; the Transformers have two budgets
    page.get_by_label("Canon", exact=True).select_option("1")
    assert curves.count() == 5
    page.get_by_text("PIQA", exact=True).last.click()  # in the picture
    assert page.get_by_label("benchmark", exact=True).input_value() == "piqa" and told.inner_text().startswith(
        "PIQA, 1B"
    )
    page.get_by_label("look at").fill("20")
    assert "after 20 % of the tokens" in told.inner_text()
    page.get_by_label("learning rate", exact=True).select_option("0.005")
    assert curves.count() == 4 and said == []
    assert page.evaluate("document.documentElement.scrollWidth") <= 390, "it reaches over the edge"
    sizes = "[...document.querySelectorAll('svg text')].map((t) => parseFloat(getComputedStyle(t).fontSize))"
    assert min(page.evaluate(sizes)) >= 11
