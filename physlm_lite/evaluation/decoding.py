"""Writing text with a trained model: one token at a time, with its state, greedily or by sampling."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated

import numpy as np
import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from ..base.strict import NotNegative, Range, Seed, Whole, conform, shown
from ..models import DecodingState, LanguageModel
from ..tasks.batch import PAD
from ..tasks.draws import address, bits, unit

ROWS = 256  # prompts continued at a time


@torch.inference_mode()
def generate(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    longest: int,
    stop: int | None = None,
    temperature: float = 0.0,
    seed: int = 0,
    context: int | None = None,
    allowed: Sequence[int] | None = None,
) -> list[list[int]]:
    """Continue each prompt by at most `longest` tokens; the answers end with `stop` if it was written.

    temperature: 0 takes the most likely token, 1 samples from the model's own distribution. A sample is a pure function
    of (seed, number of the prompt, position): it does not depend on which prompts share a batch. context: refuse prompts
    that leave no room for `longest` tokens in it. allowed: only these token ids can be written.

    Raises ValueError for arguments that make no sense, and for a model whose logits are no numbers.
    """
    token_id = Annotated[int, Range(0, model.config.vocab - 1)]
    longest, temperature = conform("longest", Whole, longest), conform("temperature", NotNegative, temperature)
    seed, stop = conform("seed", Seed, seed), conform("stop", int | None, stop)
    allowed = None if allowed is None else conform("allowed", tuple[token_id, ...], allowed)
    if allowed == ():
        raise ValueError("allowed names no token, so none could be written; leave it out to allow all")
    for i, prompt in enumerate(prompts):
        if not len(prompt):
            raise ValueError(f"prompt {i} is empty; begin it with the task's first token, <bos>")
        if np.asarray(prompt).dtype.kind not in "iu":
            raise ValueError(f"prompt {i} must be a list of token ids, whole numbers, not {shown(prompt)}")
        if context is not None and len(prompt) + longest > context:
            raise ValueError(
                f"prompt {i} has {len(prompt)} tokens, and with {longest} new ones it does not fit into a "
                f"context of {context}; shorten it, or ask for at most {max(context - len(prompt), 0)}"
            )
    device = next(model.parameters()).device
    forbidden = None
    if allowed is not None:
        forbidden = torch.ones(model.config.vocab, dtype=torch.bool, device=device)
        forbidden[list(allowed)] = False
    answers: list[list[int]] = []
    for i in range(0, len(prompts), ROWS):
        part = prompts[i : i + ROWS]
        keys = address(seed, np.arange(i, i + len(part)))
        choose = partial(_choose, temperature=temperature, keys=keys, forbidden=forbidden)
        answers += _continue(model, part, longest, stop, choose, device)
    return answers


def writer(
    model: LanguageModel,
    encode: Callable[[str], Sequence[int]],
    decode: Callable[[Sequence[int]], str],
    longest: int,
    stop: int | None = None,
    context: int | None = None,
) -> Callable[[list[str]], list[str]]:
    """`generate` on texts, for the probes: greedy continuations of prompts by any tokenizer's `encode` and `decode`."""

    def write(prompts: list[str]) -> list[str]:
        answers = generate(model, [list(encode(prompt)) for prompt in prompts], longest, stop, context=context)
        return [decode([token for token in answer if token != stop]) for answer in answers]

    return write


def _continue(
    model: LanguageModel,
    prompts: Sequence[Sequence[int]],
    longest: int,
    stop: int | None,
    choose: Callable[[Tensor, np.ndarray, int], Tensor],
    device: torch.device,
) -> list[list[int]]:
    # padding on the left is a document of its own, so it is never looked at; equal lengths need no boundaries
    lengths = list(map(len, prompts))
    left_padded = partial(pad_sequence, batch_first=True, padding_side="left")
    tokens = left_padded([torch.tensor(prompt) for prompt in prompts], padding_value=PAD).to(device)
    document = left_padded([torch.zeros(n, dtype=torch.long) for n in lengths], padding_value=-1).to(device)
    state, packed = DecodingState(), min(lengths) < max(lengths)
    answers: list[list[int]] = [[] for _ in prompts]
    alive = np.arange(len(prompts))
    for position in range(longest):
        logits = model.head(model.hidden(tokens, document if packed else None, state)[:, -1]).float()
        if logits.isnan().any():
            raise ValueError("the model's logits are NaN, so it has broken weights; load it again, or train it anew")
        chosen = choose(logits, alive, position)
        for row, token in zip(alive.tolist(), chosen.tolist(), strict=True):
            answers[row].append(token)
        if stop is not None:
            going = (chosen != stop).cpu()
            if not going.any():
                break
            if not going.all():  # rows that have ended leave the batch
                chosen, alive = chosen[going.to(device)], alive[going.numpy()]
                state.keep(going.to(device))
        tokens = chosen[:, None]
        document = torch.zeros_like(tokens)
    return answers


def _choose(
    logits: Tensor, rows: np.ndarray, position: int, temperature: float, keys: np.ndarray, forbidden: Tensor | None
) -> Tensor:
    """One token for each row: the most likely one, or the one at which the cumulated probability passes a draw."""
    if forbidden is not None:
        logits = logits.masked_fill(forbidden, float("-inf"))
    if temperature == 0:
        return logits.argmax(-1)
    chance = torch.from_numpy(unit(bits(keys[rows], 0, position))).to(logits.device)
    cumulated = (logits.double() / temperature).softmax(-1).cumsum(-1)
    chosen = torch.searchsorted(cumulated, chance[:, None] * cumulated[:, -1:], right=True)[:, 0]
    return chosen.clamp(max=logits.shape[-1] - 1)
