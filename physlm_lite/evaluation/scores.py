"""What a trained model is worth on its task: one function for each task, chosen by the task's class.

Depo, Mano and the copy toy are graded under teacher forcing. Brevo has many right answers, so the model writes one and the
grader judges it; Lano asks for free generation and for the distance to the true distribution; Capo asks how many bits
about its people the weights hold.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from ..models import LanguageModel
from ..tasks.batch import Batch, Task, accuracy
from ..tasks.births import FAR, Births
from ..tasks.brevo import Brevo
from ..tasks.capo import Capo, Measure, capacity_bits, max_bits
from ..tasks.lano import BOS, Lano
from ..tasks.parsing import kl_to_truth, next_symbols, recognise
from ..tasks.prepared import Prepared
from ..tasks.text import END, Text
from .decoding import generate

PART = 64  # rows in one forward pass
LOGITS = 2**26  # in one forward pass, about, where the vocabulary is large


def evaluate(model: LanguageModel, task: Task, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """Score `model` on `rows` rows of the test split; a dictionary of numbers, `accuracy` and `standard_error` among them.

    leaky: packed examples see each other, as in the published training.
    """
    score = next((f for cls, f in SCORES.items() if isinstance(task, cls)), teacher_forced)
    return score(model, task, rows, seed, leaky)


@torch.no_grad()
def teacher_forced(model: LanguageModel, task: Task, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """The task's own grade of the most likely token at each position."""
    whole = task.batch(seed, 0, rows, split="test")
    guesses = [model.guesses(part.tokens, document).cpu() for part, document in _parts(model, whole, leaky)]
    return task.grade(whole, torch.cat(guesses))


