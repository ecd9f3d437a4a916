"""The speed of models: a training step, writing text, the linear mixers, and loading a folder."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..evaluation.decoding import generate
from ..models import Context, LanguageModel, ModelConfig
from ..scale import save_pretrained
from .clock import Action, interleaved, milliseconds, ratio

# The training step of the comparison.
STEP: dict[str, Any] = {"width": 128, "layers": 4, "heads": 4, "hidden": 336, "vocab": 256}
ROWS, POSITIONS = 16, 128

# One layer with a linear mixer, all by itself.
MIXER_STEP: dict[str, Any] = {"width": 128, "layers": 1, "heads": 4, "hidden": 336, "vocab": 256}
MIXER_POSITIONS = 512
MIXERS: dict[str, dict[str, Any]] = {
    "GLA": {"mixer": "gla"},
    "Mamba2": {"mixer": "mamba2"},
    "gated delta net": {"mixer": "gated_delta"},
}

# Writing: models of two widths, so many tokens after a prompt.
WRITERS: dict[int, dict[str, Any]] = {
    128: {"width": 128, "layers": 4, "heads": 4, "hidden": 336, "vocab": 256},
    512: {"width": 512, "layers": 4, "heads": 8, "hidden": 1376, "vocab": 256},
}
PROMPT, WRITTEN = 16, 48

# A folder to load: 130 million parameters, 520 MB.
FOLDER: dict[str, Any] = {"width": 1024, "layers": 10, "heads": 16, "hidden": 2816, "vocab": 2048}

OTHERS = "transformers' Llama"


def has_transformers() -> bool:
    """Whether there is something of others to compare with."""
    return importlib.util.find_spec("transformers") is not None


def llama(shape: dict[str, Any]) -> Any:
    """The plain model of the same shape in transformers."""
    from transformers import LlamaConfig, LlamaForCausalLM

    config = LlamaConfig(
        vocab_size=shape["vocab"],
        hidden_size=shape["width"],
        intermediate_size=shape["hidden"],
        num_hidden_layers=shape["layers"],
        num_attention_heads=shape["heads"],
        max_position_embeddings=2048,
        bos_token_id=None,
        eos_token_id=None,
    )
    return LlamaForCausalLM(config)


def some_tokens(vocab: int, rows: int, positions: int) -> Tensor:
    """`[rows, positions]` tokens, the same every time."""
    return torch.randint(1, vocab, (rows, positions), generator=torch.Generator().manual_seed(0))


# -- training ----------------------------------------------------------------------------------------------------------


def step_of(model: torch.nn.Module, loss: Callable[[], Tensor]) -> Action:
    """One whole step: forward, backward, fused AdamW."""
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def training_step(canon: str = "", operator_compiled: bool = False, blocks_compiled: bool = False) -> Action:
    """A step of one of our models."""
    model = LanguageModel(ModelConfig(canon=canon, canon_compiled=operator_compiled, **STEP), seed=0)
    if blocks_compiled:
        for block in model.blocks:
            block.compile()
    tokens = some_tokens(STEP["vocab"], ROWS, POSITIONS + 1)
    return step_of(model, partial(model.loss, tokens, torch.ones_like(tokens, dtype=torch.bool)))


def llama_step() -> Action:
    """A step of the plain model in transformers."""
    model = llama(STEP)
    tokens = some_tokens(STEP["vocab"], ROWS, POSITIONS + 1)

    def loss() -> Tensor:
        return F.cross_entropy(model(input_ids=tokens[:, :-1]).logits.flatten(0, 1), tokens[:, 1:].flatten())

    return step_of(model, loss)


def matrix_products() -> Action:
    """The products of every weight matrix of that step with its activations: forward, and both gradients."""
    model = LanguageModel(ModelConfig(**STEP), seed=0)
    x: dict[int, Tensor] = {}
    layers = [m.weight.detach() for m in model.modules() if isinstance(m, torch.nn.Linear)]
    for weight in layers:
        for width in weight.shape:
            x.setdefault(width, torch.randn(ROWS * POSITIONS, width))

    def products() -> None:
        for weight in layers:
            out, into = weight.shape
            _ = x[into] @ weight.t()  # forward
            _ = x[out] @ weight  # gradient of the input
            _ = x[out].t() @ x[into]  # gradient of the weight

    return products


def bench_steps(quick: bool = False) -> dict[str, Any]:
    """Milliseconds, tokens/s and ratios of the training step's variants."""
    actions = {
        "matrix products alone": matrix_products(),
        "no Canon, eager": training_step(),
        "Canon-ABCD, eager": training_step("ABCD"),
    }
    if has_transformers():
        actions[f"{OTHERS}, eager"] = llama_step()
    if not quick:
        actions |= {
            "Canon-ABCD, operator compiled": training_step("ABCD", operator_compiled=True),
            "no Canon, blocks compiled": training_step(blocks_compiled=True),
            "Canon-ABCD, blocks compiled": training_step("ABCD", operator_compiled=True, blocks_compiled=True),
        }
    seconds = interleaved(actions, rounds=5 if quick else 31)
    rows = {
        name: {
            "ms": milliseconds(times),
            "tokens_per_second": round(1e3 * ROWS * POSITIONS / milliseconds(times, 6)),
            "to_no_canon_eager": ratio(times, seconds["no Canon, eager"], 3),
            "to_matrix_products": ratio(times, seconds["matrix products alone"], 3),
        }
        for name, times in seconds.items()
    }
    rows["matrix products alone"].pop("tokens_per_second")
    return rows


# -- writing -----------------------------------------------------------------------------------------------------------


