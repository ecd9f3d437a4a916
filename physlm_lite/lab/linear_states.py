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

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..models import LanguageModel, Mamba2
from ..models.linear_attention import LinearAttention
from ..tasks import Recall
from ..training import Run, Training
from .controls import menu, slider
from .mixing import mixer_calls, mixing_map
from .plots import BLUE, FAINT, RED, heat, new_figure
from .show import Interactive


@dataclass(frozen=True)
class StateStory:
    """One sentence of T tokens on its way through one mixer, H heads with keys of width K and values of width V.

    key, decay: [T, H, K]; decay is between 0 and 1. written: [T, H, V], see above. states: [T + 1, H, K, V], the first
    empty. mixing: [H, T, T], how much of the value of token s (last) is read at token t.
    """

    key: Tensor
    decay: Tensor
    written: Tensor
    states: Tensor
    mixing: Tensor


@torch.no_grad()
def state_story(model: LanguageModel, tokens: Tensor | Sequence[int], layer: int = 0) -> StateStory:
    """Follow one text (tokens [T], one document) through the linear mixer of a layer.

    Raises ValueError for a layer that the model has not got, and for attention, which has no state.
    """
    if not -len(model.blocks) <= layer < len(model.blocks):
        raise ValueError(
            f"the model has {len(model.blocks)} layers, so layer is 0 to {len(model.blocks) - 1}, not {layer}"
        )
    mixer, x, context = mixer_calls(model, torch.as_tensor(tokens))[layer]
    if not isinstance(mixer, LinearAttention | Mamba2):
        raise ValueError(
            f"{type(mixer).__name__} keeps no state; this is for the linear mixers gla, mamba2 and gated_delta"
        )
    _, key, value, log_decay, *rest = inputs = mixer.inputs(x, context)
    naive: Callable[..., tuple[Tensor, Tensor]] = mixer.naive
    heads = value.shape[2]
    states = [value.new_zeros(1, heads, key.shape[-1], value.shape[-1])]
    for t in range(x.shape[1]):
        states.append(naive(*(z[:, t : t + 1] for z in inputs), state=states[-1])[1])
    if key.dim() == 3:  # Mamba2: one key for all heads
        key = key[:, :, None].expand(-1, -1, heads, -1)
    if log_decay.dim() == 3:
        log_decay = log_decay[..., None].expand_as(key)
    decay = log_decay.exp()[0]
    written, history = value[0], torch.cat(states)
    if rest:  # the delta net: the share of the error
        known = (key[0][..., None] * decay[..., None] * history[:-1]).sum(-2)
        written = rest[0][0][..., None] * (value[0] - known)
    return StateStory(key[0], decay, written, history, mixing_map(mixer, x, context)[0])


# -- the picture and the viewer ----------------------------------------------------------------------------------------


def state_figure(story: StateStory, names: Sequence[str], t: int, head: int = 0, title: str = "") -> Figure:
    """One step of a head: the state before, what decays, what is written, the state after, and what the query reads.

    `names`: the tokens as text. Rows of a state are channels of the key, columns those of the value.
    """
    matrices = {
        f"state before “{names[t]}”": story.states[t, head],
        "+ written: key × value": story.key[t, head][:, None] * story.written[t, head],
        "= state after": story.states[t + 1, head],
    }
    bound = max(1e-6, float(torch.stack(list(matrices.values())).abs().max()))
    height = max(3.5, 1.5 + 0.17 * len(names))
    figure, axes = new_figure(5, width=10.5, height=height, width_ratios=(1, 0.28, 1, 1, 1.05))
    first, kept, *others, reads = axes
    for axis, (name, values) in zip((first, *others), matrices.items(), strict=True):
        heat(axis, values, [], [], high=bound, square=False, cmap="RdBu_r", vmin=-bound)
        axis.set(title=name, xlabel="value channel")
    first.set_ylabel("key channel")
    decay = story.decay[t, head].numpy()
    kept.barh(range(len(decay)), decay, color=FAINT, height=0.8)
    kept.set(ylim=(len(decay) - 0.5, -0.5), xlim=(0, 1), xticks=[0, 1], yticks=[], title="× kept", xlabel="exp(a)")
    shades = [RED if place == t else BLUE for place in range(len(names))]
    reads.barh(range(len(names)), story.mixing[head, t].numpy(), color=shades, height=0.75)
    reads.axvline(0, color="#333", linewidth=0.8)
    reads.set(ylim=(len(names) - 0.5, -0.5), xlabel="factor of its value")
    reads.set_title(f"“{names[t]}” reads of the value of ...")
    reads.set_yticks(range(len(names)), names, fontsize=9)
    for place, label in enumerate(reads.get_yticklabels()):
        label.set_color(RED if place == t else "black" if place < t else "#c4c9d1")
        label.set_fontweight("bold" if place == t else "normal")
    for axis in axes:
        axis.title.set_fontsize(10)
        axis.xaxis.label.set_fontsize(9)
    figure.suptitle((f"{title}: " if title else "") + f"token {t}, head {head}", fontsize=11)
    return figure


def state_viewer(
    models: LanguageModel | Mapping[str, LanguageModel],
    tokens: Tensor | Sequence[int],
    names: Sequence[str],
    t: int | None = None,
) -> Interactive:
    """Walk along a text, in one model or in several that are told apart by name; sliders for token, head and layer."""
    named = {"": models} if isinstance(models, LanguageModel) else dict(models)
    stories = {
        name: [state_story(model, tokens, layer) for layer in range(len(model.blocks))] for name, model in named.items()
    }
    last, heads = len(names) - 1, max(story.key.shape[1] for layers in stories.values() for story in layers)
    sliders = {
        "t": slider("token", last if t is None else t, 0, last),
        "head": slider("head", 0, 0, heads - 1),
        "layer": slider("layer", 0, 0, max(map(len, stories.values())) - 1),
    }
    for control in sliders.values():
        control.disabled = control.max == 0
    controls = {"model": menu("model", named), **sliders}
    controls["model"].layout.display = "none" if len(named) == 1 else None

    def draw(model: str, t: int, head: int, layer: int) -> Figure:
        story = stories[model][: layer + 1][-1]
        return state_figure(story, names, t, min(head, story.key.shape[1] - 1), model)

    return Interactive(draw, controls, "State viewer: state before, decay, what is written, state after, what is read")


# -- a text that has to be bound ---------------------------------------------------------------------------------------

RECALL = Recall()


def recall_run(steps: int = 400, **options: Any) -> Run:
    """A small model of one layer (`options` of `ModelConfig` may change it) that learns to recall."""
    model = {"width": 32, "layers": 1, "heads": 1, "hidden": 64, **options}
    rate: dict[str, Any] = {"learning_rate": 1.2e-2, "warmup": min(30, steps // 2), "final": 0.1, "weight_decay": 0.0}
    training = Training(steps=steps, batch=32, evaluations=1, evaluation_rows=512, **rate)
    return Run("recall", model=model, training=training)
