"""Looking inside a trained model: what can be read off the stream at each depth, and what an answer needs.

A *probe* is a linear reader of hidden vectors, fitted on some texts and tried on others. What it finds is there to be read, not
yet used; and much can be read off a model that has learnt nothing. So the same probe reads a model of the same shape as it
starts, as a control. What is used shows an *intervention*: one Canon layer is taken out of the trained model, and the task is
graded anew.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import NamedTuple

import torch
from matplotlib.figure import Figure
from torch import Tensor

from ..evaluation import evaluate
from ..models import Canon, LanguageModel
from ..tasks import Batch, Task
from .plots import GREY, heat, label_ends, new_figure
from .show import Picture

RIDGE = 1.0  # the penalty of a probe, in units of the variance of what it reads
CONTROL = 999  # the seed of a model that has learnt nothing
FITTED, TRIED = 1, 2  # the seeds of the texts that a probe is fitted on, and of those that it is tried on


class Asked(NamedTuple):
    """What a probe is to find. place: [n, 2], rows and positions; wanted: [n] classes, or [n, members] of a set (bool)."""

    place: Tensor
    wanted: Tensor


Question = Callable[[int], tuple[Batch, Asked]]  # of a seed: texts of the test split, and what is asked about them


@torch.no_grad()
def streams(model: LanguageModel, batch: Batch) -> list[Tensor]:
    """[batch, position, width] each: the embeddings, and what the stream holds after every layer."""
    kept: list[Tensor] = []
    hooks = [model.blocks[0].register_forward_pre_hook(lambda _, given: kept.append(given[0]))]
    hooks += [block.register_forward_hook(lambda _, given, made: kept.append(made)) for block in model.blocks]
    try:
        model.hidden(batch.tokens, batch.document)
    finally:
        for hook in hooks:
            hook.remove()
    return kept


def probe(seen: Tensor, wanted: Tensor, other: Tensor, truth: Tensor) -> float:
    """Fit a linear reader to vectors `seen` [n, width], and try it on `other` [m, width]: the share of right answers.

    wanted, truth: [n] and [m] classes, of which the one with the highest score is read; or [n, members] and [m, members] of a
    set (bool), in which every member has a vote of its own. Ridge regression, since it has one answer and no dial to turn.
    """
    sets = wanted.dim() > 1
    aims = (wanted if sets else torch.nn.functional.one_hot(wanted, int(max(wanted.max(), truth.max())) + 1)).double()
    mean, scale = seen.double().mean(0), seen.double().std(0).clamp(min=1e-6)
    x, new = ((vectors.double() - mean) / scale for vectors in (seen, other))
    base = aims.mean(0)
    weight = torch.linalg.solve(x.T @ x + RIDGE * torch.eye(x.shape[1], dtype=x.dtype), x.T @ (aims - base))
    scores = new @ weight + base
    return float(((scores > 0.5) == truth).double().mean() if sets else (scores.argmax(1) == truth).double().mean())


def readable(model: LanguageModel, question: Question) -> list[float]:
    """How well the answer can be read off the stream: at the embeddings, and after every layer."""
    (texts, asked), (others, again) = question(FITTED), question(TRIED)
    return [
        probe(seen[tuple(asked.place.T)], asked.wanted, other[tuple(again.place.T)], again.wanted)
        for seen, other in zip(streams(model, texts), streams(model, others), strict=True)
    ]


def guessing(question: Question) -> float:
    """What a reader scores that sees nothing: it always says what is most common."""
    wanted = question(TRIED)[1].wanted
    if wanted.dim() > 1:
        share = wanted.double().mean(0)
        return float(torch.maximum(share, 1 - share).mean())
    return float(wanted.bincount().max() / len(wanted))


def untrained(model: LanguageModel) -> LanguageModel:
    """A model of the same shape, as it starts."""
    return LanguageModel(model.config, seed=CONTROL).eval()


# -- interventions -----------------------------------------------------------------------------------------------------


def canon_layers(model: LanguageModel) -> dict[tuple[int, str], Canon]:
    """Every Canon layer of a model, by its layer and the letter of its place."""
    found = {}
    for name, part in model.named_modules():
        where, _, letter = name.rpartition("canon_")
        if type(part) is Canon and len(letter) == 1:
            found[int(where.split(".")[1]), letter.upper()] = part
    return found


@contextmanager
def without(canon: Canon) -> Iterator[None]:
    """The model as if this Canon layer let everything pass as it is; afterwards it is what it was.

    ValueError for one without its residual, which would let nothing pass.
    """
    if not canon.residual:
        raise ValueError(
            "a Canon layer without its residual lets nothing pass when it is taken out; look at another one"
        )
    taps = canon.weight.detach().clone()
    try:
        with torch.no_grad():
            canon.weight.zero_()
        yield
    finally:
        with torch.no_grad():
            canon.weight.copy_(taps)


def taken_out(model: LanguageModel, task: Task, score: str, rows: int = 128) -> dict[tuple[int, str] | None, float]:
    """A score of the task for the whole model (None), and without each of its Canon layers."""
    from ..tasks import metric_of

    metric = metric_of(task, score)
    found: dict[tuple[int, str] | None, float] = {None: metric.of(evaluate(model, task, rows))}
    for place, canon in canon_layers(model).items():
        with without(canon):
            found[place] = metric.of(evaluate(model, task, rows))
    return found


# -- pictures ----------------------------------------------------------------------------------------------------------


def readable_figure(
    models: Mapping[str, LanguageModel], questions: Mapping[str, Question], colours: Mapping[str, str]
) -> Figure:
    """A panel a question: how well its answer can be read at each depth; dashed, the same model as it starts."""
    figure, axes = new_figure(len(questions), width=4.6 * len(questions), height=3.6)
    for axis, (title, question) in zip(axes, questions.items(), strict=True):
        ends = {}
        for name, model in models.items():
            for look, of in (("--", untrained(model)), ("-", model)):
                read = readable(of, question)
                axis.plot(range(len(read)), read, look, color=colours[name], linewidth=1.2 if look == "--" else 2.4)
            ends[name] = [(float(len(read) - 1), read[-1])]
        axis.axhline(guessing(question), color=GREY, linewidth=1.2, linestyle=":")
        depths = ["embeddings", *(f"layer {number}" for number in range(1, len(read)))]
        axis.set_xticks(range(len(read)), depths)
        axis.set(ylim=(0, 1.04), title=title)
        label_ends(axis, ends)
    axes[0].set_ylabel("read right by a probe")
    figure.suptitle("solid: trained; dashed: the same model as it starts; dotted: guessing", fontsize=10)
    return figure


def taken_out_figure(scores: Mapping[tuple[int, str] | None, float], label: str) -> Figure:
    """What is left of a score without each Canon layer."""
    import numpy as np

    layers = sorted({place[0] for place in scores if place is not None})
    letters = sorted({place[1] for place in scores if place is not None})
    grid = np.array([[scores[layer, letter] for letter in letters] for layer in layers])
    figure, (axis,) = new_figure(1, width=1.6 + 1.1 * len(letters), height=1.5 + 0.6 * len(layers))
    said = np.array([[f"{score:.2f}" for score in row] for row in grid])
    rows, columns = [f"layer {layer + 1}" for layer in layers], [f"Canon-{letter}" for letter in letters]
    heat(axis, np.abs(grid - scores[None]), rows, columns, annot=said)  # the darker, the more it changes
    axis.set_title(f"{label} without one Canon layer\n(with all of them: {scores[None]:.2f})")
    return figure


def looking_inside(
    models: Mapping[str, LanguageModel],
    task: Task,
    questions: Mapping[str, Question],
    score: str,
    colours: Mapping[str, str],
) -> Sequence[Picture]:
    """Both pictures: what can be read in each model, and what the last of them, which has Canon layers, needs."""
    from ..tasks import metric_of

    names = ", ".join(models)
    scores = taken_out(list(models.values())[-1], task, score)
    return [
        Picture(
            readable_figure(models, questions, colours),
            f"How well a linear probe reads {' and '.join(questions)} at each depth, for {names}, trained and untrained",
        ),
        Picture(
            taken_out_figure(scores, metric_of(task, score).label),
            f"{metric_of(task, score).label} of the trained model without each of its Canon layers",
        ),
    ]
