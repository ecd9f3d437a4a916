"""A reader's progress: a small file that is written whole, read strictly, and kept to this machine."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from physlm_lite.lab import attempts, progress, show
from physlm_lite.lab.attempts import Attempts, exercises_of, note, progress_file
from physlm_lite.lessons.start_here import check


def test_attempts_are_noted_where_somebody_is_and_shown_as_a_card(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(show, "someone_is_there", lambda: False)
    check("best_rate", check.exercises["best_rate"].reference)
    assert not progress_file().exists() and "No exercise is attempted yet" in progress().text
    monkeypatch.setattr(show, "someone_is_there", lambda: True)
    check("best_rate", lambda scores: ...)
    assert not progress_file().exists(), "an open exercise is no attempt"
    check("best_rate", check.exercises["best_rate"].wrong["the luckiest seed"])
    check("verdict", lambda *sides: 1 / 0)
    assert progress_file() == runs.parent / "progress.json"
    assert attempts.attempts() == {"best_rate": Attempts(False, 1, "the luckiest seed"), "verdict": Attempts(False, 1)}
    assert "✗ best_rate (the luckiest seed), ✗ verdict, … extra_parameters" in progress().text
    for _ in range(2):
        check("best_rate", check.exercises["best_rate"].reference)
    check("best_rate", check.exercises["best_rate"].wrong["the worst rate"])
    assert attempts.attempts()["best_rate"] == Attempts(True, 4, "the worst rate")
    card = progress().text
    assert "1 of" in card and "✓ best_rate" in card and str(runs.parent) not in card


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "cannot be read"),
        ('{"format": 2, "exercises": {}}', "expected format 1"),
        ('{"format": 1, "exercises": {"canon": {"right": 1}}}', "right must be"),
        ('{"format": 1, "exercises": {"canon": {"tried": 1}}}', "did you mean 'tries'"),
    ],
)
def test_a_file_that_is_not_whole_is_left_alone_and_the_card_says_so(content: str, said: str) -> None:
    progress_file().parent.mkdir(parents=True, exist_ok=True)
    progress_file().write_text(content)
    note("canon", True)
    assert progress_file().read_text() == content
    assert said in progress().text and "remove it to begin anew" in progress().text


def test_two_notebooks_lose_nothing_of_each_other() -> None:
    threads = [threading.Thread(target=lambda: [note("canon", False) for _ in range(8)]) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert attempts.attempts()["canon"].tries == 16


def test_no_two_exercises_have_one_name() -> None:
    names = [name for names in exercises_of().values() for name in names]
    assert len(names) == len(set(names)) > 50
