"""Bad input to every public call of the library: one clear sentence, at once, and nothing written.

`CALLS` is a table: what is wrong, the call, and a part of the sentence that must come. A call gets an empty folder.
The options of all configurations are tried besides, each with values of the wrong kind.
"""

from __future__ import annotations

import dataclasses
import json
import math
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pytest
import torch

from physlm_lite import claims, data, evaluation, models, scale, tasks, training
from physlm_lite.base.scales import scale_of
from physlm_lite.base.strict import choose
from physlm_lite.models import DecodingState, LanguageModel, ModelConfig
from physlm_lite.tasks import parsing, presets
from physlm_lite.tasks.people import make_world, read_pools
from physlm_lite.training import Run, Store, Training, train

pytestmark = pytest.mark.filterwarnings("default")  # as a user has them

Call = Callable[[Path], Any]
SMALL = ModelConfig(vocab=9, width=8, layers=1, heads=1)
TOKENS = torch.tensor([[1, 2, 3]])
COPY = tasks.Copy(n=4)


def model() -> LanguageModel:
    return LanguageModel(SMALL, seed=0)


def written(folder: Path, name: str, content: str | bytes) -> Path:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


def saved(folder: Path, **changes: Any) -> Path:
    """A folder of a saved model with changes in its config.json; None takes a key out."""
    scale.save_pretrained(model(), folder)
    keys = json.loads((folder / "config.json").read_text()) | changes
    (folder / "config.json").write_text(json.dumps({k: v for k, v in keys.items() if v is not None}))
    return folder


def corpus(folder: Path, content: str | bytes, **options: Any) -> Any:
    return tasks.Text(str(written(folder, "text.txt", content)), **options).stream


def grammar(folder: Path, content: Any) -> Any:
    text = content if isinstance(content, str | bytes) else json.dumps(content)
    return tasks.Grammar.from_file(written(folder, "grammar.json", text))


def run(**options: Any) -> Run:
    return Run.from_dict({"task": "copy", "task_options": {"n": 4}, **options})


def record(folder: Path, **changes: Any) -> Any:
    """What the store says of a record with changes."""
    small = run(training={"steps": 1, "batch": 2, "evaluation_rows": 2}, model={"width": 8, "layers": 1, "heads": 1})
    content = train(small, device="cpu").to_dict() | changes
    return training.record.read_record(written(folder, f"{small.hash}.json", json.dumps(content)))


