"""What holds for every linear mixer; what is its own (its formulas, its start) stands in the file of its name."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from models import mixer_checks as checks
from models.mixers import MIXERS, Mixer

every = pytest.mark.parametrize("mixer", MIXERS.values(), ids=MIXERS)
in_every_setting = pytest.mark.parametrize(
    ("mixer", "name"), [pytest.param(m, name, id=f"{key}-{name}") for key, m in MIXERS.items() for name in m.settings]
)


@every
@settings(max_examples=40, deadline=None)
@given(case=checks.cases)
def test_the_loop_and_the_chunks_agree(mixer: Mixer, case: dict) -> None:
    checks.check_forms_agree(mixer.naive, mixer.chunked, mixer.arguments, case)


@every
def test_decays_of_any_strength_leave_finite_numbers_and_slopes(mixer: Mixer) -> None:
    for strength in (0.0, 1.0, 1e3, 1e30, float("inf")):
        query, key, value, log_decay, *more = mixer.arguments(1, 40, 1, 3, 2, strength=0.0, dtype=torch.float32)
        strong = (torch.arange(40) % 3 == 1).view(40, *[1] * (log_decay.dim() - 2))
        log_decay = torch.where(strong, -strength, torch.zeros_like(log_decay))
        results = checks.outcome(mixer.chunked, (query, key, value, log_decay, *more))
        assert all(tensor.isfinite().all() for tensor in results)


@every
def test_the_gradient_is_the_slope(mixer: Mixer) -> None:
    inputs = (*mixer.arguments(1, 6, 2, 2, 2, strength=1.0), checks.draw(1, 2, 2, 2, seed=8))
    starts = torch.arange(6)[None] == 4

    def form(*x: torch.Tensor) -> torch.Tensor:
        return mixer.chunked(*x[:-1], starts, x[-1], chunk=4)

    assert torch.autograd.gradcheck(form, [x.requires_grad_() for x in inputs])


@every
@settings(max_examples=15, deadline=None)
@given(name=st.sampled_from(["paper", "released"]), position=st.integers(1, 45), packed=st.booleans(), data=st.data())
def test_a_text_can_be_continued_in_any_pieces(mixer: Mixer, name: str, position: int, packed: bool, data) -> None:
    cuts = sorted(data.draw(st.sets(st.integers(1, position - 1), max_size=6))) if position > 1 else []
    checks.check_continuing(mixer.layer(name), cuts, position, packed)


@every
def test_token_by_token(mixer: Mixer) -> None:
    checks.check_continuing(mixer.layer("released"), list(range(1, 12)), 12, packed=True)


@every
@pytest.mark.parametrize("name", ["paper", "released"])
def test_documents_do_not_meet_and_nobody_sees_the_future(mixer: Mixer, name: str) -> None:
    checks.check_packed_is_alone(mixer.layer(name))
    checks.check_causal(mixer.layer(name))


@every
def test_memory_grows_with_the_length_and_no_faster(mixer: Mixer) -> None:
    checks.check_linear_memory(mixer.chunked, mixer.arguments)


@every
def test_in_short_numbers_the_recurrence_still_has_32_bits(mixer: Mixer) -> None:
    checks.check_short_numbers(mixer.cls(12, 3, **mixer.settings["released"]), mixer.tolerance)


@in_every_setting
def test_the_formula_counts_the_parameters(mixer: Mixer, name: str) -> None:
    checks.check_count(mixer.layer(name), mixer.cls.options(12, 3, **mixer.settings[name]).parameters)


@pytest.mark.parametrize(("mixer", "size"), [(mixer, size) for mixer in MIXERS.values() for size in mixer.sizes])
def test_released_models_have_their_published_size(mixer: Mixer, size: tuple[int, ...]) -> None:
    checks.check_published_size(mixer.cls, mixer.released, *size)


@every
def test_the_seed_decides_the_start(mixer: Mixer) -> None:
    first, second = (mixer.cls(12, 3, **mixer.settings["released"]) for _ in range(2))
    for layer in (first, second):
        layer.reset_parameters(torch.Generator().manual_seed(3))
    assert all(torch.equal(a, b) for a, b in zip(first.parameters(), second.parameters(), strict=True))
    with torch.device("meta"):
        assert all(parameter.is_meta for parameter in mixer.cls(12, 3).parameters())
