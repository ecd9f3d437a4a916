"""Tasks as Hugging Face datasets: the same rows as in training, from any row on, for any number of workers and ranks."""

from __future__ import annotations

import copy
import dataclasses
import itertools
import json
import pickle
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pyarrow.parquet  # type: ignore[import-untyped]
import pytest
import torch
import yaml
from data.small_corpus import needed
from datasets.distributed import split_dataset_by_node
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.data import DataLoader

import physlm_lite
from physlm_lite.base.strict import UnknownName
from physlm_lite.data import collate, save, stream, to_dataset
from physlm_lite.data.card import CITATION, card, name_and_options
from physlm_lite.data.hub import SHARDS
from physlm_lite.data.shares import FIRST, MOST, Share, share_of
from physlm_lite.tasks import Batch, Capo, Copy, Depo, Lano, Mano, Task, text_view
from physlm_lite.tasks.batch import Rows, Steps
from physlm_lite.tasks.presets import KINDS, make_task

# a machine with one core is told that two workers are many
pytestmark = [pytest.mark.usefixtures("one_thread"), pytest.mark.filterwarnings("ignore:This DataLoader will create")]

RAGGED = Copy(n=5, shortest=2)
PACKED = Depo(N=4, K=2, V=5, longest=1, queries=3, context=48)
Addresses = list[tuple[int, int]]


@dataclass(frozen=True)
class Spy:
    """The copy toy, taking down which (step, row) it is asked for; `broken` is a step at which the disk is full."""

    asked: Addresses = field(default_factory=list)
    broken: int = -1
    vocabulary = RAGGED.vocabulary
    grade = RAGGED.grade

    fingerprint = ""

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        pairs = np.broadcast_arrays(step, np.arange(rows) if isinstance(rows, int) else rows)
        if self.broken in pairs[0]:
            raise OSError(28, "No space left on device")
        self.asked.extend(zip(*(part.tolist() for part in pairs), strict=True))
        return RAGGED.batch(seed, step, rows, split)


def some_task(kind: str) -> Task:
    """A task of this kind as it comes."""
    return make_task(kind, needed(KINDS[kind]))


def lists(batch: Batch, i: int) -> dict[str, list[Any]]:
    """One row of a batch, read off slowly: what stands before the padding."""
    document = batch.document[i].tolist()
    size = max(j for j, number in enumerate(document) if number >= 0) + 1
    return {name: getattr(batch, name)[i, :size].tolist() for name in ("tokens", "targets", "document")}


def addresses(examples: Any) -> Addresses:
    return [(int(example["step"]), int(example["row"])) for example in examples]


def numbered(begin: int, end: int, rows_per_step: int) -> Addresses:
    return [divmod(number, rows_per_step) for number in range(begin, end)]


# -- the same rows as in training --------------------------------------------------------------------------------------


