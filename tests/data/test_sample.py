"""`physlm sample`: rows to look at and to take away, and one sentence for each mistake."""

from __future__ import annotations

import argparse
import dataclasses
import json
import re
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path

import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
from data import small_corpus

from physlm_lite.data import to_dataset
from physlm_lite.data.card import name_and_options
from physlm_lite.data.sample import ENDINGS, add_arguments, run, task_of
from physlm_lite.tasks import PRESETS, Copy, Depo, html_view, text_view
from physlm_lite.tasks.presets import KINDS

SMALL = ("copy", "--option", "n=4")


def sample(*arguments: str) -> str | None:
    """What `physlm sample` with these arguments would print."""
    parser = argparse.ArgumentParser()
    add_arguments(parser)
    lines = list(run(parser.parse_args(arguments)))
    return "\n".join(lines) if lines else None


def printed(*arguments: str) -> str:
    text = sample(*arguments)
    assert text is not None
    return text


def needed(kind: str) -> list[str]:
    """Options for what has no default, as the command takes them."""
    return [f"{name}={value}" for name, value in small_corpus.needed(KINDS[kind]).items()]


class Reader(HTMLParser):
    """Checks that tags are closed in order, and that nothing is fetched from elsewhere."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag not in ("script", "link", "img") and not {"src", "href"} & dict(attrs).keys()
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


# -- every kind of task, every format ----------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_each_kind_can_be_looked_at_and_taken_away(kind: str, tmp_path: Path) -> None:
    options = [word for option in needed(kind) for word in ("--option", option)]
    words = [kind, *options, "--rows", "2", "--seed", "3", "--step", "5", "--split", "test"]
    task = task_of(kind, None, needed(kind))
    batch, expected = task.batch(3, 5, 2, "test"), list(to_dataset(task, 2, 3, "test", 5, text=True))
    assert printed(*words) == "\n\n".join(
        f"row {row} of step 5, test, seed 3\n{text_view(task, batch, row)}" for row in range(2)
    )
    page = printed(*words, "--format", "html")
    Reader(page)
    assert page.startswith("<!doctype html>") and all(html_view(task, batch, row) in page for row in range(2))
    assert [json.loads(line) for line in printed(*words, "--format", "jsonl").split("\n")] == expected
    assert sample(*words, "--into", str(tmp_path / "rows.parquet")) is None
    assert pyarrow.parquet.read_table(tmp_path / "rows.parquet").to_pylist() == expected


def test_by_default_one_row_of_training_is_printed() -> None:
    assert printed(*SMALL) == "\n".join(
        [
            "row 0 of step 0, train, seed 0",
            "tokens <bos> 2 3 4 1 <query> 2 3 4 1",
            "labels     . . . . .       2 3 4 1 .",
            "loss       0 0 0 0 0       1 1 1 1 0",
        ]
    )


@pytest.mark.parametrize("form", ["text", "html", "jsonl"])
def test_a_file_holds_what_would_be_printed(form: str, tmp_path: Path) -> None:
    shown = printed(*SMALL, "--rows", "3", "--format", form)
    for path, words in ((tmp_path / f"rows{ENDINGS[form]}", ()), (tmp_path / "below" / "rows", ("--format", form))):
        path.parent.mkdir(exist_ok=True)
        path.write_text("old")
        with pytest.raises(ValueError, match=f"cannot write {path}: it exists already; .* or replace it with --force"):
            sample(*SMALL, "--rows", "3", "--into", str(path), *words)
        assert path.read_text() == "old"
        assert sample(*SMALL, "--rows", "3", "--into", str(path), *words, "--force") is None
        assert path.read_text() == shown + "\n"
        assert [other.name for other in path.parent.iterdir() if other.is_file()] == [path.name]


def test_an_unknown_ending_means_text(tmp_path: Path) -> None:
    sample(*SMALL, "--into", str(tmp_path / "rows.log"))
    assert (tmp_path / "rows.log").read_text() == printed(*SMALL) + "\n"


# -- the task ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", PRESETS)
def test_each_preset_is_found_under_its_kind(name: str) -> None:
    assert task_of(name_and_options(PRESETS[name])[0], name) == PRESETS[name]


def test_options_change_a_preset() -> None:
    preset = PRESETS["depo2-n75"]
    assert isinstance(preset, Depo)
    assert task_of("depo", "depo2-n75", ["N=9", "context=None"]) == dataclasses.replace(preset, N=9, context=None)
    assert task_of("copy", None, ["n=9", "n=7"]) == Copy(n=7), "the last word counts"


@dataclass(frozen=True)
class Options:
    people: int
    share: float = 0.5
    names: tuple[int, ...] | None = None
    pair: tuple[int, str] = (1, "a")
    mark: bool = True
    grammar: str = "cfg3f"
    folder: str | None = None


def test_what_has_no_default_is_asked_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("physlm_lite.tasks.presets.KINDS", {"census": Options})
    with pytest.raises(
        ValueError, match=r"^census has no default for people; say --option people=\.\.\. or name a --preset$"
    ):
        task_of("census", None, ["mark=False"])
    assert task_of("census", None, ["people=3"]) == Options(3)


# -- mistakes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["coppy"], "unknown task 'coppy'; did you mean 'copy'?"),
        (["depo1-n225"], "depo1-n225 is a preset; say `physlm sample depo --preset depo1-n225`"),
        (["depo", "--preset", "depo1-n252"], "unknown task preset 'depo1-n252'; did you mean 'depo1-n225'?"),
        (
            ["copy", "--preset", "depo1-n225"],
            "depo1-n225 is a preset of depo, not of copy; say `physlm sample depo --preset",
        ),
        (["copy", "--option", "m=3"], "unknown Copy option 'm'"),
        (["copy", "--option", "n=1"], "Copy option n must be a whole number from 2 to 16,383, not 1"),
        ([*SMALL, "--format", "htm"], "unknown format 'htm'; did you mean 'html'?"),
        ([*SMALL, "--format", "parquet"], "say where it goes with --into FILE, or take --format jsonl"),
        ([*SMALL, "--rows", "0"], "rows must be a whole number of at least 1"),
        ([*SMALL, "--rows", "-2", "--format", "jsonl"], "rows must be a whole number of at least 1"),
        ([*SMALL, "--seed", "-1"], "seed must be a whole number of at least 0"),
        ([*SMALL, "--step", "-1"], "step must be a whole number of at least 0"),
        ([*SMALL, "--split", "valid"], "split must be 'train' or 'test', not 'valid'"),
    ],
)
def test_a_mistake_is_answered_in_one_sentence(words: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=re.escape(said)) as error:
        sample(*words)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("ending", ENDINGS.values())
def test_a_file_that_cannot_be_written_is_named(tmp_path: Path, ending: str) -> None:
    (tmp_path / "file").write_text("a file")
    folder = tmp_path / f"folder{ending}"
    folder.mkdir()
    for path, reason in ((tmp_path / "file" / f"rows{ending}", "Not a directory"), (folder, "it is a folder")):
        with pytest.raises(ValueError, match=re.escape(f"cannot write {path}: {reason}")):
            sample(*SMALL, "--into", str(path))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", folder.name]
