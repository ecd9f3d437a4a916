"""The speed of `physlm prepare`, on one core, against its tokenizer alone; and of the batches that are read from its shards."""

from __future__ import annotations

import importlib.util
import json
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import cycle, islice
from pathlib import Path
from statistics import median
from typing import Any

from ..base.clock import interleaved, ratio
from ..data.prepare import prepare
from ..data.tokenizer import Characters, HuggingFace, Tokenizer, tokenizers_package
from ..tasks.prepared import Prepared
from ..tasks.text import KJV, PYTHON, read_corpus

BYTES, QUICK_BYTES = 20_000_000, 200_000
VOCABULARY = 32_000  # of a tokenizer that is trained on the spot
WINDOW, ROWS = 1024, 64  # of a batch


def tokenizers() -> Iterator[tuple[str, Tokenizer]]:
    """The kit's characters and, where the package is, byte pairs of Hugging Face."""
    yield "characters", Characters()
    if importlib.util.find_spec("tokenizers") is not None:
        made = tokenizers_package().ByteLevelBPETokenizer()
        made.train_from_iterator(read_corpus(_text()), VOCABULARY, show_progress=False)
        yield f"byte pairs, {made.get_vocab_size():,} tokens", HuggingFace("byte pairs", made.to_str())


def _text() -> str:
    return KJV if importlib.util.find_spec("bible") is not None else PYTHON


def bench_text(quick: bool = False) -> dict[str, Any]:
    """MB/s of text into shards on one core, to the tokenizer alone; and tokens/s of batches from the shards."""
    rows: dict[str, Any] = {}
    most = QUICK_BYTES if quick else BYTES
    texts = list(islice(cycle(read_corpus(_text())), 2 + most // 3_500))  # documents of about so many characters
    home = Path(tempfile.mkdtemp(prefix="physlm-bench-"))
    try:
        source = home / "text.jsonl"
        source.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts), encoding="utf-8")
        size = source.stat().st_size
        for name, tokenizer in tokenizers():
            into = home / name.partition(",")[0]

            def whole(into: Path = into, tokenizer: Tokenizer = tokenizer) -> None:
                shutil.rmtree(into, ignore_errors=True)
                prepare([str(source)], into, tokenizer)

            def alone(tokenizer: Tokenizer = tokenizer) -> None:
                for begin in range(0, len(texts), 256):
                    tokenizer.encode(texts[begin : begin + 256])

            pair: dict[str, Callable[[], object]] = {"prepare": whole, "alone": alone}
            seconds = interleaved(pair, rounds=1 if quick else 3)
            rows[f"{name}: text into shards"] = {
                "mb_per_second": size / 1e6 / median(seconds["prepare"]),
                "to_tokenizer": ratio(seconds["prepare"], seconds["alone"]),
            }
        task = Prepared({str(home / "characters"): 1.0}, window=WINDOW if not quick else 64, rows=ROWS)
        rows["shards into batches"] = {"tokens_per_second": round(_rate(task, 3 if quick else 100))}
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return rows


def _rate(task: Prepared, steps: int) -> float:
    task.batch(0, 0, task.rows)
    begin = time.process_time()
    for step in range(steps):
        task.batch(0, step, task.rows)
    return steps * task.rows * task.window / (time.process_time() - begin)
