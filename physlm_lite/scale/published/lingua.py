"""Writing a folder of the training code: params.json and consolidated.pth, which the original's own loader reads (Part 4.2)."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ...base.files import write_json, write_whole
from ...base.strict import shown
from ...models import LanguageModel, ModelConfig
from .folders import CONSOLIDATED, DTYPES, as_tied
from .layouts import LAYOUT_OF, LINGUA, LINGUA_LINEAR, LINGUA_LLAMA, from_lingua, read_keys, resolved, write_keys
from .names import lingua_name, to_published

NAMES = {"llama_canon": "Llama", "gla5": "GLA5", "gdn2": "GDN2", "mamba2": "Mamba2"}
# How training starts and counts, which no folder of the training code has to say.
START = ("init", "init_std", "depth_scaling")
SEQUENCE = 4096  # tokens, which its loader takes for the longest text


def to_lingua(config: ModelConfig) -> dict[str, Any]:
    """The "model" part of params.json, of a model that rotates neighbouring coordinates (see `interleaved`).

    Raises ValueError for a model that the training code cannot compute.
    """
    layout = LAYOUT_OF[config.mixer]
    keys, table = write_keys(config), {**LINGUA, **(LINGUA_LLAMA if layout == "llama_canon" else LINGUA_LINEAR)}
    found = {ours: keys[theirs] for ours, theirs in table.items() if theirs in keys}
    found |= {"model_name": NAMES[layout], "head_dim": keys["head_dim"]} if layout == "llama_canon" else {}
    found |= {"model_name": NAMES[layout], "n_kv_heads": found.get("n_kv_heads"), "norm_eps": config.norm_eps}
    if config.mixer != "mamba2":
        found.pop("mamba_ssm", None)
    again, before = (
        {name: value for name, value in dataclasses.asdict(resolved(c)).items() if name not in START}
        for c in (read_keys(from_lingua(found)), config)
    )
    for name, value in sorted(before.items(), key=lambda item: item[0].startswith("rope")):  # positions say more
        if again[name] != value:
            raise ValueError(
                f"the training code has no place for {name} = {shown(value)}, it would compute {shown(again[name])}; this model "
                "can be written as a transformers folder only"
            )
    return found


def interleaved(config: ModelConfig, state: Mapping[str, Tensor]) -> tuple[ModelConfig, dict[str, Tensor]]:
    """The same function with neighbouring coordinates as the pairs that rotate, as the training code has them.

    The rows of queries and keys, and what goes with them, change their places; sums are then rounded in another order.
    """
    if config.mixer != "attention" or config.positions != "rope" or config.rope_layout == "interleaved":
        return config, dict(state)
    place = torch.arange(config.each_head)
    half = config.rotated // 2
    place[: 2 * half] = place[: 2 * half].unflatten(0, (2, half)).T.flatten()

    def turned(rows: Tensor) -> Tensor:
        return rows.unflatten(0, (-1, config.each_head))[:, place].flatten(0, 1)

    found, both = dict(state), (config.heads + (config.kv_heads or config.heads)) * config.each_head
    for name, tensor in state.items():
        part = name.partition(".mixer.")[2]
        if part.partition(".")[0] in ("query", "key", "query_norm", "key_norm"):
            found[name] = turned(tensor)
        elif part == "canon_b.weight":  # of [query | key | value]
            found[name] = torch.cat([turned(tensor[:both]), tensor[both:]])
    return dataclasses.replace(config, rope_layout="interleaved"), found


def save_lingua(model: LanguageModel, folder: str | Path) -> None:
    """Write params.json and consolidated.pth; `load_pretrained` gives the same model again, and so does the original's loader.

    One that rotates the halves of each head is written as what is `interleaved`: equal up to rounding.

    Raises ValueError for a model that the training code cannot compute, and StorageError if a file cannot be written.
    """
    folder = Path(folder)
    state = {name.replace("_orig_mod.", ""): tensor.detach().cpu() for name, tensor in model.state_dict().items()}
    config, state = interleaved(as_tied(model.config, state), state)
    params, layout = to_lingua(config), LAYOUT_OF[config.mixer]
    tensors: Mapping[str, Tensor] = {
        lingua_name(layout, name): tensor.clone() for name, tensor in to_published(config, state).items()
    }
    if wrong := next((name for name, tensor in tensors.items() if tensor.dtype not in DTYPES), None):
        raise ValueError(f"the tensor {wrong} is no floating-point number")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / CONSOLIDATED, lambda path: torch.save({"model": tensors}, path))
    write_json(folder / "params.json", {"name": folder.name, "model": params, "data": {"seq_len": SEQUENCE}})
