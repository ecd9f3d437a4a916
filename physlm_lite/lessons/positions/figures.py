"""Notebook 08: which coordinates turn, how far a head sees, what the order of a text does to a model, and attention maps."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from torch import Tensor

from ...claims import scale_of
from ...lab.controls import menu, slider
from ...lab.mixing import mixing_figure, mixing_maps
from ...lab.page import Block, table
from ...lab.plots import colour, heat, new_figure
from ...lab.show import Interactive
from ...models import LanguageModel, ModelConfig, causal_mask, position_mask
from ...tasks import Copy
from ...training import Record, Run, Training

Array = NDArray[np.float64]


# -- which coordinates turn --------------------------------------------------------------------------------------------

LAYOUTS: dict[str, dict[str, Any]] = {  # of 8 heads of width 64, as in the paper's smallest models
    "all": {},
    "half of the heads,\nhalf of the coordinates": {"rope_heads": 4, "rope_dim": 32},
    "a quarter\nof the heads": {"rope_heads": 2},
    "a quarter\nof the coordinates": {"rope_dim": 16},
    "none (NoPE)": {"rope_dim": 0},
}


FARTHEST = 20_000  # tokens


def published_size(rope_dim: int | None = None, rope_heads: int | None = None, **options: Any) -> ModelConfig:
    """A layer of width 512 with 8 heads of width 64, rotated as the options say; where none turns, `rope_heads` is idle."""
    rope_heads = None if rope_dim == 0 else rope_heads
    return ModelConfig(vocab=2, width=512, heads=8, layers=1, rope_dim=rope_dim, rope_heads=rope_heads, **options)


def wavelengths(config: ModelConfig) -> Array:
    """[head, coordinate]: tokens until a coordinate has turned once; inf for those that rest."""
    heads, width, turned = config.heads, config.each_head, config.rotated
    waves = np.full((heads, width), np.inf)
    if turned:
        pair = np.arange(turned // 2)
        one = 2 * np.pi * config.rope_theta ** (2 * pair / turned)
        each = np.concatenate([one, one]) if config.rope_layout == "half" else np.repeat(one, 2)
        waves[: config.rope_heads or heads, :turned] = each
    return waves


def _draw_waves(axis: Axes, waves: Array) -> Any:
    """The grid of one layer, coloured by wavelength; resting coordinates are grey."""
    from matplotlib.colors import LogNorm

    axis.set_facecolor("#e3e6eb")
    heads = [str(head + 1) for head in range(len(waves))]
    shown = np.where(np.isinf(waves), np.nan, waves)
    places = [str(place) if place % 16 == 0 else "" for place in range(waves.shape[1])]
    heat(axis, shown, heads, places, high=62_832, vmin=6, cmap="viridis_r", norm=LogNorm(6, 62_832), square=False)
    for head in range(1, len(waves)):
        axis.axhline(head, color="white", linewidth=1.5)
    axis.set_xlabel("coordinate of the head")
    return axis.collections[0]


def layouts_figure() -> Figure:
    """The rotations that the paper compares, each as a grid of heads and coordinates."""
    figure, axes = new_figure(len(LAYOUTS), width=10.5, height=3.2, sharey=True)
    for axis, (name, options) in zip(axes, LAYOUTS.items(), strict=True):
        waves = wavelengths(published_size(**options))
        image = _draw_waves(axis, waves)
        axis.set_title(f"{name}\n{np.isfinite(waves).sum()} of {waves.size}", fontsize=10)
        axis.set_xlabel("coordinate" if axis is axes[2] else "")
    axes[0].set_ylabel("head")
    figure.colorbar(image, ax=axes, label="tokens for one turn (grey: at rest)")
    return figure


def match_score(waves: Array, distance: Array) -> Array:
    """[head, distance]: the score of a key equal to the query, as a share of its score at distance 0.

    Averaged over random contents: each coordinate gives the cosine of the angle between the two places, resting ones 1.
    """
    return np.cos(2 * np.pi * distance / waves[..., None]).mean(1)


def lowest_match(waves: Array) -> float:
    """The lowest `match_score` of the first head at any distance up to `FARTHEST` tokens."""
    return float(match_score(waves[:1], np.arange(FARTHEST + 1.0)).min())


def rotation_figure(rope_dim: int, rope_heads: int, layout: str = "half") -> Figure:
    """One rotation: which coordinates turn, and what is left of a match at a distance."""
    waves = wavelengths(published_size(rope_dim, rope_heads, rope_layout=layout))
    distance = np.unique(np.geomspace(1, FARTHEST, 400).astype(int)).astype(float)
    figure, (grid, curve) = new_figure(2, width=10.3, height=3.7, width_ratios=(1.25, 1))
    figure.colorbar(_draw_waves(grid, waves), ax=grid, label="tokens for one turn (grey: at rest)")
    grid.set(ylabel="head", title=f"{np.isfinite(waves).sum()} of {waves.size} coordinates turn")
    score = match_score(waves, distance)
    if rope_dim:
        curve.plot(distance, score[0], color="#4c6a92", linewidth=2, label="a head that turns")
    if rope_dim == 0 or rope_heads < len(waves):
        curve.plot(distance, score[-1], color="#8d8d8d", linewidth=2, label="a head at rest")
    curve.axhline(lowest_match(waves), color="#d1495b", linestyle=":", linewidth=1.4, label="lowest at any distance")
    curve.set(xscale="log", ylim=(-0.3, 1.1), xlabel="distance in tokens", ylabel="score, share of that at distance 0")
    curve.set_title("a key that equals the query")
    curve.legend(loc="lower left", fontsize=9)
    return figure


def rotation_text(rope_dim: int, rope_heads: int, layout: str = "half") -> str:
    """How many coordinates turn, and how fast."""
    waves = wavelengths(published_size(rope_dim, rope_heads, rope_layout=layout))
    turning = waves[np.isfinite(waves)]
    if not turning.size:
        return "<b>0 of 512 coordinates turn.</b> This is NoPE, however many heads are chosen."
    return (
        f"<b>{turning.size} of {waves.size} coordinates turn</b> ({turning.size / waves.size:.1%}), at "
        f"{len(np.unique(turning))} speeds: one turn takes {turning.min():.1f} tokens (the first pair) to "
        f"{turning.max():,.0f} tokens (the last). In a head that turns, a match keeps at least "
        f"{lowest_match(waves):.2f} of its score at every distance up to {FARTHEST:,} tokens."
    )


def rotation_explorer() -> Interactive:
    """Choose how many coordinates of how many heads turn."""
    controls = {
        "rope_dim": slider("rope_dim", 32, 0, 64, 2),
        "rope_heads": slider("rope_heads", 4, 1, 8),
        "layout": menu("rope_layout", ["half", "interleaved"]),
    }
    alt = "Rotation explorer: which coordinates of 8 heads turn, and what is left of a match at a distance"
    return Interactive(rotation_figure, controls, alt, rotation_text)


# -- how far a head sees -----------------------------------------------------------------------------------------------


def equal_attention(kind: str, heads: int, length: int) -> Tensor:
    """[head, query, key]: where the heads of `kind` look if all contents were equal ("rope": everywhere alike)."""
    mask = position_mask(kind, heads, causal_mask(length, length)).expand(1, heads, length, length)[0]
    bias = torch.zeros(mask.shape).masked_fill(~mask, float("-inf")) if mask.dtype == torch.bool else mask
    return bias.softmax(-1)


def reach_figure(length: int = 12, heads: int = 4) -> Figure:
    """Where each head of ALiBi and of hard ALiBi looks if all contents were equal."""
    maps = {
        f"{name}, head {head}": weights
        for name, kind in (("ALiBi", "alibi"), ("H-ALiBi", "hard_alibi"))
        for head, weights in enumerate(equal_attention(kind, heads, length), 1)
    }
    names = [str(place) for place in range(length)]
    return mixing_figure(maps, names, columns=heads, title="attention if all contents were equal")


def neighbour_figure(longest: int = 1000, heads: int = 4) -> Figure:
    """Left: how equal attention counts. Right: how loud the token just before is, before anything is learnt."""
    place = np.arange(1, longest + 1)
    figure, (count, heard) = new_figure(2, width=10.3, height=3.6)
    first, change = 1 / (place + 1), 1 / (place + 1) - 1 / (place + 2)
    count.plot(place, first, color=colour("NoPE"), linewidth=2.4, label="weight of the first token")
    count.plot(place, change, "--", color="#2e4057", linewidth=2, label="its change from one token to the next")
    count.set(title="NoPE counts, ever less sharply", ylabel="under equal attention")
    distance = np.arange(longest + 1)
    decay = np.exp(-(2.0 ** (-8 / heads)) * distance)
    lines = {
        "Canon tap (mean size at the start)": (np.full(longest, 0.25), colour("NoPE + Canon")),
        "H-ALiBi, head 2": (np.full(longest, 0.5), colour("H-ALiBi")),
        f"ALiBi, steepest of {heads} heads": (decay[1] / np.cumsum(decay)[1:], colour("ALiBi")),
        "NoPE (RoPE: on average)": (first, colour("NoPE")),
    }
    for name, (values, shade) in lines.items():
        heard.plot(place, values, color=shade, linewidth=2.4, label=name)
    heard.set(title="how loud is the token just before?", ylabel="factor before training")
    for axis in (count, heard):
        axis.set(xscale="log", yscale="log", xlabel="position (the first token: 0)")
        axis.legend(fontsize=9, loc="lower left")
    return figure


@torch.no_grad()
def order_effect(model: LanguageModel, tokens: Tensor, order: Sequence[int]) -> float:
    """The largest change of the last token's logits if the tokens before it are put into another `order`."""
    if sorted(order) != list(range(len(tokens) - 1)):
        before = f"each of the {len(tokens) - 1} tokens before the last one"
        raise ValueError(f"order should name {before} once, not {list(order)}")
    other = torch.cat([tokens[:-1][list(order)], tokens[-1:]])
    before, after = model(torch.stack([tokens, other]))[:, -1]
    return float((before - after).abs().max())


