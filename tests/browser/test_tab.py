"""The page that trains in a browser tab computes what PyTorch computes, shows the effect, and asks nobody for anything."""

import dataclasses
import re
from itertools import combinations
from typing import Any

import numpy as np
import pytest
import torch

from physlm_lite.claims import claim
from physlm_lite.models import LanguageModel
from physlm_lite.tab import PAGE
from physlm_lite.training import Run
from physlm_lite.training.trainer import Trainer

pytestmark = pytest.mark.browser
CLAIMS = {"copy": "R1", "depo": "R2-depth"}
SUBSETS = ["".join(letters) for n in range(5) for letters in combinations("ABCD", n)]
OTHERS: list[dict[str, Any]] = [
    {"canon": "ABCD", "canon_frozen": True},
    {"rope_dim": 0},
    {"canon": "ABCD", "rope_dim": 0},
    {"canon": "AC", "width": 64, "layers": 2, "heads": 2, "depth_scaling": "global"},
]

# With the page's own functions: losses, tokens and the first gradient of a run from given weights.
TRAIN = """async ([job, weights, steps, fastly]) => {
  const { task: [name, options], shape, training, seed, frozen } = job, task = TASKS[name](options), { longest } = task;
  const { batch } = training, model = new Model(shape, { tokens: batch * longest, rows: batch, longest }, frozen);
  const wasm = Uint8Array.from(document.getElementById("wasm").textContent.match(/../g), (byte) => parseInt(byte, 16));
  model.attach(fastly ? await fast(model.bytes, wasm) : plain(model.bytes));
  for (const [name, values] of Object.entries(weights)) model.h.set(values, model.parameters[name].at);
  const losses = [], tokens = [], gradient = {};
  for (let step = 0; step < steps; step++) {
    const rows = Array.from({ length: batch }, (_, row) => task.row(seed, step, row));
    losses.push(model.loss(rows));
    tokens.push(rows.map((row) => row.tokens));
    for (const { name, at, size } of step ? [] : Object.values(model.parameters)) {
      gradient[name] = Array.from(model.h.subarray(at + model.count, at + model.count + size));
    }
    model.adamw(step + 1, rateAt(step, training), training);
  }
  return { losses, tokens, gradient };
}"""
START = """([shape, seed]) => {
  const model = new Model(shape, { tokens: 1, rows: 1, longest: 1 });
  model.attach(plain(model.bytes)).start(seed);
  const values = ({ at, size }) => Array.from(model.h.subarray(at, at + size));
  return Object.fromEntries(Object.values(model.parameters).map((p) => [p.name, values(p)]));
}"""
# The three loops on random numbers, as both twins compute them: the largest differences.
KERNELS = """async () => {
  const wasm = Uint8Array.from(document.getElementById("wasm").textContent.match(/../g), (byte) => parseInt(byte, 16));
  const twins = [plain(1 << 20), await fast(1 << 20, wasm)], worst = {};
  const compare = (name, call) => {
    const numbers = Float32Array.from({ length: 40000 }, (_, i) => Math.cos(i * i));
    for (const twin of twins) { twin.heap.set(numbers); call(twin); }
    const change = twins[0].heap.some((x, i) => i < numbers.length && x !== numbers[i]);
    const differ = twins[0].heap.reduce((most, x, i) => Math.max(most, Math.abs(x - twins[1].heap[i])), 0);
    worst[name] = Math.max(worst[name] ?? 0, change ? differ : Infinity);
  };
  for (const m of [1, 3, 4, 9]) for (const n of [4, 8, 12, 20]) for (const k of [1, 5, 32]) for (const add of [0, 1]) {
    compare("product", (twin) => twin.product(m, n, k, 0, k, 1, 8000, n + 4, 20000, n + 8, add));
    compare("transposed", (twin) => twin.product(m, n, k, 0, 1, m + 3, 8000, n, 20000, n, add));
  }
  for (const length of [1, 2, 3, 4, 5, 11]) for (const width of [4, 12, 32]) {
    compare("shift", (twin) => twin.shift(length, width, 0, 8000, 20000));
    compare("shiftBack", (twin) => twin.shiftBack(length, width, 0, 8000, 10000, 20000, 30000));
  }
  return worst;
}"""


