"""Our models in the lm-evaluation-harness: its tasks, its prompts and its scores, with this kit's model and tokenizer.

A continuation's score is the sum over *all* of its tokens, given the context and no mark before it, as the harness does it for
models of transformers. (The released evaluator begins one token late; Part 4.2's published numbers cannot come from it.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..base.strict import shown, unknown
from ..data.tokenizer import Tokenizer
from ..models import LanguageModel
from .decoding import generate

TOKENS = 2**14  # in one forward pass, about
NEW_TOKENS = 256  # that an answer may take where a task does not say it
MISSING = "the tasks of lm-evaluation-harness need the package lm-eval: pip install 'physlm_lite[eval]'"


@torch.inference_mode()
def log_likelihoods(
    model: LanguageModel, pairs: Sequence[tuple[Sequence[int], Sequence[int]]], context: int
) -> list[tuple[float, bool]]:
    """Of each (context, continuation), in tokens: the log-probability of the whole continuation, and whether each of its tokens
    is the most likely one. What is longer than `context` tokens is cut on the left, the last token not counted.

    Raises ValueError for a pair of which one part is empty, or a continuation that is longer than the context.
    """
    for before, after in pairs:
        if not before or not after:
            raise ValueError("a continuation is scored only if there is something before it and something in it")
        if len(after) > context:
            raise ValueError(f"a continuation of {len(after):,} tokens does not fit into a context of {context:,}")
    texts = [[*before, *after][-(context + 1) :] for before, after in pairs]
    order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
    device = next(model.parameters()).device
    found: list[tuple[float, bool]] = [(0.0, False)] * len(texts)
    while order:
        size = max(1, TOKENS // len(texts[order[0]]))
        rows, order = order[:size], order[size:]
        # padding stands on the right, where nobody who counts looks
        tokens = pad_sequence([torch.tensor(texts[i]) for i in rows], batch_first=True).to(device)
        wanted = torch.zeros(tokens.shape, dtype=torch.bool, device=device)
        for row, i in enumerate(rows):
            wanted[row, len(texts[i]) - len(pairs[i][1]) : len(texts[i])] = True
        hidden = model.hidden(tokens[:, :-1])
        log_p = model.head(hidden[wanted[:, 1:]]).float().log_softmax(-1)
        target = tokens[:, 1:][wanted[:, 1:]]
        of_each = log_p.gather(-1, target[:, None])[:, 0].double()
        best = log_p.argmax(-1) == target
        sizes = [len(pairs[i][1]) for i in rows]
        for i, logs, hits in zip(rows, _split(of_each, sizes), _split(best, sizes), strict=True):
            found[i] = float(logs.sum()), bool(hits.all())
    return found


def _split(flat: Tensor, sizes: Sequence[int]) -> Sequence[Tensor]:
    return flat.cpu().split(list(sizes))


def harness_model(model: LanguageModel, tokenizer: Tokenizer, context: int) -> Any:
    """The model as the harness asks for it. ValueError if the harness is not installed.

    context: tokens that the model may see at a time; longer prompts are cut on the left.
    """
    try:
        from lm_eval.api.model import TemplateLM
        from lm_eval.utils import get_rolling_token_windows, make_disjoint_window
    except ImportError as error:
        raise ValueError(MISSING) from error

    begin, end = tokenizer.begin, tokenizer.end

    class Model(TemplateLM):
        @property
        def eot_token_id(self) -> int:
            return next((mark for mark in (end, begin) if mark is not None), 0)

        @property
        def prefix_token_id(self) -> int:
            return next((mark for mark in (begin, end) if mark is not None), 0)

        def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
            return list(map(int, tokenizer.encode([string])[0]))

        def _loglikelihood_tokens(self, requests: Sequence[Any], **_: Any) -> list[tuple[float, bool]]:
            return log_likelihoods(model, [(before, after) for _, before, after in requests], context)

        def loglikelihood_rolling(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[float]:
            """Every token of a text once, in windows that do not overlap."""
            sums = []
            for (text,) in (request.args for request in requests):
                windows = get_rolling_token_windows(self.tok_encode(text), self.prefix_token_id, context, 1)
                sums.append(
                    sum(log for log, _ in log_likelihoods(model, [*map(make_disjoint_window, windows)], context))
                )
            return sums

        def generate_until(self, requests: Sequence[Any], disable_tqdm: bool = False) -> list[str]:
            return [self._written(*request.args) for request in requests]

        def _written(self, prompt: str, options: Mapping[str, Any]) -> str:
            until = options.get("until") or []
            longest = int(options.get("max_gen_toks", options.get("max_new_tokens", NEW_TOKENS)))
            temperature = float(options.get("temperature", 0.0)) if options.get("do_sample") else 0.0
            tokens = self.tok_encode(prompt)[-max(1, context - longest) :]
            (answer,) = generate(model, [tokens or [self.prefix_token_id]], longest, stop=end, temperature=temperature)
            text = tokenizer.decode([token for token in answer if token != end])
            for stop in [until] if isinstance(until, str) else until:
                text = text.split(stop)[0] if stop else text
            return text

    return Model()


def evaluate_harness(
    model: LanguageModel,
    tokenizer: Tokenizer,
    tasks: Sequence[str],
    *,
    context: int = 2048,
    include: str | Path | None = None,
    limit: int | None = None,
) -> dict[str, dict[str, float]]:
    """The scores of these tasks of the harness, by task and metric, with the "count" of its questions.

    include: a folder with tasks of your own, as YAML. limit: so many questions of each task.

    Raises ValueError if the harness is not installed, for an unknown task, and for a task whose data are not here.
    """
    adapter = harness_model(model, tokenizer, context)
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.tasks import TaskManager

    if include is not None and not Path(include).is_dir():
        raise ValueError(f"{include} is not a folder; name the one that holds the YAML files of your tasks")
    manager = TaskManager(include_path=None if include is None else str(include), include_defaults=False)
    if any(name not in manager.all_tasks for name in tasks):  # reading the harness's own thousands takes a while
        manager = TaskManager(include_path=None if include is None else str(include))
    for name in tasks:
        if name not in manager.all_tasks:
            raise unknown("task of the harness", name, manager.all_tasks)
    try:
        found = simple_evaluate(
            adapter, tasks=list(tasks), task_manager=manager, limit=limit, bootstrap_iters=0, log_samples=False
        )
    except Exception as error:
        if not _of_the_data(error):
            raise
        reason = str(error).strip().splitlines() or [type(error).__name__]
        raise ValueError(
            f"the data of {', '.join(tasks)} are not here and cannot be fetched ({shown(reason[0], 200)}); run it once with a "
            "network, or give tasks of your own with --include FOLDER"
        ) from error
    assert found is not None
    return {task: _numbers(scores) for task, scores in found["results"].items()}


def _of_the_data(error: Exception) -> bool:
    """Whether a task failed because its data set could not be loaded."""
    places = ("datasets", "huggingface_hub", "requests", "httpx")
    return isinstance(error, ConnectionError | FileNotFoundError) or type(error).__module__.startswith(places)


def _numbers(scores: Mapping[str, Any]) -> dict[str, float]:
    """The scores of a task under the metric's name, without the filter that the harness adds: "acc,none" is "acc".

    Its standard errors are left out: without a bootstrap, which takes minutes, it gives none.
    """
    found = {"count": float(scores["sample_len"])} if "sample_len" in scores else {}
    for name, value in scores.items():
        metric, comma, _ = name.partition(",")
        if comma and not metric.endswith("_stderr") and isinstance(value, int | float):
            found[metric] = float(value)
    return found
