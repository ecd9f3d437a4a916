"""The `physlm` command: each verb is one call into the library."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import logging
import os
import signal
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NoReturn

from . import __version__
from .base.printable import on_one_line
from .base.strict import shown, unknown
from .data.sample import add_arguments, run

VERBS = tuple(
    "replicate queue ledger map verify clock sample prepare eval generate convert recipes plan train launch tab passport "
    "bench".split()
)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code (2 for what the user can mend, with one sentence on standard error; 1 where what
    was to be confirmed is not)."""
    arguments = sys.argv[1:] if arguments is None else arguments
    if sys.stderr is None:  # closed by whoever started us; print() would take standard output instead
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    if sys.stdout is None:
        return _complain("standard output is closed, so nothing can be printed; send it to a file or to /dev/null")
    for stream in (sys.stdout, sys.stderr):  # not every console has every character that we print
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    parser = _parser()
    if not arguments:
        parser.print_help(sys.stderr)
        return 2
    try:
        with _told(), _ended_in_order():
            if arguments[0] not in (known := (*VERBS, "--help", "-h", "--version")):
                raise unknown("verb", arguments[0], known)  # argparse would not name the nearest one
            options, rest = parser.parse_known_args(arguments)
            if rest:
                raise _left_over(rest[0], options.parser)
            code = options.verb(options)
            sys.stdout.flush()
            return code or 0
    except BrokenPipeError:  # whoever read our output, such as `head`, has had enough
        _let_go()
        return 1
    except ModuleNotFoundError as error:
        if error.name is None or error.name.startswith(__package__ or ""):
            raise
        return _complain(f"this needs the package {error.name}; install it, or all: pip install 'physlm_lite[lab]'")
    except (OSError, ValueError, MemoryError) as error:
        return _complain(error)
    except KeyboardInterrupt as stop:
        _complain("stopped; finished runs are kept, and the same command (without --again) goes on from here")
        return 128 + (stop.args[0] if stop.args else signal.SIGINT)


def _complain(what: object) -> int:
    if sys.stdout is not None:
        try:
            sys.stdout.flush()
        except OSError:
            _let_go()
    if isinstance(what, OSError) and what.strerror and what.filename:
        what = f"{what.filename}: {what.strerror}"
    with contextlib.suppress(OSError):  # there is nobody left to tell
        print(f"physlm: {on_one_line(str(what) or type(what).__name__)}", file=sys.stderr, flush=True)
    return 2


def _let_go() -> None:
    """Standard output takes no more: what is left for it goes nowhere, instead of failing once more at the very end."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


@contextlib.contextmanager
def _told() -> Iterator[None]:
    """What the library has to say meanwhile goes to standard error, a line each."""
    log, handler = logging.getLogger(__package__), logging.Handler()
    handler.emit = lambda record: print(f"physlm: {on_one_line(record.getMessage())}", file=sys.stderr)  # type: ignore[method-assign]
    log.addHandler(handler)
    try:
        with warnings.catch_warnings():
            warnings.showwarning = lambda message, *_, **__: log.warning("%s", message)
            yield
    finally:
        log.removeHandler(handler)


@contextlib.contextmanager
def _ended_in_order() -> Iterator[None]:
    """SIGTERM, and SIGHUP of a terminal that is closed, end the work as Ctrl-C does; those that are ignored stay ignored."""

    def end(number: int, _: Any) -> NoReturn:
        raise KeyboardInterrupt(number)

    numbers = [getattr(signal, name) for name in ("SIGTERM", "SIGHUP") if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # only there may handlers be set
        numbers = []
    before = {number: signal.getsignal(number) for number in numbers}
    for number in numbers:
        if before[number] == signal.SIG_DFL:
            signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


# -- arguments ---------------------------------------------------------------------------------------------------------


class _Parser(argparse.ArgumentParser):
    """One that complains in one sentence, and takes no option for another that begins alike."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.set_defaults(parser=self)

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see `{self.prog} --help`")