@pytest.fixture(scope="module")
def tab(browser):
    """The page, opened from disk without a network; it may report no error and ask for nothing but its own workers."""
    page = browser.new_page(viewport={"width": 390, "height": 844})
    wrong, asked = [], []
    page.on("pageerror", lambda error: wrong.append(str(error)))
    page.on("console", lambda message: wrong.append(message.text) if message.type == "error" else None)
    page.on("request", lambda request: asked.append(request.url))
    page.context.set_offline(True)
    page.goto(PAGE.as_uri())
    yield page
    page.context.close()
    assert wrong == []
    assert {re.sub(r":.*", "", address) for address in asked} == {"file", "blob"}


def side_of(task: str, options: dict[str, Any]) -> Run:
    """A run of the page's setting, at a high rate and a seed of its own."""
    run = claim(CLAIMS[task]).experiment("toy").run("RoPE", 8e-3, seed=3)
    return dataclasses.replace(run, model={**run.model, **options})


def shape_of(run: Run) -> dict[str, Any]:
    config = run.model_config
    names = ("vocab", "width", "layers", "heads", "canon", "depth_scaling")
    more = {"hidden": config.feed_forward_part.inner, "eps": config.norm_eps, "theta": config.rope_theta}
    return {**{name: getattr(config, name) for name in names}, **more, "rope": config.rope_dim != 0}


def laid_out(tensor: torch.Tensor) -> torch.Tensor:
    """A parameter as the page lays it out: the taps of a Canon layer by lag."""
    return (tensor[:, 0].flip(1).t() if tensor.dim() == 3 else tensor).detach().flatten()


@pytest.mark.parametrize(
    ("task", "options", "fastly"),
    [("copy", {"canon": letters}, True) for letters in SUBSETS]
    + [("copy", options, True) for options in OTHERS]
    + [("depo", {"canon": letters}, True) for letters in ("", "ABCD")]
    + [("copy", {"canon": "ABCD"}, False)],
    ids=str,
)
def test_it_learns_what_pytorch_learns(tab, task, options, fastly):
    run, steps = side_of(task, options), 20 if fastly else 5
    trainer = Trainer(run, "cpu")
    weights = {name: laid_out(p).tolist() for name, p in trainer.model.named_parameters()}
    frozen = run.model_config.canon_frozen
    job = {"task": [run.task, dict(run.task_options)], "shape": shape_of(run), "seed": run.seed, "frozen": frozen}
    got = tab.evaluate(TRAIN, [{**job, "training": run.to_dict()["training"]}, weights, steps, fastly])

    batches = [run.made_task.batch(run.seed, step, run.training.batch) for step in range(steps)]
    for tokens, batch in zip(got["tokens"], batches, strict=True):
        assert tokens == [row[inside >= 0].tolist() for row, inside in zip(batch.tokens, batch.document, strict=True)]
    trainer.model.loss(batches[0].tokens, batches[0].targets, None).backward()
    for name, parameter in trainer.model.named_parameters():
        if parameter.requires_grad:
            np.testing.assert_allclose(got["gradient"][name], laid_out(parameter.grad), atol=2e-6, err_msg=name)
    losses = [trainer.train_step() for _ in range(steps)]
    np.testing.assert_allclose(got["losses"], losses, rtol=0, atol=5e-6)
    assert losses[0] != losses[-1]


def test_webassembly_computes_what_the_readable_twin_computes(tab):
    worst = tab.evaluate(KERNELS)
    assert set(worst) == {"product", "transposed", "shift", "shiftBack"}
    assert max(worst.values()) < 1e-5


def test_weights_start_from_the_distributions_of_the_library(tab):
    run = side_of("depo", {"canon": "ABCD"})
    got = tab.evaluate(START, [shape_of(run), 5])
    model = LanguageModel(run.model_config, seed=5)
    assert set(got) == {name for name, _ in model.named_parameters()}
    for name, parameter in model.named_parameters():
        ours, theirs = np.array(got[name]), laid_out(parameter).numpy()
        if parameter.dim() == 1:
            assert (ours == 1).all() and (theirs == 1).all()
            continue
        assert ours.std() == pytest.approx(theirs.std(), rel=4 / ours.size**0.5), name
        assert abs(ours.mean()) < 4 * ours.std() / ours.size**0.5, name
        assert np.abs(ours).max() == pytest.approx(np.abs(theirs).max(), rel=0.25), name
    plain = tab.evaluate(START, [{**shape_of(run), "canon": ""}, 5])
    assert all(got[name] == plain[name] for name in plain)  # drawn by name, whatever else there is
    assert tab.evaluate(START, [{**shape_of(run), "canon": ""}, 6])["head.weight"] != plain["head.weight"]


