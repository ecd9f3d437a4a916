"""A reader's own layer: named by its code, refused where it cannot be trained, judged by the claim's rule, and found again."""

from __future__ import annotations

import inspect
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from physlm_lite.claims import claim
from physlm_lite.lab import Own
from physlm_lite.lab.own import YOURS, code_of, model_with, problem_of, with_yours
from physlm_lite.models import Canon, LanguageModel
from physlm_lite.training import Run, Store, Trainer
from physlm_lite.training.manager import Manager

LAG = 1


def shifted(x: Tensor) -> Tensor:
    return torch.nn.functional.pad(x, (0, 0, LAG, 0))[:, :-LAG]


class Taps(nn.Module):
    """Adds the token before."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.tap = nn.Parameter(torch.rand(channels) - 0.5)

    def forward(self, x: Tensor) -> Tensor:
        return x + self.tap * shifted(x)


def my_layer(channels: int) -> Any:
    return Taps(channels)  # whatever learns is inside


def open_stub(channels: int) -> Any: ...


def as_in_the_notebook(channels: int) -> Any:
    return ...


@pytest.fixture
def runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("PHYSLM_RUNS", str(tmp_path))
    monkeypatch.setenv("PHYSLM_SCALE", "smoke")
    return tmp_path


# -- what it is called -------------------------------------------------------------------------------------------------


def test_the_code_holds_all_that_was_defined_beside_it_and_no_comments() -> None:
    code = code_of(my_layer)
    assert "class Taps" in code and "def shifted" in code and "LAG = 1" in code
    assert "whatever learns" not in code and "import" not in code


def test_another_layout_is_the_same_run_and_another_number_is_not(monkeypatch: pytest.MonkeyPatch) -> None:
    run = with_yours(claim("R1"), "toy", "RoPE + Canon", "RoPE").run(YOURS, 4e-3, seed=0)
    mine = run.but(code=code_of(my_layer))
    assert mine.hash != run.hash and mine.hash == run.but(code=code_of(my_layer)).hash
    assert mine.but(seed=1).code == mine.code and Run.from_dict(mine.to_dict()) == mine
    assert "code" not in run.to_dict()
    monkeypatch.setattr(inspect.getmodule(my_layer), "LAG", 2)
    assert run.but(code=code_of(my_layer)).hash != mine.hash


def test_a_class_of_a_notebook_is_found_where_its_functions_stand() -> None:
    from IPython.core.interactiveshell import InteractiveShell

    shell = InteractiveShell()
    cell = "from torch import nn\nclass Mine(nn.Module):\n    def forward(self, x):\n        return x\n"
    shell.run_cell(cell)
    assert code_of(shell.user_ns["Mine"]).startswith("class Mine(nn.Module):")


def test_code_that_cannot_be_read_is_refused_in_a_sentence() -> None:
    namespace: dict[str, Any] = {"__name__": __name__}
    exec("def made_of_air(channels): return None", namespace)
    with pytest.raises(ValueError, match="the code of made_of_air cannot be read; define it with def or class"):
        code_of(namespace["made_of_air"])
    with pytest.raises(ValueError, match="may have 20,000 characters; this has 20,001"):
        Run("copy", code="x" * 20_001)


# -- what is refused ---------------------------------------------------------------------------------------------------


class Ahead(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x + torch.roll(x, -1, 1)


class Narrow(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x[..., :1]


class Nothing(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x / 0


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (as_in_the_notebook, "not attempted yet"),
        (open_stub, "not attempted yet"),
        (lambda channels: 3, "expected a torch.nn.Module, got int"),
        (lambda channels: Ahead(), "your layer looks ahead: a change at position 1"),
        (lambda channels: Narrow(), r"(2, 9, 6) from your layer, got (2, 9, 1)"),
        (lambda channels: Nothing(), "not finite"),
    ],
)
def test_what_cannot_be_trained_is_told_in_a_sentence(make: Any, said: str, runs: Path) -> None:
    problem = problem_of(make)
    assert problem is not None and said in problem and "\n" not in problem
    own = Own(claim("R1"), make)
    own.wait()
    assert own.outcome is None and own.text.value == problem and not list(runs.glob("*.json"))


def test_canon_itself_and_an_honest_layer_may_be_trained() -> None:
    assert problem_of(my_layer) is None and problem_of(Canon) is None


# -- what is trained ---------------------------------------------------------------------------------------------------


def test_it_stands_at_every_place_and_starts_from_the_seed_alone() -> None:
    run = with_yours(claim("R1"), "toy", "RoPE + Canon", "RoPE").run(YOURS, 4e-3, seed=3).but(code="x = 1")
    model, again, plain = model_with(my_layer, run), model_with(my_layer, run), LanguageModel(run.model_config, seed=3)
    assert sum(isinstance(part, Taps) for part in model.modules()) == 4
    assert not any(isinstance(part, Canon) for part in model.modules())
    for (name, one), (_, other) in zip(model.named_parameters(), again.named_parameters(), strict=True):
        assert torch.equal(one, other), name
    shared = dict(plain.named_parameters())
    alike = [name for name, one in model.named_parameters() if name in shared and torch.equal(one, shared[name])]
    assert "head.weight" in alike and len(alike) == len(shared) - 4


def test_with_canon_itself_it_takes_the_steps_of_the_kits_own_run() -> None:
    """The same weights in a reader's frame: the same losses to the bit."""
    run = with_yours(claim("R1"), "toy", "RoPE + Canon", "RoPE").run(YOURS, 4e-3, seed=3)
    mine = run.but(code="canon")
    model = model_with(Canon, mine)
    weights = dict(LanguageModel(run.model_config, seed=3).named_parameters())
    with torch.no_grad():
        for name, weight in model.named_parameters():
            weight.copy_(weights[name.replace(".layer.", ".")])
    ours, theirs = Trainer(mine, "cpu", model), Trainer(run, "cpu")
    assert [ours.train_step() for _ in range(5)] == [theirs.train_step() for _ in range(5)]