def _left_over(argument: str, parser: argparse.ArgumentParser) -> ValueError:
    """The error for the first argument that a verb does not know."""
    if not argument.startswith("-"):
        return ValueError(f"{shown(argument)} is one argument too many; see `{parser.prog} --help`")
    return unknown(f"option of {parser.prog}", argument, [name for a in parser._actions for name in a.option_strings])


def _folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it must name a folder")
    return Path(text)


def _file(text: str) -> Path:
    """Where to write; a claim that stands right behind the option would be taken for it."""
    if not text or Path(text).suffix.lower() in (".yaml", ".yml", ".py"):
        raise argparse.ArgumentTypeError(f"it must name a file to write, not {shown(text)}; name your claims before it")
    return Path(text)


def _names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def _project(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it must name a project")
    return text


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="physlm", description="Teaching and replication kit for Physics of Language Models.")
    parser.add_argument("--version", action="version", version=f"physlm {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        call: Callable[[argparse.Namespace], int | None], about: str, otherwise: str = ""
    ) -> argparse.ArgumentParser:
        """A verb; one that prints `otherwise` can print JSON instead."""
        added = verbs.add_parser(call.__name__.removeprefix("_"), help=about)
        added.set_defaults(verb=call)
        if otherwise:
            added.add_argument("--json", action="store_true", help=f"print JSON instead of {otherwise}")
        return added

    replicate = verb(_replicate, "run a claim's experiment here and print its verdict", otherwise="text")
    replicate.add_argument(
        "claim", metavar="CLAIM", help="a claim's id (see `physlm ledger`), a file with your own, or all"
    )
    replicate.add_argument("--scale", help="smoke, toy, laptop, gpu or paper (default: PHYSLM_SCALE, else toy)")
    replicate.add_argument("--grid", action="store_true", help="walk the whole learning-rate grid anew")
    replicate.add_argument("--again", action="store_true", help="run even what your own records already hold")
    replicate.add_argument(
        "--into", metavar="FOLDER", type=_folder, help="keep records there (default: your own, PHYSLM_RUNS)"
    )
    replicate.add_argument(
        "--workers", type=int, metavar="N", help="runs at a time, each on one thread (default: a core each, at most 4)"
    )
    replicate.add_argument(
        "--plan", action="store_true", help="with all: say what the ledger lacks, and how long it takes"
    )
    replicate.add_argument("--hours", type=float, metavar="H", help="with all: stop after so many hours")
    queue = verb(_queue, "what `physlm replicate all` is at, from another terminal", otherwise="text")
    queue.add_argument("--into", metavar="FOLDER", type=_folder, help="the folder of its records (default: your own)")
    queue.add_argument("--stop", action="store_true", help="stop it; what was learnt is kept")
    ledger = verb(_ledger, "every claim with its verdict at each scale, from the records", otherwise="a table")
    ledger.add_argument("files", metavar="FILE", nargs="*", help="your own claims, to be shown as well")
    ledger.add_argument("--schema", action="store_true", help="print the JSON schema of what --json prints")
    for kind, about in (("html", "a page that needs no network"), ("csv", "a table, a line for each comparison")):
        add = f"write {about} (default: ledger.{kind})"
        ledger.add_argument(f"--{kind}", metavar="PATH", nargs="?", const=f"ledger.{kind}", type=_file, help=add)
    about = "log the reported runs with trackio (default: physlm)"
    ledger.add_argument("--logbook", metavar="PROJECT", nargs="?", const="physlm", type=_project, help=about)
    around = verb(_map, "where a claim turns: two options of its experiment on one grid", otherwise="text")
    around.add_argument("name", metavar="NAME", nargs="?", help="a map's name (default: all)")
    around.add_argument("--figure", metavar="PATH", type=_file, help="draw it there, as a PNG")
    around.epilog = (
        "example: physlm map residual --figure residual.png; `physlm replicate all` carries out what is missing"
    )
    verify = verb(_verify, "carry out a recorded run again and compare it with its record")
    verify.add_argument("--record", metavar="ID", help="the run to carry out (default: the first reported one)")
    clock = verb(_clock, "time a training step of each side of a claim, to be compared at equal seconds")
    for added in (verify, clock):
        added.add_argument("claim", metavar="CLAIM", help="a claim's id, or a file with your own")
        added.add_argument("--scale", help="toy, laptop, gpu or paper (default: PHYSLM_SCALE, else toy)")
    add_arguments(verb(_sample, "rows of a task, to look at or to take away"))
    prepare = verb(_prepare, "turn text into shards of tokens that large runs read, or check them")
    prepare.add_argument(
        "input", metavar="TEXT", nargs="*", help="files or folders of .jsonl, .parquet, .txt; kjv; python"
    )
    prepare.add_argument("--into", metavar="FOLDER", type=_folder, help="a new folder for the corpus")
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
    evaluate = verb(_eval, "score a saved model: benchmarks, probes of retrieval, held-out loss", otherwise="a table")
    generate = verb(_generate, "let a saved model go on with a text", otherwise="text")
    for added in (evaluate, generate):
        added.add_argument("folder", metavar="FOLDER", type=_folder, help="the folder of a model, in any form")
        added.add_argument(
            "--tokenizer", metavar="T", help="as in prepare, or the folder of a corpus (default: the one in FOLDER)"
        )
        added.add_argument("--device", metavar="D", help="such as cuda (default: the best there is)")
        added.add_argument("--seed", type=int, default=0, metavar="S", help="of what is drawn (default: 0)")
    for name, about in (
        ("tasks", "of the lm-evaluation-harness, such as arc_easy,mmlu"),
        ("probes", "such as 1-hop-2k,2-hop-1k,niah-S3-4k,babilong-qa1-0k, or files of questions (.jsonl)"),
        ("held-out", "prepared corpora, for the loss on their test part"),
    ):
        evaluate.add_argument(f"--{name}", metavar="A,B", type=_names, default=[], help=about)
    evaluate.add_argument("--beside", metavar="RUN", help="print the published row of this run beside ours")
    evaluate.add_argument("--include", metavar="FOLDER", help="your own tasks of the harness, as YAML")
    evaluate.add_argument(
        "--filler", metavar="TEXT", help="a text to hide the probes' facts in (default: Python's help)"
    )
    evaluate.add_argument(
        "--context",
        type=int,
        default=2048,
        metavar="N",
        help="tokens of a held-out window, and of a task's prompt (default: 2048)",
    )
    evaluate.add_argument(
        "--count",
        type=int,
        default=100,
        metavar="N",
        help="questions of each probe, and held-out windows (default: 100)",
    )
    evaluate.add_argument("--limit", type=int, metavar="N", help="questions of each task (default: all)")
    evaluate.epilog = (
        "example: physlm eval my-model --held-out corpora/kjv --probes 1-hop-0k,niah-S1-0.5k --context 512"
    )
    generate.add_argument("--prompt", metavar="TEXT", default="", help="how the text begins")
    generate.add_argument("--tokens", type=int, default=100, metavar="N", help="how many more (default: 100)")
    generate.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="X",
        help="0: the likeliest token; 1: as the model says (default: 0)",
    )
    generate.epilog = 'example: physlm generate my-model --prompt "In the beginning" --tokens 50 --temperature 0.8'
    convert = verb(_convert, "write a saved model in the form that another program reads")
    convert.add_argument("folder", metavar="FOLDER", type=_folder, help="the folder of a model, in any form")
    convert.add_argument("into", metavar="NEW", type=_folder, help="a new folder")
    convert.add_argument(
        "--to", metavar="FORM", default="transformers", help="transformers, lingua or sharded (default: transformers)"
    )
    convert.epilog = "example: physlm convert my-model my-model-lingua --to lingua"
    tab = verb(_tab, "the Canon effect in a browser tab: one page that trains, without a network")
    tab.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="write the page there (default: canon_effect.html)"
    )
    tab.add_argument("--open", action="store_true", help="open it in the browser; without FILE nothing is written")
    tab.add_argument("--force", action="store_true", help="take the place of a FILE that exists")
    verb(_passport, "what matters about this machine, to paste into a bug report")
    recipes = verb(_recipes, "the recipes of large runs: all, one of them, or what differs", otherwise="text")
    recipes.add_argument(
        "words", nargs="*", metavar="WORD", help="show NAME, or diff A B; a name is a recipe's or a YAML file's"
    )
    recipes.epilog = "example: physlm recipes diff Llama-8B-Nemo-1T-lr0.003 LlamaCanon-8B-Nemo-1T-lr0.003"
    plan = verb(_plan, "what a recipe takes on given GPUs: memory, traffic, hours, money", otherwise="text")
    plan.add_argument("recipe", nargs="?", metavar="RECIPE", help="its name (see `physlm recipes`), or a YAML file")
    plan.add_argument("--gpus", type=int, metavar="N", help="how many (default: as in the original run)")
    plan.add_argument("--gpu", metavar="KIND", help="such as h200, h100, a100 (default: as in the original run)")
    plan.add_argument("--rows", type=int, metavar="N", help="on each GPU at a time (default: as many as fit)")
    plan.add_argument("--checkpointing", metavar="KIND", help="none, selective or full (default: the first that fits)")
    plan.add_argument(
        "--mfu", type=float, metavar="X", help="share of the peak that is reached (default: as published)"
    )
    plan.add_argument("--price", type=float, metavar="X", help="of a GPU for an hour")
    plan.add_argument(
        "--dry-run", action="store_true", help="shard the model over N ranks that do not exist, and count"
    )
    plan.add_argument("--measured", action="store_true", help="what was predicted of memory, and what was measured")
    plan.epilog = "example: physlm plan LlamaCanon-8B-Nemo-1T-lr0.003 --gpus 64 --gpu h100 --price 2.5"
    train = verb(_train, "train a recipe, or a toy's run; started again, it goes on", otherwise="text")
    launch = verb(_launch, "write the job that trains a recipe on several GPUs, and start it")
    about = "a recipe's name (see `physlm recipes`), or a YAML file"
    train.add_argument("recipe", metavar="RECIPE", help=f"{about} with a recipe, or with a run that has a task")
    launch.add_argument("recipe", metavar="RECIPE", help=about)
    launch.add_argument("--nodes", type=int, metavar="N", default=1, help="machines (default: 1)")
    launch.add_argument("--gpus", type=int, metavar="N", help="ranks on each (default: 8; with --local: the GPUs here)")
    kinds = launch.add_mutually_exclusive_group(required=True)
    for kind, text in (("slurm", "sbatch's queue"), ("local", "this machine"), ("sky", "SkyPilot")):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=f"for {text}")
    launch.add_argument("--dry-run", action="store_true", help="print the job; nothing is written or started")
    launch.add_argument(
        "--time", default="24:00:00", help="of a Slurm job, after which it queues again (default: a day)"
    )
    launch.add_argument("--partition", metavar="NAME", help="of Slurm")
    launch.add_argument("--account", metavar="NAME", help="of Slurm")
    launch.add_argument("--gpu", metavar="KIND", default="h100", help="of SkyPilot (default: h100)")
    for added in (train, launch):
        added.add_argument(
            "--into", metavar="FOLDER", type=_folder, help="of all its files (default: among your records)"
        )
        added.add_argument(
            "--rows", type=int, metavar="N", help="on each GPU at a time (default: as in the original run)"
        )
        added.add_argument(
            "--replicas", type=int, metavar="N", help="whole copies of the weights (default: 1, shared by all)"
        )
        added.add_argument("--checkpointing", metavar="KIND", help="none (default), selective or full")
        added.add_argument("--compile", action="store_true", help="compile each layer")
        added.add_argument("--tracker", metavar="NAME", help="tensorboard or trackio, beside metrics.jsonl")
    train.epilog = "example: physlm train tiny; torchrun --nproc-per-node 8 -m physlm_lite.cli train small"
    launch.epilog = "example: physlm launch LlamaCanon-8B-Nemo-1T-lr0.003 --nodes 64 --slurm --dry-run"
    bench = verb(_bench, "measure speed on this machine, as ratios within one run", otherwise="a table")
    bench.add_argument("--quick", action="store_true", help="fewer repeats: a look, not a measurement")
    bench.add_argument("--memory", action="store_true", help="only what the planner says of memory, tried again")
    about = (
        "only what a GPU alone can tell, in at most eight minutes; without one it is tried at small size, unmeasured"
    )
    bench.add_argument("--gpu", action="store_true", help=about)
    return parser


