"""Notebook 14's pictures: what they say is counted anew, on texts and models that are made for it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from physlm_lite.lab.show import Interactive
from physlm_lite.lessons.real_text import figures as lab
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.tasks import Births, Text
from physlm_lite.tasks.births import SENTENCE, look_up
from physlm_lite.training import Record, Run


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> str:
    folder = tmp_path_factory.mktemp("corpus")
    for i in range(60):
        (folder / f"{i:02d}.txt").write_text(f"The quick brown fox jumps over {i} lazy dogs, and rests.\n" * 20)
    return str(folder)


@pytest.fixture(scope="module")
def task(corpus: str) -> Births:
    return Births(corpus, 64, 4, 2, pool=12)


def small(task: Births | Text, **options: object) -> LanguageModel:
    size = {"width": 16, "layers": 2, "heads": 2, **options}
    return LanguageModel(ModelConfig(vocab=len(task.vocabulary), **size), seed=0)  # type: ignore[arg-type]


def record(
    run: Run, accuracy: float, far: tuple[float, float] = (0.5, 0.4), hops: tuple[float, ...] = (0.9,)
) -> Record:
    scores = {
        "step": run.training.steps,
        "seconds": 1.0,
        "accuracy": accuracy,
        "accuracy_far": dict(zip("24", far, strict=True)),
        "accuracy_k": {str(k): share for k, share in enumerate(hops, 1)},
    }
    return Record(run, "finished", [scores], 1.0, 0.0, 1, 1.0)


def test_runs_differ_in_the_side_alone_and_read_what_they_are_told(corpus: str) -> None:
    runs = lab.births_runs(30, corpus=corpus, corpus_hash=None)
    assert list(runs) == ["RoPE", "RoPE + Canon", "1/4 RoPE + Canon", "NoPE", "NoPE + Canon"]
    assert len({run.hash for run in runs.values()}) == 5
    assert {(run.seed, run.training, run.made_task.fingerprint) for run in runs.values()} == {
        (0, runs["RoPE"].training, Text(corpus, 256).fingerprint)
    }
    turned = {side: run.model_config.rotated * (run.model_config.rope_heads or 2) for side, run in runs.items()}
    assert turned["1/4 RoPE + Canon"] == turned["RoPE"] / 4 == turned["RoPE + Canon"] / 4 and not turned["NoPE + Canon"]
    texts = lab.text_runs(30, corpus=corpus, corpus_hash=None)
    assert all(run.task == "text" and run.training.steps == 30 for run in texts.values())
    wide = {side: run.model_config.rotated * (run.model_config.rope_heads or 2) for side, run in texts.items()}
    assert wide["1/4 RoPE + Canon"] == wide["RoPE"] / 4 and list(texts) == list(runs)


def test_a_corpus_is_a_name_a_path_or_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert lab.corpus_of("kjv") == "kjv" and lab.corpus_of(str(tmp_path)) == str(tmp_path)
    asked = []

    def some(part: object, hub: object = None) -> Iterator[str]:
        asked.append(part)
        yield from (f" Once upon a time there was number {i}. " * 20 for i in range(2000))

    monkeypatch.setattr(lab, "parts_of", lambda inputs, hub: ["one", "two"])
    monkeypatch.setattr(lab, "documents", some)
    monkeypatch.setattr(lab, "CHARACTERS", 200_000)
    file = lab.corpus_of("some/stories", tmp_path / "texts")
    assert asked == ["one"], "no more is fetched than is kept"
    assert lab.corpus_of("some/stories", tmp_path / "texts") == file and asked == ["one"]
    kept = Path(file).read_text(encoding="utf-8")
    assert len(kept) == 200_000 and kept.startswith("Once upon") and "\n\n" in kept
    assert Text(file).batch(0, 0, 2).tokens.shape == (2, 128)


def test_a_card_marks_what_is_needed_and_what_is_asked(task: Births) -> None:
    for row in range(12):
        names = [task.vocabulary[t] for t in task.batch(0, 0, range(row, row + 1), "test").tokens[0].tolist()]
        card, chain = lab.hidden_card(task, row), lab.chain_of(names)
        assert lab.first_question(names) == len(names) - SENTENCE
        hops, year = look_up(names[:-SENTENCE], names[-SENTENCE])
        assert len(chain) == hops and names[chain[-1] + 2] == year == names[-1]
        assert card.markup.count(lab.RIGHT) == hops and card.markup.count(lab.ASKED) == 1
        assert card.markup.count(lab.FACT) == task.sentences - hops
    train = lab.hidden_card(task, 0, "train")
    assert train.markup.count(lab.ASKED) == 4 and "[" in train.text


def test_attention_is_shared_out_among_the_parts_of_the_row(task: Births) -> None:
    model = small(task)
    for row in range(4):
        seen = lab.gaze(model, task, row)
        assert seen.weights.shape == (8, 63)  # two layers of two heads, two tokens
        assert torch.allclose(torch.stack(list(seen.parts.values())).sum(0), torch.ones(8), atol=1e-5)
        assert not seen.weights[::2, -1].any(), "the name does not see the word behind it"
    with torch.no_grad():  # heads that look everywhere alike give each part its share of the places
        for name, weight in model.named_parameters():
            if name.endswith("mixer.query.weight"):
                weight.zero_()
    seen = lab.gaze(model, task, 0)
    assert seen.parts["the question"].tolist() == pytest.approx([1 / 62, 2 / 63] * 4)


def test_the_best_look_is_the_one_that_rests_most_on_the_right_sentence(task: Births) -> None:
    model = small(task, canon="ABCD")
    looks = torch.stack([lab.gaze(model, task, row).parts["the right sentence"] for row in range(12)]).mean(0)
    best = lab.best_look(model, task)
    assert best == int(looks.argmax())
    assert [lab.look_named(model, look) for look in (0, 3, 6)] == [
        "layer 1, from the name",
        "layer 1, from the word",
        "layer 2, from the name",
    ]


def test_the_loss_by_place_is_that_of_each_character(corpus: str) -> None:
    task = Text(corpus, 32, 8)
    model = small(task)
    nats = lab.loss_by_place(model, task, times=3, rows=20)
    assert nats.shape == (95,)
    tokens = Text(corpus, 96, 8).batch(0, 0, 20, "test").tokens
    with torch.no_grad():
        log_p = model(tokens).log_softmax(-1)
    by_hand = -np.mean([[float(log_p[r, t, tokens[r, t + 1]]) for t in range(95)] for r in range(20)], axis=0)
    assert np.allclose(nats, by_hand, atol=1e-4)


def test_figures_show_what_was_found(task: Births) -> None:
    runs = lab.births_runs(30)
    records = {side: [record(run, 0.9 - 0.1 * i)] for i, (side, run) in enumerate(runs.items())}
    figure = lab.beyond_figure(records)
    drawn = {line.get_color(): list(line.get_ydata()) for line in figure.axes[0].lines if len(line.get_ydata()) == 3}
    assert list(drawn.values()) == [lab.found_at(of[0]) for of in records.values()]
    assert drawn[lab.colour("RoPE")] == [0.9, 0.5, 0.4]
    assert [label.get_text() for label in figure.axes[0].get_xticklabels()] == ["64 (trained)", "128", "256"]
    two = {side: record(run, 0.5, hops=(0.95, 0.3)) for side, run in lab.births_runs(30, people=4, hops=2).items()}
    bars = lab.hops_figure(two).axes[0].patches
    assert sorted({round(bar.get_height(), 2) for bar in bars}) == [0.3, 0.95] and len(bars) == 10


def test_published_numbers_are_drawn_as_they_are() -> None:
    figure = lab.noise_figure()
    assert [axis.get_title() for axis in figure.axes] == ["LAMBADA", "FDA", "1-hop-4k"]
    for axis, values in zip(figure.axes, lab.PUBLISHED.values(), strict=True):
        dots = [float(y) for line in axis.lines for y in line.get_ydata()]
        assert dots == [score for side, of in values.items() if side != "RoPE" for score in of]
    lines = [list(line.get_ydata()) for line in lab.farther_figure().axes[0].lines if len(line.get_ydata()) == 4]
    assert lines == [list(values) for values in lab.FARTHER.values()]


def test_the_pictures_of_attention_and_their_widget(task: Births) -> None:
    models = {"RoPE + Canon": small(task), "NoPE + Canon": small(task, canon="ABCD", rope_dim=0)}
    figure = lab.looks_figure(models, task, rows=2)
    for axis in figure.axes:
        heights = {}
        for bar in axis.patches:
            heights[bar.get_x()] = heights.get(bar.get_x(), 0) + bar.get_height()
        assert list(heights.values()) == pytest.approx([1, 1, 1], abs=1e-4)
    widget = lab.gaze_explorer(models, task)
    assert isinstance(widget, Interactive)
    for times in (1, 4):
        widget.controls["times"].value = times
        assert not widget.errors
    title = lab.gaze_figure(models["RoPE + Canon"], task, "RoPE + Canon").axes[0].get_title()
    assert re.search(r"asked for \w+, it says .+; right is \d{4}", title)
    assert lab.loss_figure({"RoPE": np.ones(127), "NoPE": np.ones(127)}, 32).axes[0].get_xlim()[1] == 128
