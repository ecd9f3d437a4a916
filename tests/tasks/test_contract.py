"""What holds for every task: a row is a pure function of its address, written as the slow twin writes it."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.small_settings import settings_of_brevo, settings_of_depo, settings_of_mano

from physlm_lite.tasks import Brevo, Capo, Copy, Depo, Lano, Mano, Recall, preset
from physlm_lite.tasks.brevo import brevo_instance
from physlm_lite.tasks.depo import depo_instance
from physlm_lite.tasks.draws import address
from physlm_lite.tasks.mano import mano_instance

# Tasks whose rows are instances with names or numbers: their small settings, their slow twin, and settings of the paper.
INSTANCES = {
    "depo": (settings_of_depo, depo_instance, ("depo1-n225", "depo2-n100")),
    "brevo": (settings_of_brevo, brevo_instance, ("brevo1-n110", "brevo2-n50")),
    "mano": (settings_of_mano, mano_instance, ("mano-l10", "mano-l16")),
}
kinds = pytest.mark.parametrize("kind", INSTANCES)
splits = st.sampled_from(["train", "test"])


def spelled(task, twin, key, split):
    """One row from the slow twin, as (tokens, targets, document); a window may end within an instance."""
    tokens, targets, document, number = [], [], [], 0
    while not tokens or (task.context is not None and len(tokens) < task.context):
        text, mask = twin(task, int(address(key, number)[0]), split == "test")
        tokens, targets, document = tokens + text, targets + mask, document + [number] * len(text)
        number += 1
    if isinstance(task, Mano):
        targets[0] = False  # nothing stands before it
    return tuple(np.array(part[: task.context]) for part in (tokens, targets, document))


def check_rows(task, twin, batch, rows, seed, step, split):
    for i, row in enumerate(rows):
        parts = spelled(task, twin, address(seed, int(split == "test"), step, row), split)
        width = len(parts[0])
        for ours, slow, fill in zip((batch.tokens, batch.targets, batch.document), parts, (0, False, -1), strict=True):
            assert ours[i, :width].tolist() == slow.tolist()
            assert (ours[i, width:] == fill).all()


@kinds
@settings(max_examples=40, deadline=None)
@given(data=st.data(), split=splits, seed=st.integers(0, 2**62))
def test_the_slow_twin_writes_the_same_tokens(kind, data, split, seed):
    some, twin, _ = INSTANCES[kind]
    task = data.draw(some())
    check_rows(task, twin, task.batch(seed, 5, range(2, 5), split), range(2, 5), seed, 5, split)


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, (_, _, names) in INSTANCES.items() for name in names]
)
def test_the_slow_twin_at_published_settings(kind, name):
    task = preset(name)
    check_rows(task, INSTANCES[kind][1], task.batch(0, 0, 1), range(1), 0, 0, "train")


@kinds
@settings(max_examples=30, deadline=None)
@given(data=st.data(), split=splits)
def test_windows_hold_whole_instances_and_a_cut_one(kind, data, split):
    fixed = {
        "depo": {"N": 3, "queries": 2},
        "brevo": {"N": 4, "V": 9, "longest": 1, "shortest": 1, "test_sizes": (3, 4)},
        "mano": {},
    }
    task = data.draw(INSTANCES[kind][0](context=300, **fixed[kind]))
    batch = task.batch(0, 0, 4, split)
    assert batch.tokens.shape == (4, 300) and (batch.document[:, 0] == 0).all()
    steps = batch.document.diff(dim=1)
    assert ((steps == 0) | (steps == 1)).all()  # numbered 0, 1, 2 ... with nothing left over
    begins = torch.nn.functional.pad(steps == 1, (1, 0), value=True)
    starts = [i for i, name in enumerate(task.vocabulary) if name in ("<bos>", "<bos'>")]
    assert torch.equal(torch.isin(batch.tokens, torch.tensor(starts)), begins)  # there, and only there
    if isinstance(task, Brevo):
        assert (batch.tokens[torch.nn.functional.pad(steps == 1, (0, 1))] == task.eos).all()


@pytest.mark.parametrize("task", [Depo(N=12, K=2), Brevo(N=12), Mano(L=6), Lano("cfg3b", context=None), Copy(7, 2)])
def test_unpacked_rows_are_padded_on_the_right(task):
    batch = task.batch(0, 0, 30)
    inside = batch.document == 0
    assert (batch.document[~inside] == -1).all() and not batch.packed
    assert (batch.tokens[~inside] == 0).all() and (batch.tokens[inside] > 0).all()
    assert not batch.targets[~inside].any() and (~inside).any()
    assert (inside.int().diff(dim=1) <= 0).all() and inside[:, 0].all()


PURE = [
    Depo(N=6, K=2, V=9),
    Depo(N=6, K=2, V=9, context=90),
    Brevo(N=7),
    Brevo(N=6, V=2, longest=3, context=200),
    Mano(L=4),
    Mano(L=4, context=60, operators="+/"),
    Copy(5),
    Copy(7, 2),
    Recall(),
    Lano("cfg3f", context=64),
    Capo(people=500),
]


@pytest.mark.parametrize("task", PURE, ids=lambda task: f"{type(task).__name__}-{getattr(task, 'context', None)}")
def test_a_batch_is_a_pure_function(task):
    whole = task.batch(3, 14, 600)  # three chunks of at most 256 rows
    for rows in (600, 1, range(0, 256), range(255, 257), range(256, 512), range(511, 514), range(599, -1, -7)):
        got = task.batch(3, 14, rows)
        numbers = np.arange(rows) if isinstance(rows, int) else np.array(rows)
        width = got.tokens.shape[1]  # an unpacked batch is as wide as its own longest row
        for name, fill in (("tokens", 0), ("targets", False), ("document", -1)):
            expected = getattr(whole, name)[numbers]
            assert torch.equal(getattr(got, name), expected[:, :width])
            assert (expected[:, width:] == fill).all()


@pytest.mark.parametrize(
    "task",
    [
        Depo(N=9, K=2, sizes="fixed", context=300),
        Brevo(N=9, sizes="fixed"),
        Mano(L=9, sizes="fixed"),
        Lano("cfg3b"),
        Copy(20),
    ],
)
def test_seeds_steps_rows_and_splits_differ(task):
    rows = [
        tuple(row[row > 0].tolist())
        for seed in range(3)
        for step in range(3)
        for split in ("train", "test")
        for row in task.batch(seed, step, 3, split).tokens
    ]
    assert len(set(rows)) == len(rows) == 54
