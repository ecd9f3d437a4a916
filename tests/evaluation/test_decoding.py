"""Writing with a model: the same tokens with and without its state, alone or in a batch, and fair samples."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from physlm_lite.evaluation import BirthYears, evaluate_probes
from physlm_lite.evaluation.decoding import generate, writer
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.tasks.text import Text, decode, encode

MODELS = {
    "RoPE": LanguageModel(ModelConfig(vocab=11, width=16, layers=2, heads=2), seed=1),
    "NoPE + Canon": LanguageModel(ModelConfig(vocab=11, width=16, layers=2, heads=2, rope_dim=0, canon="ABCD"), seed=2),
}


@torch.no_grad()
def greedy_without_state(model: LanguageModel, prompt: Sequence[int], longest: int, stop: int | None) -> list[int]:
    """The whole text through the whole model for every new token."""
    text = list(prompt)
    for _ in range(longest):
        text.append(int(model(torch.tensor([text]))[0, -1].argmax()))
        if text[-1] == stop:
            break
    return text[len(prompt) :]


@pytest.mark.parametrize("name", MODELS)
@settings(max_examples=12, deadline=None)
@given(
    prompts=st.lists(st.lists(st.integers(1, 10), min_size=1, max_size=9), min_size=1, max_size=6),
    stop=st.one_of(st.none(), st.integers(1, 10)),
)
def test_greedy_answers_are_those_of_the_whole_text(name, prompts, stop):
    model = MODELS[name]
    expected = [greedy_without_state(model, prompt, 7, stop) for prompt in prompts]
    assert generate(model, prompts, 7, stop) == expected


@pytest.mark.parametrize("name", MODELS)
def test_a_sample_does_not_depend_on_its_neighbours(name):
    prompts = [[1, 2, 3], [4], [5, 6, 7, 8, 9], [1, 2, 3]]
    together = generate(MODELS[name], prompts, 12, stop=3, temperature=1.0, seed=5)
    for i in range(len(prompts)):
        fewer = generate(MODELS[name], prompts[: i + 1], 12, stop=3, temperature=1.0, seed=5)
        assert fewer[i] == together[i]
    assert together[0] != together[3], "equal prompts have their own draws"
    assert together != generate(MODELS[name], prompts, 12, stop=3, temperature=1.0, seed=6)


def test_samples_follow_the_distribution():
    model = MODELS["RoPE"]
    with torch.no_grad():
        p = model(torch.tensor([[1, 2, 3]]))[0, -1].double().softmax(-1).numpy()
    rows = 4000
    first = [answer[0] for answer in generate(model, [[1, 2, 3]] * rows, 1, temperature=1.0)]
    counts = np.bincount(first, minlength=11)
    assert (np.abs(counts / rows - p) < 5 * np.sqrt(p * (1 - p) / rows) + 1e-9).all()


def test_a_low_temperature_is_nearly_greedy_and_a_high_one_is_not():
    model = MODELS["RoPE"]
    greedy = generate(model, [[1, 2]], 10)[0]
    assert generate(model, [[1, 2]], 10, temperature=1e-4)[0] == greedy
    hot = [generate(model, [[1, 2]], 10, temperature=50.0, seed=seed)[0] for seed in range(3)]
    assert all(answer != greedy for answer in hot)


def test_only_allowed_tokens_are_written():
    for temperature in (0.0, 1.0):
        answers = generate(MODELS["RoPE"], [[1]] * 50, 6, temperature=temperature, allowed=(3, 7))
        assert {token for answer in answers for token in answer} <= {3, 7}


def test_an_answer_ends_with_the_stop_token_or_at_the_limit():
    answers = generate(MODELS["RoPE"], [[1]] * 200, 8, stop=4, temperature=1.0)
    assert {len(answer) for answer in answers} > {1, 8}
    assert all(answer[-1] == 4 or len(answer) == 8 for answer in answers)
    assert all(4 not in answer[:-1] for answer in answers)


def test_bad_input_is_refused():
    model = MODELS["RoPE"]
    with pytest.raises(ValueError, match="prompt 1 is empty; begin it with"):
        generate(model, [[1], []], 3)
    with pytest.raises(
        ValueError, match="prompt 0 has 5 tokens, and with 4 new ones it does not fit into a context of 8"
    ):
        generate(model, [[1] * 5], 4, context=8)
    with pytest.raises(ValueError, match="temperature must be a number of at least 0, not -1"):
        generate(model, [[1]], 3, temperature=-1)
    broken = LanguageModel(model.config, seed=0)
    torch.nn.init.constant_(broken.head.weight, float("nan"))
    with pytest.raises(ValueError, match="logits are NaN"):
        generate(broken, [[1]], 3)


def test_a_character_model_can_be_asked_the_probes():
    model = LanguageModel(ModelConfig(vocab=len(Text().vocabulary), width=16, layers=1, heads=1), seed=0)
    source = BirthYears(people=5, hops=1, tokenize=lambda text: encode([text]).tolist())
    write = writer(model, lambda text: encode([text])[:-1].tolist(), decode, longest=source.new_tokens, context=1024)
    result = evaluate_probes(source, write, count=6, context=1024)
    assert result["count"] == 6 and len(result["outputs"]) == 6
    assert all(0 < len(output) <= 8 * source.new_tokens for output in result["outputs"])
    with pytest.raises(ValueError, match="does not fit into a context of 100"):
        evaluate_probes(
            source, writer(model, lambda text: encode([text])[:-1].tolist(), decode, 8), count=2, context=100
        )