# -- attention maps of briefly trained models --------------------------------------------------------------------------

HEADS, WIDTH = 4, 32
VARIANTS: dict[str, dict[str, Any]] = {
    "RoPE": {},
    "1/4 RoPE": {"rope_heads": HEADS // 2, "rope_dim": WIDTH // HEADS // 2},
    "NoPE": {"rope_dim": 0},
    "ALiBi": {"positions": "alibi"},
    "H-ALiBi": {"positions": "hard_alibi"},
}


TASK = Copy(n=8, shortest=4)
Copiers = dict[str, tuple[LanguageModel, float]]  # models by name, and the share of symbols that each copies


def copy_run(variant: str, layers: int, steps: int, canon: str = "", seed: int = 0) -> Run:
    """A small model that copies 4 to 8 symbols of 8."""
    return Run(
        task="copy",
        task_options={"n": TASK.n, "shortest": TASK.shortest},
        model={"width": WIDTH, "layers": layers, "heads": HEADS, "canon": canon, **VARIANTS[variant]},
        training=Training(steps=steps, batch=32, learning_rate=4e-3, final=0.05, evaluations=1, evaluation_rows=128),
        seed=seed,
    )


def variant_runs(layers: int = 1, canon: Iterable[str] = ("", "ABCD"), steps: int | None = None) -> dict[str, Run]:
    """Every variant with each of the Canon sets; a second or two for each layer and model. At `smoke` scale four steps."""
    steps = steps or (4 if scale_of() == "smoke" else 200 if layers == 1 else 300)
    return {
        f"{variant} + Canon" if letters else variant: copy_run(variant, layers, steps, letters)
        for letters, variant in product(canon, VARIANTS)
    }


def copiers(names: Iterable[str], trained: Iterable[tuple[LanguageModel, Record]]) -> Copiers:
    """The models of runs by name, as the figures take them."""
    return {name: (model, record.score("accuracy")) for name, (model, record) in zip(names, trained, strict=True)}


def sentences(symbols: int = 5, count: int = 6) -> list[Tensor]:
    """Test rows that repeat exactly `symbols` symbols, without padding."""
    batch = TASK.batch(0, 0, 64, split="test")
    rows = [row[d >= 0] for row, d in zip(batch.tokens, batch.document, strict=True)]
    return [row for row in rows if len(row) == 2 * symbols + 2][:count]


def copy_cells(length: int) -> list[tuple[int, int]]:
    """(row, column): each token that has a symbol to copy next, and where that symbol stands, in a text of 2n + 2 tokens."""
    n = length // 2 - 1
    return [(row, row - n) for row in range(n + 1, 2 * n + 1)]


def local_cells(length: int) -> list[tuple[int, int]]:
    """(row, column): each token and the one just before it."""
    return [(row, row - 1) for row in range(1, length)]


def look_table(trained: Copiers) -> Block:
    """How well each model copies, and which weight its best head, on average, puts on the two places that matter."""
    texts, rows = sentences(), []
    for name, (model, accuracy) in trained.items():
        maps = [mixing_maps(model, text) for text in texts]
        cells = [name, f"{accuracy:.2f}"]
        for layer in range(model.config.layers):
            for wanted in (copy_cells, local_cells):
                places, sources = torch.tensor(wanted(len(texts[0]))).T
                weight = torch.stack([m[layer][:, places, sources].mean(1) for m in maps]).mean(0)
                cells.append(f"{weight.max():.2f} (head {int(weight.argmax()) + 1})")
        rows.append(cells)
    head = [
        f"layer {layer + 1}: {place}"
        for layer in range(model.config.layers)
        for place in ("the symbol to copy", "the token before")
    ]
    return table(("model", "symbols copied", *head), rows)


def maps_figure(
    groups: Mapping[str, Copiers], show: tuple[str, str | None], layer: int, head: int | None, sentence: int
) -> Figure:
    """All models of a group side by side (`show` = (group, None)), or every layer and head of one (`show` = (group, name)).

    `layer` and `head` count from 0 (head None: the mean over heads); a layer that a group lacks means its last one.
    """
    group, name = show
    text = sentences()[sentence]
    names = [TASK.vocabulary[token] for token in text.tolist()]
    if name is not None:
        model, accuracy = groups[group][name]
        maps = {
            f"layer {i}, head {j}": factors
            for i, heads in enumerate(mixing_maps(model, text), 1)
            for j, factors in enumerate(heads, 1)
        }
        title = f"{name}, {group}: {accuracy:.0%} of the symbols copied"
    else:
        maps = {}
        for model_name, (model, accuracy) in groups[group].items():
            layer = min(layer, model.config.layers - 1)
            factors = mixing_maps(model, text)[layer]
            chosen = factors.mean(0) if head is None else factors[head]
            maps[f"{model_name}\ncopies {accuracy:.0%}"] = chosen
        which = "mean over heads" if head is None else f"head {head + 1}"
        title = f"{group}: layer {layer + 1}, {which}; framed: the symbol to copy"
    columns = len(VARIANTS) if name is None else HEADS
    return mixing_figure(maps, names, columns=columns, title=title, wanted=copy_cells(len(text)))


def maps_explorer(groups: Mapping[str, Copiers]) -> Interactive:
    """Attention maps of all variants on the same sentence; choose the models, layer, head and sentence."""
    options: list[tuple[str, Any]] = [(f"{group}: side by side", (group, None)) for group in groups]
    options += [(f"{group}: {name}, every head", (group, name)) for group in groups for name in groups[group]]
    deepest = max(model.config.layers for trained in groups.values() for model, _ in trained.values())
    controls = {
        "show": menu("models", options),
        "layer": menu("layer", [(str(i + 1), i) for i in range(deepest)]),
        "head": menu("head", [("mean over heads", None), *((f"head {h + 1}", h) for h in range(HEADS))]),
        "sentence": slider("sentence", 0, 0, len(sentences()) - 1),
    }
    alt = "Attention maps of the variants of positions, side by side on one sentence"
    return Interactive(partial(maps_figure, groups), controls, alt)
