"""The work behind `physlm prepare`: text into shards of tokens, in parts that are written whole or not at all (Part 4.2).

Each part of the source (see documents.py) becomes one shard of a split, whoever writes it and whenever: so several processes
share the work, a run that was killed goes on with the parts that are missing, and the files are the same to the byte. Which
documents are held out is decided by the hash of their text, so that copies of one document fall on one side. Memory holds a few
thousand documents a process, whatever the size of the corpus.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import multiprocessing
import os
import shutil
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import IO, Any

import numpy as np

from ..base.files import locked, remove_stale, temporary_folder, write_json, write_whole
from ..base.machine import available_cores
from ..base.reading import fingerprint
from ..base.strict import Count, Whole, conform
from ..tasks.shards import DTYPES, MANIFEST, STARTS, VOCABULARY, Corpus, Shard, Tokens, manifest_of, open_corpus
from .documents import PART_BYTES, Hub, Part, documents, parts_of
from .tokenizer import Tokenizer

PLAN, PARTS = "plan.json", "parts"
BATCH = 2**20  # characters that are encoded at a time
MOST = 4096  # documents that are encoded at a time
HELD_OUT = 100  # one document in this many


@dataclass(frozen=True)
class Progress:
    """How far a preparation is: parts that are written, of how many, and their tokens."""

    done: int
    parts: int
    tokens: int


@dataclass(frozen=True)
class Job:
    """What a worker has to know."""

    into: Path
    tokenizer: Tokenizer
    held_out: int
    column: str | None
    skip_broken: bool
    hub: Hub | None


def prepare(
    inputs: Sequence[str],
    into: str | Path,
    tokenizer: Tokenizer,
    *,
    hub: Hub | None = None,
    column: str | None = None,
    held_out: int = HELD_OUT,
    skip_broken: bool = False,
    workers: int = 1,
    part_bytes: int = PART_BYTES,
    progress: Callable[[Progress], None] | None = None,
) -> Corpus:
    """Write the corpus of these files, folders, "kjv" or "python", or of a data set of the Hub, into a folder of its own.

    held_out: one document in so many goes to the test split, 0 for none. skip_broken: pass over lines that cannot be read,
    and count them in the manifest. workers: processes. part_bytes: of a file, in one shard, about. progress: called after each
    part. The same call goes on where an earlier one was stopped, and returns at once where it was finished.

    Raises ValueError for text that cannot be read (with file and line), for a folder that holds something else, or while another
    process writes into it; what is finished stays.
    """
    held_out, workers = conform("held_out", Whole, held_out), conform("workers", Count, workers)
    into = Path(into).expanduser()
    parts = parts_of(inputs, hub, conform("part_bytes", Count, part_bytes))
    if not parts:
        raise ValueError("there is no text to prepare; name files, folders, or a data set of the Hub with --hub")
    settings = {
        "tokenizer": asdict(_described(tokenizer)),
        "held_out": held_out,
        "column": column,
        "skip_broken": skip_broken,
        "part_bytes": part_bytes,
        "hub": None if hub is None else asdict(hub),
        "parts": [list(vars(part).values()) for part in parts],
    }
    plan = {**settings, "files": {part.source: _stamp(part) for part in parts}}
    if (into / MANIFEST).is_file():
        corpus = open_corpus(into)
        if json.loads((into / MANIFEST).read_text(encoding="utf-8"))["made_from"].get("plan") != fingerprint(settings):
            raise ValueError(
                f"{into} holds a corpus of other text or settings; choose another folder, or delete that one"
            )
        _tidy(into)
        return corpus
    job = Job(into, tokenizer, held_out, column, skip_broken, hub)
    try:
        into.mkdir(parents=True, exist_ok=True)
        with locked(into / "lock") as held:
            if held is False:
                raise ValueError(f"another process is preparing {into}; wait for it, or choose another folder")
            _begin(into, plan)
            made = _write_all(job, parts, workers, progress)
            return _finish(job, made, {"inputs": list(inputs), "plan": fingerprint(settings), **_told(settings)})
    except OSError as error:
        reason = error.strerror or str(error)
        raise ValueError(
            f"cannot write into {into}: {reason}; what is finished stays, and the same command goes on from there"
        ) from error


def _described(tokenizer: Tokenizer) -> Tokens:
    return Tokens(tokenizer.name, tokenizer.fingerprint, len(tokenizer.vocabulary), tokenizer.begin, tokenizer.end)


def _told(settings: dict[str, Any]) -> dict[str, Any]:
    """What the manifest says of the settings."""
    return {key: settings[key] for key in ("held_out", "column", "hub")}


def _stamp(part: Part) -> list[int]:
    if part.kind in ("hub", "corpus"):
        return []
    about = Path(part.source).stat()
    return [about.st_size, about.st_mtime_ns]


def _begin(into: Path, plan: dict[str, Any]) -> None:
    """Write the plan, or compare it with the one that is there."""
    if (into / PLAN).is_file():
        try:
            before = json.loads((into / PLAN).read_text(encoding="utf-8"))
        except ValueError as error:
            raise ValueError(f"{into / PLAN} is damaged; delete the folder and prepare the corpus anew") from error
        changed = [key for key in {**plan, **before} if json.loads(json.dumps(plan.get(key))) != before.get(key)]
        if changed:
            what = "the text has changed" if changed[0] in ("files", "parts") else f"{changed[0]} was another"
            raise ValueError(
                f"{into} holds an unfinished preparation, and since then {what}; go on as it was begun, delete the folder, or "
                "choose another one"
            )
        return
    remove_stale(into)
    if others := [path.name for path in into.iterdir() if path.name != "lock"]:
        raise ValueError(f"{into} is not empty, it holds {others[0]}; choose a folder of its own for the corpus")
    write_whole(into / PLAN, lambda path: path.write_text(json.dumps(plan), encoding="utf-8"))


# -- parts -------------------------------------------------------------------------------------------------------------


def _write_all(
    job: Job, parts: Sequence[Part], workers: int, progress: Callable[[Progress], None] | None
) -> list[dict[str, Any]]:
    """What each part says of itself, in order; those that are not there yet are written."""
    folder = job.into / PARTS
    folder.mkdir(exist_ok=True)
    made: dict[int, dict[str, Any]] = {}
    for number in range(len(parts)):
        if (folder / f"{number:05d}.json").is_file():
            made[number] = json.loads((folder / f"{number:05d}.json").read_text(encoding="utf-8"))

    tokens = sum(shard["tokens"] for one in made.values() for shard in one["shards"])

    def told(number: int, said: dict[str, Any]) -> None:
        nonlocal tokens
        made[number], tokens = said, tokens + sum(shard["tokens"] for shard in said["shards"])
        if progress is not None:
            progress(Progress(len(made), len(parts), tokens))

    missing = [number for number in range(len(parts)) if number not in made]
    if workers == 1 or len(missing) < 2:
        for number in missing:
            told(number, write_part(job, number, parts[number]))
    else:
        with _processes(min(workers, len(missing)), job) as pool:
            waiting = {pool.submit(_write, number, parts[number]): number for number in missing}
            try:
                for future in as_completed(waiting):
                    told(waiting[future], future.result())
            except BrokenProcessPool as error:
                raise ValueError(
                    "a worker was killed, most likely for want of memory; what is finished stays: say fewer --workers and go on"
                ) from error
    return [made[number] for number in range(len(parts))]


@contextlib.contextmanager
def _processes(workers: int, job: Job) -> Iterator[ProcessPoolExecutor]:
    """Workers that end with this process, and at once where it fails."""
    before = set(multiprocessing.active_children())
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), initializer=_start, initargs=(job,))
    try:
        yield pool
    except BaseException:
        for process in set(multiprocessing.active_children()) - before:
            process.terminate()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    pool.shutdown()


_OWN: list[Job] = []  # of a worker: what it was started for, its tokenizer made once


def _start(job: Job) -> None:
    """A worker begins. It is interrupted by its parent alone, and ends when that has ended, however that was."""
    _OWN.append(job)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()

    def wait() -> None:
        if parent is not None:
            parent.join()
            os._exit(1)

    threading.Thread(target=wait, daemon=True).start()


def _write(number: int, part: Part) -> dict[str, Any]:
    return write_part(_OWN[0], number, part)


@dataclass
class Writer:
    """The files of one shard while it is written."""

    tokens: IO[bytes]
    starts: IO[bytes]
    dtype: np.dtype[Any]
    size: int = 0
    documents: int = 0
    tokens_sha256: Any = field(default_factory=hashlib.sha256)
    starts_sha256: Any = field(default_factory=hashlib.sha256)

    def write(self, texts: Sequence[np.ndarray]) -> None:
        """More documents."""
        if not texts:
            return
        lengths = np.array([len(text) for text in texts])
        starts = (self.size + np.cumsum(lengths) - lengths).astype(STARTS).tobytes()
        tokens = np.concatenate(texts).astype(self.dtype).tobytes()
        self.tokens.write(tokens)
        self.starts.write(starts)
        self.tokens_sha256.update(tokens)
        self.starts_sha256.update(starts)
        self.size, self.documents = self.size + int(lengths.sum()), self.documents + len(texts)


def write_part(job: Job, number: int, part: Part) -> dict[str, Any]:
    """Write the shards of one part, then a file that says so; returns what that file holds."""
    dtype = DTYPES[dtype_of(job.tokenizer)]
    skipped = characters = 0
    shards: list[dict[str, Any]] = []

    def skip() -> None:
        nonlocal skipped
        skipped += 1

    with temporary_folder(job.into) as folder, contextlib.ExitStack() as files:
        names = {split: f"{number:05d}-{split}" for split in ("train", "test")}
        writers = {}
        for split, name in names.items():
            tokens, starts = (files.enter_context((folder / f"{name}.{kind}").open("wb")) for kind in _KINDS)
            writers[split] = Writer(tokens, starts, dtype)
        found = documents(part, job.column, job.hub, skip if job.skip_broken else None)
        for texts in _batches(found):
            characters += sum(map(len, texts))
            encoded = [_marked(job.tokenizer, one) for one in job.tokenizer.encode(texts)]
            held_out = [_held_out(text, job.held_out) for text in texts]
            for split, writer in writers.items():
                wanted = split == "test"
                writer.write([one for one, out in zip(encoded, held_out, strict=True) if out == wanted])
        for split, writer in writers.items():
            if not writer.size:
                continue
            for kind, file in zip(_KINDS, (writer.tokens, writer.starts), strict=True):
                file.flush()
                os.fsync(file.fileno())
                (folder / f"{names[split]}.{kind}").replace(job.into / f"{names[split]}.{kind}")
            sums = writer.tokens_sha256.hexdigest(), writer.starts_sha256.hexdigest()
            shards.append(vars(Shard(names[split], split, writer.size, writer.documents, *sums)))  # type: ignore[arg-type]
    said = {"characters": characters, "skipped": skipped, "shards": shards}
    write_json(job.into / PARTS / f"{number:05d}.json", said)
    return said


_KINDS = ("tokens", "documents")


def dtype_of(tokenizer: Tokenizer) -> str:
    """The smallest that holds every token."""
    return "uint16" if len(tokenizer.vocabulary) <= 2**16 else "uint32"


def _batches(texts: Iterator[str]) -> Iterator[list[str]]:
    batch: list[str] = []
    size = 0
    for text in texts:
        if not text:
            continue
        if not text.isascii():  # a lone surrogate, which JSON can spell, is no text
            text = text.encode("utf-8", "replace").decode("utf-8")
        batch.append(text)
        size += len(text)
        if size >= BATCH or len(batch) >= MOST:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def _marked(tokenizer: Tokenizer, tokens: np.ndarray) -> np.ndarray:
    """The tokens of a document between its marks."""
    parts = [tokens]
    if tokenizer.begin is not None:
        parts.insert(0, np.array([tokenizer.begin], tokens.dtype))
    if tokenizer.end is not None:
        parts.append(np.array([tokenizer.end], tokens.dtype))
    return np.concatenate(parts)


def _held_out(text: str, one_in: int) -> bool:
    digest = hashlib.blake2b(text.encode(), digest_size=8).digest()
    return one_in > 0 and int.from_bytes(digest, "little") % one_in == 0


# -- the end -----------------------------------------------------------------------------------------------------------


def _finish(job: Job, made: Sequence[dict[str, Any]], about: dict[str, Any]) -> Corpus:
    shards = tuple(Shard(**shard) for one in made for shard in one["shards"])
    corpus = Corpus(job.into, dtype_of(job.tokenizer), _described(job.tokenizer), shards)
    if not corpus.size("train"):
        raise ValueError(f"{', '.join(about['inputs'])} holds no text to train on: every document is empty or held out")
    characters, skipped = (sum(one[key] for one in made) for key in ("characters", "skipped"))
    job.tokenizer.save(job.into)
    write_whole(
        job.into / VOCABULARY,
        lambda path: path.write_text(json.dumps(list(job.tokenizer.vocabulary), indent=0), encoding="utf-8"),
    )
    write_json(job.into / MANIFEST, manifest_of(corpus, {**about, "characters": characters, "skipped": skipped}))
    _tidy(job.into)
    return open_corpus(job.into)


def _tidy(into: Path) -> None:
    """Remove what only an unfinished corpus needs."""
    (into / PLAN).unlink(missing_ok=True)
    shutil.rmtree(into / PARTS, ignore_errors=True)


def default_workers() -> int:
    """A process for each core."""
    return available_cores()


def corpus_table(corpus: Corpus) -> str:
    """What a corpus holds, in a few lines."""
    content = json.loads((corpus.folder / MANIFEST).read_text(encoding="utf-8"))
    marks = [name for name in ("begin", "end") if getattr(corpus.tokenizer, name) is not None]
    skipped = content["made_from"].get("skipped", 0)
    lines = [
        f"{corpus.folder}: fingerprint {corpus.fingerprint}, {len(corpus.shards)} shards of {corpus.dtype}",
        f"tokenizer  {corpus.tokenizer.name}, {corpus.tokenizer.vocabulary:,} tokens, marks: {' and '.join(marks) or 'none'}",
        *(
            f"{split:<9}  {content['tokens'][split]:,} tokens in {content['documents'][split]:,} documents"
            for split in ("train", "test")
        ),
    ]
    return "\n".join([*lines, *([f"{skipped:,} lines could not be read and were left out"] if skipped else [])])
