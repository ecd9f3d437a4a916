"""Reading and writing folders of published models: a configuration beside one or several files of tensors (Part 4.2).

Two kinds are read: the Hugging Face one, config.json with safetensors, which is also the one that is written; and the one
of the training code, params.json with consolidated.pth (or safetensors). Nothing is unpickled but plain tensors.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from ...base.files import write_json, write_whole
from ...models import LanguageModel, ModelConfig
from .layouts import IGNORED, from_lingua, layout_of, read_keys, write_keys
from .names import HEAD, Group, groups, lingua_name, unused

TENSORS, INDEX, PICKLED = "model.safetensors", "model.safetensors.index.json", "consolidated.pth"


@dataclass(frozen=True)
class Tensors:
    """The tensors of a folder: their shapes, and how to read one of them."""

    shapes: Mapping[str, tuple[int, ...]]
    read: Callable[[str], Tensor]


def load_pretrained(
    folder: str | Path,
    dtype: torch.dtype | None = None,
    device: str | torch.device | None = None,
    ignore: Collection[str] = (),
) -> LanguageModel:
    """The model in a folder, in the layout of Hugging Face or of the training code.

    Tensors are read one at a time into a model without memory of its own. dtype: of all floating-point tensors; None
    keeps the folder's. device: the CPU if None. ignore: keys of the configuration that are known to change no logits.

    Raises ValueError if the folder, its configuration or one of its tensors is not as expected.
    """
    folder, device = Path(folder), torch.device(device or "cpu")
    with ExitStack() as files:
        config, layout, tensors, spell = _open(folder, ignore, files)

        def read(name: str) -> Tensor:
            tensor = tensors.read(spell(name))
            # A copy: what lies in a file is not aligned like other memory, and some products then round differently.
            return tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype, copy=True)

        with torch.device("meta"):
            model = LanguageModel(config)
        state: dict[str, Tensor] = {}
        for group, names in _match(folder, model, layout, tensors, spell):
            state |= group.cut([read(name) for name in names], group.ours)
        if config.tied:
            state["head.weight"] = state["embedding.weight"]
            if spell(HEAD) in tensors.shapes and not torch.equal(read(HEAD), state["head.weight"]):
                raise ValueError(
                    f"{folder}: {spell(HEAD)} differs from the embedding, although the configuration ties "
                    "them; untie them there"
                )
    model.load_state_dict(state, assign=True)
    if config.tied:
        model.head.weight = model.embedding.weight
    return model


def save_pretrained(model: LanguageModel, folder: str | Path, **extra: Any) -> None:
    """Write config.json and model.safetensors, each whole or not at all; `load_pretrained` gives the same model again.

    After `import physlm_lite`, AutoModelForCausalLM of transformers reads the folder as well. extra: further keys of
    config.json that change no logits, for example eos_token_id.

    Raises ValueError for another key, and StorageError if a file cannot be written.
    """
    write_folder(model.config, model.state_dict(), Path(folder), extra)


def write_folder(config: ModelConfig, state: Mapping[str, Tensor], folder: Path, extra: Mapping[str, Any]) -> None:
    """`save_pretrained` for the tensors `state` of such a model, wherever they come from."""
    if wrong := sorted(set(extra) - IGNORED):
        raise ValueError(
            f"{wrong[0]} is not a key that changes no logits; give keys such as eos_token_id, and set the "
            "others in the model's own configuration"
        )
    if folder.exists() and not folder.is_dir():
        raise ValueError(f"{folder} is a file; name a folder")
    keys = write_keys(config)
    layout = layout_of(keys)
    with torch.device("meta"):
        model = LanguageModel(config)
    content: dict[str, Tensor] = {}
    for group in groups(model, layout):
        content |= group.cut([state[name].detach() for name in group.ours], group.theirs[0])
    content = {name: tensor.cpu().contiguous() for name, tensor in content.items()}
    kept = "float32" if not content else str(next(iter(content.values())).dtype).removeprefix("torch.")
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(folder / TENSORS, lambda path: save_file(content, path, {"format": "pt"}))
    write_json(folder / "config.json", {**keys, "dtype": kept, **extra})


def to_half_split(model: LanguageModel) -> LanguageModel:
    """The same function with pairs (i, i + R/2) rotated instead of (2i, 2i + 1): the rows of queries and keys are
    reordered, with the gains and the Canon-B channels that belong to them. The model given is left as it is.

    Raises ValueError if its pairs are not interleaved.
    """
    config = model.config
    if config.mixer != "attention" or config.rope_layout != "interleaved":
        raise ValueError(
            "only a model with rope_layout 'interleaved' has pairs to reorder, and this one has mixer "
            f"{config.mixer!r} and rope_layout {config.rope_layout!r}"
        )
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
    with torch.device("meta"):
        turned = LanguageModel(replace(config, rope_layout="half"))
    turned.load_state_dict(state, assign=True)
    if config.tied:
        turned.head.weight = turned.embedding.weight
    return turned.train(model.training)


def _open(
    folder: Path, ignore: Collection[str], files: ExitStack
) -> tuple[ModelConfig, str, Tensors, Callable[[str], str]]:
    """Configuration, layout, tensors, and what the folder calls a tensor with a published name."""
    if not folder.is_dir():
        raise ValueError(
            f"{folder} is not a folder; give the one that holds config.json or params.json (download a "
            "model of the Hub first)"
        )
    if (folder / "config.json").is_file():
        keys = _json(folder / "config.json")
        config = _configured(folder / "config.json", lambda: read_keys(keys, ignore))
        return config, layout_of(keys), _safetensors(folder, files), lambda name: name
    if not (folder / "params.json").is_file():
        raise ValueError(
            f"{folder} has neither config.json nor params.json; give the folder that holds one of them and the tensors"
        )
    params = _json(folder / "params.json")
    if not isinstance(params.get("model"), dict):
        raise ValueError(f'{folder / "params.json"} has no part "model"; expected the configuration of a training run')
    model = {key: value for key, value in params["model"].items() if key not in ignore}
    tensors = _pickled(folder / PICKLED) if (folder / PICKLED).is_file() else _safetensors(folder, files)
    heads = [
        shape for name, shape in tensors.shapes.items() if name.endswith(("embeddings.weight", "embed_tokens.weight"))
    ]
    keys = _configured(folder / "params.json", lambda: from_lingua(model, heads[0][0] if heads else -1))
    layout = layout_of(keys)
    bare = layout != "llama_canon" and not any(name.startswith("trans.") for name in tensors.shapes)
    config = _configured(folder / "params.json", lambda: read_keys(keys, ignore))
    return config, layout, tensors, (lambda name: name) if bare else (lambda name: lingua_name(layout, name))


def _configured(path: Path, make: Callable[[], Any]) -> Any:
    try:
        return make()
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}") from error


def _json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{path} cannot be read as JSON ({error}); get the file again") from error
    if not isinstance(content, dict):
        raise ValueError(f"{path} should hold a JSON object, not {type(content).__name__}")
    return content


def _safetensors(folder: Path, files: ExitStack) -> Tensors:
    """The one file of a folder, or the several that an index names."""
    paths = sorted(folder.glob("*.safetensors"))
    if (folder / TENSORS).is_file():
        paths = [folder / TENSORS]
    elif (folder / INDEX).is_file():
        index = _json(folder / INDEX).get("weight_map")
        if not isinstance(index, dict):
            raise ValueError(f"{folder / INDEX} has no weight_map; get the file again")
        paths = [folder / name for name in sorted(set(index.values()))]
        if lost := [path.name for path in paths if not path.is_file()]:
            raise ValueError(f"{folder} lacks {lost[0]}, which its index names; download that file again")
    elif len(paths) != 1:
        kind = "no tensors" if not paths else f"{len(paths)} safetensors files and no {INDEX}"
        raise ValueError(f"{folder} has {kind}; expected {TENSORS}, or several files with {INDEX}")
    handles: dict[str, Any] = {}
    shapes: dict[str, tuple[int, ...]] = {}
    for path in paths:
        try:
            handle = files.enter_context(safe_open(path, framework="pt"))
        except (OSError, SafetensorError) as error:
            raise ValueError(f"{path} is damaged ({error}); get the file again") from error
        for name in handle.keys():  # noqa: SIM118
            handles[name], shapes[name] = handle, tuple(handle.get_slice(name).get_shape())
    return Tensors(shapes, lambda name: handles[name].get_tensor(name))


def _pickled(path: Path) -> Tensors:
    """A consolidated checkpoint; its tensors stay on disk until they are read."""
    try:
        content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
    except (OSError, RuntimeError, UnpicklingError, EOFError) as error:
        reason = str(error).splitlines()[0]
        raise ValueError(
            f"{path} is not a file of plain tensors ({reason}); consolidate the checkpoint again"
        ) from error
    model = content.get("model") if isinstance(content, dict) else None
    if not isinstance(model, dict) or not all(isinstance(tensor, Tensor) for tensor in model.values()):
        raise ValueError(f'{path} should hold tensors under the key "model"; consolidate the checkpoint again')
    return Tensors({name: tuple(tensor.shape) for name, tensor in model.items()}, lambda name: model[name])


def _match(
    folder: Path, model: LanguageModel, layout: str, tensors: Tensors, spell: Callable[[str], str]
) -> list[tuple[Group, tuple[str, ...]]]:
    """Each group with those of its published tensors that are there.

    Raises ValueError for a tensor that is missing, that nobody asked for, or that has another shape.
    """

    def written(shapes: Mapping[str, tuple[int, ...]]) -> str:
        return " and ".join(f"{spell(name)} {list(shape)}" for name, shape in shapes.items())

    matched, left = [], dict(tensors.shapes)
    for group in groups(model, layout):
        names = group.found({name for names in group.theirs for name in names if spell(name) in left})
        if names is None:
            wanted = " or ".join(written(group.shapes(names)) for names in group.theirs)
            raise ValueError(f"{folder} lacks the tensor {wanted}; get its files again, or correct its configuration")
        matched.append((group, names))
        for name, shape in group.shapes(names).items():
            found = left.pop(spell(name))
            if found != shape:
                raise ValueError(
                    f"{folder}: the tensor {spell(name)} is {list(found)}, and the configuration asks for "
                    f"{list(shape)}; correct one of the two"
                )
    if model.config.tied:
        left.pop(spell(HEAD), None)
    for name in [name for name in left if not unused(layout, name, model.config)]:
        raise ValueError(
            f"{folder} has the tensor {name} {list(left[name])}, for which this model has no place; correct "
            "its configuration, for example the number of layers or canon_set"
        )
    return matched