@pytest.mark.parametrize("split", ["train", "test"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_dataset_holds_the_rows_of_one_step(kind: str, split: str) -> None:
    task = some_task(kind)
    dataset, batch = to_dataset(task, 3, seed=1, split=split, step=2, text=True), task.batch(1, 2, 3, split)
    assert len(dataset) == 3 and dataset.split == split
    for i, row in enumerate(dataset):
        expected = lists(batch, i)
        names = " ".join(task.vocabulary[token] for token in expected["tokens"])
        assert row == {"step": 2, "row": i, **expected, "text": names}
    assert {name: getattr(kind, "feature", kind).dtype for name, kind in dataset.features.items()} == {
        "step": "int64",
        "row": "int64",
        "tokens": "int32",
        "targets": "bool",
        "document": "int32",
        "text": "string",
    }


@pytest.mark.parametrize("kind", KINDS)
def test_a_stream_holds_the_rows_that_training_sees_in_that_order(kind: str) -> None:
    task = some_task(kind)
    batches = [task.batch(3, step, 2) for step in range(3)]
    expected = [{"step": step, "row": i, **lists(batches[step], i)} for step in range(3) for i in range(2)]
    assert list(stream(task, seed=3, rows_per_step=2, rows=6)) == expected
    assert list(stream(task, seed=3, rows_per_step=2, start=3, rows=2)) == expected[3:5]


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_gives_the_batches_of_training_for_any_number_of_workers(workers: int) -> None:
    loader = DataLoader(stream(PACKED, seed=5, rows_per_step=4), batch_size=4, num_workers=workers, collate_fn=collate)
    for step, batch in enumerate(itertools.islice(loader, 5)):
        expected = PACKED.batch(5, step, 4)
        for name in ("tokens", "targets", "document"):
            assert torch.equal(getattr(batch, name), getattr(expected, name))


@pytest.mark.parametrize("workers", [0, 2])
def test_the_batches_of_the_ranks_together_are_one_step(workers: int) -> None:
    ranks = [split_dataset_by_node(stream(PACKED, rows_per_step=6, rows=24, block=2), rank, 3) for rank in range(3)]
    loaders = [DataLoader(rank, batch_size=2, num_workers=workers, collate_fn=collate) for rank in ranks]
    steps = list(zip(*loaders, strict=True))
    assert len(steps) == 4
    for step, batches in enumerate(steps):
        assert torch.equal(torch.cat([batch.tokens for batch in batches]), PACKED.batch(0, step, 6).tokens)


@pytest.mark.parametrize("form", [None, "numpy", "torch"])
def test_collate_pads_what_was_cut_off(form: str | None) -> None:
    expected = RAGGED.batch(0, 3, 8)
    batch = collate(to_dataset(RAGGED, 8, step=3).with_format(form))
    width = batch.tokens.shape[1]
    assert not batch.document.lt(0).all(0).any(), "as wide as the longest row, no wider"
    for name in ("tokens", "targets", "document"):
        assert getattr(batch, name).dtype == getattr(expected, name).dtype
        assert torch.equal(getattr(batch, name), getattr(expected, name)[:, :width])


@pytest.mark.parametrize("task", [RAGGED, PACKED, Lano(context=None), Capo(people=50), Mano(L=3, context=40)])
@pytest.mark.parametrize("rows_per_step", [1, 3, 1000])
def test_rows_drawn_in_blocks_are_the_rows_drawn_alone(task: Task, rows_per_step: int) -> None:
    examples = itertools.islice(stream(task, seed=2, rows_per_step=rows_per_step, block=1, start=5), 40)
    for number, example in enumerate(examples, start=5):
        step, row = divmod(number, rows_per_step)
        assert example == {"step": step, "row": row, **lists(task.batch(2, step, range(row, row + 1)), 0)}


def test_long_rows_are_drawn_a_few_at_a_time() -> None:
    def sizes(task: Task) -> list[int]:
        batches = share_of(task, block=1, rows_per_step=2).batches(0)
        return [len(rows) for rows, _ in itertools.islice(batches, 7)]

    assert sizes(RAGGED) == [32, 64, 128, 256, 512, 1024, 2048]
    assert sizes(Lano("9: 1 2 1 | 3 3", context=2**17)) == [32, 4, 4, 4, 4, 4, 4]


# -- shares ------------------------------------------------------------------------------------------------------------


@settings(deadline=None, max_examples=60)
@given(
    block=st.integers(1, 80),
    blocks=st.integers(1, 4),
    start=st.integers(0, 300),
    rows=st.integers(1, 300),
    ranks=st.integers(1, 5),
    workers=st.integers(1, 4),
)
def test_shares_of_shares_cover_every_row_once_and_in_order(
    block: int, blocks: int, start: int, rows: int, ranks: int, workers: int
) -> None:
    whole = Share(RAGGED, 0, "train", block * blocks, block, start, start + rows)
    found: list[int] = []
    for rank in range(ranks):
        for worker in range(workers):
            batches = list(whole.part(rank, ranks).part(worker, workers).batches(0))
            own = [row for rows, _ in batches for row in rows.tolist()]
            assert own == sorted(own)
            assert all(len(rows) == len(batch.tokens) <= MOST for rows, batch in batches)
            turns = {row // block - start // block for row in own}
            assert all(turn % ranks == rank and turn // ranks % workers == worker for turn in turns)
            found += own
    assert sorted(found) == list(range(start, start + rows))


@pytest.mark.parametrize("workers", [0, 2])
@pytest.mark.parametrize("ranks", [1, 2, 3, 11])  # 11 does not divide SHARDS: the slower way, with the same result
def test_ranks_and_workers_together_see_what_one_sees(ranks: int, workers: int) -> None:
    shares = [
        split_dataset_by_node(stream(RAGGED, rows_per_step=4, block=2, start=3, rows=21), rank, ranks)
        for rank in range(ranks)
    ]
    found = [addresses(DataLoader(share, batch_size=None, num_workers=workers)) for share in shares]
    assert sorted(itertools.chain(*found)) == numbered(3, 24, 4)


def test_usual_numbers_of_ranks_get_shares_of_their_own() -> None:
    assert [n for n in [*range(1, 11), 12, 16, 24, 32, 40, 48, 64, 96, 128] if SHARDS % n] == []
    assert split_dataset_by_node(stream(RAGGED), 1, 8).num_shards == SHARDS // 8


def test_a_share_makes_only_its_own_rows() -> None:
    spy = Spy()
    share = stream(spy, rows_per_step=4, block=2, rows=16)
    spy.asked.clear()  # the card shows a row
    found = addresses(split_dataset_by_node(split_dataset_by_node(share, 1, 2), 0, 2))
    assert spy.asked == found == [(1, 0), (1, 1), (3, 0), (3, 1)]


def test_a_shard_in_the_sense_of_datasets_is_a_share() -> None:
    whole = stream(RAGGED, rows_per_step=3, rows=9)
    assert [addresses(whole.shard(num_shards=2, index=i)) for i in range(2)] == [
        [(0, 0), (0, 1), (0, 2), (2, 0), (2, 1), (2, 2)],
        [(1, 0), (1, 1), (1, 2)],
    ]


# -- going on ----------------------------------------------------------------------------------------------------------


def batches_of_two(dataset: Any) -> Iterator[Any]:
    return (address for batch in dataset.iter(2) for address in zip(batch["step"], batch["row"], strict=True))


@pytest.mark.parametrize("form", [None, "numpy", "torch", "arrow"])
@pytest.mark.parametrize("split_it", [False, True])
def test_a_stream_goes_on_at_the_exact_row(form: str | None, split_it: bool) -> None:
    def fresh() -> Any:
        whole = stream(RAGGED, rows_per_step=5, block=1, start=2, rows=12)
        return (split_dataset_by_node(whole, 1, 2) if split_it else whole).with_format(form)

    def address(example: Any) -> tuple[int, int]:
        return int(example["step"][0] if form == "arrow" else example["step"]), int(
            example["row"][0] if form == "arrow" else example["row"]
        )

    expected = [divmod(number, 5) for number in range(2, 14)][1 if split_it else 0 :: 2 if split_it else 1]
    assert [address(example) for example in fresh()] == expected
    for seen in range(len(expected) + 1):
        dataset = fresh()
        assert [address(example) for example in itertools.islice(dataset, seen)] == expected[:seen]
        state = json.loads(json.dumps(dataset.state_dict()))
        later = fresh()
        later.load_state_dict(state)
        assert [address(example) for example in later] == expected[seen:], f"after {seen} rows"


def test_batches_go_on_at_the_exact_row() -> None:
    expected = numbered(0, 9, 5)
    for seen in range(0, 9, 2):
        dataset, later = (stream(RAGGED, rows_per_step=5, rows=9) for _ in range(2))
        assert list(itertools.islice(batches_of_two(dataset), seen)) == expected[:seen]
        later.load_state_dict(dataset.state_dict())
        assert list(batches_of_two(later)) == expected[seen:]


def test_going_on_makes_none_of_the_earlier_rows() -> None:
    spy = Spy()
    dataset = stream(spy, rows_per_step=4)
    list(itertools.islice(dataset, 10))
    state = dataset.state_dict()
    later = stream(spy, rows_per_step=4)
    later.load_state_dict(state)
    spy.asked.clear()
    assert addresses(itertools.islice(later, 3)) == [(2, 2), (2, 3), (3, 0)]
    assert min(spy.asked) >= (2, 0), "`datasets` takes up to two rows anew"
    spy.asked.clear()
    assert addresses(itertools.islice(stream(spy, rows_per_step=4, start=10**12 + 1), 2)) == [
        (25 * 10**10, 1),
        (25 * 10**10, 2),
    ]
    assert spy.asked[0] == (0, 0), "the card shows a row"
    assert spy.asked[1:] == [divmod(10**12 + 1 + i, 4) for i in range(FIRST)]


# -- the usual methods of a stream -------------------------------------------------------------------------------------


def test_a_stream_can_be_copied_and_sent_to_another_process() -> None:
    dataset = stream(RAGGED, rows_per_step=4, rows=6)
    expected = list(dataset)
    for other in (pickle.loads(pickle.dumps(dataset)), copy.deepcopy(dataset), copy.copy(dataset)):
        assert list(other) == expected
        assert other.num_shards == SHARDS


def test_what_datasets_offers_works_on_a_stream() -> None:
    dataset = stream(RAGGED, rows_per_step=4, rows=10, text=True)
    everything = numbered(0, 10, 4)
    assert addresses(dataset.take(3)) == everything[:3]
    assert addresses(dataset.skip(7)) == everything[7:]
    assert sorted(addresses(dataset.shuffle(seed=1, buffer_size=4))) == everything
    assert list(
        dataset.map(lambda e: {"length": len(e["tokens"])}).filter(lambda e: e["length"] > 6).select_columns(["length"])
    ) == [{"length": len(e["tokens"])} for e in dataset if len(e["tokens"]) > 6]
    assert len(list(datasets.concatenate_datasets([dataset, dataset.take(1)]))) == 11
    assert addresses(datasets.interleave_datasets([dataset, dataset]).take(4)) == [(0, 0), (0, 0), (0, 1), (0, 1)]
    dataset.set_epoch(1)
    assert addresses(dataset) == everything


def test_a_table_row_of_torch_is_a_tensor() -> None:
    row = next(iter(stream(RAGGED).with_format("torch")))
    assert row["targets"].dtype == torch.bool and torch.equal(
        row["tokens"], torch.tensor(lists(RAGGED.batch(0, 0, 1), 0)["tokens"])
    )


# -- the card ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", KINDS)
def test_the_card_says_what_it_is_and_how_to_make_it_again(kind: str) -> None:
    task = some_task(kind)
    text = card(task, seed=4, split="test")
    first = text_view(task, task.batch(4, 0, 1, "test")).split("\n\n")[0]
    for part in (
        f"| task | `{kind}` |",
        f"`{name_and_options(task)[1]}`",
        physlm_lite.__version__,
        "| seed | 4 |",
        "| split | test |",
        "| licence |",
        CITATION,
        f"```text\n{first}",
    ):
        assert part in text
    assert text.startswith("# ") and "None" not in text.split("\n")[0]
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    made: dict[str, Any] = {}
    exec(code, made)
    assert lists(task.batch(4, 0, 1, "test"), 0).items() <= next(iter(made["rows"])).items()


def test_a_dataset_carries_its_card() -> None:
    for dataset in (to_dataset(RAGGED, 1, seed=2), stream(RAGGED, seed=2)):
        assert dataset.info.description == card(RAGGED, seed=2)
        assert dataset.info.citation == CITATION and dataset.info.license == "Apache-2.0"


def test_real_text_stays_under_its_own_licence() -> None:
    @dataclass(frozen=True)
    class Corpus(Spy):
        corpus: str = "a book"

    assert "| licence | that of the text |" in card(Corpus())
    assert stream(Corpus()).info.license == "that of the text"


def test_a_long_row_is_cut_short_on_the_card() -> None:
    text = card(Depo(N=75, V=3, shortest=5, longest=7, context=2048))
    assert "(and so on)" in text and len(text) < 4_000


def test_the_citation_is_that_of_the_repository() -> None:
    references = yaml.safe_load((Path(__file__).parents[2] / "CITATION.cff").read_text())["references"]
    (paper,) = (reference for reference in references if "Part 4.1" in reference["title"])
    assert f"{{{{{paper['title']}}}}}" in CITATION and paper["url"] in CITATION
    assert str(paper["year"]) in CITATION and paper["collection-title"] in CITATION


def test_a_task_that_is_no_kind_goes_by_its_class() -> None:
    assert name_and_options(Spy(broken=2)) == ("Spy", {"asked": [], "broken": 2})
    assert name_and_options(RAGGED) == ("copy", dataclasses.asdict(RAGGED))


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streamed", [False, True])
@pytest.mark.parametrize("form", [None, "torch"])
def test_a_saved_dataset_reads_back_the_same(tmp_path: Path, streamed: bool, form: str | None) -> None:
    made = stream(RAGGED, rows=5, rows_per_step=5, text=True) if streamed else to_dataset(RAGGED, 5, text=True)
    expected = list(made)
    for name in ("rows.jsonl", "rows.parquet"):
        save(made.with_format(form), tmp_path / "new" / name)
    assert [json.loads(line) for line in (tmp_path / "new/rows.jsonl").read_text().splitlines()] == expected
    table = pyarrow.parquet.read_table(tmp_path / "new/rows.parquet")
    assert table.to_pylist() == expected
    assert datasets.Features.from_arrow_schema(table.schema) == made.features
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["rows.jsonl", "rows.parquet"]


def test_the_kind_of_file_can_be_said(tmp_path: Path) -> None:
    save(to_dataset(RAGGED, 2), tmp_path / "rows.data", "parquet")
    assert pyarrow.parquet.read_table(tmp_path / "rows.data").num_rows == 2


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_a_full_disk_leaves_the_old_file(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text("old")
    with pytest.raises(ValueError, match=f"cannot write {tmp_path / name}: No space left on device; choose a file in"):
        save(stream(Spy(broken=1), rows_per_step=4, rows=8), tmp_path / name)
    assert (tmp_path / name).read_text() == "old"
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_stream_without_end_is_not_saved(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"this stream has no end; say how many rows to save"):
        save(stream(RAGGED), tmp_path / "rows.jsonl")
    save(stream(RAGGED).take(2), tmp_path / "rows.jsonl")
    assert len((tmp_path / "rows.jsonl").read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("path", "kind", "said"),
    [
        ("rows.parqet", None, "unknown kind of file 'parqet'; did you mean 'parquet'? (valid: jsonl, parquet)"),
        ("rows", None, "unknown kind of file 'rows'; (valid: jsonl, parquet)"),
        ("rows.jsonl", "json", "unknown kind of file 'json'; did you mean 'jsonl'?"),
    ],
)
def test_unknown_kinds_of_files_get_the_nearest_one(tmp_path: Path, path: str, kind: str | None, said: str) -> None:
    with pytest.raises(UnknownName) as error:
        save(to_dataset(RAGGED, 1), tmp_path / path, kind)
    assert said in str(error.value)
    assert list(tmp_path.iterdir()) == []


# -- mistakes ----------------------------------------------------------------------------------------------------------


def test_numbers_of_numpy_are_numbers() -> None:
    numbers = {name: np.int64(value) for name, value in dict(rows=3, rows_per_step=4, start=2, block=2, seed=1).items()}
    assert list(stream(RAGGED, **numbers)) == list(stream(RAGGED, seed=1, rows_per_step=4, start=2, rows=3))
    assert to_dataset(RAGGED, np.int32(3), step=np.int64(1)).to_list() == to_dataset(RAGGED, 3, step=1).to_list()


@pytest.mark.parametrize("rows", [10**9, 10**7])
def test_more_rows_than_memory_are_refused_at_once(rows: int) -> None:
    with pytest.raises(
        ValueError, match=rf"{rows:,} rows of about [89] tokens .* the limit is 33,554,432 tokens; take at"
    ):
        to_dataset(RAGGED, rows)
    with pytest.raises(ValueError, match=rf"{rows:,} rows .*are too many at a time"):
        RAGGED.batch(0, 0, rows)
    assert next(iter(stream(RAGGED, rows=rows)))["row"] == 0, "a stream may be as long as it likes"


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows_per_step": 0}, "rows_per_step must be a whole number of at least 1"),
        ({"rows": 0}, "rows must be a whole number of at least 1"),
        ({"rows": -3}, "not -3"),
        ({"start": -1}, "start must be a whole number of at least 0"),
        ({"seed": 2**64}, "seed must be .* below 9,223,372,036,854,775,808"),
        ({"rows": True}, "not True"),
        ({"block": 0}, "block must be a whole number of at least 1"),
        (
            {"rows_per_step": 6, "block": 4},
            "block must divide rows_per_step = 6, so that a block lies within one step, not 4",
        ),
        ({"rows_per_step": 2.5}, "not 2.5"),
        ({"split": "valid"}, "split must be 'train' or 'test', not 'valid'"),
    ],
)
def test_a_stream_that_makes_no_sense_is_refused_at_once(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        stream(RAGGED, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"rows": 0}, "rows must be a whole number of at least 1"),
        ({"rows": 1, "step": -1}, "step must be"),
        ({"rows": 1, "seed": -1}, "seed must be"),
        ({"rows": 1, "split": "dev"}, "split must be"),
    ],
)
def test_a_dataset_that_makes_no_sense_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        to_dataset(RAGGED, **options)


def test_nothing_heavy_is_imported_before_it_is_needed() -> None:
    code = (
        "import sys, physlm_lite.data.sample; assert 'torch' not in sys.modules; import physlm_lite.data.hub; "
        "assert 'datasets' not in sys.modules and 'pyarrow' not in sys.modules"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
