"""What a probe reads is there, and what it cannot know it does not read; an intervention leaves the model as it was."""

from __future__ import annotations

import pytest
import torch

from physlm_lite.lab.inside import (
    canon_layers,
    guessing,
    looking_inside,
    probe,
    readable,
    streams,
    taken_out,
    untrained,
    without,
)
from physlm_lite.lessons.brevo.inside import still_to_come
from physlm_lite.lessons.depo.inside import after
from physlm_lite.lessons.lano.inside import symbol_above
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.tasks import Brevo, Depo, Lano

DEPO = Depo(N=6, K=2, V=8, longest=1, queries=6, sizes="fixed", every_hop=True, answer_token=False)


def model_for(task: Depo | Brevo | Lano, **options: object) -> LanguageModel:
    shape = {"width": 16, "layers": 2, "heads": 2, "canon": "ABCD", **options}
    return LanguageModel(ModelConfig(vocab=len(task.vocabulary), **shape), seed=0).eval()


def test_a_probe_reads_what_is_there_and_nothing_else() -> None:
    dice = torch.Generator().manual_seed(0)
    x, new = (torch.randn(900, 12, generator=dice) for _ in range(2))
    classes, noise = (lambda v: v[:, :5].argmax(1)), torch.randint(5, (900,), generator=dice)
    assert probe(x, classes(x), new, classes(new)) > 0.9
    assert probe(x, noise, new, noise.flip(0)) == pytest.approx(0.2, abs=0.06)
    assert probe(x, x[:, :3] > 0.2, new, new[:, :3] > 0.2) > 0.9  # a set: every member for itself
    weight = torch.linalg.lstsq(torch.cat([x, torch.ones(900, 1)], 1), torch.nn.functional.one_hot(classes(x)).float())
    slow = (torch.cat([new, torch.ones(900, 1)], 1) @ weight.solution).argmax(1)
    assert probe(x, classes(x), new, classes(new)) == pytest.approx(
        float((slow == classes(new)).float().mean()), abs=0.01
    )


@torch.no_grad()
def test_the_stream_is_taken_before_the_first_layer_and_after_each() -> None:
    model, batch = model_for(DEPO), DEPO.batch(0, 0, 3)
    first, middle, last = streams(model, batch)
    assert torch.equal(first, model.embed(batch.tokens))
    assert torch.allclose(model.norm(last), model.hidden(batch.tokens, batch.document), atol=1e-6)
    assert middle.shape == first.shape and not torch.equal(middle, last)


@torch.no_grad()
@pytest.mark.parametrize(("places", "count"), [("ABCD", 8), ("KVOM", 8), ("", 0)])
def test_every_canon_layer_can_be_taken_out_and_comes_back(places: str, count: int) -> None:
    model, batch = model_for(DEPO, canon=places), DEPO.batch(0, 0, 3)
    found, whole = canon_layers(model), model.hidden(batch.tokens)
    assert sorted(found) == [(layer, letter) for layer in range(2) for letter in sorted(places)] and len(found) == count
    for canon in found.values():
        before = canon.weight.clone()
        with without(canon):
            x = torch.randn(1, 5, canon.width)
            assert torch.equal(canon(x), x) and not torch.equal(model.hidden(batch.tokens), whole)
        assert torch.equal(canon.weight, before)
    assert torch.equal(model.hidden(batch.tokens), whole)


def test_without_a_residual_nothing_would_pass() -> None:
    model = model_for(DEPO, canon="A", canon_residual=False)
    with (
        pytest.raises(ValueError, match="without its residual lets nothing pass"),
        without(canon_layers(model)[0, "A"]),
    ):
        pass


def test_the_questions_ask_for_what_is_written_in_the_text() -> None:
    texts, asked = after(DEPO, 2, 2, rows=9)(3)
    assert [texts.tokens[row, place + 1] for row, place in asked.place.tolist()] == asked.wanted.tolist()
    _, on_the_way = after(DEPO, 1, 2, rows=9)(3)
    assert torch.equal(on_the_way.place, asked.place) and not (on_the_way.wanted == asked.wanted).any()

    brevo = Brevo(N=6, test_sizes=(4, 6))
    texts, asked = still_to_come(brevo, 1, rows=9)(3)
    for (row, place), left in zip(asked.place.tolist(), asked.wanted, strict=True):
        rest = texts.tokens[row, place + 1 : texts.tokens[row].tolist().index(brevo.eos)].tolist()
        assert sorted(rest) == [brevo.names.final + number for number in left.nonzero().flatten().tolist()]

    lano = Lano(root=14)
    texts, asked = symbol_above(lano, 0, rows=9)(3)  # none above: the tokens themselves
    read = texts.tokens[tuple(asked.place.T)]
    assert torch.equal(read - read.min(), asked.wanted)
    assert 1 < symbol_above(lano, 1, rows=9)(3)[1].wanted.max() + 1 <= 3

    for question in (
        lambda: after(Depo(N=6, V=4, longest=2), 1, 2),
        lambda: still_to_come(Brevo(N=6, V=4, longest=2), 0),
    ):
        with pytest.raises(ValueError, match="names of one token, and longest is 2"):
            question()


def test_both_pictures_say_what_is_seen() -> None:
    model, question = model_for(DEPO), after(DEPO, 1, 2, rows=40)
    read = readable(model, question)
    assert len(read) == 3 and all(0 <= share <= 1 for share in (*read, guessing(question)))
    assert untrained(model).config == model.config
    scores = taken_out(model, DEPO, "accuracy_k.1", rows=8)
    assert set(scores) == {None, *canon_layers(model)}
    pictures = looking_inside(
        {"RoPE + Canon": model}, DEPO, {"one": question, "two": question}, "accuracy_k.1", {"RoPE + Canon": "red"}
    )
    assert [picture.data[:4] for picture in pictures] == [b"\x89PNG"] * 2
    assert "probe reads one and two" in pictures[0].alt and "without each of its Canon layers" in pictures[1].alt
