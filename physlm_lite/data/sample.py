"""The work behind `physlm sample`: rows of a task, to look at or to take away.

What needs torch or `datasets` is imported where it is used: the command's help should not wait for it.
"""

from __future__ import annotations

import argparse
import dataclasses
import html
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..base.printable import printable
from ..base.strict import choose, read_options, unknown

if TYPE_CHECKING:
    from ..tasks import Batch, Task
    from .shares import Share

ENDINGS = {"text": ".txt", "html": ".html", "jsonl": ".jsonl", "parquet": ".parquet"}
MOST_WRITTEN = 2**32  # tokens at a time: a disk full of text

STYLE = "body{font-family:sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#1b1f24}h2{font-size:1em}"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """What may stand after `physlm sample`."""
    parser.add_argument("task", metavar="TASK", help="the kind of task: copy, depo, ...")
    parser.add_argument(
        "--preset", metavar="P", help="a published setting, such as depo1-n225 (default: the kind's own)"
    )
    parser.add_argument(
        "--option",
        metavar="KEY=VALUE",
        action="append",
        default=[],
        help="change an option of the task, such as N=20; may be said several times",
    )
    parser.add_argument("--rows", type=int, default=1, metavar="N", help="how many rows (default: 1)")
    parser.add_argument("--seed", type=int, default=0, metavar="S", help="seed of the data (default: 0)")
    parser.add_argument("--step", type=int, default=0, metavar="K", help="step of training (default: 0)")
    parser.add_argument("--split", default="train", help="train or test (default: train)")
    parser.add_argument(
        "--format", metavar="F", help=f"{', '.join(ENDINGS)} (default: by the ending of FILE, else text)"
    )
    parser.add_argument("--into", metavar="FILE", type=Path, help="write there, whole or not at all (default: print)")
    parser.add_argument("--force", action="store_true", help="replace FILE if it exists")


def run(arguments: argparse.Namespace) -> Iterator[str]:
    """The lines to print, none if all went into a file. Raises ValueError for everything that the user can mend."""
    form, into = form_of(arguments.format, arguments.into), arguments.into
    task = task_of(arguments.task, arguments.preset, arguments.option)
    from ..base.files import refuse_occupied
    from .export import save, write_file, write_lines
    from .shares import step_of

    share = step_of(task, arguments.rows, arguments.seed, arguments.split, arguments.step, text=True)
    share.refuse_too_large(MOST_WRITTEN)
    if into is not None:
        refuse_occupied(into, arguments.force)  # before the work, not after it
    if form == "parquet":
        from .hub import dataset_of

        save(dataset_of(share), into, form, replace=arguments.force)
        return
    lines = {"text": as_text, "html": as_html, "jsonl": as_json}[form](share)
    if into is None:
        yield from map(printable, lines)
    else:
        write_file(into, lambda temporary: write_lines(temporary, lines), arguments.force)


def form_of(name: str | None, into: Path | None) -> str:
    """The format asked for, else the one that the file's ending names, else text."""
    if name is None:
        named = [form for form, ending in ENDINGS.items() if into is not None and into.suffix == ending]
        return named[0] if named else "text"
    if name not in ENDINGS:
        raise unknown("format", name, ENDINGS)
    if name == "parquet" and into is None:
        raise ValueError(
            "parquet is not for reading on a screen; say where it goes with --into FILE, or take --format jsonl"
        )
    return name


# -- the task ----------------------------------------------------------------------------------------------------------


def task_of(kind: str, preset: str | None = None, options: Sequence[str] = ()) -> Task:
    """The task of a kind, at a published setting if one is named, with single options changed (written "key=value")."""
    from ..tasks.presets import KINDS, PRESETS, make_task
    from .card import name_and_options

    if kind not in KINDS and kind in PRESETS:
        raise ValueError(
            f"{kind} is a preset; say `physlm sample {name_and_options(PRESETS[kind])[0]} --preset {kind}`"
        )
    cls = choose("task", kind, KINDS)
    owner, settings = (kind, {}) if preset is None else name_and_options(choose("task preset", preset, PRESETS))
    if owner != kind:
        raise ValueError(
            f"{preset} is a preset of {owner}, not of {kind}; say `physlm sample {owner} --preset {preset}`"
        )
    settings |= read_options(cls, options)
    for field in dataclasses.fields(cls):
        if field.default is field.default_factory is dataclasses.MISSING and field.name not in settings:
            raise ValueError(
                f"{kind} has no default for {field.name}; say --option {field.name}=... or name a --preset"
            )
    return make_task(kind, settings)


# -- rows, one after the other; only some are in memory at a time ------------------------------------------------------


def as_text(share: Share) -> Iterator[str]:
    """Aligned lines: tokens over labels over the loss mask."""
    from ..tasks import text_view

    for number, (address, batch, i) in enumerate(_rows(share)):
        if number:
            yield ""
        yield f"{address}\n{text_view(share.task, batch, i)}"


def as_json(share: Share) -> Iterator[str]:
    """A line of JSON each."""
    return (json.dumps(example) for _, example in share.examples(share.start))


def as_html(share: Share) -> Iterator[str]:
    """A page that needs nothing but itself."""
    from ..tasks import html_view
    from .card import name_and_options

    kind, options = name_and_options(share.task)
    yield f"""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>{html.escape(kind)}</title><style>{STYLE}</style></head>
<body>
<h1>{html.escape(kind)}</h1>
<p><code>{html.escape(str(options))}</code></p>
<p><span style="background:#ffe99a">Yellow</span> tokens carry loss: each is to be predicted from all before it. A line
separates examples that share a row.</p>"""
    for address, batch, i in _rows(share):
        yield f"<h2>{address}</h2>\n{html_view(share.task, batch, i)}"
    yield "</body>\n</html>"


def _rows(share: Share) -> Iterator[tuple[str, Batch, int]]:
    """Of each row: its address in words, a batch that holds it, and where."""
    for rows, batch in share.batches(share.start):
        for i, row in enumerate(rows.tolist()):
            step, place = divmod(row, share.rows_per_step)
            yield f"row {place} of step {step}, {share.split}, seed {share.seed}", batch, i