def _replicate(options: argparse.Namespace) -> int:
    from .base.machine import available_cores
    from .claims import find_claim, scale_of
    from .lab.terminal import figure_of, queue_in_terminal, replicate_in_terminal, report
    from .training import runs_folder

    if options.claim == "all":
        if named := [name for name in ("grid", "again", "json") if getattr(options, name)]:
            raise ValueError(f"--{named[0]} is for one claim, not for all")
        plan: dict[str, Any] = {"hours": options.hours, "only_plan": options.plan, "workers": options.workers}
        return min(queue_in_terminal(scale_of(options.scale), into=options.into, **plan), 1)
    if options.plan or options.hours is not None:
        raise ValueError("--plan and --hours are for the queue: physlm replicate all")
    workers = min(4, available_cores()) if options.workers is None else options.workers
    the_claim, scale = find_claim(options.claim), scale_of(options.scale)
    outcome = replicate_in_terminal(
        the_claim, scale, walk=options.grid, again=options.again, into=options.into, workers=workers
    )
    figures = (options.into or runs_folder()) / "figures"
    if options.json:
        figure = figure_of(outcome, figures)
        print(json.dumps({**outcome.to_dict(), "figure": figure and str(figure)}, indent=2))
    else:
        print(report(outcome), flush=True)
        if figure := figure_of(outcome, figures):
            print(f"figure: {on_one_line(figure, 5000)}")
    return 0