def writing(model: LanguageModel, rows: int) -> Action:
    """Continue prompts with one of our models, greedily."""
    prompts = some_tokens(model.config.vocab, rows, PROMPT).tolist()
    return partial(generate, model.eval(), prompts, WRITTEN)


def llama_writing(model: Any, rows: int) -> Action:
    """The same with the `generate` of transformers."""
    prompts = some_tokens(model.config.vocab_size, rows, PROMPT)
    mask = torch.ones_like(prompts)
    return partial(
        model.eval().generate,
        prompts,
        attention_mask=mask,
        max_new_tokens=WRITTEN,
        min_new_tokens=WRITTEN,
        do_sample=False,
        pad_token_id=0,
    )


def bench_decoding(quick: bool = False) -> dict[str, Any]:
    """Milliseconds a token of every text, prompt included; against our plain model and the `generate` of transformers."""
    found = {}
    for width, shape in list(WRITERS.items())[: 1 if quick else 2]:
        kinds = {"no Canon": {}, "Canon-ABCD": {"canon": "ABCD"}, **MIXERS}
        models = {name: LanguageModel(ModelConfig(**shape, **options), seed=0) for name, options in kinds.items()}
        other = llama(shape) if has_transformers() else None
        for rows in (1, 16):
            actions = {name: writing(model, rows) for name, model in models.items()}
            if other is not None:
                actions[OTHERS] = llama_writing(other, rows)
            seconds = interleaved(actions, rounds=1 if quick else 9)
            for name, times in seconds.items():
                row = {
                    "ms_a_token": milliseconds([s / WRITTEN for s in times], 3),
                    "to_no_canon": ratio(times, seconds["no Canon"]),
                }
                if other is not None:
                    row["to_transformers"] = ratio(times, seconds[OTHERS])
                found[f"{name}, width {width}, {rows} {'text' if rows == 1 else 'texts'}"] = row
    return found


# -- linear mixers -----------------------------------------------------------------------------------------------------


def layer_step(rows: int, **options: Any) -> Action:
    """Forward and backward through one layer: a mixer with its feed-forward layer."""
    model = LanguageModel(ModelConfig(**{**MIXER_STEP, **options}), seed=0)
    tokens = some_tokens(model.config.vocab, rows, MIXER_POSITIONS)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.hidden(tokens).square().mean().backward()

    return step


def recurrence_step(rows: int, loop: bool, **options: Any) -> Action:
    """Forward and backward through the recurrence of a mixer alone; loop: token after token."""
    mixer: Any = LanguageModel(ModelConfig(**{**MIXER_STEP, **options}), seed=0).get_submodule("blocks.0.mixer")
    x = torch.randn(rows, MIXER_POSITIONS, MIXER_STEP["width"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        inputs = [z.clone() for z in mixer.inputs(x, Context())]
    form = mixer.naive if loop else mixer.chunked

    def step() -> None:
        form(*(z.requires_grad_() for z in inputs))[0].square().mean().backward()

    return step


def bench_mixers(quick: bool = False) -> dict[str, Any]:
    """Milliseconds of a training step with each linear mixer: its recurrence against the loop, its layer against attention."""
    found = {}
    for rows in (1,) if quick else (1, 4):
        actions = {"attention": layer_step(rows)}
        for name, options in MIXERS.items():
            actions |= {
                name: layer_step(rows, **options),
                f"{name}, chunks": recurrence_step(rows, False, **options),
                f"{name}, loop": recurrence_step(rows, True, **options),
            }
        seconds = interleaved(actions, rounds=1 if quick else 9)
        for name in MIXERS:
            found[f"{name}, {rows} x {MIXER_POSITIONS}"] = {
                "ms": milliseconds(seconds[name]),
                "loop_to_chunks": ratio(seconds[f"{name}, loop"], seconds[f"{name}, chunks"], 1),
                "to_attention": ratio(seconds[name], seconds["attention"]),
            }
    return found


# -- loading -----------------------------------------------------------------------------------------------------------

# In a process of its own, whose memory nothing has used before. Once to warm up: PyTorch imports much for its first model
# without memory. Reading the file alone is the measure.
LOAD = """
import json, resource, sys, time
from pathlib import Path
import psutil
from physlm_lite.scale import load_pretrained

def cost(action):
    process = psutil.Process()
    before, begin = process.memory_info().rss, time.process_time()
    kept = action()
    return time.process_time() - begin, process.memory_info().rss - before

folder = Path(sys.argv[1])
read = lambda: [path.read_bytes() for path in folder.glob("*.safetensors")]
read()
load_pretrained(folder)
seconds, memory = cost(lambda: load_pretrained(folder))
print(json.dumps({"seconds": seconds, "memory": memory, "reading": cost(read)[0]}))
"""


def bench_loading(quick: bool = False) -> dict[str, Any]:
    """CPU seconds and more memory for loading a folder; against reading its bytes."""
    config = ModelConfig(**{**FOLDER, "layers": 1} if quick else FOLDER)
    with tempfile.TemporaryDirectory(prefix="physlm-") as folder:
        save_pretrained(LanguageModel(config, seed=0), folder)
        size = sum(path.stat().st_size for path in Path(folder).glob("*.safetensors"))
        found = []
        for _ in range(1 if quick else 5):
            answer = subprocess.run([sys.executable, "-c", LOAD, folder], capture_output=True, text=True, check=True)
            found.append(json.loads(answer.stdout))
    best = min(found, key=lambda row: row["seconds"])
    return {
        "a folder with a model": {
            "mb": round(size / 1e6),
            "ms": round(1e3 * best["seconds"], 1),
            "to_reading": ratio([row["seconds"] for row in found], [row["reading"] for row in found]),
            "more_mb": round(best["memory"] / 1e6),
        }
    }
