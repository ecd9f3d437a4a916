"""What every test stands on: records in a folder of its own, and small runs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from physlm_lite.training import Run, Training


@pytest.fixture(scope="session", autouse=True)
def _no_records_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Fixtures of a whole module run before a test's own, so there is a folder for them, too."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PHYSLM_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.delenv("PHYSLM_SCALE", raising=False)
        yield


@pytest.fixture(autouse=True)
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of this test's records; nothing is ever written into the user's own."""
    monkeypatch.setenv("PHYSLM_RUNS", str(tmp_path / "runs"))
    return tmp_path / "runs"


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Equality to the bit holds for one number of threads."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture
def tiny() -> Run:
    """A run of a tenth of a second, with all that a run can have: Canon layers, several evaluations, a warm-up."""
    return Run(
        "depo",
        {"N": 6, "K": 2, "V": 6, "longest": 1, "queries": 4, "sizes": "fixed"},
        {"width": 16, "layers": 1, "heads": 1, "canon": "ABCD"},
        Training(steps=12, batch=4, warmup=3, evaluations=3, evaluation_rows=8),
    )
