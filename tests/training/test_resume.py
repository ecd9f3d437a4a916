"""A run that was stopped or killed, and started again, ends with the same bits."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import physlm_lite
from physlm_lite.base.files import load_tensors, save_tensors
from physlm_lite.training import Progress, Record, Run, StorageError, Store, Trainer, train
from physlm_lite.training.trainer import TIMES, WHOLE

pytestmark = pytest.mark.usefixtures("one_thread")

State = tuple[list[dict[str, Any]], dict[str, Tensor]]

# Each child of this process is killed at a random moment of its work: in a step, in an evaluation, in a write.
# (They are forked because PyTorch takes seconds to import, some of it with the first optimiser.) It prints the first
# and the last step that each of them reported.
KILLS = """
import json, os, random, signal, sys, time
from pathlib import Path
import torch
from physlm_lite.training import Run, Store, Trainer, train
torch.set_num_threads(1)
run, store, told = Run.from_dict(json.loads(sys.argv[1])), Store(Path(sys.argv[2])), []
Trainer(run, "cpu")
for _ in range(5):
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        report = lambda p: os.write(write, b"%d\\n" % p.step)
        try:
            train(run, store=store, device="cpu", checkpoint_seconds=0, progress=report)
        finally:
            os._exit(1)
    os.close(write)
    with os.fdopen(read) as lines:
        first = last = int(next(lines))
        enough = first + random.randint(2, 10)
        for line in lines:
            last = int(line)
            if last == enough:
                time.sleep(random.uniform(0, 0.02))
                os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(os.waitpid(child, 0)[1])
    told.append((first, last))
print(json.dumps(told))
"""


class Killed(BaseException):
    """Leaves the loop as abruptly as can be done inside one process."""


def finish(run: Run, store: Store | None = None) -> State:
    """Carry the run out to its end; the curve without its times, and weights with the optimiser's moments."""
    state: dict[str, Tensor] = {}

    def keep(trainer: Trainer) -> None:
        state.update({name: p.detach().clone() for name, p in trainer.model.named_parameters()})
        state.update(
            {
                f"{trainer.names[p]} {key}": value
                for p, moments in trainer.optimizer.state.items()
                for key, value in moments.items()
            }
        )

    record = train(run, store=store, keep=keep, device="cpu")
    assert record.status == "finished"
    return [{k: v for k, v in point.items() if k != "seconds"} for point in record.curve], state


def assert_same(ours: State, uninterrupted: State) -> None:
    assert ours[0] == uninterrupted[0]
    assert ours[1].keys() == uninterrupted[1].keys()
    assert [name for name in ours[1] if not torch.equal(ours[1][name], uninterrupted[1][name])] == []


