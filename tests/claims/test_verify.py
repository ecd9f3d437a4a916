"""A record is confirmed by its run, to the bit on the same kind of machine; what was changed in it is found."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import CLAIMS, Claim, replicate
from physlm_lite.claims.verify import verify
from physlm_lite.cli import main
from physlm_lite.training import Record, Store

pytestmark = pytest.mark.usefixtures("one_thread")


@pytest.fixture
def store(small_claim: Claim, tmp_path: Path) -> Store:
    """With the ten reported runs of the small claim."""
    store = Store(tmp_path / "runs")
    replicate(small_claim, "toy", store=store)
    return store


def reported(store: Store) -> list[Record]:
    return [record for record in store if record.run.seed >= 200]


def test_a_record_is_confirmed_to_the_bit(small_claim: Claim, store: Store) -> None:
    found = verify(small_claim, "toy", store=store)
    assert found.confirmed and found.exact
    assert str(found).endswith("confirmed to the bit")
    one = reported(store)[-1]
    assert verify(small_claim, "toy", one.id, store=store).record.id == one.id


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda point: point | {"loss": point["loss"] * (1 + 1e-12)}, "loss"),
        (lambda point: point | {"accuracy": point["accuracy"] + 0.001}, "accuracy"),
        (lambda point: point | {"tokens": point["tokens"] + 1}, "tokens"),
    ],
)
def test_a_changed_digit_is_found(
    small_claim: Claim, store: Store, change: Callable[[dict[str, Any]], dict[str, Any]], said: str
) -> None:
    one = reported(store)[0]
    store.add(dataclasses.replace(one, curve=[*one.curve[:-1], change(one.curve[-1])]))
    found = verify(small_claim, "toy", one.id, store=store)
    assert not found.confirmed and said in str(found) and "NOT confirmed" in str(found)


def test_on_another_machine_numbers_may_differ_a_little_but_not_much(small_claim: Claim, store: Store) -> None:
    one = reported(store)[0]
    for factor, confirmed in ((1.001, True), (1.2, False)):
        curve = [point | {"loss": point["loss"] * factor} for point in one.curve]
        store.add(dataclasses.replace(one, curve=curve, machine={**one.machine, "cpu": "another"}))
        found = verify(small_claim, "toy", one.id, store=store)
        assert (found.exact, found.confirmed) == (False, confirmed)


def test_only_what_is_reported_can_be_verified(small_claim: Claim, store: Store, tmp_path: Path) -> None:
    tuning = next(record for record in store if record.run.seed == 100)
    with pytest.raises(UnknownName, match="unknown record of T1"):
        verify(small_claim, "toy", tuning.id, store=store)
    with pytest.raises(ValueError, match="nothing is recorded of T1 at laptop scale"):
        verify(small_claim, "laptop", store=Store(tmp_path / "empty"))


def test_a_record_of_the_first_protocol_cannot_be_carried_out_again(
    small_claim: Claim, tmp_path: Path, make: Callable[..., Record]
) -> None:
    store, before = Store(tmp_path / "old"), small_claim.at_first["toy"]
    for _, run in before.walk():
        store.add(dataclasses.replace(make(run), format=1))
    with pytest.raises(ValueError, match="is a record of the first protocol"):
        verify(small_claim, "toy", store=store)


def test_the_command_ends_with_one_where_nothing_is_confirmed(
    small_claim: Claim, store: Store, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(CLAIMS, "T1", small_claim)
    monkeypatch.setenv("PHYSLM_RUNS", str(store.folders[0]))
    assert main(["verify", "T1"]) == 0
    assert "confirmed to the bit" in capsys.readouterr().out
    for record in reported(store):
        store.add(dataclasses.replace(record, curve=[point | {"loss": 9.0} for point in record.curve]))
    assert main(["verify", "T1"]) == 1
    assert "NOT confirmed" in capsys.readouterr().out
    assert main(["verify", "T1", "--record", "0123"]) == 2
