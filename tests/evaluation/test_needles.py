"""Needles: one value in a long text."""

import re
import time
from collections import Counter
from uuid import UUID

import numpy as np
import pytest
from evaluation.readers import needle
from tasks.chi_square import looks_like

from physlm_lite.evaluation import Filler, Needle, Probe, evaluate_probes
from physlm_lite.evaluation.needles import KINDS, NOISE

TEXT = Filler.from_text(" ".join(f"This is sentence {i} of a dull text." for i in range(500)))
kinds = pytest.mark.parametrize("kind", KINDS)


@kinds
@pytest.mark.parametrize("tokens", [0, 1, 40, 400])
def test_a_reader_finds_every_needle(kind, tokens):
    source = Needle(kind, filler_tokens=tokens, filler=TEXT)
    assert evaluate_probes(source, lambda prompts: [needle(prompt) for prompt in prompts], count=100)["accuracy"] == 1.0


@kinds
def test_what_the_text_says(kind):
    for index in range(50):
        probe = Needle(kind, filler_tokens=100, filler=TEXT).sample(2, index)
        sentences = re.findall(r"[^.]+\.", probe.context)
        told = sentences.pop(probe.meta["place"]).strip()
        assert probe.answer in told and probe.meta["key"] in told and probe.meta["key"] in probe.question
        assert probe.context.count(probe.answer) == 1 and probe.answer not in probe.prompt.replace(probe.context, "")
        assert len(sentences) == probe.meta["filler_sentences"]
        assert sum(len(s.split()) for s in sentences) == probe.meta["filler_tokens"] < 100
        if kind == "S-NIAH-1":
            assert tuple(s.strip() for s in sentences[:10]) == NOISE * 2 and probe.meta["filler_tokens"] > 90
        else:
            assert sentences[0].strip() in TEXT.sentences
        if kind == "S-NIAH-3":
            assert UUID(probe.answer).version == 4
        else:
            assert re.fullmatch(r"[1-9]\d{6}", probe.answer)


@pytest.mark.parametrize(("depth", "place"), [(0, 0), (0.5, 5), (1, 10)])
def test_the_depth_is_kept(depth, place):
    filler = Filler(tuple(f"Sentence{i}." for i in range(10)))
    probes = [Needle("S-NIAH-2", depth, filler_tokens=99, filler=filler).sample(0, i) for i in range(60)]
    whole = [probe for probe in probes if probe.meta["filler_sentences"] == 10]
    assert whole and all(probe.meta["place"] == place for probe in whole)


def test_without_a_depth_every_place_is_as_likely():
    places = Counter(Needle(filler_tokens=20).sample(0, i).meta["place"] for i in range(2000))
    assert sorted(places) == [0, 1, 2, 3, 4, 5] and looks_like(list(places.values()), np.ones(6))


@kinds
def test_a_sample_is_a_pure_function(kind):
    source = Needle(kind, filler_tokens=60, filler=TEXT)
    assert source.sample(3, 5) == Needle(kind, filler_tokens=60, filler=TEXT).sample(3, 5)
    answers = {source.sample(seed, index).answer for seed in range(10) for index in range(10)}
    assert len(answers) == 100


def test_the_value_may_stand_anywhere_in_the_output():
    def right(output, answer):
        return Needle().right(output, Probe("", answer, "", "", {}))

    assert right(" 1234567.", "1234567") and right("It is 1234567, I think", "1234567")
    assert right("AB-CD", "ab-cd") and not right("123456", "1234567") and not right("", "1234567")


@kinds
def test_a_thousand_probes_take_less_than_a_second(kind):
    source = Needle(kind)
    begin = time.process_time()
    for index in range(1000):
        source.sample(0, index)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"kind": "S-NIAH-4"}, "unknown Needle kind 'S-NIAH-4'; did you mean"),
        ({"depth": 1.5}, "depth must be a number from 0 to 1 or None, not 1.5"),
        ({"filler_tokens": -3}, "filler_tokens must be a whole number from 0 to 4,194,304, not -3"),
    ],
)
def test_bad_input_gets_one_clear_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        Needle(**options)