def _queue(options: argparse.Namespace) -> None:
    from .claims.queue import queue_status, stop_queue
    from .lab.terminal import queue_report
    from .training import runs_folder

    folder = options.into or runs_folder()
    status = queue_status(folder)
    if options.json:
        print(json.dumps(status, indent=2))
    else:
        print(queue_report(status) if status else f"no queue is at work in {on_one_line(folder, 5000)}")
    if options.stop and stop_queue(folder) and not options.json:
        print("stopped; the same command goes on from here")


def _ledger(options: argparse.Namespace) -> None:
    from .base.files import refuse_occupied
    from .claims import find_claim
    from .claims.ledger import SCHEMA, every, judged, ledger_csv, ledger_table, published
    from .claims.logbook import log_records, logbook_package
    from .claims.replicate import everything
    from .lab.ledger_page import ledger_html

    if options.schema:
        print(json.dumps(SCHEMA, indent=1))
        return
    for path in filter(None, (options.html, options.csv)):  # what cannot be written is refused before all is read
        refuse_occupied(path, replace=True)
    if options.logbook:
        logbook_package()
    own = {file: find_claim(file) for file in options.files}
    store = everything()
    list(store)  # reads every record, so that one that cannot be used is named
    found = judged(every(own.values()), store)
    rows = [*(row for _, row in found), *published()]
    said = []
    if options.html:
        said.append(_write(options.html, ledger_html(found, store, {claim.id: file for file, claim in own.items()})))
    if options.csv:
        said.append(_write(options.csv, ledger_csv(rows)))
    if options.logbook:
        said.append(
            f"{log_records([outcome for outcome, _ in found], options.logbook)} runs, as trackio's {options.logbook}"
        )
    print(json.dumps(rows, indent=2) if options.json else "\n".join(said) or ledger_table(rows))


