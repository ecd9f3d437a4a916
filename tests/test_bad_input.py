"""What a user may get wrong, as one table: each row is refused in one sentence, soon, and nothing is written or lost.

A row of COMMANDS is a command line as it would be typed, perhaps with NAME=value for the environment before it, and a part of
the sentence; it ends with exit code 2. A row of CALLS has a name, a function of the library, and a part of the sentence; it
raises a ValueError. Each runs in a folder of its own with `some.txt`, `bad.json`, `empty/`, a `pipe`, `nowhere` (a link to
nothing), `loop` (a link to itself), `null` (a link to /dev/null), `binary`, and records, one of them bad, in `runs/`.
{long} stands for 100,000 letters, {escape} and {newline} for these characters.
"""

from __future__ import annotations

import os
import shlex
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import skip_reasons

from physlm_lite.base.files import load_tensors, save_tensors, write_json
from physlm_lite.cli import main
from physlm_lite.training import Run, Store, Trainer, Training, estimate, train

pytestmark = [
    pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX),
    pytest.mark.filterwarnings("default"),  # as a user has them
]

SECONDS, BYTES = 60, 4 * 2**30  # far more than any refusal takes: the machine may be busy

COMMANDS = r"""
'' => unknown verb ''
replicte R1 => unknown verb 'replicte'; did you mean 'replicate'?
Ledger => unknown verb 'Ledger'; did you mean 'ledger'?
--nope => unknown verb '--nope'
-x => unknown verb '-x'
-- ledger => unknown verb '--'
--versoin => unknown verb '--versoin'; did you mean '--version'?
ledgers --json => unknown verb 'ledgers'; did you mean 'ledger'?
'led ger' => unknown verb 'led ger'; did you mean 'ledger'?
'led{escape}[2Jger' => unknown verb 'led\x1b[2Jger'; did you mean 'ledger'?
replicate => the following arguments are required: CLAIM
replicate '' => unknown claim ''
replicate R2-dept => unknown claim 'R2-dept'; did you mean 'R2-depth'?
replicate r2-depth => unknown claim 'r2-depth'; did you mean 'R2-depth'?
replicate R2 => unknown claim 'R2'; did you mean 'R1'?
replicate R99 => unknown claim 'R99'; did you mean 'R1'?
replicate 'R2-depth;rm -rf' => unknown claim 'R2-depth;rm -rf'; did you mean 'R2-depth'?
replicate '../../etc/passwd' => unknown claim '../../etc/passwd'
replicate 'R2-depth{newline}' => unknown claim 'R2-depth\n'; did you mean 'R2-depth'?
replicate {long} => unknown claim
replicate R1 R2-depth => 'R2-depth' is one argument too many
replicate R1 --scale => argument --scale: expected one argument
replicate R1 --scale toi => unknown scale 'toi'; did you mean 'toy'?
replicate R1 --scale '' => unknown scale ''
replicate R1 --scale TOY => unknown scale 'TOY'; did you mean 'toy'?
replicate R1 --scale gpu => here, without a GPU
replicate R1 --scale 1 => unknown scale '1'
replicate R2-ladder --scale toy => R2-ladder has nothing at toy scale; the nearest is --scale laptop
replicate R2-depth --scale=smoke,toy => unknown scale 'smoke,toy'; did you mean 'smoke'?
replicate R1 --sclae toy => unknown option of physlm replicate '--sclae'; did you mean '--scale'?
replicate R1 --scal toy => unknown option of physlm replicate '--scal'; did you mean '--scale'?
replicate R1 --agian => unknown option of physlm replicate '--agian'; did you mean '--again'?
replicate R1 --json=yes => argument --json: ignored explicit argument 'yes'
replicate R1 --grid 3 => '3' is one argument too many
replicate R1 --workers => argument --workers: expected one argument
replicate R1 --workers 0 => workers must be at least 1, not 0
replicate R1 --workers -1 => workers must be at least 1, not -1
replicate R1 --workers two => argument --workers: invalid int value: 'two'
replicate R1 --workers 1.5 => argument --workers: invalid int value: '1.5'
replicate R1 --workers 1e3 => argument --workers: invalid int value: '1e3'
replicate R1 --workers '' => argument --workers: invalid int value: ''
replicate R1 --workers nan => argument --workers: invalid int value: 'nan'
replicate R1 --workers 1000000000 => workers must be at most 1,024, not 1,000,000,000
replicate R1 --workers 99999999999999999999999 => workers must be at most 1,024, not 99,999,999,999,999,999,999,999
replicate R1 --workers=-0x3 => argument --workers: invalid int value: '-0x3'
replicate R1 --worker 2 => unknown option of physlm replicate '--worker'; did you mean '--workers'?
replicate R1 --into => argument --into: expected one argument
replicate R1 --into '' => argument --into: it must name a folder
replicate R2-depth --scale smoke --into some.txt => some.txt is a file where records need a folder
replicate R2-depth --scale smoke --into some.txt/below => cannot write into some.txt/below: Not a directory
replicate R2-depth --scale smoke --into pipe => pipe is a file where records need a folder
replicate R2-depth --scale smoke --into /dev/null => /dev/null is a file where records need a folder
replicate R2-depth --scale smoke --into /dev/null/below => cannot write into /dev/null/below: Not a directory
replicate R2-depth --scale smoke --into null => null is a file where records need a folder
replicate R2-depth --scale smoke --into nowhere => cannot write into nowhere: it is a link that leads nowhere
replicate R2-depth --scale smoke --into loop => cannot write into loop: it is a link that leads nowhere
replicate R2-depth --scale smoke --into nowhere/below => cannot write into nowhere/below: a file stands in its place
replicate R2-depth --scale smoke --into {long} => File name too long
replicate R2-depth --scale smoke --into /proc/none => cannot write into /proc/none: No such file or directory
replicate R2-depth --scale smoke --into some.txt --again => some.txt is a file where records need a folder
replicate R2-depth --scale smoke --force => unknown option of physlm replicate '--force'; did you mean '--workers'?
PHYSLM_SCALE=labtop replicate R1 => unknown scale 'labtop'; did you mean 'laptop'?
PHYSLM_SCALE=' toy' replicate R1 => unknown scale ' toy'; did you mean 'toy'?
PHYSLM_SCALE=paper,toy replicate R1 => unknown scale 'paper,toy'; did you mean 'paper'?
PHYSLM_SCALE={long} replicate R1 => unknown scale
PHYSLM_RUNS=some.txt replicate R2-depth --scale smoke => some.txt is a file where records need a folder
PHYSLM_RUNS=pipe replicate R2-depth --scale smoke => pipe is a file where records need a folder
PHYSLM_RUNS=/dev/null replicate R2-depth --scale smoke => /dev/null is a file where records need a folder
PHYSLM_RUNS=nowhere replicate R2-depth --scale smoke => cannot write into nowhere: it is a link that leads nowhere
PHYSLM_RUNS=loop replicate R2-depth --scale smoke => cannot write into loop: it is a link that leads nowhere
PHYSLM_RUNS=~nobody-of-that-name replicate R2-depth --scale smoke => ~nobody-of-that-name begins with a home
PHYSLM_RUNS=some.txt/below replicate R2-depth --scale smoke => cannot write into some.txt/below: Not a directory
PHYSLM_RUNS={long} replicate R2-depth --scale smoke => File name too long
PHYSLM_RUNS= HOME=nothing replicate R2-depth --scale smoke => cannot write into nothing/.physlm/runs: the home folder
PHYSLM_RUNS= HOME=/proc replicate R2-depth --scale smoke => cannot write into /proc/.physlm/runs: No such file
PHYSLM_RUNS= HOME=/dev/null replicate R2-depth --scale smoke => cannot write into /dev/null/.physlm/runs: the home folder
ledger extra => unknown claim 'extra'
ledger --jsno => unknown option of physlm ledger '--jsno'; did you mean '--json'?
ledger --json=1 => argument --json: ignored explicit argument '1'
ledger --scale toy => unknown option of physlm ledger '--scale'; did you mean '--schema'?
ledger -j => unknown option of physlm ledger '-j'; did you mean '-h'?
ledger --html mine.yaml => it must name a file to write, not 'mine.yaml'; name your claims before it
ledger --csv mine.py => it must name a file to write, not 'mine.py'; name your claims before it
ledger --html= => it must name a file to write, not ''
ledger --logbook= => argument --logbook: it must name a project
ledger --html . => cannot write .: it is a folder, not a file
ledger --htm => unknown option of physlm ledger '--htm'; did you mean '--html'?
PHYSLM_RUNS=some.txt ledger => some.txt is a file where records need a folder
PHYSLM_RUNS=pipe ledger => pipe is a file where records need a folder
PHYSLM_RUNS=/dev/null ledger => /dev/null is a file where records need a folder
PHYSLM_RUNS=~nobody-of-that-name ledger => ~nobody-of-that-name begins with a home
PHYSLM_RUNS=~nobody-of-that-name/runs ledger --json => ~nobody-of-that-name/runs begins with a home
PHYSLM_RUNS='some.txt' ledger --json => some.txt is a file where records need a folder
PHYSLM_RUNS={long} ledger => File name too long
passport extra => 'extra' is one argument too many
passport --json => unknown option of physlm passport '--json'
passport --quick => unknown option of physlm passport '--quick'
bench extra => 'extra' is one argument too many
bench --quik => unknown option of physlm bench '--quik'; did you mean '--quick'?
bench --json=1 => argument --json: ignored explicit argument '1'
bench --quick=yes => argument --quick: ignored explicit argument 'yes'
recipes lsit => unknown action of physlm recipes 'lsit'; did you mean 'list'?
recipes show => physlm recipes show takes 1 names, not 0
recipes show tinny => unknown recipe 'tinny'; did you mean 'tiny'?
recipes show some.txt => unknown recipe 'some.txt'
recipes show {long} => unknown recipe 'xxx
recipes diff tiny => physlm recipes diff takes 2 names, not 1
recipes diff tiny missing.yaml => missing.yaml
plan => physlm plan needs the name of a recipe
plan LlamaCanon-8B => unknown recipe 'LlamaCanon-8B'; did you mean 'LlamaCanon-8B-
plan missing.yaml => missing.yaml
plan tiny --gpus 0 => the number of GPUs must be a whole number of at least 1, not 0
plan tiny --gpus 3 => 32 rows in a step cannot be dealt out evenly to 3 GPUs, and another number of rows would be another
plan tiny --gpus x => argument --gpus: invalid int value: 'x'
plan tiny --gpu h300 => unknown GPU 'h300'; did you mean 'h200'?
plan tiny --rows 5 => 5 rows at a time do not divide the 32 that each of 1 GPUs has in a step; choose 4 or 8
plan tiny --checkpointing ful => unknown checkpointing 'ful'; did you mean 'full'?
plan tiny --mfu 1.5 => mfu must be a number from 0 to 1, not 1.5
plan tiny --mfu 0 => mfu must be above 0
plan tiny --mfu nan => mfu must be a number from 0 to 1, not nan
plan tiny --price -1 => price must be a number of at least 0, not -1.0
plan tiny --dry-run --gpus 5 => 32 rows in a step cannot be dealt out evenly to 5 GPUs
sample => the following arguments are required: TASK
sample '' => unknown task ''
sample deop => unknown task 'deop'; did you mean 'depo'?
sample Depo => unknown task 'Depo'; did you mean 'depo'?
sample depo1-n225 => depo1-n225 is a preset; say `physlm sample depo --preset depo1-n225`
sample depo brevo => 'brevo' is one argument too many
sample {long} => unknown task
sample depo --preset => argument --preset: expected one argument
sample depo --preset depo1-n226 => unknown task preset 'depo1-n226'; did you mean 'depo1-n225'?
sample depo --preset '' => unknown task preset ''
sample depo --preset brevo1-n110 => brevo1-n110 is a preset of brevo, not of depo; say `physlm sample brevo --preset brevo1-n110`
sample mano --preset depo1-n225 => depo1-n225 is a preset of depo, not of mano; say `physlm sample depo --preset depo1-n225`
sample depo --option => argument --option: expected one argument
sample depo --option '' => an option is written key=value, such as N=..., not ''
sample depo --option N => an option is written key=value, such as N=..., not 'N'
sample depo --option =3 => unknown Depo option ''
sample depo --option n=3 => unknown Depo option 'n'; did you mean 'N'?
sample depo --option N= => Depo option N must be
sample depo --option N=two => Depo option N must be
sample depo --option N=-1 => Depo option N must be
sample depo --option N=0 => Depo option N must be
sample depo --option N=1.5 => Depo option N must be
sample depo --option N=True => Depo option N must be
sample depo --option N=None => Depo option N must be
sample depo --option N=nan => Depo option N must be
sample depo --option N=[3] => Depo option N must be
sample depo --option N={long} => Depo option N must be
sample depo --option N=1e400 => Depo option N must be
sample depo --option N=1000000000 => Depo option N must be
sample depo --option K=1000000000 => Depo option K must be
sample depo --option context=3 => a window of 3 tokens cannot hold one instance: at N = 225 it may need 961
sample depo --option context=-1 => Depo option context must be
sample depo --option context=1000000000000 => Depo option context must be
sample depo --option sizes=fixd => unknown Depo sizes 'fixd'; did you mean 'fixed'?
sample depo --option N=20 --option N=x => Depo option N must be
sample brevo --option N=1000000000 => Brevo option N must be
sample brevo --option degree=0 => Brevo option degree must be
sample brevo --option N=-3 => Brevo option N must be
sample copy --option n=1 => Copy option n must be
sample copy --option n=1000000000 => Copy option n must be
sample copy --option n=4 --option shortest=5 => shortest must lie in 1..n = 4, not 5
sample mano --option L=0 => Mano option L must be
sample mano --option L=1000000000 => Mano option L must be
sample mano --option modulus=1 => Mano option modulus must be
sample mano --option operators=plus => operators must be
sample lano --option grammar=nothing => unknown grammar 'nothing'
sample lano --option grammar=9: => a grammar needs terminals
sample lano --option grammar=some.txt => a line of a grammar reads like '22: 20 21 | 20 19 21', not 'ordinary text'
sample lano --option grammar='1: 2' => a grammar needs terminals
sample lano --option context=1 => Lano option context must be
sample lano --option context=1000000000000 => Lano option context must be
sample capo --option people=0 => Capo option people must be
sample capo --option people=-5 => Capo option people must be
sample capo --option pools=nothing => capo has no default for people; say --option people=... or name a --preset
sample capo --option pools=some.txt => capo has no default for people; say --option people=... or name a --preset
sample capo --option pools=empty => capo has no default for people; say --option people=... or name a --preset
sample text --option corpus=nothing => there is no file or folder 'nothing'
sample text --option corpus=empty => corpus 'empty' holds no text
sample text --option corpus=some.txt => the test part of corpus 'some.txt' has only 9 characters, too few for windows of 128
sample text --option corpus=pipe => pipe is a pipe or a device, and a file is needed
sample text --option corpus=nowhere => there is no file or folder 'nowhere'
sample text --option corpus=null => null is a pipe or a device, and a file is needed
sample text --option corpus=loop => there is no file or folder 'loop'
sample text --option context=1 => Text option context must be
sample text --option answer=0 => Text option answer must be
sample text --option choices=1 => Text option choices must be
sample text --option context=1000000000 => Text option context must be
sample copy --rows 0 => rows must be
sample copy --rows -1 => rows must be
sample copy --rows two => argument --rows: invalid int value: 'two'
sample copy --rows '' => argument --rows: invalid int value: ''
sample copy --rows 1.5 => argument --rows: invalid int value: '1.5'
sample copy --rows 99999999999999999999999999 => rows must be
sample depo --rows 1000000000 => 1,000,000,000 rows of about
sample lano --rows 1000000000 --format jsonl => the limit is 4,294,967,296 tokens
sample copy --rows => argument --rows: expected one argument
sample copy --seed -1 => seed must be
sample copy --seed x => argument --seed: invalid int value: 'x'
sample copy --seed 99999999999999999999999999 => seed must be
sample copy --step -1 => step must be
sample copy --step x => argument --step: invalid int value: 'x'
sample copy --step 99999999999999999999999999 => step must be
sample copy --split tset => split must be
sample copy --split '' => split must be
sample copy --split TEST => split must be
sample copy --format pdf => unknown format 'pdf'
sample copy --format '' => unknown format ''
sample copy --format parquet => parquet is not for reading on a screen; say where it goes with --into FILE, or take --format jsonl
sample copy --format JSONL => unknown format 'JSONL'; did you mean 'jsonl'?
sample copy --into some.txt => cannot write some.txt: it exists already
sample copy --into some.txt --format jsonl => cannot write some.txt: it exists already
sample copy --into empty => cannot write empty: it is a folder, not a file
sample copy --into empty --force => cannot write empty: it is a folder, not a file
sample copy --into pipe => cannot write pipe: it is a device or a pipe, not a file
sample copy --into pipe --force => cannot write pipe: it is a device or a pipe, not a file
sample copy --into /dev/null => cannot write /dev/null: it is a device or a pipe, not a file
sample copy --into /dev/null --force => cannot write /dev/null: it is a device or a pipe, not a file
sample copy --into null --force => cannot write null: it is a device or a pipe, not a file
sample copy --into nowhere => cannot write nowhere: it is a link that leads nowhere
sample copy --into nowhere --force => cannot write nowhere: it is a link that leads nowhere
sample copy --into loop --force => cannot write loop: Too many levels of symbolic links
sample copy --into some.txt/below => cannot write some.txt/below: Not a directory
sample copy --into some.txt/below --force => cannot write some.txt/below: Not a directory
sample copy --into '' => cannot write .: it is a folder, not a file
sample copy --into /proc/none/rows.txt => cannot write /proc/none/rows.txt: No such file or directory
sample copy --into {long} => File name too long
sample copy --into bad.json => cannot write bad.json: it exists already
sample copy --rwos 3 => unknown option of physlm sample '--rwos'; did you mean '--rows'?
sample copy --rows 3 --forec => unknown option of physlm sample '--forec'; did you mean '--force'?
sample copy --force=1 => argument --force: ignored explicit argument '1'
sample copy --json => unknown option of physlm sample '--json'; did you mean '--option'?
"""