CALLS: dict[str, tuple[Call, str]] = {
    # names
    "a scale with a typo": (lambda _: scale_of("toi"), "did you mean 'toy'"),
    "a scale that is none": (lambda _: scale_of("universe"), "unknown scale"),
    "a claim with a typo": (lambda _: claims.claim("R2-dept"), "did you mean 'R2-depth'"),
    "a claim that is a number": (lambda _: claims.claim(3), "unknown claim"),  # type: ignore[arg-type]
    "a task with a typo": (lambda _: presets.make_task("deppo", {}), "did you mean 'depo'"),
    "a task preset with a typo": (lambda _: presets.preset("depo1-n222"), "did you mean 'depo1-n2"),
    "an architecture with a typo": (lambda _: models.preset("LlamaCanon-8"), "LlamaCanon"),
    "an architecture that is empty": (lambda _: models.preset(""), "unknown"),
    "an architecture of letters that are none": (lambda _: models.preset("GLA+AXYZ-8L512D"), "X"),
    "an architecture without layers": (lambda _: models.preset("GLA+b-0L512D"), "layers"),
    "an architecture of no width": (lambda _: models.preset("GLA+b-8L0D"), "width"),
    "an architecture of any width": (lambda _: models.preset("RoPE-8L99999999999D"), "width"),
    "a table without the name": (lambda _: choose("thing", "x", {}), "unknown thing"),
    # runs
    "a run of nothing": (lambda _: Run.from_dict({}), "needs the option 'task'"),
    "a run that is a list": (lambda _: Run.from_dict([]), "takes a mapping"),  # type: ignore[arg-type]
    "a run with a typo": (lambda _: run(sed=1), "did you mean 'seed'"),
    "training with a typo": (lambda _: run(training={"learning_rates": 1}), "did you mean 'learning_rate'"),
    "training that is a number": (lambda _: run(training=3), "training must be"),
    "a model with a typo": (lambda _: run(model={"widht": 8}), "did you mean 'width'"),
    "a model with a vocabulary": (lambda _: run(model={"vocab": 8}), "leave 'vocab' out"),
    "a model that is a text": (lambda _: run(model="Llama"), "a mapping"),
    "task options that are none": (lambda _: run(task_options=None), "a mapping"),
    "a negative seed": (lambda _: run(seed=-1), "seed must be a whole number"),
    "a seed of NaN": (lambda _: run(seed=math.nan), "seed must be a whole number"),
    "a change with a typo": (lambda _: run().but(step=3), "did you mean 'steps'"),
    "a change to NaN": (lambda _: run().but(learning_rate=math.nan), "a positive number"),
    "10^9 evaluations": (lambda _: Training(evaluations=10**9), "from 1 to 10,000"),
    "10^12 steps": (lambda _: Training(steps=10**12), "from 1 to 1,000,000,000"),
    "a batch of 10^9": (lambda _: Training(batch=10**9), "from 1 to 1,048,576"),
    "a batch that does not fit": (lambda _: train(run(training={"batch": 2**20}, task_options={"n": 9000})), "memory"),
    "a model that does not fit": (lambda _: train(run(model={"width": 2**16, "heads": 1, "layers": 99})), "memory"),
    "a device that is none": (lambda _: train(run(), device="gpu"), "gpu"),
    "a device that is not here": (lambda _: train(run(), device="cuda:99"), "cuda"),
    "a store that is a file": (lambda f: Store(written(f, "x", "")), "is a file"),
    # records
    "a record of another status": (lambda f: record(f, status="finishd"), "did you mean 'finished'"),
    "a record without a curve": (lambda f: record(f, curve=3), "not a run record"),
    "a record of another run": (lambda f: record(f, id="0" * 12), "does not belong"),
    "a record of NaN seconds": (lambda f: record(f, seconds=math.nan), "NaN"),
    "a record with more keys": (lambda f: record(f, colour="red"), "colour"),
    # models
    "a model without a vocabulary": (lambda _: ModelConfig(vocab=0), "vocab must be"),
    "heads that do not divide": (lambda _: ModelConfig(vocab=9, width=10, heads=3), "heads do not divide"),
    "kv heads that do not divide": (lambda _: ModelConfig(vocab=9, heads=4, kv_heads=3), "kv heads"),
    "Canon at E": (lambda _: ModelConfig(vocab=9, canon="E"), "subset of 'ABCDKVOM'"),
    "Canon B in a linear model": (lambda _: ModelConfig(vocab=9, mixer="gla", canon="B"), "subset of 'ACD'"),
    "an odd rotation": (lambda _: ModelConfig(vocab=9, rope_dim=3), "rope_dim must be even"),
    "a mixer with a typo": (lambda _: ModelConfig(vocab=9, mixer="mamba"), "mamba2"),
    "an option of another mixer": (lambda _: ModelConfig(vocab=9, mixer="gla", mixer_options={"stat": 3}), "option"),
    "a mixer's text": (lambda _: ModelConfig(vocab=9, mixer="gla", mixer_options={"canon_b": "no"}), "canon_b"),
    "a mixer's NaN": (
        lambda _: ModelConfig(vocab=9, mixer="gla", mixer_options={"expand_key": math.nan}),
        "expand_key",
    ),
    "a mixer's size": (lambda _: ModelConfig(vocab=9, mixer="mamba2", mixer_options={"state": 0}), "state"),
    "one expert": (lambda _: ModelConfig(vocab=9, experts=1), "experts must be"),
    "layers twice": (lambda _: ModelConfig(vocab=9, canon="A", canon_layers=(0, 0)), "different layers"),
    "a layer that is not there": (lambda _: ModelConfig(vocab=9, canon="A", canon_layers=(7,)), "canon_layers"),
    "a seed that is a text": (lambda _: LanguageModel(SMALL, seed="0"), "seed"),  # type: ignore[arg-type]
    "a seed that is a half": (lambda _: LanguageModel(SMALL, seed=0.5), "seed"),  # type: ignore[arg-type]
    "a negative seed of a model": (lambda _: LanguageModel(SMALL, seed=-1), "seed"),
    "tokens of one dimension": (lambda _: model()(TOKENS[0]), "[batch, position]"),
    "tokens that are floats": (lambda _: model()(TOKENS.float()), "whole numbers"),
    "tokens outside the vocabulary": (lambda _: model()(TOKENS + 9), "vocabulary"),
    "negative tokens": (lambda _: model()(-TOKENS), "vocabulary"),
    "documents of another shape": (lambda _: model()(TOKENS, document=TOKENS[:, :2]), "document should be"),
    "documents only later": (
        lambda _: [s := DecodingState(), model()(TOKENS, None, s), model()(TOKENS, TOKENS, s)],
        "document numbers",
    ),
    "a Canon layer of no width": (lambda _: models.Canon(0), "width"),
    "a Canon layer of no kernel": (lambda _: models.Canon(8, 0), "kernel"),
    "a Canon layer of two dimensions": (lambda _: models.Canon(8)(torch.zeros(3, 8)), "[batch, position, width]"),
    "a Canon layer of another width": (lambda _: models.Canon(8)(torch.zeros(1, 3, 9)), "weight of shape"),
    # decoding
    "a temperature of NaN": (
        lambda _: evaluation.generate(model(), [[1]], longest=2, temperature=math.nan),
        "temperature",
    ),
    "a negative temperature": (lambda _: evaluation.generate(model(), [[1]], longest=2, temperature=-1), "temperature"),
    "a negative length": (lambda _: evaluation.generate(model(), [[1]], longest=-1), "longest"),
    "no token allowed": (lambda _: evaluation.generate(model(), [[1]], longest=2, allowed=[]), "allowed"),
    "a token allowed that is none": (
        lambda _: evaluation.generate(model(), [[1]], longest=2, allowed=[99]),
        "from 0 to 8",
    ),
    "an empty prompt": (lambda _: evaluation.generate(model(), [[]], longest=2), "prompt"),
    "a prompt outside the vocabulary": (lambda _: evaluation.generate(model(), [[99]], longest=2), "vocabulary"),
    "a prompt of floats": (lambda _: evaluation.generate(model(), [[1.5]], longest=2), "whole number"),  # type: ignore[list-item]
    "an evaluation of no rows": (lambda _: evaluation.evaluate(LanguageModel(run().model_config), COPY, 0), "rows"),
    # tasks
    "Capo without people": (lambda _: presets.make_task("capo", {}), "needs the option 'people'"),
    "150 million people": (lambda _: tasks.Capo(people=150_000_000), "people"),
    "more people than names": (lambda _: tasks.Capo(people=99, names=(2, 2, 2)), "people must be"),
    "Capo in no format": (lambda _: tasks.Capo(people=9, format="sentence"), "did you mean 'sentences'"),  # type: ignore[arg-type]
    "pools that are not there": (lambda f: tasks.Capo(people=9, pools=str(f / "none")), "none"),
    "pools of a wrong file": (lambda f: tasks.Capo(people=9, pools=str(written(f, "p/x.txt", "a").parent)), "x.txt"),
    "a tokenizer that is not there": (lambda f: tasks.Capo(people=9, tokenizer=str(f)).vocabulary, "vocab"),
    "Brevo larger than its names": (lambda _: tasks.Brevo(N=9, V=2), "letters make only"),
    "Brevo with too many edges": (lambda _: tasks.Brevo(N=9999, degree=9), "lower one"),
    "Brevo tested outside": (lambda _: tasks.Brevo(N=9, test_sizes=(10,)), "test_sizes"),
    "Depo with names without end": (lambda _: tasks.Depo(N=9, longest=10**9), "longest must be"),
    "Depo with too many names": (lambda _: tasks.Depo(N=9, V=4000, longest=9), "names"),
    "Depo in a small window": (lambda _: tasks.Depo(N=99, context=50), "cannot hold one instance"),
    "Mano without operators": (lambda _: tasks.Mano(operators=""), "operators"),
    "Mano divided by a composite": (lambda _: tasks.Mano(operators="/", modulus=12), "prime"),
    "Mano of no length": (lambda _: tasks.Mano(L=0), "from 1 to 499"),
    "33 windows of a million tokens": (lambda _: tasks.Mano(L=499, context=2**20).batch(0, 0, 33), "at most 32 rows"),
    "a test of a million people": (
        lambda _: tasks.Capo(people=20_000_000).batch(0, 0, 2**20, "test"),
        "too many at a time",
    ),
    "copies shorter than one": (lambda _: tasks.Copy(n=4, shortest=5), "shortest"),
    "prepared text of no corpus": (lambda _: tasks.Prepared({}), "at least one corpus"),
    "prepared text of a name alone": (lambda _: tasks.Prepared("kjv"), "a mapping of names to values"),  # type: ignore[arg-type]
    "a share that is no number": (lambda _: tasks.Prepared({"a": math.nan}), "a positive number"),
    "a share of nothing": (lambda _: tasks.Prepared({"a": 0.0}), "a positive number"),
    "a share too small to be seen": (lambda _: tasks.Prepared({"a": 1.0, "b": 1e-9}), "less than one window of 10,000"),
    "a prepared corpus that is not there": (
        lambda f: tasks.Prepared({str(f / "a"): 1.0}).batch(0, 0, 1),
        "is no corpus",
    ),
    "a prepared corpus by a name that nobody knows": (
        lambda _: tasks.Prepared({"nowhere": 1.0}).batch(0, 0, 1),
        "no prepared corpus",
    ),
    "no rows": (lambda _: COPY.batch(0, 0, 0), "rows"),
    "negative rows": (lambda _: COPY.batch(0, 0, -3), "rows"),
    "rows that are a text": (lambda _: COPY.batch(0, 0, "3"), "rows"),  # type: ignore[arg-type]
    "rows from below zero": (lambda _: COPY.batch(0, 0, range(-1, 3)), "rows"),
    "a split that is none": (lambda _: COPY.batch(0, 0, 3, "valid"), "'train' or 'test'"),
    # grammars
    "a grammar that is none": (lambda _: tasks.Lano("cfg3z"), "cfg3"),
    "an empty grammar": (lambda _: tasks.Grammar.from_text(""), "grammar"),
    "a rule without an arrow": (lambda _: tasks.Grammar.from_text("9 1 2"), "9"),
    "a grammar in a circle": (lambda _: tasks.Grammar.from_text("9: 8 8\n8: 9 9"), ""),
    "a grammar of letters": (lambda _: tasks.Grammar.from_text("S: a b"), "S"),
    "a symbol below that is not there": (lambda _: tasks.Lano("9: 1 2", root=77), "77"),
    "a doubling grammar": (
        lambda _: tasks.Grammar.from_text("\n".join(f"{s}: {s - 1} {s - 1}" for s in range(60, 1, -1)) + "\n2: 1 1"),
        "",
    ),
    "a grammar of 10^9 terminals": (
        lambda f: grammar(f, {"terminals": 10**9, "root": 9, "rules": {"9": [[1, 2]]}}),
        "",
    ),
    "a grammar file of nothing": (lambda f: grammar(f, ""), "grammar.json"),
    "a grammar file of a list": (lambda f: grammar(f, [1, 2]), "JSON file"),
    "a grammar file cut off": (lambda f: grammar(f, '{"all": [[{"id"'), "grammar.json"),
    "a grammar file of bytes": (lambda f: grammar(f, b"\x80\x00\xff"), "grammar.json"),
    "a grammar file that is not there": (lambda f: tasks.Grammar.from_file(f / "none.json"), "none.json"),
    "KL of other lengths": (lambda _: parsing.kl_to_truth([0.5, 0.5], [1.0]), ""),
    # texts
    "an empty corpus": (lambda f: corpus(f, ""), "holds no text"),
    "a corpus of blanks": (lambda f: corpus(f, " \n\t \n"), "holds no text"),
    "a corpus of Chinese": (lambda f: corpus(f, "语言模型的物理学" * 5000), "%"),
    "a corpus of bytes": (lambda f: corpus(f, bytes(range(256)) * 300), "text"),
    "a corpus that is an image": (lambda f: corpus(f, b"\x89PNG\r\n\x1a\n" + os.urandom(4000)), "text"),
    "a short corpus": (lambda f: corpus(f, "A short text."), "too few"),
    "a corpus that is not there": (lambda f: tasks.Text(str(f / "none.txt")).stream, "none.txt"),
    "a folder without texts": (lambda f: tasks.Text(str(written(f, "a/b.jpg", "x").parent)).stream, "holds no text"),
    "windows longer than Python's documentation": (lambda _: tasks.Text(context=2**20), "too few for windows"),
    "an answer as long as its context": (lambda _: tasks.Text(context=8, answer=8), "leave room"),
    "another text than asked for": (lambda f: corpus(f, "Some words. " * 4000, corpus_hash="0" * 8), "fingerprint"),
    # datasets
    "a dataset of no rows": (lambda _: data.to_dataset(COPY, rows=0), "rows must be"),
    "a dataset of 10^9 rows": (lambda _: data.to_dataset(COPY, rows=10**9), "rows"),
    "a stream of half a row": (lambda _: data.stream(COPY, rows=1.5), "rows must be"),  # type: ignore[arg-type]
    "a stream from before the start": (lambda _: data.stream(COPY, start=-1), "start must be"),
    "a stream of a split that is none": (lambda _: data.stream(COPY, split="dev"), "'train' or 'test'"),
    "a block that does not divide": (lambda _: data.stream(COPY, rows_per_step=32, block=5), "block must divide"),
    "a stream without end, saved": (lambda f: data.save(data.stream(COPY), f / "x.jsonl"), "no end"),
    "a kind of file that is none": (lambda f: data.save(data.to_dataset(COPY, 2), f / "x.csv"), "csv"),
    "a file that is a folder": (lambda f: data.save(data.to_dataset(COPY, 2), f, kind="jsonl"), ""),
    "rows of nothing": (lambda _: data.collate([]), "at least one row"),
    "rows without tokens": (lambda _: data.collate([{"token": [1]}]), "tokens"),
    # folders of models
    "a folder that is not there": (lambda f: scale.load_pretrained(f / "none"), "none"),
    "an empty folder": (lambda f: scale.load_pretrained(f), "config.json"),
    "a folder that is a file": (lambda f: scale.load_pretrained(written(f, "x", "")), "x"),
    "a config that is cut off": (
        lambda f: scale.read_config(written(f, "config.json", '{"model').parent),
        "config.json",
    ),
    "a config that is a list": (lambda f: scale.read_config(written(f, "config.json", "[]").parent), "config.json"),
    "a config of bytes": (
        lambda f: scale.read_config(written(f, "config.json", b"\xff\xfe\x00").parent),
        "config.json",
    ),
    "a model type that is none": (
        lambda f: scale.read_config(written(f, "config.json", '{"model_type": "gpt2", "n_embd": 8}').parent),
        "gpt2",
    ),
    "a key with a typo": (lambda f: scale.read_config(saved(f, rope_thetta=3)), "rope_theta"),
    "10^9 layers": (lambda f: scale.read_config(saved(f, num_hidden_layers=10**9)), "layers"),
    "a width of 10^9": (lambda f: scale.read_config(saved(f, hidden_size=10**9)), "hidden_size"),
    "a vocabulary of 10^12": (lambda f: scale.read_config(saved(f, vocab_size=10**12)), "vocab"),
    "a width that is a text": (lambda f: scale.read_config(saved(f, hidden_size="8")), "hidden_size"),
    "an epsilon that is negative": (lambda f: scale.read_config(saved(f, rms_norm_eps=-1.0)), "rms_norm_eps"),
    "an epsilon that is NaN": (lambda f: scale.read_config(saved(f, rms_norm_eps=math.nan)), "norm_eps"),
    "a width that is missing": (lambda f: scale.read_config(saved(f, hidden_size=None)), "hidden_size"),
    "more layers than tensors": (lambda f: scale.load_pretrained(saved(f, num_hidden_layers=2)), "tensors of 1 layers"),
    "tensors of another width": (lambda f: scale.load_pretrained(saved(f, intermediate_size=64)), "32"),
    "tensors cut off": (
        lambda f: [
            (saved(f) / "model.safetensors").write_bytes((f / "model.safetensors").read_bytes()[:200]),
            scale.load_pretrained(f),
        ],
        "model.safetensors",
    ),
    "an index that leaves the folder": (
        lambda f: [
            (saved(f) / "model.safetensors").rename(f / "m.safetensors"),
            written(
                f, "model.safetensors.index.json", json.dumps({"weight_map": {"lm_head.weight": "../x.safetensors"}})
            ),
            scale.load_pretrained(f),
        ],
        "leaves the folder",
    ),
    "a key of our own": (lambda f: scale.save_pretrained(model(), f / "m", hidden_size=3), "hidden_size"),
    "a model saved as a file": (lambda f: scale.save_pretrained(model(), written(f, "x", "")), "is a file"),
    # people
    "a world of nobody": (lambda _: make_world(read_pools(), 0), "people must be"),
    "pools of no names": (lambda _: read_pools(names=(0, 1, 1)), "names"),
    "claims without workers": (lambda _: claims.replicate(claims.claim("R1"), "smoke", workers=0), "workers"),
    "a scale that a claim lacks": (lambda _: claims.claim("R2-ladder").experiment("toy"), "laptop"),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_bad_call_gets_one_sentence(name: str, tmp_path: Path, runs: Path) -> None:
    call, said = CALLS[name]
    before, begin = psutil.Process().memory_info().rss, time.perf_counter()
    with pytest.raises(ValueError) as error:
        call(tmp_path)
    message = str(error.value)
    assert said in message
    assert message.strip() and "\n" not in message and len(message) < 600
    assert not any(ord(c) < 32 or ord(c) == 127 for c in message)
    assert time.perf_counter() - begin < 10 and psutil.Process().memory_info().rss - before < 4e9
    assert not list(runs.rglob("*.json")) and not list(runs.rglob("*.part"))


# -- every option of every configuration -------------------------------------------------------------------------------

WRONG: dict[type, list[Any]] = {
    bool: ["no", "false", 1, 0, 0.5, None, [], {}, math.nan],
    int: ["3", 1.5, math.nan, math.inf, True, None, [], {}, -(10**30), 10**30, 1j],
    float: ["x", math.nan, math.inf, -math.inf, True, None, [], {}, 1j],
    str: [3, True, math.nan, None, [], {}, b"x"],
    type(None): [math.nan, {}, 1j, object],  # an option that may be left open
}
NEEDED: dict[str, dict[str, Any]] = {"capo": {"people": 9}, "prepared": {"sources": {"x": 1.0}}}
CONFIGURATIONS: dict[str, tuple[Callable[..., Any], Any]] = {
    "training": (Training, Training()),
    "model": (lambda **options: ModelConfig(**{"vocab": 9, **options}), SMALL),
    **{
        f"mixer {kind}": (
            lambda kind=kind, **options: ModelConfig(vocab=9, mixer=kind, mixer_options=options),
            dict(training.config.DEFAULTS["mixers"][kind]),
        )
        for kind in ("gla", "mamba2", "gated_delta")
    },
    **{
        f"task {kind}": (
            lambda cls=cls, needed=needed, **options: cls(**{**needed, **options}),
            cls(**needed),
        )
        for kind, cls in presets.KINDS.items()
        for needed in [NEEDED.get(kind, {})]
    },
}


def options() -> list[tuple[str, str, Any]]:
    found = []
    for owner, (_, example) in CONFIGURATIONS.items():
        values = (
            example
            if isinstance(example, dict)
            else {f.name: getattr(example, f.name) for f in dataclasses.fields(example)}
        )
        for name, value in values.items():
            found += [(owner, name, wrong) for wrong in WRONG.get(type(value), [])]
    return found


OPTIONS = options()


def test_there_are_hundreds_of_them() -> None:
    assert len(CALLS) + len(OPTIONS) > 900 and len(CALLS) > 130


@pytest.mark.parametrize("owner", CONFIGURATIONS)
def test_an_option_refuses_values_of_another_kind(owner: str) -> None:
    make, _ = CONFIGURATIONS[owner]
    tried = 0
    for _, name, wrong in (entry for entry in OPTIONS if entry[0] == owner):
        if wrong is None and may_be_open(owner, name):
            continue
        with pytest.raises(ValueError) as error:
            make(**{name: wrong})
        message = str(error.value)
        assert name in message and "\n" not in message and len(message) < 400, (name, wrong, message)
        tried += 1
    assert tried >= 10


def may_be_open(owner: str, name: str) -> bool:
    """Whether None is a value of the option although its default is another."""
    return (owner, name) in {("task lano", "context")}


def test_numpy_numbers_are_numbers_everywhere() -> None:
    assert ModelConfig(vocab=np.int64(9), width=np.int32(8), heads=np.int8(1)) == dataclasses.replace(SMALL, layers=2)
    assert LanguageModel(SMALL, seed=np.int64(3)).head.weight.equal(LanguageModel(SMALL, seed=3).head.weight)
    assert tasks.Copy(n=np.int64(4)) == COPY
    assert len(list(data.stream(COPY, rows=np.int64(3)))) == 3
    assert COPY.batch(np.int64(0), np.int32(1), np.int64(2)).tokens.equal(COPY.batch(0, 1, 2).tokens)