def _map(options: argparse.Namespace) -> None:
    from .claims import everything
    from .claims.phase_map import MAPS, map_table, phase_map

    if options.figure and not options.name:
        raise ValueError(f"--figure is for one map; name it: {', '.join(MAPS)}")
    asked, store = [phase_map(options.name)] if options.name else [*MAPS.values()], everything()
    if options.json:
        print(json.dumps([phase.to_dict(store) for phase in asked], indent=2))
    else:
        print("\n\n".join(map_table(phase, store) for phase in asked))
    if options.figure:
        from .lab.maps import map_figure
        from .lab.plots import save_figure

        save_figure(map_figure(asked[0], store), options.figure)


def _write(path: Path, text: str) -> str:
    """Write a whole file; returns its name and size, in words."""
    from .base.files import write_whole

    content = text.encode()
    write_whole(path, lambda temporary: temporary.write_bytes(content))
    return f"{on_one_line(path, 5000)}, {len(content) / 1e6:.1f} MB"


def _verify(options: argparse.Namespace) -> int:
    from .claims import find_claim, scale_of
    from .claims.verify import verify

    found = verify(find_claim(options.claim), scale_of(options.scale), options.record)
    print(found)
    return 0 if found.confirmed else 1


def _clock(options: argparse.Namespace) -> None:
    from .claims import find_claim, scale_of
    from .claims.clocks import measure_step_times

    times = measure_step_times(find_claim(options.claim).experiment(scale_of(options.scale)).at_hand)
    print("step_times:", json.dumps(times, ensure_ascii=False))


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
    from .data.documents import Hub
    from .data.prepare import corpus_table, default_workers, prepare
    from .data.tokenizer import load_tokenizer
    from .tasks.shards import open_corpus

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


