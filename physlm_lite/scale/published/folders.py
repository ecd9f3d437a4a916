"""Reading and writing folders of published models: a configuration beside one or several files of tensors (Part 4.2).

Two kinds are read: the Hugging Face one, config.json with model.safetensors or pytorch_model.bin, which is also the one
that is written; and the one of the training code, params.json with consolidated.pth. Nothing is unpickled but tensors.

Tensors are mapped, not read: the operating system fetches their pages when they are used, and gives a page that is written
to (by training) memory of its own, so that the file never changes.
"""

from __future__ import annotations

import json
import math
import re
import struct
import zipfile
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import cache, partial
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ...base.files import write_json, write_whole
from ...base.machine import device_of
from ...base.strict import shown
from ...models import LanguageModel, ModelConfig
from .layouts import IGNORED, LAYOUT_OF, from_lingua, read_keys, resolved, write_keys
from .names import HEAD, from_published, groups, lingua_name, to_published, without_memory

TENSORS, PICKLED, CONSOLIDATED = "model.safetensors", "pytorch_model.bin", "consolidated.pth"
DTYPES = {torch.float64: "F64", torch.float32: "F32", torch.bfloat16: "BF16", torch.float16: "F16"}
TOKENIZERS = {"sp": 32_000, "tiktoken": 128_256}  # the two of the release, as its params.json names them
ALIGNED = 64  # bytes; PyTorch's own memory begins at multiples of it
Tensors = Callable[[], Mapping[str, Tensor]]  # all of a folder, mapped at the first call
LARGE = 2**20  # bytes; what is smaller may as well be copied


def read_config(folder: str | Path, ignore: Collection[str] = ()) -> ModelConfig:
    """The model that is described in a folder, or in a single JSON file: a config.json, a params.json or its "model" part.

    No weights are read. ignore: keys that are known to change no logits. Raises ValueError as `load_pretrained` does.
    """
    file = _description(Path(folder))
    return _read(file, ignore, lambda: _tensors(file.parent, file.name))[0]


def load_pretrained(
    folder: str | Path,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    ignore: Collection[str] = (),
) -> LanguageModel:
    """The model in a folder, in the layout of Hugging Face or of the training code.

    On the CPU, and in the dtype of the folder, its tensors are the file's own pages: loading takes neither time nor memory,
    and training leaves the file as it is. It must not be changed in place by others meanwhile; to replace it, as
    `save_pretrained` does, is fine. Large tensors in files of other programs may lie at any multiple of 8 bytes; where it
    is none of 16, products of a single row in float32 differ in their last bits from those with a copy.

    dtype: of all tensors; None keeps the folder's. device: the CPU if None. ignore: keys of the configuration that are
    known to change no logits.

    Raises ValueError if the folder, its configuration or one of its tensors is not as expected.
    """
    if dtype not in (None, *DTYPES):
        raise ValueError(f"dtype must be one of {', '.join(map(str, DTYPES))}, or None, not {shown(dtype)}")
    there, file = device_of("cpu" if device is None else str(device)), _description(Path(folder))
    folder, tensors = file.parent, cache(lambda: _tensors(file.parent, file.name))
    config, lingua = _read(file, ignore, tensors)
    found = tensors()
    depth = 1 + max((int(n[1]) for name in found if (n := re.search(r"\blayers\.(\d{1,9})\.", name))), default=-1)
    if depth < config.layers:
        raise ValueError(f"{folder} has tensors of {depth} layers, and its configuration asks for {config.layers}")
    spell: Callable[[str], str] = str
    if lingua and (config.mixer == "attention" or any(name.startswith("trans.") for name in found)):
        spell = partial(lingua_name, LAYOUT_OF[config.mixer])
    model, state = without_memory(config), {}
    for name, tensor in _ours(folder, model, found, spell).items():
        tensor = tensor.to(there, dtype or tensor.dtype).contiguous()
        # large ones are copied only where numbers would begin in the middle
        askew = tensor.data_ptr() % (ALIGNED if tensor.nbytes < LARGE else tensor.element_size()) > 0
        state[name] = tensor.clone() if askew else tensor
    if config.tied:
        state["head.weight"] = state["embedding.weight"]
    model.load_state_dict(state, assign=True)
    if config.tied:
        model.head.weight = model.embedding.weight
    return model


