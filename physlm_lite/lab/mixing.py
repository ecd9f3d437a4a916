"""What a token mixer takes from where: one map for each layer and head, for attention and linear mixers alike.

Entry [t, s] of a map is the factor of the value of token s in what the mixer reads at token t. For attention these are the
softmax weights. A linear mixer reads a sum of values, too, with factors that its queries, keys and decays fix beforehand. So
its own recurrence gives them: hand it one-hot values, as wide as the text is long, and it reads the factors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle
from torch import Tensor, nn

from ..models import Attention, Context, LanguageModel, Mamba2
from ..models.linear_attention import LinearAttention
from ..models.recurrence import document_starts
from .plots import heat, new_mosaic


@torch.no_grad()
def mixing_maps(model: LanguageModel, tokens: Tensor, document: Tensor | None = None) -> list[Tensor]:
    """For each layer, [head, position, position]: how much of the value of token s (last) goes into what token t reads.

    Attention: its weights, rows that sum to 1. Gated linear attention and the gated delta net: before their norm, so that
    the size of a row means little (see `shares`). Mamba2: its value is x, hence step size and skip are in the factors.
    """
    return [mixing_map(*call)[0].cpu() for call in mixer_calls(model, tokens, document)]


@torch.no_grad()
def mixer_calls(
    model: LanguageModel, tokens: Tensor, document: Tensor | None = None
) -> list[tuple[nn.Module, Tensor, Context]]:
    """For each layer its mixer and what that is called with while the model reads: x [1, position, width], and the context.

    `tokens` and `document` are one text, [position] or [1, position].
    """
    if tokens.dim() == 1:
        tokens, document = tokens[None], None if document is None else document[None]
    if tokens.dim() != 2 or len(tokens) != 1:
        raise ValueError(f"a map is of one text, [position] or [1, position], not {list(tokens.shape)}; choose a row")
    calls: list[tuple[nn.Module, Tensor, Context]] = []

    def keep(mixer: nn.Module, arguments: tuple[Any, ...]) -> None:
        calls.append((mixer, *arguments))

    hooks = [block.get_submodule("mixer").register_forward_pre_hook(keep) for block in model.blocks]
    try:
        model.hidden(tokens, document)
    finally:
        for hook in hooks:
            hook.remove()
    return calls


@torch.no_grad()
def mixing_map(mixer: nn.Module, x: Tensor, context: Context) -> Tensor:
    """[batch, head, position, position] of one mixer for its input x [batch, position, width]."""
    if isinstance(mixer, Attention):
        return mixer.weights(x, context)
    if not isinstance(mixer, LinearAttention | Mamba2):
        raise ValueError(f"no map of what {type(mixer).__name__} mixes; this knows attention and the linear mixers")
    query, key, value, *gates = mixer.inputs(x, context)
    one_hot = torch.eye(x.shape[1], dtype=value.dtype, device=x.device)[None, :, None].expand(*value.shape[:3], -1)
    naive: Callable[..., tuple[Tensor, Tensor]] = mixer.naive
    written, kept = one_hot, torch.zeros_like(one_hot)
    if isinstance(mixer, Mamba2):
        written, kept = mixer.parts(x, context)[-1][..., None] * one_hot, mixer.skip[:, None] * one_hot
    read, _ = naive(query, key, written, *gates, document_starts(context))
    return (read + kept).transpose(1, 2)


def shares(factors: Tensor) -> Tensor:
    """Each row divided by the sum of its sizes: attention stays as it is, linear mixers become comparable with it."""
    return factors / factors.abs().sum(-1, keepdim=True).clamp_min(1e-12)


def mixing_figure(
    maps: Mapping[str, Tensor],
    names: Sequence[str],
    *,
    columns: int = 5,
    title: str = "",
    wanted: Sequence[tuple[int, int]] = (),
) -> Figure:
    """Maps [position, position] side by side, one panel each, as `shares`; the tokens `names` stand on both axes.

    Rows are the tokens that read, columns the ones that they take from. One colour scale for all panels: red what is
    added, blue what is subtracted. `wanted`: cells (row, column) to be framed. A few more than a dozen tokens are legible
    at five columns.
    """
    for name, factors in maps.items():
        if factors.shape != (len(names), len(names)):
            raise ValueError(
                f"the map of {name!r} should be [{len(names)}, {len(names)}] for {len(names)} tokens, not "
                f"{list(factors.shape)}; choose a layer and a head"
            )
    if not maps:
        raise ValueError("there is no map to draw; give at least one")
    columns = min(columns, len(maps))
    panels = [list(maps)[first : first + columns] for first in range(0, len(maps), columns)]
    panels[-1] += ["."] * (columns - len(panels[-1]))  # nothing
    side = min(4.6, 9.3 / columns)
    drawn = {name: shares(factors.detach().float().cpu()).numpy() for name, factors in maps.items()}
    signed = any((picture < 0).any() for picture in drawn.values())
    colours: dict[str, Any] = {"cmap": "RdBu_r", "vmin": -1} if signed else {}
    lines = 1 + max(name.count("\n") for name in maps)
    below = 0.4 + 0.08 * max(map(len, names))  # upright token names and the axis label
    height = len(panels) * (side + 0.2 * lines) + below + 0.3 * bool(title)
    figure, axes = new_mosaic(panels, columns * side + 1.2, height)
    for place, (name, picture) in enumerate(drawn.items()):
        axis, lowest = axes[name], place + columns >= len(drawn)  # nothing stands below this panel
        heat(axis, picture, names if place % columns == 0 else [], names if lowest else [], high=1, **colours)
        for label in axis.get_xticklabels():
            label.set(rotation=90, horizontalalignment="center")
        axis.set_title(name, fontsize=10)
        for row, column in wanted:
            axis.add_patch(Rectangle((column, row), 1, 1, fill=False, edgecolor="#2e4057", linewidth=1))
    figure.supxlabel("the token that is looked at", fontsize=10)
    figure.supylabel("the token that looks", fontsize=10)
    if title:
        figure.suptitle(title, fontsize=11)
    figure.colorbar(axis.collections[0], ax=list(axes.values()), shrink=0.6, label="share of what is read")
    return figure