def interrupt(run: Run, store: Store, step: int, checkpoint_seconds: float = 0.0) -> None:
    def progress(report: Progress) -> None:
        if report.step >= step:
            raise Killed

    with pytest.raises(Killed):
        train(run, store=store, progress=progress, device="cpu", checkpoint_seconds=checkpoint_seconds)


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_killed_processes_leave_nothing_but_a_checkpoint_to_go_on_from(tiny: Run, runs: Path) -> None:
    run = tiny.but(steps=80, evaluations=20)
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    process = subprocess.run(
        [sys.executable, "-c", KILLS, json.dumps(run.to_dict()), str(runs)],
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert process.returncode == 0, process.stderr
    before = 0
    for first, last in json.loads(process.stdout):
        assert before <= first <= before + 1  # nothing was lost but, at most, the step that waited to be saved
        before = last
    assert 10 <= before < 80
    assert not (runs / f"{run.hash}.json").exists()
    assert_same(finish(run, Store(runs)), finish(run))
    assert [path.name for path in runs.iterdir()] == [f"{run.hash}.json"]


@pytest.mark.parametrize("steps", [(1,), (4, 4, 5), (3, 8, 11), (2, 7, 9, 12)])
def test_interruptions_at_any_step_do_not_show(tiny: Run, runs: Path, steps: tuple[int, ...]) -> None:
    for step in steps:  # at an evaluation (4, 8, 12), before and after it, and twice at one place
        interrupt(tiny, Store(), step)
    assert_same(finish(tiny, Store()), finish(tiny))


def test_what_was_not_saved_is_done_again(tiny: Run, runs: Path) -> None:
    interrupt(tiny, Store(), 6)  # saves after step 5
    interrupt(tiny, Store(), 9, checkpoint_seconds=1e9)
    trainer = Trainer(tiny, "cpu")
    trainer.load(runs / f"{tiny.hash}.safetensors")
    assert trainer.step == 5
    assert_same(finish(tiny, Store()), finish(tiny))


@pytest.mark.parametrize("options", [{"tied": True}, {"canon_frozen": True}, {"qk_norm": True}])
def test_every_kind_of_parameter_goes_through_a_checkpoint(tiny: Run, runs: Path, options: dict[str, bool]) -> None:
    run = dataclasses.replace(tiny, model={**tiny.model, **options})
    interrupt(run, Store(), 7)
    assert (runs / f"{run.hash}.safetensors").exists()
    assert_same(finish(run, Store()), finish(run))


def test_a_model_has_no_state_but_its_parameters(tiny: Run) -> None:
    """Checkpoints hold parameters alone."""
    assert list(Trainer(tiny, "cpu").model.buffers()) == []


def test_bfloat16_and_packed_windows_resume_to_the_bit_too(tiny: Run, runs: Path) -> None:
    run = dataclasses.replace(tiny.but(dtype="bfloat16"), task_options={**tiny.task_options, "context": 96})
    interrupt(run, Store(), 5)
    assert_same(finish(run, Store()), finish(run))


# -- stopping ----------------------------------------------------------------------------------------------------------


def stop_after(run: Run, steps: int) -> Record:
    count = iter(range(steps))
    return train(run, store=Store(), device="cpu", stop=lambda: next(count, None) is None)


def test_a_stopped_run_goes_on_where_it_stopped(tiny: Run, runs: Path) -> None:
    records = [stop_after(tiny, steps) for steps in (0, 5, 3)]
    assert [record.status for record in records] == ["stopped"] * 3
    assert [record.final.get("step") for record in records] == [None, 4, 8]
    assert_same(finish(tiny, Store()), finish(tiny))
    assert [path.name for path in runs.iterdir()] == [f"{tiny.hash}.json"]


def test_the_record_of_a_stopped_run_is_not_taken_for_its_result(tiny: Run, runs: Path) -> None:
    stop_after(tiny, 5)
    assert (runs / f"{tiny.hash}.json").exists()
    assert Store().find(tiny) is None
    assert train(tiny, store=Store(), device="cpu").status == "finished"
    found = Store().find(tiny)
    assert found is not None and found.final["step"] == 12


def test_a_stop_does_not_wait_for_a_long_evaluation_which_is_made_up_for(
    tiny: Run, runs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        evaluate = Trainer.evaluate
        patch.setattr(Trainer, "evaluate", lambda trainer: time.sleep(0.25) or evaluate(trainer))
        record = stop_after(tiny, 4)  # the fifth question comes in the middle of the first evaluation
    assert (record.status, record.curve) == ("stopped", [])
    _, state = load_tensors(runs / f"{tiny.hash}.safetensors")
    assert (state["step"], state["curve"], state["loss_count"]) == (4, [], 4)
    assert stop_after(tiny, 1).final["step"] == 4
    assert_same(finish(tiny, Store()), finish(tiny))


def test_a_stop_never_replaces_a_finished_record(tiny: Run) -> None:
    whole = train(tiny, store=Store(), device="cpu")
    record = train(tiny, store=Store(), device="cpu", stop=lambda: True, keep=lambda trainer: None)
    assert record.status == "stopped"
    found = Store().find(tiny)
    assert found is not None and found.curve == whole.curve


def test_a_known_run_is_not_run_again_unless_its_model_is_wanted(tiny: Run) -> None:
    first = train(tiny, store=Store(), device="cpu")
    steps: list[Progress] = []
    assert train(tiny, store=Store(), progress=steps.append, device="cpu").curve == first.curve
    assert steps == []
    train(tiny, store=Store(), progress=steps.append, keep=lambda trainer: None, device="cpu")
    assert len(steps) == 12


# -- checkpoints that cannot be used -----------------------------------------------------------------------------------


@pytest.fixture
def checkpoint(tiny: Run, runs: Path) -> Iterator[Path]:
    interrupt(tiny, Store(), 6)
    yield runs / f"{tiny.hash}.safetensors"


def test_the_checkpoint_of_another_run_is_refused(tiny: Run, checkpoint: Path) -> None:
    other = tiny.but(seed=1)
    checkpoint.rename(checkpoint.with_name(f"{other.hash}.safetensors"))
    with pytest.raises(ValueError, match="holds another run; a checkpoint continues only the run that wrote it"):
        train(other, store=Store(), device="cpu")


def truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-100])


