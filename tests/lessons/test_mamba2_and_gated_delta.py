"""Notebook 12's toys: step sizes, stored pairs, keys that move and the gathered records, each against an independent count."""

from __future__ import annotations

import dataclasses
import math
from itertools import chain

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from drawn import dots_of

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import Outcome, claim, recorded
from physlm_lite.claims.sides import FAMILIES
from physlm_lite.lab.show import Interactive
from physlm_lite.lessons.mamba2_and_gated_delta.exercises import (
    chunk_corrections,
    delta_rule,
    rewriting_errors,
    step_size,
)
from physlm_lite.lessons.mamba2_and_gated_delta.figures import (
    RULES,
    STARTS,
    errors,
    families_figure,
    family_records,
    key_reach,
    reach_figure,
    remaining,
    rewrite_figure,
    similar_figure,
    solve_figure,
    step_explorer,
    step_figure,
    stored,
)
from physlm_lite.models import Mamba2
from physlm_lite.models.mamba2 import mamba2_naive
from physlm_lite.training import Record


def record(name: str, seed: int, kl: float, seconds: float = 10.0, claim_id: str = "R7-convolution") -> Record:
    run = claim(claim_id).experiment("toy").run(name, 4e-3, seed)
    final = {"step": run.training.steps, "seconds": seconds, "kl": kl, "accuracy": 0.5}
    return Record(run, "finished", [final], seconds, evaluation_seconds=0.0, parameters=1, peak_memory_mb=1.0)


def outcome(claim_id: str, scores: dict[str, list[float]], seconds: float = 10.0) -> Outcome:
    records = {
        name: [record(name, seed, kl, seconds, claim_id) for seed, kl in enumerate(values)]
        for name, values in scores.items()
    }
    return Outcome(claim(claim_id), "toy", {}, records)


# -- step sizes --------------------------------------------------------------------------------------------------------


def test_what_is_left_of_a_token_is_what_mamba2_keeps_of_it() -> None:
    steps, rate = torch.tensor([0.3, 0.1, 1.2, 0.05, 0.4], dtype=torch.float64), 2.0
    one, values = torch.ones(1, 5, 1, dtype=torch.float64), torch.eye(5, dtype=torch.float64)
    _, state = mamba2_naive(one, one, (steps[:, None] * values)[None, :, None], -rate * steps[None, :, None])
    assert np.allclose(state[0, 0, 0], remaining(steps.tolist(), rate))


def test_a_large_step_forgets_what_came_before_and_a_step_of_zero_skips_the_token() -> None:
    large = remaining([0.1, 0.1, 5, 0, 0], rate=2)
    assert large[2] == 5
    assert large[:2].max() < 1e-4
    skipped = remaining([0.1, 0, 0.1], rate=2)
    assert np.allclose(skipped[[0, 2]], remaining([0.1, 0.1], rate=2))


def test_the_marked_range_is_where_step_sizes_begin() -> None:
    layer = Mamba2(512, 1024)
    sizes = F.softplus(layer.step_bias.detach())
    assert 0.99 * STARTS[0] < float(sizes.min()) < 1.1 * STARTS[0]
    assert 0.9 * STARTS[1] < float(sizes.max()) < 1.01 * STARTS[1]


def test_a_key_moves_with_four_inputs_through_the_convolution_and_with_its_own_alone_without() -> None:
    place = torch.arange(7)
    lag = place[:, None] - place
    with_convolution = key_reach(Mamba2(32, 2, state=8), positions=7)
    without = key_reach(Mamba2(32, 2, state=8, canon_b=False), positions=7)
    assert torch.equal(with_convolution > 1e-6, (lag >= 0) & (lag < 4))
    assert torch.equal(without > 1e-6, lag == 0)


# -- stored pairs ------------------------------------------------------------------------------------------------------


def test_adding_keeps_the_sum_and_correcting_the_newest_value_of_a_key() -> None:
    keys, values = torch.tensor([[1.0, 0.0], [1.0, 0.0]]), torch.eye(2)
    assert torch.allclose(keys[0] @ stored("adding", keys, values), torch.ones(2))
    assert torch.allclose(keys[0] @ stored("correcting", keys, values), values[1])


@pytest.mark.parametrize("degrees", [15.0, 50.0, 90.0])
def test_the_errors_of_two_pairs_are_those_of_the_formula(degrees: float) -> None:
    c = math.cos(math.radians(degrees))
    assert errors("adding", degrees) == pytest.approx([c, c], abs=1e-6)
    assert errors("correcting", degrees) == pytest.approx([c * math.sqrt(1 + c * c), 0], abs=1e-6)


def test_writing_again_mends_the_delta_rule_and_piles_up_when_adding() -> None:
    correcting = [max(errors("correcting", 60, times=n)) for n in (1, 2, 4, 8)]
    adding = [max(errors("adding", 60, times=n)) for n in (1, 2, 4, 8)]
    assert correcting == sorted(correcting, reverse=True)
    assert correcting[-1] < 0.01
    assert adding == sorted(adding)
    assert max(errors("correcting", 60, share=2.2, times=8)) > 1  # the notebook's answer: too large a rate


def test_a_decay_of_the_state_weakens_the_older_pair_only() -> None:
    keys, values = torch.eye(2), torch.eye(2)
    for rule in RULES:
        assert torch.allclose(keys @ stored(rule, keys, values, decay=0.5), torch.diag(torch.tensor([0.5, 1.0])))