def small(**changes: Any) -> Run:
    """A run of a second, with some settings changed."""
    model = {"width": 16, "layers": 1, "heads": 1}
    return Run("copy", {"n": 4}, model, Training(steps=2, batch=2, warmup=0, evaluations=1, evaluation_rows=2)).but(
        **changes
    )


def saved(**changes: Any) -> Path:
    """A checkpoint whose counters were changed by hand."""
    trainer, path = Trainer(small(), "cpu"), Path("runs/changed")
    trainer.save(path)
    tensors, state = load_tensors(path)
    save_tensors(path, tensors, {**state, **changes})
    return path


CALLS: list[tuple[str, Callable[[], Any], str]] = [
    ("steps of a million million", lambda: Training(steps=10**12), "steps must be"),
    ("evaluations without end", lambda: Training(evaluations=10**9), "evaluations must be"),
    ("a batch of 10^9", lambda: Training(batch=10**9), "batch must be"),
    ("evaluation rows of 10^9", lambda: Training(evaluation_rows=10**9), "evaluation_rows must be"),
    ("half a step", lambda: Training(steps=1.5), "steps must be"),  # type: ignore[arg-type]
    ("no steps", lambda: train(small(steps=0)), "steps must be"),
    ("a rate that is none", lambda: small(learning_rate=float("nan")), "learning_rate must be"),
    ("a batch that cannot fit", lambda: train(wide(batch=2**20)), "GB of memory and"),
    ("test rows that cannot fit", lambda: train(wide(evaluation_rows=2**20, batch=2**20)), "GB of memory and"),
    ("a batch that cannot be timed", lambda: estimate(wide(batch=2**20)), "GB of memory and"),
    ("windows that cannot fit", lambda: train(long(batch=2**20)), "GB of memory and"),
    ("a model that cannot fit", lambda: train(huge()), "GB of memory and"),
    ("a device that is none", lambda: train(small(), store=Store(), device="gpu0"), "there is no device 'gpu0'"),
    ("a store in a file", lambda: Store(Path("some.txt")), "is a file where records need a folder"),
    (
        "a store below a file",
        lambda: train(small(), store=Store(Path("some.txt/below"))),
        "cannot write into some.txt/below",
    ),
    ("a store behind a dead link", lambda: train(small(), store=Store(Path("nowhere"))), "a link that leads nowhere"),
    ("a store without a name", lambda: train(small(), store=Store(Path("a\0b"))), "null byte"),
    ("a run that somebody else wrote", lambda: train(small(seed=1), store=Store(Path("runs"))), "is not a run record"),
    ("a checkpoint of another run", lambda: Trainer(small(seed=5), "cpu").load(saved()), "holds another run"),
    ("a checkpoint beyond the end", lambda: Trainer(small(), "cpu").load(saved(step=3)), "step 3 does not lie in 0..2"),
    ("a checkpoint before the start", lambda: Trainer(small(), "cpu").load(saved(step=-3)), "step must be"),
    ("a checkpoint that is text", lambda: Trainer(small(), "cpu").load(Path("some.txt")), "it carries no checksum"),
    ("a checkpoint that is a folder", lambda: Trainer(small(), "cpu").load(Path("empty")), "Is a directory"),
    ("a checkpoint that is missing", lambda: Trainer(small(), "cpu").load(Path("missing")), "No such file"),
    ("a checkpoint that is a pipe", lambda: Trainer(small(), "cpu").load(Path("pipe")), "it is not a file"),
    ("a pipe to write to", lambda: write_json(Path("pipe"), {}), "it is a device or a pipe"),
    ("a device to write to", lambda: write_json(Path("/dev/null"), {}), "it is a device or a pipe"),
    ("a folder to write to", lambda: write_json(Path("empty"), {}), "it is a folder"),
    ("a link to nothing to write to", lambda: write_json(Path("nowhere"), {}), "a link that leads nowhere"),
]


