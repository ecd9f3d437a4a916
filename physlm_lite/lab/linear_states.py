"""Inside a linear mixer: what a sentence writes into the state of a head, what decays, and what a query reads.

The three recurrences (GLA, Mamba2, the gated delta net) are one formula, which this module takes at its word. For each head

    S_t = diag(decay_t) S_{t-1} + k_t w_t^T              o_t = scale * S_t^T q_t

where w_t, what is *written*, is the value for GLA, d_t x_t for Mamba2, and the correction b_t (v_t - S'^T k_t) for the
delta net (Part 4.1, section 6 and appendix C).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from torch import Tensor

from ..base.machine import single_thread
from ..models import Block, Context, LanguageModel, ModelConfig
from ..models.gated_delta import GatedDelta, delta_naive
from ..models.gla import GLA, gla_naive
from ..models.linear_attention import LinearAttention
from ..models.mamba2 import Mamba2, mamba2_naive
from ..tasks.draws import address, below, bits
from .controls import menu, slider
from .mixing import mixing_maps
from .plots import heat, new_figure
from .show import Interactive

NAIVE: Mapping[type, Callable[..., tuple[Tensor, Tensor]]] = {
    GLA: gla_naive,
    Mamba2: mamba2_naive,
    GatedDelta: delta_naive,
}
RED, BLUE, GREY = "#d1495b", "#4c6a92", "#8d96a3"


@dataclass(frozen=True)
class StateStory:
    """One sentence of T tokens on its way through one mixer, H heads with keys of width K and values of width V.

    query, key, decay: [T, H, K]; decay is between 0 and 1. written: [T, H, V], see above. states: [T + 1, H, K, V], the first
    X
    """

    query: Tensor
    key: Tensor
    decay: Tensor
    written: Tensor
    states: Tensor
    read: Tensor
    mixing: Tensor

    @property
    def heads(self) -> int:
        return self.key.shape[1]


@torch.no_grad()
def state_story(model: LanguageModel, tokens: Tensor | Sequence[int], layer: int = 0) -> StateStory:
    """Follow one text (tokens [T], one document) through the linear mixer of a layer.

    Raises ValueError for a layer that the model has not got, and for attention, which has no state.
    """
    text = torch.as_tensor(tokens)
    if text.dim() != 1 or not len(text):
        raise ValueError(f"tokens should be one text [T], not of shape {list(text.shape)}")
    if not -len(model.blocks) <= layer < len(model.blocks):
        raise ValueError(
            f"the model has {len(model.blocks)} layers, so layer is 0 to {len(model.blocks) - 1}, not {layer}"
        )
    block = model.blocks[layer]
    assert isinstance(block, Block)
    kept: list[Tensor] = []
    hook = block.mixer.register_forward_pre_hook(lambda _, arguments: kept.append(arguments[0]))
    try:
        model(text[None])
    finally:
        hook.remove()
    query, key, value, log_decay, *rest = recurrence_inputs(block.mixer, kept[0])
    naive = NAIVE[type(block.mixer)]
    length, heads = len(text), value.shape[2]
    now = value.new_zeros(1, heads, key.shape[-1], value.shape[-1])
    states, reads = [now], []
    for t in range(length):
        read, now = naive(*(z[:, t : t + 1] for z in (query, key, value, log_decay, *rest)), state=now)
        states.append(now)
        reads.append(read[0, 0])
    if key.dim() == 3:  # Mamba2: one key and one query for all heads
        query, key = (z[:, :, None].expand(-1, -1, heads, -1) for z in (query, key))
    if log_decay.dim() == 3:
        log_decay = log_decay[..., None].expand_as(key)
    decay = log_decay.exp()[0]
    written, history = value[0], torch.cat(states)
    if rest:  # the delta net: the share of the error
        known = (key[0][..., None] * decay[..., None] * history[:-1]).sum(-2)
        written = rest[0][0][..., None] * (value[0] - known)
    mixing = mixing_maps(model, text)[layer]
    return StateStory(query[0], key[0], decay, written, history, torch.stack(reads), mixing)


def recurrence_inputs(mixer: Any, x: Tensor) -> tuple[Tensor, ...]:
    """Query, key, value, log decay and, for the delta net, share: what the naive form of a linear mixer is called with.

    `x` [batch, position, width] is what the mixer is given, as one document from its beginning.
    """
    if not isinstance(mixer, (LinearAttention, Mamba2)):
        raise ValueError(
            f"{type(mixer).__name__} keeps no state; this is for the linear mixers gla, mamba2 and gated_delta"
        )
    return mixer.inputs(x, Context())


# -- the picture and the viewer ----------------------------------------------------------------------------------------


def state_figure(story: StateStory, names: Sequence[str], t: int, head: int = 0, title: str = "") -> Figure:
    """One step of a head: the state before, what decays, what is written, the state after, and what the query reads.

    `names`: the tokens as text. Rows of a state are channels of the key, columns those of the value.
    """
    before, after = story.states[t, head], story.states[t + 1, head]
    new = story.key[t, head][:, None] * story.written[t, head]
    bound = max(1e-6, float(torch.stack([before, after, new]).abs().max()))
    figure, axes = new_figure(
        5, width=10.5, height=max(3.5, 1.5 + 0.17 * len(names)), width_ratios=(1, 0.28, 1, 1, 1.05)
    )
    matrix(axes[0], before, bound, f"state before “{names[t]}”")
    matrix(axes[2], new, bound, "+ written: key × value")
    matrix(axes[3], after, bound, "= state after")
    axes[0].set_ylabel("key channel")
    decay = story.decay[t, head].numpy()
    axes[1].barh(range(len(decay)), decay, color=GREY, height=0.8)
    axes[1].set(ylim=(len(decay) - 0.5, -0.5), xlim=(0, 1))
    axes[1].set_xticks([0, 1])
    axes[1].set_yticks([])
    axes[1].set_title("× kept", fontsize=10)
    axes[1].set_xlabel("exp(a)", fontsize=9)
    reading(axes[4], story.mixing[head, t].numpy(), names, t)
    figure.suptitle((f"{title}: " if title else "") + f"token {t}, head {head}", fontsize=11)
    return figure


def matrix(axis: Axes, values: Tensor, bound: float, title: str) -> None:
    """A state as a picture: red positive, blue negative."""
    heat(axis, values, [], [], high=bound, square=False, cmap="RdBu_r", vmin=-bound)
    axis.set_xlabel("value channel", fontsize=9)
    axis.set_title(title, fontsize=10)


def reading(axis: Axes, weights: np.ndarray, names: Sequence[str], t: int) -> None:
    """How much of each token's value the query of token t reads; the tokens from top to bottom."""
    axis.barh(
        range(len(names)), weights, color=[RED if place == t else BLUE for place in range(len(names))], height=0.75
    )
    axis.axvline(0, color="#333", linewidth=0.8)
    axis.set_ylim(len(names) - 0.5, -0.5)
    axis.set_yticks(range(len(names)), names, fontsize=9)
    for place, label in enumerate(axis.get_yticklabels()):
        label.set_color(RED if place == t else "black" if place < t else "#c4c9d1")
        label.set_fontweight("bold" if place == t else "normal")
    axis.set_title(f"“{names[t]}” reads of the value of ...", fontsize=10)
    axis.set_xlabel("factor of its value", fontsize=9)


