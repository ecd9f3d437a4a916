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
from functools import cache
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
from .layouts import IGNORED, from_lingua, layout_of, read_keys, resolved, write_keys
from .names import HEAD, Group, groups, lingua_name, unread, unused

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
    config, layout, lingua = _read(file, ignore, tensors)
    found = tensors()
    bare = layout != "llama_canon" and not any(name.startswith("trans.") for name in found)

    def spell(name: str) -> str:
        return lingua_name(layout, name) if lingua and not bare else name

    def place(name: str) -> Tensor:
        tensor = found[spell(name)]
        if tensor.dtype not in DTYPES or tensor.layout != torch.strided:
            raise ValueError(
                f"{folder}: the tensor {spell(name)} is of {tensor.dtype} ({tensor.layout}), and this kit reads "
                f"{', '.join(map(str, DTYPES))}; convert it first"
            )
        return tensor.to(there, dtype or tensor.dtype).contiguous()

    depth = 1 + max((int(n[1]) for name in found if (n := re.search(r"\blayers\.(\d{1,9})\.", name))), default=-1)
    if depth < config.layers:
        raise ValueError(f"{folder} has tensors of {depth} layers, and its configuration asks for {config.layers}")
    model = _without_memory(config)
    state: dict[str, Tensor] = {}
    for group, names in _match(folder, model, layout, found, spell):
        cut = group.cut([place(name) for name in names], group.ours)
        state |= {name: tensor.clone() if _askew(tensor) else tensor for name, tensor in cut.items()}
    if config.tied:
        state["head.weight"] = state["embedding.weight"]
        if spell(HEAD) in found and not torch.equal(place(HEAD), state["head.weight"]):
            reason = "differs from the embedding, although the configuration ties them; untie them there"
            raise ValueError(f"{folder}: {spell(HEAD)} {reason}")
    return _filled(model, state)


def _askew(tensor: Tensor) -> bool:
    """Whether a tensor lies so that it has to be copied; large ones only where numbers would begin in the middle."""
    return tensor.data_ptr() % (ALIGNED if tensor.nbytes < LARGE else tensor.element_size()) > 0


def _without_memory(config: ModelConfig) -> LanguageModel:
    with torch.device("meta"):
        return LanguageModel(config)


def _filled(model: LanguageModel, state: Mapping[str, Tensor]) -> LanguageModel:
    """A model without memory, with these tensors as its own."""
    model.load_state_dict(state, assign=True)
    if model.config.tied:
        model.head.weight = model.embedding.weight
    return model


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
    bare = _without_memory(config)
    expected = bare.state_dict()
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
    keys = write_keys(config)
    layout = layout_of(keys)
    content = unread(layout, config)
    for group in groups(bare, layout):
        content |= group.cut([state[name] for name in group.ours], group.theirs[0])
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TENSORS, lambda path: _write_tensors(path, content))
    kept = str(state["embedding.weight"].dtype).removeprefix("torch.")
    write_json(folder / "config.json", {**keys, "dtype": kept, **extra})


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


def to_half_split(model: LanguageModel) -> LanguageModel:
    """The same function with pairs (i, i + R/2) rotated instead of (2i, 2i + 1): the rows of queries and keys are
    reordered, with the gains and the Canon-B channels that belong to them. The model given is left as it is.

    Raises ValueError if its pairs are not interleaved.
    """
    config = model.config
    if config.mixer != "attention" or config.rope_layout != "interleaved":
        has = f"mixer {config.mixer!r} and rope_layout {config.rope_layout!r}"
        raise ValueError(f"only a model with rope_layout 'interleaved' has pairs to reorder, and this one has {has}")
    within = torch.arange(config.each_head)
    rotated = within[: config.rotated]
    within = torch.cat([rotated[0::2], rotated[1::2], within[config.rotated :]])

    def order(heads: int) -> Tensor:
        return (torch.arange(heads)[:, None] * config.each_head + within).flatten()

    heads, kv_heads = config.heads, config.kv_heads or config.heads
    query, key = order(heads), order(kv_heads)
    value = torch.arange(kv_heads * config.each_head)
    joined = torch.cat([query, len(query) + key, len(query) + len(key) + value])
    orders = {"query": query, "query_norm": query, "key": key, "key_norm": key, "canon_b": joined}
    state = {}
    for name, tensor in model.state_dict().items():
        part = name.split(".")[-2] if ".mixer." in name else ""
        state[name] = tensor[orders[part].to(tensor.device)] if part in orders else tensor.clone()
    return _filled(_without_memory(replace(config, rope_layout="half")), state).train(model.training)


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


def _read(file: Path, ignore: Collection[str], tensors: Tensors) -> tuple[ModelConfig, str, bool]:
    """Configuration, layout, and whether the names are the training code's."""
    keys = _json(file)
    model = keys.get("model", keys if "dim" in keys else None)
    if file.name == "params.json" and not isinstance(model, dict):
        raise ValueError(f'{file} has no part "model"; expected the configuration of a training run')
    try:
        if lingua := isinstance(model, dict):
            model = {key: value for key, value in model.items() if key not in ignore}
            keys = from_lingua(model, -1 if model.get("vocab_size", -1) != -1 else _vocabulary(keys, tensors))
        return read_keys(keys, ignore), layout_of(keys), lingua
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


def _match(
    folder: Path, model: LanguageModel, layout: str, tensors: Mapping[str, Tensor], spell: Callable[[str], str]
) -> list[tuple[Group, tuple[str, ...]]]:
    """Each group with those of its published tensors that are there.

    Raises ValueError for a tensor that is missing, that nobody asked for, or that has another shape.
    """

    def written(shapes: Mapping[str, tuple[int, ...]]) -> str:
        return " and ".join(f"{spell(name)} {list(shape)}" for name, shape in shapes.items())

    matched, left = [], {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    for group in groups(model, layout):
        names = group.found({name for names in group.theirs for name in names if spell(name) in left})
        if names is None:
            wanted = " or ".join(written(group.shapes(names)) for names in group.theirs)
            raise ValueError(f"{folder} lacks the tensor {wanted}; get its files again, or correct its configuration")
        matched.append((group, names))
        for name, shape in group.shapes(names).items():
            found = left.pop(spell(name))
            if found != shape:
                asked = f"and the configuration asks for {list(shape)}; correct one of the two"
                raise ValueError(f"{folder}: the tensor {spell(name)} is {list(found)}, {asked}")
    if model.config.tied:
        left.pop(spell(HEAD), None)
    for name in [name for name in left if not unused(layout, name, model.config)]:
        raise ValueError(
            f"{folder} has the tensor {shown(name)} {list(left[name])}, for which this model has no place; correct "
            "its configuration, for example the number of layers or canon_set"
        )
    return matched
