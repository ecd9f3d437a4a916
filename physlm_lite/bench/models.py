"""The speed of models: a training step, writing text, the linear mixers, and loading a folder."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from ..base.clock import Action, interleaved, milliseconds, ratio
from ..evaluation.decoding import generate
from ..models import Context, LanguageModel, ModelConfig
from ..scale import save_pretrained

# The training step of the comparison.
STEP: dict[str, Any] = {"width": 128, "layers": 4, "heads": 4, "hidden": 336, "vocab": 256}
ROWS, POSITIONS = 16, 128

# One layer with a linear mixer, all by itself.
MIXERS = {"GLA": "gla", "Mamba2": "mamba2", "gated delta net": "gated_delta"}
MIXER_POSITIONS = 512

# Writing: models of two widths, so many tokens after a prompt.
WRITERS = {128: STEP, 512: {"width": 512, "layers": 4, "heads": 8, "hidden": 1376, "vocab": 256}}
PROMPT, WRITTEN = 16, 48

# A folder to load: 130 million parameters, 520 MB.
FOLDER: dict[str, Any] = {"width": 1024, "layers": 10, "heads": 16, "hidden": 2816, "vocab": 2048}

OTHERS = "transformers' Llama"


def ours(**options: Any) -> LanguageModel:
    """One of our models."""
    return LanguageModel(ModelConfig(**options), seed=0)


def llama(shape: dict[str, Any]) -> Any:
    """The plain model of the same shape in transformers; None where that is not installed."""
    if importlib.util.find_spec("transformers") is None:
        return None
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


def training_step(model: Any, blocks_compiled: bool = False) -> Action:
    """One whole step of a model, ours or another: forward, backward, fused AdamW."""
    tokens = some_tokens(STEP["vocab"], ROWS, POSITIONS + 1)
    counted = torch.ones_like(tokens, dtype=torch.bool)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4, fused=True)
    for block in model.blocks if blocks_compiled else ():
        block.compile()

    def loss() -> Tensor:
        if isinstance(model, LanguageModel):
            return model.loss(tokens, counted)
        return F.cross_entropy(model(input_ids=tokens[:, :-1]).logits.flatten(0, 1), tokens[:, 1:].flatten())

    def step() -> None:
        optimizer.zero_grad(set_to_none=True)
        loss().backward()
        optimizer.step()

    return step


def matrix_products() -> Action:
    """The products of every weight matrix of that step with its activations: forward, and both gradients."""
    layers = [m.weight.detach() for m in ours(**STEP).modules() if isinstance(m, torch.nn.Linear)]
    x = {width: torch.randn(ROWS * POSITIONS, width) for weight in layers for width in weight.shape}

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
        "no Canon, eager": training_step(ours(**STEP)),
        "Canon-ABCD, eager": training_step(ours(canon="ABCD", **STEP)),
    }
    if (other := llama(STEP)) is not None:
        actions[f"{OTHERS}, eager"] = training_step(other)
    if not quick:
        compiled = {"canon": "ABCD", "canon_compiled": True, **STEP}
        actions |= {
            "Canon-ABCD, operator compiled": training_step(ours(**compiled)),
            "no Canon, blocks compiled": training_step(ours(**STEP), blocks_compiled=True),
            "Canon-ABCD, blocks compiled": training_step(ours(**compiled), blocks_compiled=True),
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


def writing(model: Any, prompts: Tensor) -> Action:
    """Continue prompts greedily: one of our models with our `generate`, another with its own."""
    if isinstance(model, LanguageModel):
        return partial(generate, model.eval(), prompts.tolist(), WRITTEN)
    length = {"max_new_tokens": WRITTEN, "min_new_tokens": WRITTEN}
    mask = torch.ones_like(prompts)
    return partial(model.eval().generate, prompts, attention_mask=mask, do_sample=False, pad_token_id=0, **length)


def bench_decoding(quick: bool = False) -> dict[str, Any]:
    """Milliseconds a token of every text, prompt included; against our plain model and the `generate` of transformers."""
    found = {}
    for width, shape in WRITERS.items():
        models: dict[str, Any] = {"no Canon": ours(**shape), "Canon-ABCD": ours(canon="ABCD", **shape)}
        if shape is STEP or not quick:
            models |= {name: ours(mixer=mixer, **shape) for name, mixer in MIXERS.items()}
        if (other := llama(shape)) is not None:
            models[OTHERS] = other
        for rows in (1, 16):
            prompts = some_tokens(shape["vocab"], rows, PROMPT)
            actions = {name: writing(model, prompts) for name, model in models.items()}
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


def layer_step(rows: int, mixer: str) -> Action:
    """Forward and backward through one layer: a mixer with its feed-forward layer."""
    model = ours(**{**STEP, "layers": 1, "mixer": mixer})
    tokens = some_tokens(model.config.vocab, rows, MIXER_POSITIONS)

    def step() -> None:
        model.zero_grad(set_to_none=True)
        model.hidden(tokens).square().mean().backward()

    return step


def recurrence_step(rows: int, mixer: str, form: str) -> Action:
    """Forward and backward through the recurrence of a mixer alone; form: "chunked", or "naive" for token after token."""
    layer: Any = ours(**{**STEP, "layers": 1, "mixer": mixer}).get_submodule("blocks.0.mixer")
    x = torch.randn(rows, MIXER_POSITIONS, STEP["width"], generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        inputs = [z.clone() for z in layer.inputs(x, Context())]

    def step() -> None:
        getattr(layer, form)(*(z.requires_grad_() for z in inputs))[0].square().mean().backward()

    return step


def bench_mixers(quick: bool = False) -> dict[str, Any]:
    """Milliseconds of a training step with each linear mixer: its recurrence against the loop, its layer against attention."""
    found = {}
    for rows in (1,) if quick else (1, 4):
        actions = {"attention": layer_step(rows, "attention")}
        for name, mixer in MIXERS.items():
            actions[name] = layer_step(rows, mixer)
            actions[f"{name}, chunks"] = recurrence_step(rows, mixer, "chunked")
            actions[f"{name}, loop"] = recurrence_step(rows, mixer, "naive")
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
    shape = {**FOLDER, "layers": 1} if quick else FOLDER
    with tempfile.TemporaryDirectory(prefix="physlm-") as folder:
        save_pretrained(ours(**shape), folder)
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
