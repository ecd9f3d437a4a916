"""The work behind `physlm eval`: benchmarks, probes of retrieval and held-out loss of a saved model, the published row beside it.

The probes go by the names of the published table (Part 4.2): "1-hop-2k" and "2-hop-4k" (birth years in so many thousand tokens of
other text), "niah-S1-4k" to "niah-S3-8k" (a needle), "babilong-qa1-0k" to "babilong-qa5-4k" (stories). They are this kit's
questions, with this kit's filler unless another one is given: compare models with each other, and with the paper only loosely. A
file of questions (see evaluation/given.py) takes the place of a name.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from ..base.strict import Count, conform, unknown
from ..data.tokenizer import Tokenizer
from ..evaluation import BirthYears, Filler, Given, Needle, ProbeSource, Story, evaluate, evaluate_probes, writer
from ..models import LanguageModel
from ..tasks.prepared import Prepared
from .published.results import BENCHMARKS, tables

CONTEXT = 2048  # tokens, as the linear models were evaluated
AT_A_TIME = 2**16  # tokens of prompts that are read at a time, about
SHARES = ("acc", "acc_norm", "exact_match")  # of questions that are right or wrong
NORMED = ("arc_challenge", "hellaswag", "openbookqa")  # benchmarks whose published score is acc_norm
PERPLEXITIES = {("wikitext", "word_perplexity"): "WikiPPL", ("lambada_openai", "perplexity"): "LMBPPL"}
SHAPE = re.compile(r"([12])-hop-([\d.]+)k|niah-S([123])-([\d.]+)k|babilong-qa([1-5])-([\d.]+)k")
PEOPLE = {1: 5, 2: 3}  # in a group, by the number of hops


@dataclass(frozen=True)
class Score:
    """One line: what was measured, how, and what the paper's own run of this name has (None: not published).

    percent: of an accuracy; other scores are what they are, such as nats or a perplexity.
    """

    name: str
    metric: str
    score: float
    error: float | None = None
    count: int | None = None
    published: float | None = None


def probe_of(name: str, **settings: Any) -> ProbeSource:
    """A probe by its published name, or by the file of its questions. settings: filler, tokenize."""
    if name.endswith((".jsonl", ".json")):
        return Given(name, **{key: value for key, value in settings.items() if key == "tokenize"})
    found = SHAPE.fullmatch(name)
    if found is None:
        raise unknown(
            "probe", name, ["1-hop-0k", "1-hop-4k", "2-hop-1k", "niah-S1-2k", "niah-S3-4k", "babilong-qa1-0k"]
        )
    hops, far, needle, deep, story, long = found.groups()
    settings["filler_tokens"] = round(1000 * float(far or deep or long))
    if hops:
        return BirthYears(people=PEOPLE[int(hops)], hops=int(hops), **settings)
    return Needle(kind=f"S-NIAH-{needle}", **settings) if needle else Story(f"qa{story}", **settings)  # type: ignore[arg-type]


def probe_scores(
    model: LanguageModel,
    tokenizer: Tokenizer,
    probes: Sequence[str],
    *,
    count: int = 100,
    seed: int = 0,
    filler: str | None = None,
) -> Iterator[Score]:
    """The accuracy of each probe, in percent. filler: a text, or a folder of texts, in which the facts are hidden.

    Prompts may be longer than what the model was trained on: that is what some of the probes are about.
    """
    settings: dict[str, Any] = {"tokenize": _Encode(tokenizer)}
    if filler is not None:
        settings["filler"] = Filler.from_path(filler)
    for name in probes:
        source = probe_of(name, **settings)
        asked = min(count, len(source.questions)) if isinstance(source, Given) else count
        write = writer(model, settings["tokenize"], tokenizer.decode, source.new_tokens, stop=tokenizer.end)
        found = evaluate_probes(source, partial(_some_at_a_time, write, settings["tokenize"]), asked, seed)
        yield Score(
            source.name if isinstance(source, Given) else name,
            "accuracy, %",
            100 * found["accuracy"],
            100 * found["standard_error"],
            found["count"],
        )


def _some_at_a_time(
    write: Callable[[list[str]], list[str]], encode: Callable[[str], list[int]], prompts: list[str]
) -> list[str]:
    size = max(1, AT_A_TIME // max(len(encode(prompt)) for prompt in prompts))
    return [text for i in range(0, len(prompts), size) for text in write(prompts[i : i + size])]


@dataclass(frozen=True)
class _Encode:
    """A tokenizer as the probes count with it; it can be told from another one, so that counts are remembered."""

    tokenizer: Tokenizer

    def __call__(self, text: str) -> list[int]:
        return list(map(int, self.tokenizer.encode([text])[0]))


def held_out_scores(model: LanguageModel, corpora: Sequence[str], window: int, count: int) -> Iterator[Score]:
    """The loss on `count` held-out windows of each prepared corpus, in nats per token; documents see each other, as published."""
    for name in corpora:
        task = Prepared({name: 1.0}, window=window)
        if len(task.vocabulary) > model.config.vocab:
            raise ValueError(
                f"{name} was prepared with a tokenizer of {len(task.vocabulary):,} tokens, and the model knows "
                f"{model.config.vocab:,}; prepare the text with the model's tokenizer"
            )
        there = task.corpora[0].windows("test", window)
        found = evaluate(model, task, max(1, min(count, there)), leaky=True)
        yield Score(
            f"held-out loss of {Path(name).name}",
            "nats per token",
            found["loss_held_out"],
            found["loss_error"],
            min(count, there),
        )


def harness_scores(model: LanguageModel, tokenizer: Tokenizer, tasks: Sequence[str], **options: Any) -> Iterator[Score]:
    """The scores of tasks of the lm-evaluation-harness, accuracies in percent; options: as `evaluate_harness`."""
    from ..evaluation.harness import evaluate_harness

    for task, found in evaluate_harness(model, tokenizer, tasks, **options).items():
        count = found.pop("count", None)
        for metric, value in found.items():
            share = metric in SHARES
            error = 100 * (value * (1 - value) / (count - 1)) ** 0.5 if share and count and count > 1 else None
            about = (f"{metric}, %", 100 * value) if share else (metric, value)
            yield Score(task, *about, error, None if count is None else int(count))


def published_score(row: Mapping[str, float] | None, score: Score) -> float | None:
    """What a row of the published table says of the same thing."""
    metric = score.metric.partition(",")[0]
    if row is None:
        return None
    if (column := PERPLEXITIES.get((score.name, metric))) is not None:
        return row.get(column)
    if score.name in BENCHMARKS:
        wanted = "acc_norm" if score.name in NORMED else "exact_match" if score.name == "triviaqa" else "acc"
        return row.get(BENCHMARKS[score.name][0]) if metric == wanted else None
    return row.get(score.name)


def evaluate_model(
    model: LanguageModel,
    tokenizer: Tokenizer,
    *,
    tasks: Sequence[str] = (),
    probes: Sequence[str] = (),
    held_out: Sequence[str] = (),
    beside: str | None = None,
    context: int = CONTEXT,
    count: int = 100,
    seed: int = 0,
    limit: int | None = None,
    include: str | None = None,
    filler: str | None = None,
) -> list[Score]:
    """All that is asked for, in order: held-out loss, probes, tasks of the harness.

    beside: a published run, whose numbers stand beside ours. context: tokens of a held-out window, and of a prompt of the
    harness. count: questions of each probe, and windows of held-out text. limit: questions of each task of the harness (None:
    all). include: a folder of your own tasks of the harness. filler: of the probes.

    Raises ValueError, in one sentence, for an unknown name, data that are not here, or a package that is missing.
    """
    count, context = conform("count", Count, count), conform("context", Count, context)
    limit = conform("limit", Count | None, limit)
    row = None
    if beside is not None:
        if beside not in tables():
            raise unknown("published run", beside, tables())
        row = tables()[beside]
    for name in probes:  # before the work
        probe_of(name)
    found: list[Score] = []
    steps: list[Callable[[], Iterator[Score]]] = [
        partial(held_out_scores, model, held_out, context, count),
        partial(probe_scores, model, tokenizer, probes, count=count, seed=seed, filler=filler),
    ]
    if tasks:
        options = {"context": context, "include": include, "limit": limit}
        steps.append(partial(harness_scores, model, tokenizer, tasks, **options))
    for step in steps:
        found += step()
    return [Score(**{**vars(score), "published": published_score(row, score)}) for score in found]


def score_table(scores: Sequence[Score], beside: str | None = None) -> str:
    """The scores in columns."""
    lines = [f"{'':<28}{'metric':<20}{'score':>9}{'error':>9}{'count':>8}" + (f"   {beside}" if beside else "")]
    for score in scores:
        error = "" if score.error is None else f"{score.error:.2f}"
        line = f"{score.name:<28}{score.metric:<20}{score.score:>9.2f}{error:>9}{score.count or '':>8}"
        if beside:
            line += f"   {'not published' if score.published is None else score.published}"
        lines.append(line)
    return "\n".join(lines)
