"""Join the sources of the page into one file that needs nothing else, with the settings and records of the kit inside."""

from __future__ import annotations

import dataclasses
import json
import re
import shutil
from pathlib import Path
from typing import Any

from ..base.files import write_whole
from ..claims import claim, recorded
from ..claims.replicate import SHIPPED
from ..training import Store, Training
from . import PAGE, write_page

SOURCE = Path(__file__).with_name("source")
MODULES = ("draws", "kernels", "tasks", "model", "worker", "page")  # each needs only those before it
CLAIMS = {"copy": "R1", "depo": "R2-depth"}
SIDES = ("RoPE", "RoPE + Canon")


def page() -> str:
    """The whole page, as `index.html` holds it."""
    code = "\n".join(joined(name) for name in MODULES)
    parts = {
        "KIT": json.dumps({task: about(name) for task, name in CLAIMS.items()}, separators=(",", ":")),
        "WASM": (SOURCE / "kernels.wasm").read_bytes().hex(),  # gzip packs it better than base64
        "CODE": code,
    }
    html = (SOURCE / "page.html").read_text(encoding="utf-8")
    return re.sub(r"/\*(KIT|WASM|CODE)\*/", lambda mark: parts[mark[1]], html)


def joined(name: str) -> str:
    """A module as a part of one script, where all names are at hand; its opening lines stay behind, to keep the page small."""
    code = (SOURCE / f"{name}.js").read_text(encoding="utf-8")
    code = re.sub(r"\A(//.*\n)+|^import .*\n|^export ", "", code, flags=re.M)
    return f"// {name}.js\n{code.strip()}\n"


def about(name: str) -> dict[str, Any]:
    """What the page needs to know of a claim: its toy setting, its bar, and what the shipped records say."""
    tried = claim(name)
    experiment, outcome = tried.experiment("toy"), recorded(tried, "toy", Store(SHIPPED))
    records = [outcome.records[side] for side in SIDES]
    run = records[0][0].run
    config, training = run.model_config, dataclasses.asdict(run.training)
    rule, metric = experiment.rules[0], run.made_task.metrics[experiment.select]
    curves = [[[round(100 * metric.of(point)) for point in record.curve] for record in side] for side in records]
    return {
        "claim": name,
        "verdict": str(outcome.verdict.word),
        "task": [run.task, dict(run.task_options)],
        "shape": {
            "width": config.width,
            "layers": config.layers,
            "heads": config.heads,
            "hidden": config.feed_forward_part.inner,
            "depth_scaling": config.depth_scaling,
            "eps": config.norm_eps,
            "theta": config.rope_theta,
        },
        "training": {key: training[key] for key in TRAINING},
        "rate": Training().learning_rate,  # the same for both; beside it, each side's own
        "rates": [outcome.rates[side] for side in SIDES],
        "grid": sorted({*experiment.grid, *(outcome.rates[side] for side in SIDES)}),
        "rule": {key: value for key, value in vars(rule).items() if isinstance(value, float)},
        "guess": round(metric.chance or 0, 3),
        "curves": curves,  # in percent, at even distances, the last at the end
    }


TRAINING = ("steps", "batch", "warmup", "final", "beta1", "beta2", "eps", "weight_decay", "clip", "evaluation_rows")


def pictures(folder: Path) -> None:
    """Screenshots: the question, and the page when both sides have learnt (needs playwright and Chromium: a minute)."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=["--no-sandbox"])
        tab = browser.new_page(viewport={"width": 1200, "height": 900})
        tab.goto(PAGE.as_uri())

        def shoot(name: str, last: str) -> None:
            box = tab.locator(last).first.bounding_box()
            assert box is not None
            tab.screenshot(
                path=folder / name, clip={"x": 0, "y": 0, "width": 1200, "height": box["y"] + box["height"] + 8}
            )

        shoot("tab_question.png", ".two")
        for guess, answer in (("guess0", "60"), ("guess1", "80")):
            tab.locator(f"[name={guess}]").fill(answer)
        tab.click("#lock")
        tab.click("button.go")
        tab.wait_for_function("document.getElementById('line').value", timeout=300_000)
        shoot("tab.png", "#race")
        browser.close()


def build(root: Path) -> None:
    """Write the page, and its twin and picture where a code host shows them."""
    write_whole(PAGE, lambda temporary: temporary.write_text(page(), encoding="utf-8"))
    write_page(root / "docs" / "index.html", replace=True)
    pictures(root / "docs")


if __name__ == "__main__":
    build(Path(__file__).parents[2])
