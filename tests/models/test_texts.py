"""Padding in the middle of texts, and what a decoding state keeps."""

import copy

import pytest
import torch
from models.mixer_checks import draw
from models.variants import HOLES, close, model_of, text

from physlm_lite.models import GDN2, GLA5, DecodingState, Memory

PLAIN = {"kv_heads": None, "head_width": None}
KINDS = {
    "NoPE": {"rope_dim": 0},
    "NoPE, Canon-ABCD": {"rope_dim": 0, "canon": "ABCD"},
    "RoPE, Canon-ABCD and across": {"canon": "ABCD", "canon_cross": True, "canon_kernel": 3},
    "RoPE, other places": {"canon": "KVOM"},
    "RoPE, experts": {"canon": "ABC", "experts": 3, "rope_layout": "interleaved"},
    "GLA": {**PLAIN, "mixer": "gla"},
    "GLA5": {**PLAIN, "mixer": "gla", "mixer_options": GLA5, "canon": "ACD"},
    "GDN2": {**PLAIN, "mixer": "gated_delta", "mixer_options": GDN2, "canon": "ACDOM"},
    "Mamba2": {**PLAIN, "mixer": "mamba2", "mixer_options": {"state": 8}, "canon": "ACD"},
}
every_kind = pytest.mark.parametrize("kind", KINDS)
HOLE = torch.tensor([[-1, 0, 0, 0, -1, -1, -1, -1, -1, 0, 0, -1], [0, 0, 0, 0, 0, -1, 0, -1, 0, 0, 0, 0]])


def places(document):
    """Places counted without padding, which padding shares with the token before it."""
    return ((document >= 0).cumsum(1) - 1).clamp(min=0)


@every_kind
@pytest.mark.parametrize("document", [HOLE, HOLES], ids=["one text", "several"])
def test_padding_is_as_if_it_were_not_there(kind, document):
    model, tokens = model_of(**KINDS[kind]), text()
    positions = places(document) if "RoPE" in kind else None
    found = model.norm(model.hidden(tokens, document, positions=positions))
    for row, numbers, given in zip(tokens, document, found, strict=True):
        there = numbers >= 0
        alone = model.norm(model.hidden(row[there][None], numbers[there][None]))
        close(given[there], alone[0], 1e-9)


@every_kind
def test_what_stands_before_a_hole_counts_and_what_stands_in_it_does_not(kind):
    model, tokens = model_of(**KINDS[kind]), text()
    before, inside, logits = tokens.clone(), tokens.clone(), model(tokens, HOLE)
    before[0, 1] = (before[0, 1] + 1) % 17
    inside[HOLE < 0] = (inside[HOLE < 0] + 1) % 17
    assert (model(before, HOLE)[0, 10] - logits[0, 10]).abs().max() > 1e-6
    assert torch.equal(model(inside, HOLE)[HOLE >= 0], logits[HOLE >= 0])


@every_kind
@pytest.mark.parametrize("cuts", [(1,) * 12, (5, 1, 1, 5), (11, 1), (2, 3, 7)], ids=str)
@pytest.mark.parametrize("graph", [False, True])
def test_texts_with_holes_can_be_continued(kind, cuts, graph):
    """Rows of several texts go on with different numbers of tokens, padded on either side."""
    model, tokens = model_of(**KINDS[kind]), text()
    whole, state, pieces = model(tokens, HOLE), DecodingState(), []
    with torch.set_grad_enabled(graph):
        for part, numbers in zip(tokens.split(cuts, 1), HOLE.split(cuts, 1), strict=True):
            pieces.append(model(part, numbers, state))
    close(torch.cat(pieces, 1)[HOLE >= 0], whole[HOLE >= 0], 1e-9)


def test_positions_may_be_given():
    model, tokens = model_of(canon="ABCD"), text()
    counted = torch.arange(12)[None]
    for positions in (counted, counted + 5, counted.expand(2, -1)):
        close(model.hidden(tokens, positions=positions), model.hidden(tokens), 1e-5)
    stretched = model.hidden(tokens, positions=2 * counted)
    assert (stretched - model.hidden(tokens)).abs().max() > 1e-3
    state, pieces = DecodingState(), []
    for part, places in zip(tokens.split(4, 1), (2 * counted).split(4, 1), strict=True):
        pieces.append(model.hidden(part, state=state, positions=places))
    close(torch.cat(pieces, 1), stretched)