def brevo(model: LanguageModel, task: Brevo, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """Greedy answers to whole prompts, judged all or nothing, any valid order (appendix A.2)."""
    task = dataclasses.replace(task, context=None)
    batch = task.batch(seed, 0, rows, split="test")
    answers = generate(model, task.prompts(batch), task.longest_answer, stop=task.eos)
    return task.grade_generations(batch, answers)


@torch.no_grad()
def lano(model: LanguageModel, task: Lano, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """Validity of free generations at temperature 1, and the distance to the true next-symbol distribution (appendix A.5).

    `accuracy`: share of `rows` texts written from <bos> that the grammar derives. `kl`: KL divergence from the truth, nats
    per position, averaged over `rows` fresh sentences, with its `kl_error`; `cross_entropy` beside its `floor`, the truth's
    own, both in nats per token on these sentences.
    """
    truth = truth_of(task, rows, seed)
    whole = dataclasses.replace(task, context=None).batch(seed, 0, rows, split="test")
    symbols = [BOS, *range(BOS + 1, len(task.vocabulary))]  # <bos> ends a sentence; then the terminals
    kl: list[float] = []
    surprise: list[NDArray[np.float64]] = []
    for part, _ in _parts(model, whole, leaky=True):  # one sentence a row: nothing to keep apart
        q = model(part.tokens[:, :-1]).float().softmax(-1).double().cpu().numpy()
        for tokens, document, row in zip(part.tokens.tolist(), part.document.tolist(), q, strict=True):
            n = sum(d >= 0 for d in document) - 1  # the terminals and the end are predicted
            kl.append(kl_to_truth(truth[len(kl)], row[:n, symbols]))
            surprise.append(-np.log(row[np.arange(n), tokens[1 : n + 1]]))
    ended = [np.append(sentence, 0) for sentence in task.sentences(seed, 0, rows, "test")]
    floor = [-np.log(p[np.arange(len(true)), true]) for p, true in zip(truth, ended, strict=True)]  # the truth's own
    return {
        **validity(model, task, rows, seed),
        "kl": float(np.mean(kl)),
        "kl_error": float(np.std(kl, ddof=1) / len(kl) ** 0.5) if rows > 1 else 0.0,
        "cross_entropy": float(np.concatenate(surprise).mean()),
        "floor": float(np.concatenate(floor).mean()),
    }


def validity(model: LanguageModel, task: Lano, rows: int, seed: int = 0, cut: int = 0) -> dict[str, Any]:
    """Share of sentences, completed at temperature 1 after their first `cut` symbols, that the grammar derives.

    A text that does not end within the longest sentence of the grammar (or the task's context) is wrong. Raises ValueError
    if the cut leaves nothing to write.
    """
    longest, shortest = task.language.longest, task.language.shortest
    if not 0 <= cut < shortest:
        raise ValueError(f"a cut must leave something of every sentence to write: from 0 to {shortest - 1}, not {cut}")
    room = min(longest, (task.context or longest + 1) - 1) + 1 - cut
    begins = task.sentences(seed, 1, rows, "test")  # not the sentences that the KL is measured on
    prompts = [[BOS, *(BOS + int(symbol) for symbol in begin[:cut])] for begin in begins]
    written = generate(model, prompts, room, stop=BOS, temperature=1.0, seed=seed)
    texts = [[*prompt[1:], *answer] for prompt, answer in zip(prompts, written, strict=True)]
    ended = np.array([text[-1] == BOS for text in texts])
    right = recognise(task.language, [np.array(text[:-1], dtype=np.int64) - BOS for text in texts]) & ended
    share = float(right.mean())
    return {"accuracy": share, "standard_error": (share * (1 - share) / rows) ** 0.5, "count": rows}


@lru_cache(maxsize=4)
def truth_of(task: Lano, rows: int, seed: int) -> list[NDArray[np.float64]]:
    """The exact next-symbol distributions of the test sentences: the same for every evaluation of a run."""
    return next_symbols(task.language, task.sentences(seed, 0, rows, "test"))


@torch.no_grad()
def capo(model: LanguageModel, task: Capo, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """Bits of knowledge in the weights by Part 3.3's formula, measured on `rows` of the task's people (spread evenly).

    `bits_per_parameter` with its `bits_error`; `most_bits_per_parameter`, if everything were known; `name_loss` (p1) and
    `value_loss` (p2) in nats per person; `accuracy`: share of value tokens that are the most likely one.
    """
    people = np.unique(np.linspace(0, task.people - 1, min(rows, task.people)).round().astype(np.int64))
    measure = task.measure_batch(people, seed)
    nats, right = [], []
    for part, _ in _parts(model, measure.batch, leaky=True):  # one biography a row: nothing to keep apart
        wanted = part.tokens[:, 1:, None]
        log_p = model(part.tokens[:, :-1]).float().log_softmax(-1)
        nats.append(F.pad(-log_p.gather(-1, wanted)[..., 0], (1, 0)).cpu())
        right.append(F.pad(log_p.argmax(-1) == wanted[..., 0], (1, 0)).cpu())
    return capacity_report(task, measure, torch.cat(nats), torch.cat(right), model.config.parameters)


def capacity_report(task: Capo, measure: Measure, nats: Tensor, right: Tensor, parameters: int) -> dict[str, Any]:
    """The numbers of `capo`, from -log p of each token and whether it is the most likely one, both [row, position]."""
    p1, p2 = measure.losses(nats)
    person = torch.where(measure.part > 0, nats.double(), 0.0).sum(1)
    error = float(person.std() / len(person) ** 0.5 / math.log(2)) if len(person) > 1 else 0.0
    hits = [row[value].tolist() for row, value in zip(right, measure.value, strict=True)]
    return {
        **accuracy(hits),
        "bits_per_parameter": capacity_bits(task.people, p1, p2, task.N0, task.S0) / parameters,
        "bits_error": task.people * error / parameters,
        "most_bits_per_parameter": max_bits(task.people, task.N0, task.S0) / parameters,
        "name_loss": p1,
        "value_loss": p2,
    }


@torch.no_grad()
def text(model: LanguageModel, task: Text, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """`loss_held_out` in nats per character of `rows` held-out windows, and `accuracy` on `rows` multiple-choice questions.

    The chosen continuation is the one whose log-probability gains most from the shown text: log p(answer | text) -
    log p(answer). Without the subtraction, answers made of common words would win whatever the text.
    """
    whole = task.batch(seed, 0, rows, split="test")
    parts = _parts(model, whole, leaky)
    held_out = [model.cross_entropy(part.tokens, part.targets, document) for part, document in parts]
    windows, true = task.questions(seed, rows)
    alone = np.concatenate([np.full_like(windows[..., :1], END), windows[..., -task.answer :]], -1)
    gain = _answer_loss(model, alone, task.answer) - _answer_loss(model, windows, task.answer)
    right = (gain.argmax(1) == true)[:, None].tolist()
    loss = float(torch.stack(held_out).mean())
    return {**accuracy(right), "loss_held_out": loss, "corpus": task.fingerprint}


@torch.no_grad()
def births(model: LanguageModel, task: Births, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """`accuracy` and `accuracy_k`: questions answered in windows of the trained length; `accuracy_far`: the same questions in
    windows of 2 and 4 times that length, of which the model has never seen one. Each with the `rows` it is a share of."""
    far, far_count = {}, {}
    for times in FAR:
        longer = task.longer(times)
        whole = longer.batch(seed, 0, rows, split="test")
        guesses = [model.guesses(part.tokens).cpu() for part, _ in _parts(model, whole, True, max(1, PART // times))]
        found = longer.grade(whole, torch.cat(guesses))
        far[str(times)], far_count[str(times)] = found["accuracy"], found["count"]
    scores = {**teacher_forced(model, task, rows, seed, leaky=True), "corpus": task.fingerprint}
    return {**scores, "accuracy_far": far, "count_far": far_count}


@torch.no_grad()
def prepared(model: LanguageModel, task: Prepared, rows: int, seed: int = 0, leaky: bool = False) -> dict[str, Any]:
    """`loss_held_out` in nats per token of `rows` held-out windows, with its `loss_error` between windows; `perplexity`, and
    `accuracy`: share of the tokens that are the most likely one."""
    whole = task.batch(seed, 0, rows, split="test")
    nats, right = [], []
    for part, document in _parts(model, whole, leaky, max(1, min(PART, LOGITS // (task.window * model.config.vocab)))):
        logits = model(part.tokens[:, :-1], None if document is None else document[:, :-1]).float()
        wanted = part.tokens[:, 1:]
        nats += F.cross_entropy(logits.transpose(1, 2), wanted, reduction="none").double().mean(1).tolist()
        right += (logits.argmax(-1) == wanted).tolist()
    loss = float(np.mean(nats))
    error = float(np.std(nats, ddof=1) / len(nats) ** 0.5) if len(nats) > 1 else 0.0
    return {
        **accuracy(right),
        "loss_held_out": loss,
        "loss_error": error,
        "perplexity": math.exp(min(loss, 700.0)),
        "corpus": task.fingerprint,
    }


def _answer_loss(model: LanguageModel, questions: NDArray[np.int64], answer: int) -> NDArray[np.float64]:
    """-log p of the last `answer` tokens of questions [row, choice, position]; [row, choice]."""
    flat = torch.from_numpy(questions.reshape(-1, questions.shape[-1])).to(_device(model))
    losses = []
    for tokens in flat.split(4 * PART):
        log_p = model.head(model.hidden(tokens[:, :-1])[:, -answer:]).float().log_softmax(-1)
        losses.append(-log_p.gather(-1, tokens[:, -answer:, None])[..., 0].sum(1))
    return torch.cat(losses).double().cpu().numpy().reshape(questions.shape[:2])


def _device(model: LanguageModel) -> torch.device:
    return next(model.parameters()).device


def _parts(model: LanguageModel, whole: Batch, leaky: bool, size: int = PART) -> list[tuple[Batch, Tensor | None]]:
    """A batch in pieces of `size` rows on the model's device, with the boundaries that the model must respect."""
    device, parts = _device(model), []
    for begin in range(0, len(whole.tokens), size):
        rows = slice(begin, begin + size)
        part = Batch(*(tensor[rows].to(device) for tensor in (whole.tokens, whole.targets, whole.document)))
        parts.append((part, part.document if part.packed and not leaky else None))
    return parts


SCORES: Mapping[type, Callable[..., dict[str, Any]]] = {
    Brevo: brevo,
    Lano: lano,
    Capo: capo,
    Text: text,
    Births: births,
    Prepared: prepared,
}