def _ours(
    folder: Path, model: LanguageModel, found: Mapping[str, Tensor], spell: Callable[[str], str]
) -> dict[str, Tensor]:
    """The tensors of a folder under the names of the model.

    Raises ValueError for a tensor that is missing, that nobody asked for, or that is not as it should be.
    """
    wanted = groups(model)
    theirs = {spell(name): name for group in wanted for names in group.theirs for name in names} | {spell(HEAD): HEAD}
    for name in [name for name in found if name in theirs]:
        if found[name].dtype not in DTYPES or found[name].layout != torch.strided:
            raise ValueError(
                f"{folder}: the tensor {name} is of {found[name].dtype} ({found[name].layout}), and this kit reads "
                f"{', '.join(map(str, DTYPES))}; convert it first"
            )
    given = {theirs.get(name, name): tensor for name, tensor in found.items()}
    try:
        state = from_published(model.config, given, spell=spell)
    except ValueError as error:
        raise ValueError(f"{folder}: {error}") from error
    for group in wanted:
        if not all(name in state for name in group.ours):
            shapes = [
                " and ".join(f"{spell(n)} {list(s)}" for n, s in group.shapes(names).items()) for names in group.theirs
            ]
            raise ValueError(
                f"{folder} lacks the tensor {' or '.join(shapes)}; get its files again, or correct its configuration"
            )
    for name in [name for name in state if name not in model.state_dict()]:
        said = shown(spell(name) if name in theirs.values() else name)
        raise ValueError(
            f"{folder} has the tensor {said} {list(state[name].shape)}, for which this model has no place; correct "
            "its configuration, for example the number of layers or canon_set"
        )
    return state


def save_pretrained(model: LanguageModel, folder: str | Path, **extra: Any) -> None:
    """Write config.json and model.safetensors, each whole or not at all; `load_pretrained` gives the same model again.

    After `import physlm_lite`, AutoModelForCausalLM of transformers reads the folder as well; the published class of the
    architecture reads it if the model is one that it can compute. Modules that are shared are written as often as they are
    used, and a head that was tied or untied by hand as what it is. extra: further keys of config.json that change no
    logits, for example eos_token_id.

    Raises ValueError for another key, and StorageError if a file cannot be written.
    """
    folder = Path(folder)
    if wrong := sorted(set(extra) - IGNORED):
        advice = "give keys such as eos_token_id, and set the others in the model's own configuration"
        raise ValueError(f"{wrong[0]} is not a key that changes no logits; {advice}")
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder")
    # torch.compile adds to the names
    state = {name.replace("_orig_mod.", ""): tensor.detach() for name, tensor in model.state_dict().items()}
    config = resolved(as_tied(model.config, state))
    expected = without_memory(config).state_dict()
    for name in (name for name in (*expected, *state) if (name in state) != (name in expected)):
        raise ValueError(
            f"the model {'lacks' if name in expected else 'has'} the tensor {name}, which its configuration "
            f"{'asks for' if name in expected else 'knows no place for'}; merge or remove what was put around its "
            "layers (LoRA, quantisation, parametrisations) before it is saved"
        )
    for name, tensor in state.items():
        if tensor.shape != expected[name].shape or tensor.dtype not in DTYPES or tensor.is_meta:
            raise ValueError(
                f"the model's tensor {name} is {list(tensor.shape)} of {tensor.dtype} on {tensor.device.type}, and it is "
                f"saved as {list(expected[name].shape)} floating-point numbers that are there; correct one of the two"
            )
    content = to_published(config, state)
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TENSORS, lambda path: _write_tensors(path, content))
    kept = str(state["embedding.weight"].dtype).removeprefix("torch.")
    write_json(folder / "config.json", {**write_keys(config), "dtype": kept, **extra})


def as_tied(config: ModelConfig, state: Mapping[str, Tensor]) -> ModelConfig:
    """The configuration that says of the head what the tensors say."""
    head, embedding = state.get("head.weight"), state.get("embedding.weight")
    if head is None or embedding is None or head.shape != embedding.shape:
        return config
    same = head.data_ptr() == embedding.data_ptr() or (config.tied and torch.equal(head, embedding))
    return replace(config, tied=same)


def _write_tensors(path: Path, content: Mapping[str, Tensor]) -> None:
    """A safetensors file in which tensors begin at multiples of 64 bytes, so that mapped ones are like PyTorch's own:
    products of one row round differently on other memory. The library pads to 8 bytes only. Tensors of odd sizes are last.
    """
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    order, end = sorted(content.items(), key=lambda item: -math.gcd(item[1].nbytes, ALIGNED)), 0
    for name, tensor in order:
        place = [end, end := end + tensor.nbytes]
        header[name] = {"dtype": DTYPES[tensor.dtype], "shape": list(tensor.shape), "data_offsets": place}
    text = json.dumps(header).encode()
    text += b" " * (-(8 + len(text)) % ALIGNED)
    with path.open("wb") as file:
        file.write(struct.pack("<Q", len(text)) + text)
        for _, tensor in order:
            file.write(tensor.cpu().contiguous().flatten().view(torch.uint8).numpy().data)