def zeros(path: Path) -> None:
    path.write_bytes(bytes(path.stat().st_size))


def without_metadata(path: Path) -> None:
    save_file(load_file(path), path)


def without_a_checksum(path: Path) -> None:
    tensors, state = load_tensors(path)
    save_file(tensors, path, {"physlm": json.dumps(state)})


def tensors_with(change: Callable[[dict[str, Tensor]], object]) -> Callable[[Path], None]:
    """Change the tensors of a checkpoint and seal it anew: it is whole, but no state of this run."""

    def damage(path: Path) -> None:
        tensors, state = load_tensors(path)
        change(tensors)
        save_tensors(path, tensors, state)

    return damage


def state_with(**changes: Any) -> Callable[[Path], None]:
    """The same for its counters; None takes one out."""

    def damage(path: Path) -> None:
        tensors, state = load_tensors(path)
        save_tensors(path, tensors, {k: v for k, v in {**state, **changes}.items() if v is not None})

    return damage


HEAD, MOMENT = "model.head.weight", "adam.exp_avg.head.weight"
POINT = {"step": 4, "seconds": 0.1, "tokens": 1, "loss": 1.0}


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (truncate, "checksum is wrong"),
        (zeros, "no checksum"),
        (lambda path: path.write_bytes(b""), "no checksum"),
        (lambda path: path.write_text("not a checkpoint"), "no checksum"),
        (without_metadata, "no checksum"),
        (without_a_checksum, "no checksum"),
        (tensors_with(lambda tensors: tensors.pop(HEAD)), f"{HEAD} is missing"),
        (tensors_with(lambda tensors: tensors.pop(MOMENT)), f"{MOMENT} is missing"),
        (tensors_with(lambda tensors: tensors.update(other=torch.zeros(1))), "other is too much"),
        (tensors_with(lambda tensors: tensors.update({HEAD: torch.zeros(3, 5)})), r"instead of torch.float32 \["),
        # would be broadcast, and train on
        (tensors_with(lambda tensors: tensors.update({HEAD: torch.zeros(16)})), r"instead of torch.float32 \["),
        (tensors_with(lambda tensors: tensors.update({HEAD: tensors[HEAD].bfloat16()})), "is torch.bfloat16"),
        (tensors_with(lambda tensors: tensors.update({MOMENT: tensors[MOMENT].double()})), "is torch.float64"),
        *((state_with(**{name: None}), f"{name} must be") for name in (*WHOLE, *TIMES)),
        (state_with(step=-1), "step must be a whole number from 0 up"),
        (state_with(step=5.0), "step must be a whole number from 0 up"),
        (state_with(step=True), "step must be a whole number from 0 up"),
        (state_with(step=13), r"step 13 does not lie in 0..12"),
        (state_with(step=0), "does not lie in|too much"),
        (state_with(loss_count=6), "does not lie in"),
        (state_with(tokens=-5), "tokens must be"),
        (state_with(seconds=float("nan")), "seconds must be a number from 0 up"),
        (state_with(seconds=float("inf")), "seconds must be a number from 0 up"),
        (state_with(loss_sum="1"), "loss_sum must be"),
        (state_with(curve=None), "its curve has other steps"),
        (state_with(curve=[]), "its curve has other steps"),
        (state_with(curve=[1]), "its curve has other steps"),
        (state_with(step=4, curve=[], loss_count=0), "its curve has other steps"),
        (state_with(curve=[POINT, POINT]), "its curve has other steps"),
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_sentence(
    tiny: Run, checkpoint: Path, damage: Callable[[Path], object], said: str
) -> None:
    damage(checkpoint)
    before = checkpoint.read_bytes()
    with pytest.raises(StorageError, match=said) as caught:
        train(tiny, store=Store(), device="cpu")
    message = str(caught.value)
    assert message.startswith(f"{checkpoint} is not a whole checkpoint of ")
    assert message.endswith("; delete it to begin anew") and "\n" not in message
    assert checkpoint.read_bytes() == before
    checkpoint.unlink()
    assert train(tiny, store=Store(), device="cpu").status == "finished"


