"""Maps of what a mixer takes from where, against what the mixers themselves read."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from physlm_lite.lab.mixing import mixing_figure, mixing_maps, shares
from physlm_lite.models import Attention, Context, LanguageModel, Mamba2, ModelConfig

TEXT = torch.tensor([3, 1, 4, 1, 5, 9, 2, 6, 5, 3, 5])
PACKED = torch.tensor([0, 0, 0, 0, 1, 1, 1, 2, 2, 2, 2])
OPTIONS: dict[str, dict[str, Any]] = {
    "RoPE": {},
    "RoPE + Canon, shared keys": {"canon": "ABCD", "heads": 4, "kv_heads": 2},
    "a quarter": {"rope_heads": 1, "rope_dim": 8},
    "NoPE": {"rope_dim": 0},
    "ALiBi": {"positions": "alibi"},
    "H-ALiBi + Canon": {"positions": "hard_alibi", "canon": "ABCD"},
    "GLA": {"mixer": "gla", "canon": "AC"},
    "GLA + b": {"mixer": "gla", "mixer_options": {"canon_b": True}},
    "Mamba2": {"mixer": "mamba2", "mlp": "none", "mixer_options": {"canon_b": False}},
    "Mamba2 + AbCD": {"mixer": "mamba2", "canon": "ACD"},
    "GDN": {"mixer": "gated_delta", "mixer_options": {"canon_b": False}},
    "GDN + b": {"mixer": "gated_delta"},
}


def made(**options: Any) -> LanguageModel:
    return LanguageModel(ModelConfig(vocab=10, width=32, layers=2, **options), seed=0).double()


def values_and_reads(mixer: Any, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
    """The values [batch, position, head, value] of a mixer, and what it reads, taken from its own forward pass."""
    seen: list[Tensor] = []
    inner = mixer.output if isinstance(mixer, Attention) else mixer.norm
    hook = inner.register_forward_pre_hook(lambda _, arguments: seen.append(arguments[0]))
    mixer(x, context)
    hook.remove()
    read = seen[0]
    if isinstance(mixer, Attention):
        value = mixer.heads(x, context)[2].transpose(1, 2)
        groups = mixer.widths[0] // mixer.widths[1]
        return value.repeat_interleave(groups, 2), read.unflatten(-1, (-1, mixer.config.each_head))
    if isinstance(mixer, Mamba2):
        sizes = [2 * mixer.config.width, mixer.config.mixed, mixer.config.heads]
        gate, mixed, _ = mixer.input(x).split(sizes, -1)
        mixed = mixed if mixer.canon_b is None else context.canon(mixer.canon_b, "b", mixed)
        value = mixed[..., : 2 * mixer.config.width].unflatten(-1, (mixer.config.heads, -1))
        return value, (read / F.silu(gate)).unflatten(-1, (mixer.config.heads, -1))
    return mixer.heads(x, context)[2], read


@pytest.mark.parametrize("document", [None, PACKED], ids=["one text", "packed"])
@pytest.mark.parametrize("name", OPTIONS)
@torch.no_grad()
def test_the_map_times_the_values_is_what_the_mixer_reads(name: str, document: Tensor | None) -> None:
    model = made(**OPTIONS[name])
    calls: list[tuple[Any, ...]] = []
    for block in model.blocks:
        block.get_submodule("mixer").register_forward_pre_hook(lambda m, a: calls.append((m, *a)))
    maps = mixing_maps(model, TEXT, document)
    assert len(maps) == len(calls) == 2
    for factors, (mixer, x, context) in zip(maps, list(calls), strict=True):
        value, read = values_and_reads(mixer, x, context)
        assert factors.shape == (model.config.heads, len(TEXT), len(TEXT))
        torch.testing.assert_close(torch.einsum("hts,bshv->bthv", factors, value), read, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("name", OPTIONS)
def test_nothing_comes_from_the_future_or_from_another_document(name: str) -> None:
    forbidden = torch.ones(11, 11).triu(1).bool() | (PACKED[:, None] != PACKED)
    for factors in mixing_maps(made(**OPTIONS[name]), TEXT, PACKED):
        assert not factors[:, forbidden].any()
        assert factors[:, ~forbidden].any()


def test_attention_rows_sum_to_one_and_stay_as_they_are() -> None:
    for factors in mixing_maps(made(canon="ABCD"), TEXT):
        torch.testing.assert_close(factors.sum(-1), torch.ones_like(factors.sum(-1)))
        torch.testing.assert_close(shares(factors), factors)


def test_shares_of_a_signed_row_have_total_size_one_and_an_empty_row_stays_empty() -> None:
    assert shares(torch.tensor([[3.0, -1.0], [0.0, 0.0]])).tolist() == [[0.75, -0.25], [0.0, 0.0]]


def test_the_model_is_left_as_it_was() -> None:
    model = made(canon="ABCD")
    before = model(TEXT[None])
    first, again = mixing_maps(model, TEXT), mixing_maps(model, TEXT[None])
    assert all(torch.equal(a, b) and not a.requires_grad for a, b in zip(first, again, strict=True))
    assert torch.equal(model(TEXT[None]), before)
    assert not any(module._forward_pre_hooks for module in model.modules())


def test_several_texts_at_once_are_refused() -> None:
    with pytest.raises(ValueError, match=r"one text.*\[2, 11\]"):
        mixing_maps(made(), TEXT.repeat(2, 1))


def test_the_figure_has_a_panel_for_each_map_on_one_scale_with_the_tokens_on_the_outer_axes() -> None:
    names = [str(t) for t in TEXT.tolist()]
    maps = {name: mixing_maps(made(**OPTIONS[name]), TEXT)[0][0] for name in ("RoPE", "NoPE", "ALiBi")}
    figure = mixing_figure(maps, names, columns=2, title="three", wanted=[(4, 2)])
    panels = [axis for axis in figure.axes if axis.get_title()]
    assert [axis.get_title() for axis in panels] == list(maps)
    assert {(axis.collections[0].cmap.name, *axis.collections[0].get_clim()) for axis in panels} == {("Reds", 0.0, 1.0)}
    labels = [[[t.get_text() for t in ticks] for ticks in (a.get_xticklabels(), a.get_yticklabels())] for a in panels]
    assert [[bool(any(x)), bool(any(y))] for x, y in labels] == [[False, True], [True, False], [True, True]]
    assert labels[2] == [names, names]
    assert all(len(axis.patches) == 1 for axis in panels)


def test_a_map_with_signs_gets_colours_for_both() -> None:
    figure = mixing_figure({"GDN": mixing_maps(made(mixer="gated_delta"), TEXT)[0][0]}, [str(t) for t in TEXT.tolist()])
    image = figure.axes[0].collections[0]
    assert (image.cmap.name, image.get_clim()) == ("RdBu_r", (-1, 1))


def test_a_map_that_does_not_fit_the_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match=r"'all heads' should be \[3, 3\] for 3 tokens, not \[2, 3, 3\]"):
        mixing_figure({"all heads": torch.zeros(2, 3, 3)}, ["a", "b", "c"])
    with pytest.raises(ValueError, match="no map to draw"):
        mixing_figure({}, ["a"])
