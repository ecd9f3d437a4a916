"""What every task shares: row numbers, splits, the two views, presets."""

import math
import re
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils._pytree import tree_map

from physlm_lite.base.strict import UnknownName, build, unknown
from physlm_lite.tasks import PRESETS, Batch, Copy, Depo, html_view, preset, text_view
from physlm_lite.tasks.batch import accuracy, row_numbers
from physlm_lite.tasks.presets import make_task

TINY = Depo(N=3, K=2, V=4, longest=1, queries=2, sizes="fixed", context=24)


def test_rows_are_a_count_or_a_range():
    assert row_numbers(3).tolist() == [0, 1, 2]
    assert row_numbers(np.int64(3)).tolist() == [0, 1, 2]
    assert row_numbers(range(7, 1, -2)).tolist() == [7, 5, 3]


@pytest.mark.parametrize("task", [TINY, Copy(n=4)])
def test_only_two_splits(task):
    with pytest.raises(ValueError, match="'train' or 'test', not 'valid'"):
        task.batch(0, 0, 1, "valid")


def test_packed_means_more_than_one_example():
    def batch(*document):
        return Batch(torch.zeros(1, 3), torch.zeros(1, 3), torch.tensor([document]))

    assert batch(0, 0, 1).packed
    assert not batch(0, 0, 0).packed
    assert not batch(0, 0, -1).packed


@pytest.mark.parametrize("task", [TINY, Copy(n=4), Depo(N=5, K=3, V=3, shortest=2, longest=3, context=200)])
def test_text_view_shows_tokens_over_labels_over_mask(task):
    batch = task.batch(1, 2, 2)
    for row in range(2):
        lines = text_view(task, batch, row, width=10_000).split("\n")
        words = [line.split()[1:] for line in lines]
        tokens, targets = batch.tokens[row].tolist(), batch.targets[row].tolist()
        assert words[0] == [task.vocabulary[t] for t in tokens]
        expected = [task.vocabulary[tokens[i + 1]] if targets[i + 1] else "." for i in range(len(tokens) - 1)]
        assert words[1] == [*expected, "."]
        assert words[2] == ["0" if label == "." else "1" for label in words[1]]
        # aligned: in each line the i-th word ends at the same place
        ends = [[match.end() for match in re.finditer(r"\S+", line)] for line in lines]
        assert ends[0][1:] == ends[1][1:] == ends[2][1:]


def test_a_long_row_is_shown_in_aligned_blocks_of_the_asked_width():
    task = Depo(N=5, K=3, V=3, shortest=2, longest=3, context=200)
    batch = task.batch(1, 2, 1)
    blocks = [block.split("\n") for block in text_view(task, batch, width=60).split("\n\n")]
    assert len(blocks) > 3
    assert all(len(line) <= 60 for block in blocks for line in block)
    assert all(len(block) == 3 for block in blocks)
    whole = text_view(task, batch, width=10_000).split("\n")
    for number, line in enumerate(whole):  # nothing is lost or moved between the blocks
        assert [word for block in blocks for word in block[number].split()[1:]] == line.split()[1:]


def test_views_leave_out_padding():
    task = Copy(n=9, shortest=1)
    batch = task.batch(0, 0, 8)
    row = int(batch.document.sum(1).argmin())  # the shortest row
    inside = int((batch.document[row] == 0).sum())
    assert inside < batch.tokens.shape[1]
    assert len(text_view(task, batch, row).split("\n")[0].split()) == 1 + inside
    assert html_view(task, batch, row).count("<span title") == inside


def test_html_view_colours_targets_and_separates_examples():
    batch = TINY.batch(0, 0, 1)
    page = html_view(TINY, batch)
    names = re.findall(r"<span title[^>]*>([^<]*)</span>", page)
    assert names == [TINY.vocabulary[t].replace("<", "&lt;").replace(">", "&gt;") for t in batch.tokens[0].tolist()]
    yellow = ["#ffe99a" in span for span in re.findall(r"<span title[^>]*>", page)]
    assert yellow == batch.targets[0].tolist() and any(yellow) and not all(yellow)
    assert page.count("border-left") == int(batch.document.max()) >= 1


CONTEXTS = {
    "copy": 1002,
    "depo": 2048,
    "brevo1": 1024,
    "brevo2": 1536,
    "mano": 1024,
    "capo": 512,
    "lano-cfg3j": 1536,
    "lano-cfg3k": 1536,
    "lano-brackets": 192,
    "lano": 512,
    "text": 128,
    "births": 128,
}  # Part 4.1, appendix A


@pytest.mark.parametrize("name", PRESETS)
@pytest.mark.parametrize("split", ["train", "test"])
def test_every_preset_gives_a_batch_of_its_context(name, split):
    task = preset(name)
    batch = task.batch(0, 0, 2, split)
    context = next(width for start, width in CONTEXTS.items() if name.startswith(start))
    if name.startswith("capo") and split == "test":  # a person's biography a row
        assert batch.tokens.shape[1] <= context
    else:
        assert batch.tokens.shape == (2, context)
    assert batch.tokens.dtype == batch.document.dtype == torch.int64 and batch.targets.dtype == torch.bool
    assert batch.targets.shape == batch.document.shape == batch.tokens.shape
    assert 0 <= int(batch.tokens.min()) <= int(batch.tokens.max()) < len(task.vocabulary)
    assert len(set(task.vocabulary)) == len(task.vocabulary)
    grades = task.grade(batch, batch.tokens)
    assert next(grades[key] for key in ("accuracy", "token_accuracy", "teacher_forced") if key in grades) == 1.0