def test_every_kind_of_flipped_bit_in_a_checkpoint_is_found(tiny: Run, checkpoint: Path) -> None:
    """In its header, its weights, its moments and its counters: none is trained on."""
    good, trainer = checkpoint.read_bytes(), Trainer(tiny, "cpu")
    start = {name: p.detach().clone() for name, p in trainer.model.named_parameters()}
    for place in [*range(0, 2000, 7), *range(2000, len(good), 97), len(good) - 1]:
        bad = bytearray(good)
        bad[place] ^= 1 << place % 8
        checkpoint.write_bytes(bad)
        with pytest.raises(StorageError, match="is not a whole checkpoint"):
            trainer.load(checkpoint)
    assert trainer.step == 0 and all(torch.equal(start[name], p) for name, p in trainer.model.named_parameters())
    checkpoint.write_bytes(good)
    assert_same(finish(tiny, Store()), finish(tiny))


# -- one run, one process ----------------------------------------------------------------------------------------------

RUNNER = """
import json, sys
from pathlib import Path
import torch
from physlm_lite.training import Run, Store, train
torch.set_num_threads(1)
steps = 0
def count(progress):
    global steps
    steps += 1
    if steps == 1:
        print("training", flush=True)
run, store = Run.from_dict(json.loads(sys.argv[1])), Store(Path(sys.argv[2]))
record = train(run, store=store, device="cpu", checkpoint_seconds=0, progress=count)
print(json.dumps([steps, record.to_dict()]))
"""


def runner(run: Run, folder: Path) -> subprocess.Popen[str]:
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(physlm_lite.__file__).parents[1])}
    command = [sys.executable, "-c", RUNNER, json.dumps(run.to_dict()), str(folder)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_of_two_processes_on_one_run_one_works_and_the_other_waits_for_its_record(tiny: Run, runs: Path) -> None:
    run = tiny.but(steps=200, evaluations=4)
    processes = [runner(run, runs) for _ in range(2)]
    said = [process.communicate(timeout=120) for process in processes]
    assert [process.returncode for process in processes] == [0, 0], said
    answers = [json.loads(out.splitlines()[-1]) for out, _ in said]
    assert sorted(steps for steps, _ in answers) == [0, 200]
    assert answers[0][1]["curve"] == answers[1][1]["curve"]
    assert [path.name for path in runs.iterdir()] == [f"{run.hash}.json"]


@pytest.mark.skipif(os.name != "posix", reason=skip_reasons.NOT_POSIX)
def test_the_lock_of_a_killed_process_keeps_nobody_waiting(
    tiny: Run, runs: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = tiny.but(steps=10**6, evaluations=1)
    with runner(run, runs) as process:
        assert process.stdout is not None and process.stdout.readline() == "training\n"
        asked = iter(range(3))
        record = train(run, store=Store(runs), device="cpu", stop=lambda: next(asked, None) is None)
        assert (record.status, record.curve) == ("stopped", [])
        assert caplog.messages == [
            f"run {run.hash} is being carried out already, by another process or thread: waiting for it"
        ]
        process.kill()
    steps: list[int] = []
    record = train(
        run, store=Store(runs), device="cpu", progress=lambda p: steps.append(p.step), stop=lambda: len(steps) > 2
    )
    assert record.status == "stopped" and steps[0] > 1  # it went on from the other's checkpoint
    assert sorted(path.suffix for path in runs.iterdir()) == [".json", ".safetensors"]


def test_threads_on_one_run_wait_for_each_other_too(tiny: Run, runs: Path) -> None:
    steps: list[Progress] = []
    with ThreadPoolExecutor(3) as pool:
        jobs = [pool.submit(train, tiny, store=Store(), device="cpu", progress=steps.append) for _ in range(3)]
    assert len(steps) == 12
    assert len({json.dumps(job.result().curve) for job in jobs}) == 1
