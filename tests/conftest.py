"""What every test stands on: records in a folder of its own, and small runs; and the sample of those that grow in number.

A test that exists once for each claim, record or lesson is marked `sampled`, with how many days a whole round takes. With
`--sample`, as in `make test`, only the share of one day of the year is run, so that the time does not grow with the claims.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator
from datetime import date
from pathlib import Path

import pytest
import torch

from physlm_lite.training import Run, Training


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--sample",
        nargs="?",
        const=date.today().timetuple().tm_yday,
        type=int,
        metavar="DAY",
        help="of the tests marked `sampled`, run the share of a day of the year (default: today)",
    )


def pytest_report_header(config: pytest.Config) -> str | None:
    day = config.option.sample
    return None if day is None else f"sample: day {day} (--sample {day} repeats it; without --sample, all are run)"


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    day, families = config.option.sample, defaultdict(list)
    if day is None:
        return
    for item in items:
        if mark := item.get_closest_marker("sampled"):
            families[item.nodeid.partition("[")[0], mark.args[0]].append(item)
    left = {item for (_, days), family in families.items() for i, item in enumerate(family) if (i - day) % days}
    config.hook.pytest_deselected(items=list(left))
    items[:] = [item for item in items if item not in left]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Say which ones were run."""
    families = defaultdict(list)
    for reports in terminalreporter.stats.values():
        for report in reports:
            if getattr(report, "when", "") == "call" and "sampled" in report.keywords:
                name, _, case = report.nodeid.rpartition("::")[2].partition("[")
                families[name].append(case.rstrip("]"))
    if families and terminalreporter.config.option.sample is not None:
        terminalreporter.section("sample of the day")
        for name, cases in sorted(families.items()):
            terminalreporter.line(f"{name}: {', '.join(sorted(cases))}")


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
