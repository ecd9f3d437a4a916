"""The verbs of data: rows of a task, text made ready."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..base.printable import on_one_line
from ..data.sample import add_arguments, run
from .parser import Verb, a_folder


def add_verbs(verb: Verb) -> None:
    add_arguments(verb(_sample, "rows of a task, to look at or to take away"))
    prepare = verb(_prepare, "turn text into shards of tokens that large runs read, or check them")
    prepare.add_argument(
        "input", metavar="TEXT", nargs="*", help="files or folders of .jsonl, .parquet, .txt; kjv; python"
    )
    prepare.add_argument("--into", metavar="FOLDER", type=a_folder, help="a new folder for the corpus")
    prepare.add_argument(
        "--tokenizer", metavar="T", help="characters, a tokenizer.json, its folder, or a name that the Hub knows"
    )
    for mark in ("begin", "end"):
        about = f"the token that marks a document's {mark}, or none (default: the tokenizer's own)"
        prepare.add_argument(f"--{mark}", metavar="TOKEN", help=about)
    prepare.add_argument("--hub", action="store_true", help="TEXT names a data set of the Hub, which is streamed")
    prepare.add_argument("--config", metavar="NAME", help="with --hub: its configuration")
    prepare.add_argument("--split", metavar="NAME", default="train", help="with --hub: its split (default: train)")
    prepare.add_argument("--revision", metavar="R", help="with --hub: its revision")
    prepare.add_argument("--column", metavar="NAME", help="where the text stands (default: text, else content)")
    prepare.add_argument(
        "--held-out",
        type=int,
        default=100,
        metavar="N",
        help="keep one document in N for tests (default: 100; 0: none)",
    )
    prepare.add_argument(
        "--skip-broken", action="store_true", help="leave out lines that cannot be read, and count them"
    )
    prepare.add_argument("--workers", type=int, metavar="N", help="processes (default: one a core)")
    prepare.add_argument("--check", action="store_true", help="TEXT names corpora: compare each byte with its checksum")
    prepare.epilog = (
        "example: physlm prepare kjv --tokenizer characters --into corpora/kjv. Stopped, the same command goes on from there. A "
        "mixture is made when a run reads corpora: task prepared, sources {corpora/a: 0.7, corpora/b: 0.3}."
    )


def _sample(options: argparse.Namespace) -> None:
    for line in run(options):
        print(line)


def _told_now_and_then(line: Callable[[Any], str]) -> Callable[[Any], None]:
    """Prints how far something is, at the first and the last of its parts, and once a second at most in between."""
    last = float("-inf")

    def tell(now: Any) -> None:
        nonlocal last
        if now.done == now.parts or time.monotonic() - last >= 1:
            last = time.monotonic()
            print(line(now), file=sys.stderr, flush=True)

    return tell


def _prepare(options: argparse.Namespace) -> None:
    from ..data.documents import Hub
    from ..data.prepare import corpus_table, default_workers, prepare
    from ..data.tokenizer import load_tokenizer
    from ..tasks.shards import open_corpus

    if options.check:
        for name in options.input or [options.into or Path(".")]:
            print(f"{on_one_line(name, 5000)}: {open_corpus(name).check():,} bytes are as they were written")
        return
    for name in ("tokenizer", "into"):
        if getattr(options, name) is None:
            raise ValueError(f"physlm prepare needs --{name}; see `physlm prepare --help`")
    hub = None
    if options.hub:
        if len(options.input) != 1:
            raise ValueError(f"--hub takes the name of one data set, not {len(options.input)}")
        hub = Hub(options.input[0], options.config, options.split, options.revision)
    corpus = prepare(
        options.input,
        options.into,
        load_tokenizer(options.tokenizer, options.begin, options.end),
        hub=hub,
        column=options.column,
        held_out=options.held_out,
        skip_broken=options.skip_broken,
        workers=default_workers() if options.workers is None else options.workers,
        progress=_told_now_and_then(lambda now: f"{now.done} of {now.parts} parts, {now.tokens:,} tokens"),
    )
    print(corpus_table(corpus))