def _eval(options: argparse.Namespace) -> None:
    from .base.machine import device_of
    from .scale.convert import open_model, open_tokenizer, refuse_vocabulary
    from .scale.evaluate import evaluate_model, score_table

    names = ("tasks", "probes", "held_out", "beside", "context", "count", "seed", "limit", "include", "filler")
    asked = {name: getattr(options, name) for name in names}
    if not (options.tasks or options.probes or options.held_out):
        raise ValueError("physlm eval needs --held-out, --probes or --tasks; see `physlm eval --help`")
    tokenizer = open_tokenizer(options.folder, options.tokenizer)
    model = open_model(options.folder, device=str(device_of(options.device)))
    refuse_vocabulary(model, tokenizer)
    scores = evaluate_model(model, tokenizer, **asked)
    print(
        json.dumps([vars(score) for score in scores], indent=2) if options.json else score_table(scores, options.beside)
    )


def _generate(options: argparse.Namespace) -> None:
    from .base.machine import device_of
    from .evaluation import generate
    from .scale.convert import open_model, open_tokenizer, refuse_vocabulary

    tokenizer = open_tokenizer(options.folder, options.tokenizer)
    model = open_model(options.folder, device=str(device_of(options.device)))
    refuse_vocabulary(model, tokenizer)
    prompt = [*([] if tokenizer.begin is None else [tokenizer.begin]), *map(int, tokenizer.encode([options.prompt])[0])]
    if not prompt:
        raise ValueError("this tokenizer has no mark to begin with, so the text must be begun; say --prompt TEXT")
    (answer,) = generate(model, [prompt], options.tokens, tokenizer.end, options.temperature, options.seed)
    text = tokenizer.decode(answer)
    if options.json:
        print(json.dumps({"prompt": options.prompt, "text": text, "tokens": answer}, ensure_ascii=False))
    else:
        print(options.prompt + text)


def _convert(options: argparse.Namespace) -> None:
    from .scale.convert import convert

    print(f"written: {on_one_line(convert(options.folder, options.into, options.to), 5000)}")


def _tab(options: argparse.Namespace) -> None:
    from .tab import PAGE, write_page

    path = options.file or (PAGE if options.open else Path("canon_effect.html"))
    if path != PAGE:
        write_page(path, replace=options.force)
        print(f"written: {on_one_line(path, 5000)}")
    if options.open:
        import webbrowser

        if not webbrowser.open(path.resolve().as_uri()):
            raise ValueError(f"there is no browser to open here; carry {path} to a machine that has one")


def _passport(options: argparse.Namespace) -> None:
    from .base.machine import format_passport

    print(format_passport())


def _recipes(options: argparse.Namespace) -> None:
    from .scale.plan import recipes_table
    from .scale.recipe import differences, flat, load_recipe, recipes, shown_recipe

    known, (action, *names) = {"list": 0, "show": 1, "diff": 2}, options.words or ["list"]
    if action not in known:
        raise unknown("action of physlm recipes", action, known)
    if len(names) != known[action]:
        raise ValueError(f"physlm recipes {action} takes {known[action]} names, not {len(names)}")
    found = [load_recipe(name) for name in (names if action != "list" else recipes())]
    if action == "diff":
        values = differences(*found)
        if options.json:
            print(json.dumps(values, indent=2))
        else:
            print(
                "\n".join(f"{name:<32}{one!s:>24}{other!s:>24}" for name, (one, other) in values.items())
                or "no difference"
            )
    elif options.json:
        numbers = [{"parameters": recipe.model.parameters, "tokens": recipe.tokens, **flat(recipe)} for recipe in found]
        print(json.dumps(numbers if action == "list" else numbers[0], indent=2))
    else:
        print(recipes_table(found) if action == "list" else shown_recipe(found[0]))


