"""One model in the folders that different programs read, to and fro without a changed bit.

transformers    config.json and model.safetensors; Auto classes, this kit, and the published classes read it
lingua          params.json and consolidated.pth, for the training code of the original work
sharded         config.json and the files of torch.distributed.checkpoint, for any number of ranks
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch

from ..base.strict import choose
from ..data.tokenizer import Tokenizer, load_tokenizer, tokenizer_of
from ..models import LanguageModel
from .published.folders import load_pretrained, save_pretrained
from .published.lingua import save_lingua
from .sharded import is_sharded, load_sharded, save_sharded


def open_model(folder: str | Path, dtype: torch.dtype | None = None, device: str | None = None) -> LanguageModel:
    """The model of a folder in any of the forms. ValueError, in one sentence, for a folder that holds none."""
    folder = Path(folder)
    return load_sharded(folder, dtype, device) if is_sharded(folder) else load_pretrained(folder, dtype, device)


def open_tokenizer(folder: str | Path, named: str | None = None) -> Tokenizer:
    """The tokenizer that is named, else the one that lies in the folder of a model. ValueError if there is none."""
    if named is not None:
        corpus = Path(named) if Path(named).is_dir() else None  # a corpus holds one, with its marks
        found = tokenizer_of(corpus) if corpus is not None else None
        return load_tokenizer(named) if found is None else found
    found = tokenizer_of(folder) if Path(folder).is_dir() else None
    if found is None:
        raise ValueError(
            f"{folder} holds no tokenizer; say --tokenizer with characters, a tokenizer.json, the folder of one or of a corpus"
        )
    return found


def refuse_vocabulary(model: LanguageModel, tokenizer: Tokenizer) -> None:
    """ValueError for a tokenizer with tokens that the model does not know."""
    if len(tokenizer.vocabulary) > model.config.vocab:
        raise ValueError(
            f"the tokenizer {tokenizer.name} has {len(tokenizer.vocabulary):,} tokens, and the model knows "
            f"{model.config.vocab:,}; name the one that it was trained with"
        )


WRITERS: Mapping[str, Callable[[LanguageModel, Path], Any]] = {
    "transformers": save_pretrained,
    "lingua": save_lingua,
    "sharded": save_sharded,
}


def convert(folder: str | Path, into: str | Path, to: str = "transformers") -> Path:
    """Write the model of a folder, in whatever form, into a new one in the form `to`; a tokenizer beside it comes along.

    Raises ValueError for an unknown form, a folder that is taken, and a model that the form has no place for.
    """
    write = choose("form", to, WRITERS)
    folder, into = Path(folder), Path(into)
    if into.exists() and (not into.is_dir() or any(into.iterdir())):
        raise ValueError(f"{into} exists already; name a new folder")
    fresh = not into.exists()
    model = open_model(folder)
    try:
        write(model, into)
        tokenizer = tokenizer_of(folder) if folder.is_dir() else None
        if tokenizer is not None:
            tokenizer.save(into)
    except BaseException:
        if fresh:
            shutil.rmtree(into, ignore_errors=True)
        raise
    return into