def test_the_effect_shows_and_the_class_sees_it(tab):
    from playwright.sync_api import expect

    tab.locator("[name=guess0]").fill("40")
    tab.click("#lock")
    tab.click("button.go")
    tab.wait_for_function("document.getElementById('line').value", timeout=240_000)
    said, line = tab.text_content("#verdict"), tab.input_value("#line")
    shares = [float(share) for share in re.findall(r"(?:without|with)=([\d.]+)", line)]
    assert shares[0] <= 0.30 and shares[1] >= 0.99
    assert said.startswith("Holds for this seed") and "You guessed 40 % and 50 %" in said and "R1" in said
    assert len(tab.locator("#side1 .right").all()) >= 8 and not tab.locator("#side1 .wrong").all()
    assert len(tab.locator("#taps i").all()) == 4
    tab.click("#maps summary")
    expect(tab.locator("#maps1")).to_contain_text(
        "looks most at"
    )  # the browser tells the page a moment after the click

    other = line.replace("canon=ABCD", "canon=A")
    tab.fill("#lines", "\n".join([line, line.replace("seed=0", "seed=1"), other, "nothing of ours"]))
    assert "2 results" in (summary := tab.text_content("#summary"))
    assert "1 with other settings" in summary and "Not understood: 1" in summary
    assert len(tab.locator("#dots circle").all()) == 4


def test_it_stops_at_once_and_says_what_it_cannot_do(tab):
    tab.click("[data-set='place=CD']")
    tab.wait_for_function("document.querySelector('#side1 small').textContent.startsWith('step 25 ')", timeout=60_000)
    tab.click("#stop")
    assert tab.text_content("#verdict").startswith("Stopped")
    step = tab.text_content("#side1 small")
    tab.wait_for_timeout(500)
    assert tab.text_content("#side1 small") == step
    assert [box.is_checked() for box in tab.locator("[name=place]").all()] == [False, False, True, True]
    tab.fill("[name=seed]", "1.5")
    tab.click("button.go")
    assert tab.locator("#stop").is_disabled()  # the browser names what is wrong, and nothing began


def test_without_webassembly_plain_javascript_goes_on_and_says_so(tab):
    tab.goto(f"{PAGE.as_uri()}?plain&seat=17&taps=by-hand")
    assert tab.input_value("[name=seed]") == "17"
    assert tab.locator("[name=tap1]").is_visible()
    tab.click("button.go")
    tab.wait_for_function(
        "document.querySelector('#side1 small').textContent.includes('plain JavaScript')", timeout=60_000
    )
    assert "12 times slower" in tab.text_content("#side1 small")
    tab.click("#stop")


def test_a_hand_can_solve_the_puzzle_by_keys_alone(tab):
    tab.goto(PAGE.as_uri())
    for symbol in tab.locator("#given .token").all_text_contents():
        tab.locator("#keys button", has_text=symbol).focus()
        tab.keyboard.press("Enter")
    assert tab.text_content("#said").startswith("Done.")
    tab.select_option("[name=task]", "depo")
    assert "go 2 steps" in tab.text_content("#task-text")
    assert len(tab.locator("#given .token").all()) == 10


def test_on_a_phone_nothing_sticks_out_and_everything_can_be_read_and_named(tab):
    tab.goto(PAGE.as_uri())
    assert tab.evaluate("document.documentElement.scrollWidth") <= 390
    small = """() => [...document.querySelectorAll("body *")].filter((element) => element.checkVisibility()
        && [...element.childNodes].some((node) => node.nodeType === 3 && node.textContent.trim())
        && parseFloat(getComputedStyle(element).fontSize) < 14).map((element) => element.outerHTML.slice(0, 80))"""
    assert tab.evaluate(small) == []
    unnamed = """() => [...document.querySelectorAll("button, input, select, textarea")].filter((control) =>
        !(control.labels?.length || control.getAttribute("aria-label") || control.textContent.trim())).map((c) => c.outerHTML)"""
    assert tab.evaluate(unnamed) == []