def _plan(options: argparse.Namespace) -> None:
    from .scale.plan import measured, measured_table, plan, plan_table
    from .scale.recipe import load_recipe

    if options.measured or options.recipe is None:
        if not options.measured:
            raise ValueError("physlm plan needs the name of a recipe; see `physlm recipes`")
        print(json.dumps(measured(), indent=2) if options.json else measured_table(measured()))
        return
    recipe = load_recipe(options.recipe)
    if options.dry_run:
        from .scale.dry_run import dry_run, dry_run_table

        tried = dry_run(recipe, options.gpus)
        print(json.dumps(tried, indent=2) if options.json else dry_run_table(tried))
        return
    names = ("gpus", "gpu", "rows", "checkpointing", "mfu", "price")
    found = plan(recipe, **{name: getattr(options, name) for name in names})
    print(json.dumps(found, indent=2) if options.json else plan_table(found))


def _train(options: argparse.Namespace) -> int:
    from .scale.train import carry_out
    from .training import OtherRank

    logging.getLogger(__package__).setLevel(logging.INFO)
    try:
        record = carry_out(options.recipe, options.into, **_placing(options))
    except OtherRank:  # which is heard of by the rank that says why
        return 2
    except ConnectionError as error:
        _complain(error)
        return 75
    if os.environ.get("RANK", "0") == "0":
        final = ", ".join(f"{name} {value:.4g}" for name, value in record.final.items() if isinstance(value, float))
        print(json.dumps(record.to_dict(), indent=2) if options.json else f"{record.status}: {record.note or final}")
    return {"finished": 0, "diverged": 1, "stopped": 75}[record.status]


def _placing(options: argparse.Namespace) -> dict[str, Any]:
    """Those of the options that say how a recipe is placed, where they are given."""
    names = ("rows", "replicas", "checkpointing", "compile", "tracker")
    return {name: getattr(options, name) for name in names if getattr(options, name)}


def _launch(options: argparse.Namespace) -> int:
    from .scale.launch import KINDS, Job, start_job, write_job
    from .scale.recipe import load_recipe
    from .training import runs_folder

    recipe, placing = load_recipe(options.recipe), _placing(options)
    words = [
        word for name, value in placing.items() for word in (f"--{name}", *([] if value is True else [str(value)]))
    ]
    names = ("nodes", "time", "partition", "account", "gpu")
    about = {name: getattr(options, name) for name in names}
    gpus = options.gpus
    if gpus is None:
        import torch

        gpus = 8 if options.kind != "local" else max(1, torch.cuda.device_count())
    job = Job(recipe, options.into or runs_folder() / recipe.name, gpus=gpus, options=tuple(words), **about)
    if options.dry_run:
        print(KINDS[options.kind](job), end="")
        return 0
    path = write_job(options.kind, job)
    print(f"written: {on_one_line(path, 5000)} ({job.about})", flush=True)
    return start_job(options.kind, path)


def _bench(options: argparse.Namespace) -> None:
    from .bench import bench, bench_table

    if options.memory:
        from .bench.memory import bench_memory
        from .scale.plan import measured_table

        lines = bench_memory(options.quick)
        print(json.dumps(lines, indent=2) if options.json else measured_table(lines))
        return
    if options.gpu:
        from .bench.gpu import bench_gpu, gpu_table

        found = bench_gpu()
        print(json.dumps(found, indent=2) if options.json else gpu_table(found))
        return
    results = bench(quick=options.quick)
    print(json.dumps(results, indent=2) if options.json else bench_table(results))


if __name__ == "__main__":
    sys.exit(main())