def test_an_unknown_rule_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownName, match="did you mean 'correcting'"):
        stored("corecting", torch.eye(2), torch.eye(2))


# -- the exercises agree with the library ------------------------------------------------------------------------------


def test_the_exercises_agree_with_the_mixers() -> None:
    generator = torch.Generator().manual_seed(3)
    key = F.normalize(torch.randn(6, 4, generator=generator), dim=1)
    value = torch.randn(6, 3, generator=generator)
    share = torch.rand(6, generator=generator)
    whole = delta_rule(key, value, torch.ones(6), share)
    assert torch.allclose(key.T @ chunk_corrections(key, value, share), whole, atol=1e-5)
    for length, b in ((1.0, 0.4), (2.0, 1.0), (1.3, 0.9)):
        long_key = torch.tensor([[length, 0.0]])
        for times, error in enumerate(rewriting_errors(length, b, 4)):
            if times:
                read = long_key @ stored("correcting", long_key, torch.ones(1, 1), share=b, times=times)
                assert float(1 - read) == pytest.approx(error, rel=1e-4)
    layer = Mamba2(32, 2).requires_grad_(False)
    logit = torch.randn(5, generator=generator)
    kept, size = step_size(logit, float(layer.step_bias[1]), float(layer.log_rate[1]))
    assert torch.allclose(size, F.softplus(logit + layer.step_bias[1]))
    assert torch.allclose(kept, torch.exp(-layer.log_rate[1].exp() * size))


# -- three families, four variants -------------------------------------------------------------------------------------


def test_the_records_of_several_claims_are_gathered_by_side_and_other_tasks_left_out() -> None:
    one = outcome("R7-convolution", {"Mamba2, no convolution": [0.3, 0.2, 0.25], "Mamba2 + b": [0.1, 0.1, 0.1]})
    two = outcome("R7-Canon", {"Mamba2 + b": [0.1, 0.1, 0.1], "Mamba2 + AbCD": []})
    found = family_records([one, two, recorded(claim("R8-depth"), "toy")])
    assert sorted(found) == ["Mamba2 + b", "Mamba2, no convolution"]
    assert [r.score("kl") for r in found["Mamba2, no convolution"]] == [0.3, 0.2, 0.25]


def test_different_budgets_are_not_drawn_side_by_side() -> None:
    one = outcome("R7-convolution", {"Mamba2, no convolution": [0.3], "Mamba2 + b": [0.1]})
    other = outcome("R7-Canon", {"Mamba2 + AbCD": [0.05]})
    (longer,) = other.records["Mamba2 + AbCD"]
    run = dataclasses.replace(longer.run, training=dataclasses.replace(longer.run.training, steps=999))
    other = dataclasses.replace(other, records={"Mamba2 + AbCD": [dataclasses.replace(longer, run=run)]})
    with pytest.raises(ValueError, match="compare claims of one scale"):
        family_records([one, other])


def test_the_families_show_every_seed_and_the_seconds() -> None:
    scores = {"Mamba2, no convolution": [0.3, 0.2, 0.25], "Mamba2 + b": [0.1, 0.12, 0.11]}
    figure = families_figure([outcome("R7-convolution", scores, seconds=17.4)])
    panels = {axis.get_title(): axis for axis in figure.axes}
    assert list(panels) == list(FAMILIES)
    assert sorted(dots_of(panels["Mamba2"])[:, 1]) == sorted(chain(*scores.values()))
    assert [label.get_text() for label in panels["Mamba2"].get_xticklabels()] == ["none\n17 s", "b\n17 s"]
    assert "400 steps each, 3 seeds" in figure.get_suptitle()
    assert "nothing recorded yet" in families_figure([]).get_suptitle()


def test_the_claims_of_the_notebook_cover_all_sides_of_the_picture() -> None:
    names = [f"R{n}-{what}" for n in (6, 7, 8) for what in ("convolution", "Canon", "outside")]
    sides = {name for claim_id in names for name in claim(claim_id).experiment("toy").sides}
    assert sides == {side.label for family in FAMILIES.values() for side in family}


# -- pictures and widgets ----------------------------------------------------------------------------------------------


def test_the_pictures_draw_with_labels() -> None:
    mixers = {"with": Mamba2(32, 2, state=8), "without": Mamba2(32, 2, state=8, canon_b=False)}
    figures = (
        step_figure(),
        rewrite_figure(),
        similar_figure(),
        solve_figure({"a": torch.eye(4)}),
        reach_figure(mixers),
    )
    for figure in figures:
        figure.canvas.draw()
        assert all(axis.get_xlabel() for axis in figure.axes)
    assert [said for text in figures[3].axes[0].texts if (said := text.get_text())] == ["1.00"] * 4
    labels = [text.get_text() for text in figures[2].axes[0].get_legend().get_texts()]
    assert labels == ["adding, both values", "correcting, older value", "correcting, newer value"]


def test_every_control_of_the_explorer_changes_the_picture() -> None:
    widget: Interactive = step_explorer()
    for name, control in widget.controls.items():
        pictures = set()
        for value in (0, 5) if name == "word" else (control.min, control.max):
            control.value = value
            pictures.add(bytes(widget.image.value))
        assert len(pictures) == 2, f"{name} changes nothing"
    assert widget.errors == []