def wide(**changes: Any) -> Run:
    run = small(**changes)
    return Run(run.task, run.task_options, {"width": 2048, "layers": 8, "heads": 8}, run.training)


def long(**changes: Any) -> Run:
    run = small(**changes)
    return Run("depo", {"N": 3, "K": 1, "V": 4, "context": 2**20}, run.model, run.training)


def huge() -> Run:
    return Run("copy", {"n": 4}, {"width": 2**14, "layers": 1000, "heads": 1}, small().training)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with all that may stand in the way; records and home are inside."""
    folder = tmp_path / "here"
    folder.mkdir()
    monkeypatch.chdir(folder)
    monkeypatch.setenv("HOME", str(folder / "home"))
    monkeypatch.setenv("PHYSLM_RUNS", str(folder / "runs"))
    Path("some.txt").write_text("ordinary text\n")
    Path("bad.json").write_text("{")
    Path("binary").write_bytes(bytes(range(256)) * 8)
    for name in ("empty", "home", "runs"):
        Path(name).mkdir()
    Path("runs", f"{small(seed=1).hash}.json").write_text('{"id": "cut off')
    os.mkfifo("pipe")
    for name, target in (("nowhere", "missing/file"), ("loop", "loop"), ("null", "/dev/null")):
        Path(name).symlink_to(target)
    return folder


@contextmanager
def bounded() -> Iterator[None]:
    """End with an error whatever takes too long or too much memory."""
    import resource

    def late(*_: Any) -> None:
        pytest.fail(f"no refusal within {SECONDS} s")

    used = int(Path("/proc/self/statm").read_text().split()[0]) * os.sysconf("SC_PAGE_SIZE") if LINUX else 0
    before, limits = signal.signal(signal.SIGALRM, late), resource.getrlimit(resource.RLIMIT_AS)
    signal.alarm(SECONDS)
    if LINUX:
        resource.setrlimit(resource.RLIMIT_AS, (used + BYTES, limits[1]))
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
        resource.setrlimit(resource.RLIMIT_AS, limits)


LINUX = Path("/proc/self/statm").exists()


def listing(folder: Path) -> list[tuple[str, int, int]]:
    return sorted((str(path), path.lstat().st_mode, path.lstat().st_mtime_ns) for path in folder.rglob("*"))


def rows() -> Iterator[tuple[str, str]]:
    for line in COMMANDS.strip().splitlines():
        command, _, said = line.partition(" => ")
        yield command, said


@pytest.mark.parametrize(("command", "said"), rows(), ids=[command for command, _ in rows()])
def test_a_command_line_is_refused_in_one_sentence(
    here: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, command: str, said: str
) -> None:
    words = [word.format(long="x" * 100_000, escape="\x1b", newline="\n") for word in shlex.split(command)]
    while words and words[0].partition("=")[0] in ("PHYSLM_RUNS", "PHYSLM_SCALE", "HOME"):
        name, _, value = words.pop(0).partition("=")
        monkeypatch.setenv(name, value)
    before = listing(here)
    with bounded():
        code = main(words)
    out, err = capsys.readouterr()
    assert (code, out) == (2, ""), err
    assert said in err
    assert err.startswith("physlm: ") and err.endswith("\n") and err[:-1].isprintable() and len(err) < 1100
    assert listing(here) == before


@pytest.mark.parametrize(("name", "call", "said"), CALLS, ids=[name for name, _, _ in CALLS])
def test_a_call_is_refused_in_one_sentence(here: Path, name: str, call: Callable[[], Any], said: str) -> None:
    Path("runs/changed").touch()
    before = listing(here)
    with bounded(), pytest.raises(ValueError) as caught:
        call()
    assert said in str(caught.value) and "\n" not in str(caught.value)
    assert {entry[0] for entry in listing(here)} == {entry[0] for entry in before}


def test_the_table_is_large_enough() -> None:
    """Every verb and every variable of the environment has its rows."""
    commands = [command for command, _ in rows()]
    assert len(commands) == len(set(commands)) >= 180
    for beginning in (
        "replicate",
        "ledger",
        "sample",
        "passport",
        "bench",
        "recipes",
        "plan",
        "PHYSLM_RUNS=",
        "PHYSLM_SCALE=",
    ):
        assert sum(command.startswith(beginning) for command in commands) >= 3, beginning