def _description(path: Path) -> Path:
    """The JSON file that describes the model at `path`, which is this file, its folder, or the folder above."""
    if path.is_file():
        return path
    if not path.is_dir():
        wanted = "give the one that holds config.json or params.json (download a model of the Hub first)"
        raise ValueError(f"{path} is not a folder; {wanted}")
    for name in ("config.json", "params.json"):
        if (path / name).is_file():
            return path / name
    variants = sorted(path.glob("*/params.json"))  # as the published Llamas are stored
    if len(variants) > 1:
        names = ", ".join(shown(variant.parent.name) for variant in variants[:5])
        raise ValueError(f"{path} holds several models, {names}; give the folder of one")
    if not variants:
        raise ValueError(
            f"{path} has neither config.json nor params.json; give the folder that holds one of them and the tensors"
        )
    return variants[0]


def _read(file: Path, ignore: Collection[str], tensors: Tensors) -> tuple[ModelConfig, bool]:
    """Configuration, and whether the names are the training code's."""
    keys = _json(file)
    model = keys.get("model", keys if "dim" in keys else None)
    if file.name == "params.json" and not isinstance(model, dict):
        raise ValueError(f'{file} has no part "model"; expected the configuration of a training run')
    try:
        if lingua := isinstance(model, dict):
            model = {key: value for key, value in model.items() if key not in ignore}
            keys = from_lingua(model, -1 if model.get("vocab_size", -1) != -1 else _vocabulary(keys, tensors))
        return read_keys(keys, ignore), lingua
    except (ValueError, TypeError) as error:
        raise ValueError(f"{file}: {error}") from error


def _vocabulary(params: Mapping[str, Any], tensors: Tensors) -> int:
    """What the training code takes from its tokenizer: the rows of the embedding; -1 if nothing tells."""
    try:
        found = [t for name, t in tensors().items() if name.endswith(("embeddings.weight", "embed_tokens.weight"))]
        return len(found[0])
    except (ValueError, IndexError, TypeError):
        data = params.get("data")
        tokenizer = data.get("tokenizer") if isinstance(data, dict) else None
        return TOKENIZERS.get(str(tokenizer.get("name")), -1) if isinstance(tokenizer, dict) else -1


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); get the file again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} should hold a JSON object, not {type(content).__name__}")
    return content


def _tensors(folder: Path, description: str) -> dict[str, Tensor]:
    """All tensors of a folder, mapped, from one file or the several that an index names."""
    for name in ((CONSOLIDATED,) if description == "params.json" else ()) + (TENSORS, PICKLED):
        if (folder / name).is_file():
            return _mapped([folder / name])
        if (folder / f"{name}.index.json").is_file():
            return _mapped(_parts(folder, folder / f"{name}.index.json"))
    paths = sorted(folder.glob("*.safetensors"))
    if len(paths) != 1:
        kind = "no tensors" if not paths else f"{len(paths)} safetensors files and no {TENSORS}.index.json"
        raise ValueError(f"{folder} has {kind}; expected {TENSORS}, or several files with {TENSORS}.index.json")
    return _mapped(paths)


def _parts(folder: Path, index: Path) -> list[Path]:
    """The files that an index names: all in this folder, or where the Hub's cache keeps what its links lead to."""
    names = _json(index).get("weight_map")
    if not isinstance(names, dict) or not all(isinstance(name, str) for name in names.values()):
        raise ValueError(f"{index} has no weight_map; get the file again")
    home = folder.resolve()
    homes = [home, home.parent.parent / "blobs"] if home.parent.name == "snapshots" else [home]
    paths = [folder / name for name in sorted(set(names.values()))]
    for path in paths:
        if path.parent != folder or path.resolve().parent not in homes:
            raise ValueError(f"{index} names {shown(path.name)}, which leaves the folder; get the file again")
        if not path.is_file():
            raise ValueError(f"{folder} lacks {shown(path.name)}, which its index names; download that file again")
    return paths


def _mapped(paths: Sequence[Path]) -> dict[str, Tensor]:
    """The tensors of all files; those that torch.save wrote may stand under the key "model"."""
    tensors: dict[str, Tensor] = {}
    for path in paths:
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    content = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
            else:
                content = torch.load(path, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(path))
                content = content.get("model", content) if isinstance(content, dict) else content
        except (OSError, SafetensorError, RuntimeError, UnpicklingError, EOFError, ValueError, KeyError) as error:
            reason = shown(str(error).split("\n")[0] or type(error).__name__)
            raise ValueError(f"{path} is damaged, or holds more than tensors ({reason}); get the file again") from error
        if not isinstance(content, dict) or not all(isinstance(tensor, Tensor) for tensor in content.values()):
            raise ValueError(f'{path} should hold tensors by name, or under the key "model"; save them again')
        tensors |= content
    return tensors
