"""Asking a model, and the draws behind the questions."""

import dataclasses
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like

from physlm_lite.evaluation import BirthYears, Filler, Needle, Story, evaluate_probes
from physlm_lite.evaluation.probe import Dice, probe_key
from physlm_lite.tasks.draws import below, bits

NAMES = ([f"A{i}" for i in range(9)], [f"B{i}" for i in range(9)], [f"C{i}" for i in range(9)])
TEXT = Filler.from_text(" ".join(f"This is sentence number {i} of them." for i in range(400)))


class Oracle:
    """Knows the answers to a source's first probes."""

    def __init__(self, source, seed=0, wrong=0):
        self.source, self.seed, self.wrong = source, seed, wrong

    def __call__(self, prompts):
        probes = [self.source.sample(self.seed, i) for i in range(len(prompts))]
        assert [probe.prompt for probe in probes] == prompts
        return ["nothing"] * self.wrong + [f" {probe.answer}" for probe in probes[self.wrong :]]


@pytest.mark.parametrize("source", [BirthYears(names=NAMES), Needle(filler_tokens=50), Story("qa1"), Story("qa5")])
def test_accuracy_is_the_share_of_right_answers(source):
    result = evaluate_probes(source, Oracle(source), count=20)
    assert (result["accuracy"], result["standard_error"], result["count"]) == (1.0, 0.0, 20)
    result = evaluate_probes(source, Oracle(source, seed=5, wrong=15), count=20, seed=5)
    assert result["accuracy"] == 0.25 and result["standard_error"] == pytest.approx((0.25 * 0.75 / 20) ** 0.5)
    assert result["outputs"][0] == "nothing" and len(result["outputs"]) == 20


@pytest.mark.parametrize(
    ("generate", "message"),
    [
        (lambda prompts: prompts[1:], "one text for each of the 3 prompts; it returned 2 values of type str"),
        (lambda prompts: [1, 2, 3], "it returned 3 values of type int"),
        (lambda prompts: [], "it returned 0 values of type nothing"),
    ],
)
def test_outputs_must_fit_the_prompts(generate, message):
    with pytest.raises(ValueError, match=message):
        evaluate_probes(Story("qa1"), generate, count=3)


def test_counts_and_numbers_must_make_sense():
    with pytest.raises(ValueError, match="count must be a whole number from 1 to 100,000, not 0"):
        evaluate_probes(Story("qa1"), list, count=0)
    with pytest.raises(ValueError, match="numbered from 0 up, not -1"):
        Story("qa1").sample(0, -1)


@pytest.mark.parametrize(
    "source",
    [
        BirthYears(names=NAMES, filler_tokens=500, filler=TEXT),
        BirthYears(names=NAMES, hops=2, filler_tokens=500, filler=TEXT),
        Story("qa2", filler_tokens=500, filler=TEXT),
        Needle("S-NIAH-2", filler_tokens=500, filler=TEXT),
    ],
)
def test_a_prompt_that_is_too_long_is_refused_with_a_fix_that_works(source):
    assert evaluate_probes(source, Oracle(source), count=8, context=1000)["accuracy"] == 1.0
    with pytest.raises(
        ValueError,
        match=r"^probe \d has \d+ tokens, and with up to \d+ for the answer it does not fit "
        r"into a context of 400; lower filler_tokens to \d+, or",
    ) as error:
        evaluate_probes(source, Oracle(source), count=8, context=400)
    shorter = dataclasses.replace(
        source, filler_tokens=int(str(error.value).split("filler_tokens to ")[1].split(",")[0])
    )
    assert evaluate_probes(shorter, Oracle(shorter), count=8, context=400)["accuracy"] == 1.0


def test_a_prompt_that_is_too_long_without_filler_needs_a_longer_context():
    with pytest.raises(ValueError, match=r"has 3\d tokens, and with up to 8 .* a context of 20; use a longer context$"):
        evaluate_probes(BirthYears(people=2, names=NAMES), list, count=2, context=20)


def test_lengths_are_counted_by_the_tokenizer_of_the_source():
    source = BirthYears(people=1, names=NAMES, tokenize=lambda text: list(text.encode()))
    longest = max(len(source.sample(0, i).prompt) for i in range(4))
    assert evaluate_probes(source, Oracle(source), count=4, context=longest + 8)["accuracy"] == 1.0
    with pytest.raises(ValueError, match=f"has {longest} tokens"):
        evaluate_probes(source, Oracle(source), count=4, context=longest + 7)


@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 99), n=st.integers(1, 2**31 - 1))
def test_dice_are_the_draws_of_their_stream(seed, n):
    key, dice = probe_key(seed, 3), Dice(probe_key(seed, 3), stream=5)
    assert [dice.below(n) for _ in range(70)] == below(bits(key, 5, np.arange(70)), n).tolist()


def test_a_sample_without_replacement_is_uniform():
    seen = Counter(tuple(Dice(probe_key(0, i), 0).sample("abcd", 2)) for i in range(3000))
    assert len(seen) == 12 and looks_like(list(seen.values()), np.ones(12))
    assert sorted(Dice(probe_key(1, 1), 0).sample("abcd", 4)) == list("abcd")