def test_it_is_trained_judged_by_the_claims_rule_kept_and_found_again(runs: Path) -> None:
    own = Own(claim("R1"), my_layer, all_seeds=True)
    outcome = own.result()
    assert list(outcome.records) == ["RoPE", YOURS] and len(outcome.records[YOURS]) == 3
    assert [rule.better for rule in outcome.experiment.rules] == [YOURS]
    assert len(list(runs.glob("*.json"))) == 3
    again = Own(claim("R1"), my_layer, all_seeds=True).result()
    assert [r.id for r in again.records[YOURS]] == [r.id for r in outcome.records[YOURS]]
    assert all(record.run.code == code_of(my_layer) for record in outcome.records[YOURS])


def test_one_seed_comes_first_and_a_button_offers_the_others(runs: Path) -> None:
    own = Own(claim("R1"), my_layer, all_seeds=False)
    assert len(own.result().records[YOURS]) == 1
    assert own.more_button.description == "The other 2 seeds" and own.more_button.layout.display == ""
    own.more_button.click()
    assert len(own.result().records[YOURS]) == 3


def test_a_stop_keeps_what_was_learnt(runs: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    own = Own(claim("R1"), my_layer, all_seeds=True)
    own._stop.set()
    said, done = own.carry_out()
    assert not done and said.startswith("stopped after") and list(runs.glob("*.safetensors"))
    own._stop.clear()
    assert own.carry_out()[1] and not list(runs.glob("*.safetensors"))


def test_nobody_else_can_carry_out_such_a_run(runs: Path) -> None:
    run = Run("copy", code="def my_layer(channels): ...")
    with pytest.raises(
        ValueError, match=r"has a layer of a reader's own .* only in the notebook where that code stands"
    ):
        Trainer(run, "cpu")
    with Manager(Store(runs)) as manager, pytest.raises(ValueError, match="a layer of a reader's own"):
        manager.ask(run).result(120)


def test_a_claim_without_such_a_rule_is_refused() -> None:
    with pytest.raises(ValueError, match="R4-activation has no rule about RoPE"):
        with_yours(claim("R4-activation"), "toy", "RoPE + Canon", "RoPE")


def test_the_notebooks_solution_may_be_trained() -> None:
    """What stands folded under the exercise of notebook 02 is an honest layer."""
    text = (Path(__file__).parents[2] / "notebooks/source/02_canon_layer.py").read_text(encoding="utf-8")
    begin = text.index("def my_layer(channels):")
    namespace: dict[str, Any] = {"nn": nn, "torch": torch, "F": torch.nn.functional}
    exec(text[begin : text.index("own = Own(")], namespace)
    assert problem_of(namespace["my_layer"]) is None