def test_presets_are_the_published_settings():
    assert {
        name: (task.N, task.K, task.V, task.shortest, task.longest)
        for name, task in PRESETS.items()
        if isinstance(task, Depo)
    } == {
        **{f"depo1-n{N}": (N, 8, 50, 1, 2) for N in (225, 300, 375)},
        **{f"depo1-n{N}-k4": (N, 4, 50, 1, 2) for N in (225, 300, 375)},
        **{f"depo2-n{N}": (N, 16, 3, 5, 7) for N in (75, 100, 125)},
        **{f"depo2-n{N}-k4": (N, 4, 3, 5, 7) for N in (75, 100, 125)},
        **{f"depo2-n{N}-v4": (N, 16, 4, 5, 7) for N in (75, 100, 125)},
    }


@pytest.mark.parametrize(
    "call, hint",
    [
        (lambda: preset("depo1-n252"), "unknown task preset 'depo1-n252'; did you mean 'depo1-n225'?"),
        (lambda: make_task("deppo", {}), "unknown task 'deppo'; did you mean 'depo'? (valid: copy, depo, brevo"),
        (lambda: make_task("depo", {"query": 3}), "unknown Depo option 'query'; did you mean 'queries'?"),
        (lambda: make_task("copy", {"short": 3}), "unknown Copy option 'short'; did you mean 'shortest'?"),
    ],
)
def test_unknown_names_get_the_nearest_one(call, hint):
    with pytest.raises(UnknownName) as error:
        call()
    assert hint in str(error.value)


def test_names_that_resemble_nothing_get_the_whole_list():
    assert str(unknown("scale", "zzz", ["smoke", "toy"])) == "unknown scale 'zzz'; (valid: smoke, toy)"
    assert "did you mean 'N'?" in str(unknown("option", "n", ["K", "N"]))


@dataclass(frozen=True)
class Pair:
    sizes: tuple[int, int]


def test_options_make_a_task():
    assert make_task("depo", {"N": 9, "K": 3}) == Depo(N=9, K=3)
    assert make_task("copy", {"n": 9, "shortest": 2}) == Copy(9, 2)
    assert build(Pair, {"sizes": [1, 2]}) == Pair((1, 2))  # a tuple from JSON's list, so that it can be hashed


def test_the_standard_error_knows_that_answers_of_one_example_hang_together():
    apart = accuracy([[True], [False]] * 50)
    together = accuracy([[True] * 10, [False] * 10] * 5)
    assert apart["accuracy"] == together["accuracy"] == 0.5 and apart["count"] == together["count"] == 100
    assert apart["standard_error"] == pytest.approx(0.05)  # sqrt(p (1 - p) / 100)
    assert together["standard_error"] == pytest.approx(0.5 / 10**0.5)  # ten examples, not a hundred
    assert accuracy([[True, True, False, False]])["standard_error"] == pytest.approx(0.25)
    assert math.isnan(accuracy([])["accuracy"]) and accuracy([[]])["count"] == 0


def test_the_standard_error_covers_the_spread_of_repeated_tests():
    draws = np.random.default_rng(0)
    sizes = draws.integers(1, 12, size=(400, 60))
    skill = draws.beta(2, 3, size=sizes.shape)  # each example has its own difficulty
    tests = [
        accuracy([list(draws.random(m) < p) for m, p in zip(*pair, strict=True)])
        for pair in zip(sizes, skill, strict=True)
    ]
    spread = np.std([test["accuracy"] for test in tests])
    assert np.mean([test["standard_error"] for test in tests]) == pytest.approx(spread, rel=0.1)


# -- a container that others know --------------------------------------------------------------------------------------


def test_a_batch_is_moved_like_any_named_tuple() -> None:
    batch = TINY.batch(0, 0, 2)
    moved = tree_map(lambda tensor: tensor.to("meta"), batch)
    assert type(moved) is Batch and {tensor.device.type for tensor in moved} == {"meta"}
    tokens, targets, document = batch
    assert tokens is batch.tokens and targets is batch.targets and document is batch.document


def test_accelerate_moves_the_batches_of_a_loader() -> None:
    from accelerate import Accelerator
    from torch.utils.data import DataLoader

    from physlm_lite.data import collate, stream

    loader = Accelerator(cpu=True).prepare(DataLoader(stream(TINY, rows=16), batch_size=4, collate_fn=collate))
    batches = list(loader)
    assert [type(batch) for batch in batches] == [Batch] * 4
    assert torch.equal(torch.cat([batch.tokens for batch in batches]), TINY.batch(0, 0, 16).tokens)


# -- rows --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rows", [0, -1, 2.5, True, "3", None, range(0), range(-2, 3), [[1]], np.array([0.5])])
def test_rows_that_make_no_sense_are_refused(rows: Any) -> None:
    with pytest.raises(ValueError, match="rows must be a positive count or a range of row numbers from 0 up"):
        TINY.batch(0, 0, rows)


@pytest.mark.parametrize("rows", [10**9, range(10**12), np.int64(10**9)])
def test_too_many_rows_are_refused_before_they_are_made(rows: Any) -> None:
    with pytest.raises(ValueError, match=r"rows are too many at a time, the limit is 33,554,432 tokens; take at most"):
        TINY.batch(0, 0, rows)


def test_rows_made_in_chunks_are_the_same_rows() -> None:
    task = Copy(n=2000, shortest=3)  # 262 rows of 4,002 tokens are made at a time
    whole, part = task.batch(0, 0, 300), task.batch(0, 0, range(260, 270))
    assert all(torch.equal(a[260:270], b) for a, b in zip(whole, part, strict=True))


@pytest.mark.parametrize("rows", [range(2, 9, 3), [2, 5, 8], np.array([2, 5, 8])])
def test_rows_may_be_any_numbers(rows: Any) -> None:
    assert torch.equal(TINY.batch(3, 1, rows).tokens, TINY.batch(3, 1, 9).tokens[2::3])
