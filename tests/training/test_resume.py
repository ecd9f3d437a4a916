"""A run that was stopped or killed, and started again, ends with the same bits."""

from __future__ import annotations

import dataclasses
import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import skip_reasons
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

import physlm_lite
from physlm_lite.training import Progress, Record, Run, StorageError, Store, Trainer, train

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
    assert [path.name for path in runs.glob("*") if path.suffix != ".part"] == [f"{run.hash}.json"]


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


def without_a_weight(path: Path) -> None:
    rewrite(path, lambda tensors: tensors.pop("model.head.weight"))


def without_a_moment(path: Path) -> None:
    rewrite(path, lambda tensors: tensors.pop("adam.exp_avg.head.weight"))


def with_a_misshapen_weight(path: Path) -> None:
    rewrite(path, lambda tensors: tensors.update({"model.head.weight": torch.zeros(3, 5)}))


def without_metadata(path: Path) -> None:
    save_file(load_file(path), path)


def with_half_the_metadata(path: Path) -> None:
    save_file(load_file(path), path, {"physlm": json.dumps({"run": metadata_of(path)["run"]})})


def metadata_of(path: Path) -> dict[str, Any]:
    raw = path.read_bytes()
    header = json.loads(raw[8 : 8 + int.from_bytes(raw[:8], "little")])
    return json.loads(header["__metadata__"]["physlm"])


def rewrite(path: Path, change: Any) -> None:
    tensors, metadata = load_file(path), metadata_of(path)
    change(tensors)
    save_file(tensors, path, {"physlm": json.dumps(metadata)})


@pytest.mark.parametrize(
    "damage",
    [
        truncate,
        zeros,
        lambda path: path.write_bytes(b""),
        lambda path: path.write_text("not a checkpoint"),
        without_a_weight,
        without_a_moment,
        with_a_misshapen_weight,
        without_metadata,
        with_half_the_metadata,
    ],
)
def test_a_damaged_checkpoint_is_named_in_one_sentence(tiny: Run, checkpoint: Path, damage: Any) -> None:
    damage(checkpoint)
    with pytest.raises(StorageError) as caught:
        train(tiny, store=Store(), device="cpu")
    message = str(caught.value)
    assert message.startswith(f"{checkpoint} is not a ")
    assert re.search(r"; delete it to begin anew$", message)
    assert "\n" not in message
    checkpoint.unlink()
    assert train(tiny, store=Store(), device="cpu").status == "finished"