def state_viewer(
    models: LanguageModel | Mapping[str, LanguageModel],
    tokens: Tensor | Sequence[int],
    names: Sequence[str],
    t: int | None = None,
) -> Interactive:
    """Walk along a text, in one model or in several that are told apart by name; sliders for token, head and layer."""
    named = {"": models} if isinstance(models, LanguageModel) else dict(models)
    stories = {
        (name, layer): state_story(model, tokens, layer)
        for name, model in named.items()
        for layer in range(len(model.blocks))
    }
    last, heads, layers = len(names) - 1, max(story.heads for story in stories.values()), max(n for _, n in stories)
    controls = {
        "model": menu("model", named),
        "t": slider("token", last if t is None else t, 0, last),
        "head": slider("head", 0, 0, heads - 1),
        "layer": slider("layer", 0, 0, layers),
    }
    controls["model"].layout.display = "none" if len(named) == 1 else None
    for name, most in (("t", last), ("head", heads - 1), ("layer", layers)):
        controls[name].disabled = most == 0

    def draw(model: str, t: int, head: int, layer: int) -> Figure:
        story = stories[model, min(layer, len(named[model].blocks) - 1)]
        return state_figure(story, names, t, min(head, story.heads - 1), model)

    return Interactive(draw, controls, "State viewer: state before, decay, what is written, state after, what is read")


# -- a text that has to be bound ---------------------------------------------------------------------------------------

LETTERS, DIGITS = "ABCDEFGH", "01234567"
RECALL_VOCABULARY = (*LETTERS, *DIGITS)


def recall_batch(step: int, rows: int, pairs: int = 4, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Pairs of a letter and a digit, then the same letters in another order, each with its digit again.

    tokens [rows, 4 * pairs], numbers of `RECALL_VOCABULARY`, and where they can be known: the digits of the second half. A
    letter is the key to the token *after* it. A letter occurs in one pair only, a digit may occur in several.

    >>> tokens, known = recall_batch(step=0, rows=1)
    >>> print(*(RECALL_VOCABULARY[t] for t in tokens[0]))
    D 6 A 0 C 6 H 7 A 0 D 6 C 6 H 7
    """
    key = address(seed, step, np.arange(rows))[:, None]
    letters = bits(key, 0, np.arange(len(LETTERS))).argsort(1)[:, :pairs]
    digits = len(LETTERS) + below(bits(key, 1, np.arange(pairs)), len(DIGITS))
    order = bits(key, 2, np.arange(pairs)).argsort(1)
    both = np.stack([letters, digits], 2)
    again = np.take_along_axis(both, order[:, :, None], 1)
    tokens = np.concatenate([both, again], 1).reshape(rows, -1)
    known = np.zeros(tokens.shape, bool)
    known[:, 2 * pairs + 1 :: 2] = True
    return torch.from_numpy(tokens), torch.from_numpy(known)


def recall_model(steps: int = 400, seed: int = 0, rate: float = 1.2e-2, **options: Any) -> LanguageModel:
    """A small model of one layer (`options` of `ModelConfig` may change it), trained on `recall_batch`."""
    config = {"width": 32, "layers": 1, "heads": 1, "hidden": 64, **options}
    model = LanguageModel(ModelConfig(len(RECALL_VOCABULARY), **config), seed=seed)
    optimizer = torch.optim.AdamW(model.parameters(), lr=rate, weight_decay=0.0)
    with single_thread():
        for step in range(steps):
            for group in optimizer.param_groups:
                group["lr"] = rate * min(1, (step + 1) / 30, 1.1 - step / steps)
            loss = model.loss(*recall_batch(step, 32, seed=seed + 1))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
    return model


@torch.no_grad()
def recall_accuracy(model: LanguageModel, rows: int = 500) -> float:
    """Share of the digits that a model recalls, on texts that `recall_model` has not been trained on."""
    tokens, known = recall_batch(0, rows)
    return float((model.guesses(tokens) == tokens)[known].float().mean())
