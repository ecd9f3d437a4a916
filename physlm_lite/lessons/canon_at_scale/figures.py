"""Notebook 15: pairs of published runs, retrieval and length, a run's cost, dry run and job, and the taps of a checkpoint."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import fmean
from typing import Any

from matplotlib.figure import Figure

from ...base.printable import escaped
from ...claims.published import AWAKE, between_rates, cells, scores
from ...lab.controls import menu, slider, stops
from ...lab.page import Block, table
from ...lab.plots import BLUE, GREEN, GREY, RED, heat, new_figure, note
from ...lab.show import Interactive
from ...models import Canon, LanguageModel
from ...scale.launch import Job, slurm
from ...scale.plan import GPUS, PUBLISHED_MFU, measured, plan
from ...scale.published.results import BENCHMARKS, curves, named, tables
from ...scale.recipe import Division, divisors, load_recipe, recipes
from ...training import TooLarge

SHADES = {"LlamaCanon": RED, "Llama": BLUE, "GDN2Canon": GREEN}
NAMES = {"LlamaCanon": "Transformer + Canon", "Llama": "Transformer", "GDN2Canon": "GDN + Canon"}
# Part 4.1 trained one Transformer of 1.3B eight times, on 10^11 tokens (section 8, figures 21 and 22): how far seeds lie apart.
SEEDS = {"LMB": "up to 4", "Hella": "1 to 3", "BoolQ": "up to 3", "FDA": "up to 9", "1-hop-4k": "14"}


def runs_table() -> Block:
    """The published runs: how many of which family, how large, on how many tokens."""
    groups: dict[tuple[str, str], list[str]] = {}
    for name in tables():
        about = named(name)
        groups.setdefault((about.mixer, about.setting), []).append(name)
    order = sorted(groups, key=lambda group: (group[0] != "Transformer", *group))
    rows = []
    for mixer, setting in order:
        names = groups[mixer, setting]
        sizes = sorted({load_recipe(name).model.parameters for name in names})
        rates = ", ".join(f"{rate:g}" for rate in sorted({named(name).rate for name in names}))
        extremes = " to ".join(f"{size / 1e9:.2f}" for size in dict.fromkeys([sizes[0], sizes[-1]]))
        rows.append((mixer, setting, extremes, rates, str(len(names))))
    return table(("family", "size, tokens", "10⁹ parameters", "learning rates", "runs, half with Canon"), rows)


# -- the published tables ----------------------------------------------------------------------------------------------


def pairs_figure(shown: Sequence[str] = ("average of 13", "MMLU", "1-hop-4k")) -> Figure:
    """The eight pairs of Transformers by some scores: a line a pair, from the run without Canon to the one with it."""
    figure, axes = new_figure(len(shown), width=10.4, height=3.6, sharey=True)
    for axis, score in zip(axes, shown, strict=True):
        found = cells(tables(), score, "LlamaCanon", "Llama")
        for row, (_, values) in enumerate(found):
            axis.plot([values["Llama"], values["LlamaCanon"]], [row, row], color=GREY, linewidth=2, zorder=1)
        for side in ("Llama", "LlamaCanon"):
            axis.scatter([v[side] for _, v in found], range(len(found)), s=46, color=SHADES[side], zorder=2)
        axis.set(title=score, xlabel="percent", ylim=(len(found) - 0.5, -1.5))
        axis.grid(axis="y", color="#e5e7eb", linewidth=0.8)
        axis.margins(x=0.12)
    for side, said in (("Llama", "without"), ("LlamaCanon", "with Canon")):
        note(axes[-1], said, (found[0][1][side], -0.35), (0, 3), color=SHADES[side], fontsize=11)
    axes[0].set_yticks(range(len(found)), [place for place, _ in found], fontsize=11)
    return figure


def noise_table(shown: Sequence[str] = ("average of 13", "MMLU", "LMB", "BoolQ", "FDA", "1-hop-4k")) -> Block:
    """How much Canon adds, beside what a learning rate and a seed change."""
    rows = []
    for score in shown:
        gains = [v["LlamaCanon"] - v["Llama"] for _, v in cells(tables(), score, "LlamaCanon", "Llama")]
        apart = between_rates(tables(), score, ("LlamaCanon", "Llama"))
        ahead = f"{sum(gain > 0 for gain in gains)} of {len(gains)}"
        rows.append(
            (
                score,
                f"{fmean(gains):+.1f}",
                f"{min(gains):+.1f} to {max(gains):+.1f}",
                ahead,
                f"{apart:.1f}",
                SEEDS.get(score, "not published"),
            )
        )
    head = (
        "points",
        "Canon, mean",
        "of eight pairs",
        "ahead",
        "two rates apart",
        "eight seeds apart, 1.3B, 10¹¹ tokens",
    )
    return table(head, rows)


def growth_figure(benchmark: str = "mmlu") -> Figure:
    """A benchmark against the tokens read, of the Transformers on 10^12 tokens: a panel a size, a line a run."""
    name, chance = BENCHMARKS[benchmark]
    figure, axes = new_figure(3, width=10.4, height=3.3, sharey=True)
    for axis, size in zip(axes, ("1B", "3B", "8B"), strict=True):
        for side in ("Llama", "LlamaCanon"):
            for run in (run for run in curves() if run.startswith(f"{side}-{size}-Nemo-1T")):
                curve = curves()[run]
                axis.plot(curve.tokens / 1e9, curve.scores[benchmark], color=SHADES[side], linewidth=1.5)
        if chance is not None:
            axis.axhline(chance, color=GREY, linestyle=":", linewidth=1.4)
        axis.set(title=size, xlabel="10⁹ tokens")
    axes[0].set_ylabel(f"{name}, %")
    if chance is not None:
        note(axes[2], "guessing", (1000, chance), (0, 4), ha="right", color=GREY, fontsize=10)
    low, high = axes[0].get_ylim()
    for line, (side, said) in enumerate((("LlamaCanon", "with Canon"), ("Llama", "without"))):
        place = (0, high - (0.09 + 0.1 * line) * (high - low))
        note(axes[0], said, place, ha="left", color=SHADES[side], fontsize=11)
    return figure


def awakening_table() -> Block:
    """After how many tokens MMLU first leaves the guess, without Canon and with it, for each pair of Transformers."""
    found = cells(scores(), AWAKE, "Llama", "LlamaCanon")
    rows = [
        (place, *(f"{at:,.0f}" for at in first.values()), f"{first['Llama'] / first['LlamaCanon']:.1f}")
        for place, first in found
    ]
    return table((AWAKE, "without", "with Canon", "times as many"), rows)


def length_figure(sides: Sequence[str] = ("LlamaCanon", "Llama", "GDN2Canon")) -> Figure:
    """One hop, that is a birth year somewhere in a long text, against the length of the text; a line a run."""
    lengths = {0.0: "0k", 0.5: "0.5k", 1.0: "1k", 2.0: "2k", 3.0: "3k", 4.0: "4k", 5.0: "5k", 6.0: "6k"}
    figure, axes = new_figure(3, width=10.4, height=3.5, sharey=True)
    for axis, size in zip(axes, ("1B", "3B", "8B"), strict=True):
        axis.axvline(4.096, color=GREY, linestyle=":", linewidth=1.4)
        for side in sides:
            runs = [name for name in tables() if name.startswith(f"{side}-{size}-Nemo-1T")]
            for name in runs:
                found = [tables()[name][f"1-hop-{key}"] for key in lengths.values()]
                axis.plot(list(lengths), found, color=SHADES[side], linewidth=1.7)
        axis.set(title=size, xlabel="1,000 tokens of text", ylim=(-3, 106), xticks=[0, 2, 4, 6])
    axes[0].set_ylabel("birth years found, %")
    window: dict[str, Any] = {"color": GREY, "ha": "left", "va": "top", "fontsize": 10}
    note(axes[0], "window of the\nTransformers", (4.096, 103), (4, 0), **window)
    for line, side in enumerate(sides):
        look: dict[str, Any] = {"color": SHADES[side], "ha": "left", "fontsize": 11}
        note(axes[2], NAMES[side], (0, 22 - 10 * line), **look)
    return figure


# -- the bill ----------------------------------------------------------------------------------------------------------

PARTS = {
    "weights, gradients, moments": ("weights", "gradients", "optimizer"),
    "gathered weights": ("gathered weights", "buffers"),
    "activations": ("activations", "work"),
    "logits": ("logits",),
}
PART_SHADES = dict(zip(PARTS, ("#2e4057", "#4c6a92", "#d1495b", "#a06a00"), strict=True))


def memory_figure(found: Mapping[str, Any]) -> Figure:
    """One bar: what a GPU holds, and what it has."""
    figure, (axis,) = new_figure(1, width=8.4, height=2.1)
    memory, left = found["memory_per_gpu"], 0.0
    for name, parts in PARTS.items():
        size = sum(memory[part] for part in parts) / 1e9
        axis.barh(0, size, left=left, color=PART_SHADES[name], height=0.55)
        share, said = size / memory["can be used"] * 1e9, f"{name} {size:,.0f} GB"
        if share > 0.25:
            axis.text(left + size / 2, 0, said, ha="center", va="center", color="white", fontsize=11)
        elif share > 0.01:  # too narrow for its name, which begins above it
            note(axis, said, (left, 0.3), (2, 3), ha="left", color=PART_SHADES[name], fontsize=10)
        left += size
    room = memory["can be used"] / 1e9
    axis.axvline(room, color="#14181d", linewidth=1.6)
    note(axis, f"can be used: {room:,.0f} GB", (room, 0.62), (-4, 0), ha="right", fontsize=10)
    axis.set(xlim=(0, 1.04 * max(room, left)), ylim=(-0.4, 0.9), xlabel=f"GB on each {found['gpu']}", yticks=[])
    axis.set_title(f"{found['gpus']:,} × {found['gpu']}, checkpointing {found['checkpointing']}")
    return figure


def bill(found: Mapping[str, Any]) -> str:
    """The plan in two sentences."""
    published = found["published"]
    beside = f" (published: {published['gpu_hours']:,.0f})" if published else ""
    cost = f", {found['cost']:,.0f} at this price" if found["cost"] is not None else ""
    return (
        f"{found['parameters']:,} parameters, {found['tokens'] / 1e12:,.2f} × 10¹² tokens, {found['flops']['model']:.2e} "
        f"operations: <b>{found['gpu_hours']:,.0f} GPU-hours</b>{beside}, {found['hours'] / 24:,.1f} days{cost}.<br>A step: "
        f"{Division(found['gpus'], found['rows'], found['turns'])}, {found['step_seconds']:,.2f} s; each GPU sends "
        f"{sum(found['communication'].values()) / 1e9:,.0f} GB in it."
    )


def planner(recipe: str = "LlamaCanon-8B-Nemo-1T-lr0.003") -> Interactive:
    """A recipe, GPUs and a price: memory of each GPU as a bar, hours and money in words."""
    kinds = [kind for kind in GPUS if kind != "cpu"]
    named = [name for name in recipes() if name not in ("tiny", "small")]
    controls = {
        "recipe": menu("recipe", named, recipe),
        "gpus": stops("GPUs", [n for n in divisors(1536) if n <= 1024], 512),
        "gpu": menu("kind", kinds, "h200"),
        "mfu": slider("MFU, %", round(100 * PUBLISHED_MFU), 10, 70),
        "price": slider("price of an hour", 2.0, 0.5, 10.0, 0.25),
    }

    def planned(recipe: str, mfu: int, **options: Any) -> dict[str, Any] | str:
        try:
            return plan(load_recipe(recipe), mfu=mfu / 100, **options)
        except (TooLarge, ValueError) as error:  # what does not fit, or is another experiment: it says what to choose
            return str(error)

    def draw(**options: Any) -> Figure:
        found = planned(**options)
        if not isinstance(found, str):
            return memory_figure(found)
        figure, (axis,) = new_figure(1, width=8.4, height=1.9)
        axis.axis("off")
        axis.text(0.5, 0.5, "refused: see below", ha="center", va="center", color=RED, fontsize=13)
        return figure

    def text(**options: Any) -> str:
        found = planned(**options)
        return found if isinstance(found, str) else bill(found)

    return Interactive(draw, controls, "What each GPU holds in a step of a recipe, and what the run costs", text)


# -- tried without a GPU -----------------------------------------------------------------------------------------------


def dry_run_elsewhere(recipe: str, gpus: int) -> str:
    """`physlm plan RECIPE --gpus N --dry-run` in a process of its own: this one belongs to a notebook."""
    command = [sys.executable, "-m", "physlm_lite.cli", "plan", recipe, "--gpus", str(gpus), "--dry-run"]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the dry run failed: {done.stderr.strip()}")
    return done.stdout


def slurm_job(recipe: str, nodes: int, gpus: int = 8, folder: str = "/scratch/you/runs") -> Block:
    """The file that `physlm launch RECIPE --nodes N --slurm` would write, to be read; nothing is written or started."""
    job = Job(load_recipe(recipe), Path(folder) / recipe, nodes=nodes, gpus=gpus)
    script = slurm(job).replace(sys.executable, "python")  # whose Python it is does not matter here
    style = "font:12px/1.45 monospace;white-space:pre-wrap;border-left:4px solid #3a7ca5;padding:4px 14px"
    return Block(f'<pre style="{style}">{escaped(script)}</pre>', script)


# -- a checkpoint ------------------------------------------------------------------------------------------------------


def taps_figure(model: LanguageModel) -> Figure:
    """What each Canon layer takes from each lag: the mean absolute tap over its channels, a panel a place."""
    places: dict[str, list[list[float]]] = {}
    for block in model.blocks:
        for name, layer in block.named_modules():
            if not isinstance(layer, Canon):
                continue
            place = name.rpartition("canon_")[2].upper() if "canon_" in name else "B"
            taps = layer.weight.detach()[:, 0].float().abs().mean(0)
            places.setdefault(place, []).append(taps.flip(0).tolist())
    chosen = [place for place in "AD" if place in places] or list(places)[:2]
    figure, axes = new_figure(len(chosen), width=8.8, height=1.2 + 0.34 * len(model.blocks), sharey=True)
    high = max(0.6, *(value for place in chosen for row in places[place] for value in row))
    for axis, place in zip(axes, chosen, strict=True):
        lags = ["itself", *(f"{lag} back" for lag in range(1, len(places[place][0])))]
        rows = [f"layer {i}" for i in range(len(places[place]))]
        heat(axis, places[place], rows, lags, high=high, numbers=".2f", cmap="Blues", square=False)
        axis.set_title(f"Canon-{place}, mean |tap|")
    return figure


# -- measured and not --------------------------------------------------------------------------------------------------


def measured_here() -> Block:
    """What of this notebook was measured by the kit, where, and what was not."""
    lines = measured()
    worst = max(abs(line["predicted"] / line["allocated"] - 1) for line in lines)
    machines = sorted({line["machine"].partition(",")[0] for line in lines})
    gpu = [machine for machine in machines if not machine.startswith("CPU")]
    return table(
        ("what", "where it comes from"),
        [
            ("benchmarks, retrieval, losses", "published: 64 runs of others, one seed each"),
            ("speed of the large runs, GPU-hours", "published: a note in a figure, 5,200 H200-hours for 10⁹ × 10¹²"),
            ("parameters, operations, rows of a step", "computed here from the recipe, equal to the published model's"),
            ("bytes of a rank, calls of collectives", "counted here by a dry run without data"),
            (
                "memory of a step",
                f"predicted; {len(lines)} small settings measured on {', '.join(machines)}, at most {worst:.1%} off",
            ),
            (
                "time of a step, MFU, Canon's overhead on a GPU",
                "measured on " + ", ".join(gpu) if gpu else "not measured",
            ),
        ],
    )