# -- what is kept ------------------------------------------------------------------------------------------------------


@torch.no_grad()
def test_appending_is_joining_and_nothing_that_was_handed_out_changes():
    memory, parts, given = Memory(), [], []
    memory.writes = True
    for step in range(200):
        parts.append(draw(2, 3, 1 + step % 3, 5, seed=step))
        found = memory.append("key", parts[-1], 2)
        given.append((found, found.clone()))
        assert torch.equal(found, torch.cat(parts, 2)) and memory["key"] is found
    assert all(torch.equal(tensor, copied) for tensor, copied in given)


@torch.no_grad()
@pytest.mark.parametrize("branch", [copy.copy, copy.deepcopy], ids=["copy", "deepcopy"])
def test_two_who_go_on_from_one_past_do_not_meet(branch):
    model, tokens = model_of(canon="ABCD"), text(2, 20)
    state = DecodingState()
    model(tokens[:, :5], state=state)
    model(tokens[:, 5:6], state=state)
    other = DecodingState(state.length, None, [branch(layer) for layer in state.layers])
    different = (tokens + 1) % 17
    for place in range(6, 12):
        close(model(tokens[:, place : place + 1], state=state), model(tokens[:, : place + 1])[:, -1:])
        mixed = torch.cat([tokens[:, :6], different[:, 6 : place + 1]], 1)
        close(model(different[:, place : place + 1], state=other), model(mixed)[:, -1:])


@every_kind
def test_the_past_of_any_mode_can_be_continued_in_any_other(kind):
    model, tokens = model_of(**KINDS[kind]), text(2, 10)
    whole, state, pieces = model(tokens).detach(), DecodingState(), []
    modes = [torch.enable_grad, torch.no_grad, torch.inference_mode, torch.no_grad, torch.inference_mode]
    for part, mode in zip(tokens.split(2, 1), modes, strict=True):
        with mode():
            pieces += [model(one, state=state).detach().clone() for one in part.split(1, 1)]
    close(torch.cat(pieces, 1), whole)


@every_kind
def test_gradients_pass_through_single_tokens(kind):
    model, tokens = model_of(**KINDS[kind]), text(2, 6)

    def gradient(logits):
        logits.square().mean().backward()
        found = {name: p.grad.clone() for name, p in model.named_parameters()}
        model.zero_grad()
        return found

    expected, state = gradient(model(tokens)), DecodingState()
    steps = gradient(torch.cat([model(part, state=state) for part in tokens.split(1, 1)], 1))
    for name in expected:
        torch.testing.assert_close(steps[name], expected[name])


def test_half_the_numbers_of_32_bits_while_decoding():
    """The window is summed in 32 bits and rounded once, as in the parallel form."""
    model, tokens = model_of(canon="ABCD").bfloat16(), text(2, 12)
    state = DecodingState()
    with torch.no_grad():
        steps = torch.cat([model(part, state=state) for part in tokens.split(1, 1)], 1)
        torch.testing.assert_close(steps, model(tokens), rtol=0.05, atol=0.2)


def test_a_layer_may_stand_twice_in_a_model():
    model, apart = model_of(canon="ABCD"), model_of(canon="ABCD")
    model.blocks[1] = model.blocks[0]
    apart.blocks[1].load_state_dict(apart.blocks[0].state_dict())
    tokens = text()
    close(model(tokens), apart(tokens))
    state = DecodingState()
    close(torch.cat([model(part, state=state) for part in tokens.split(1, 1)], 1), apart(tokens))
    model(tokens).square().mean().backward()
    apart(tokens).square().mean().backward()
    for (name, once), first in zip(model.blocks[0].named_parameters(), apart.blocks[0].parameters(), strict=True):
        torch.testing.assert_close(once.grad, first.grad + apart.blocks[1].get_parameter(name).grad)
