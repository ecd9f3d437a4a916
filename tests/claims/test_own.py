"""A reader's own claim: read from a file, tried like ours, shown like ours, and refused in one sentence."""

from __future__ import annotations

import json
import math
import re
from dataclasses import fields
from pathlib import Path

import jsonschema
import pytest

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import CLAIMS, find_claim, read_claim, recorded, replicate
from physlm_lite.claims.clocks import measure_step_times
from physlm_lite.claims.experiment import Experiment
from physlm_lite.claims.ledger import SCHEMA, ledger
from physlm_lite.claims.own import EXAMPLE, NOT_THEIRS, RULES, claim_text
from physlm_lite.claims.rules import VERDICTS, Ahead
from physlm_lite.cli import main
from physlm_lite.training import Store

pytestmark = pytest.mark.usefixtures("one_thread")
TINY = EXAMPLE.replace("steps: 100", "steps: 4").replace("evaluations: 4", "evaluations: 2, warmup: 0")
RULE = "ahead: {metric: accuracy, better: canon, worse: plain, by: 0.1}"


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    path = tmp_path / "mine.yaml"
    path.write_text(TINY)
    return path


def test_the_example_is_a_claim(tmp_path: Path) -> None:
    path = tmp_path / "example.yaml"
    path.write_text(EXAMPLE)
    claim = read_claim(path)
    experiment = claim.experiment("toy")
    assert (claim.id, claim.title) == ("example", "A layer that looks back copies at once")
    assert experiment.training.steps == 100 and experiment.grid == (4e-3, 8e-3, 1.6e-2)
    assert experiment.rules == (RULES["ahead"]("accuracy", "canon", "plain", by=0.1),)
    assert claim.at_first == {}


def test_it_is_tried_and_shown_like_ours(mine: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    claim, store = find_claim(str(mine)), Store(tmp_path / "runs")
    outcome = replicate(claim, "toy", store=store)
    assert outcome.complete and outcome.verdict.word in VERDICTS[:4]
    assert recorded(claim, "toy", store).verdict == outcome.verdict
    rows = json.loads(json.dumps(ledger(store, [claim]), allow_nan=False))
    jsonschema.validate(rows[-1:], SCHEMA)
    assert [row["claim"] for row in rows] == [
        *(c.id for c in CLAIMS.values() for scale in c.experiments if scale not in ("smoke", "gpu")),
        "mine",
    ]
    assert rows[-1]["verdict"] == outcome.verdict.word and rows[-1]["protocol"] == 2


def test_an_experiment_is_written_as_a_file_that_says_the_same(tmp_path: Path) -> None:
    tried = ("R0-depth", "R0-text", "R1", "R2-depth", "R3-NoPE", "R4-half", "R6-single", "R12-two-hops", "O-width")
    of_every_kind = {type(rule) for name in tried for rule in CLAIMS[name].experiment("toy").rules}
    assert of_every_kind == set(RULES.values())
    for name in tried:
        experiment = CLAIMS[name].experiment("toy").but(training={"schedule": "linear", "eps": 1e-9})
        path = tmp_path / "again.yaml"
        path.write_text(claim_text(experiment, f"{name}: again", statement="yes: no"), encoding="utf-8")
        again = read_claim(path)
        assert (again.id, again.title, again.statement) == ("again", f"{name}: again", "yes: no")
        for f in fields(Experiment):
            if f.name not in NOT_THEIRS and f.name != "training":
                assert getattr(again.experiment("toy"), f.name) == getattr(experiment, f.name), (name, f.name)
        side, rate = next(iter(experiment.sides)), experiment.grid[0]
        assert again.experiment("toy").run(side, rate, 200).hash == experiment.run(side, rate, 200).hash


def test_a_rule_that_a_file_cannot_say_is_refused() -> None:
    with pytest.raises(ValueError, match=r"a claim's file knows no rule Other; it knows ahead, at_least"):
        claim_text(CLAIMS["R2-depth"].experiment("toy").but(rules=(Other("accuracy", "RoPE", "RoPE + Canon"),)), "mine")


class Other(Ahead):
    """A rule of somebody's."""


def test_the_command_takes_a_file(mine: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["clock", str(mine)]) == 0
    assert capsys.readouterr().out.startswith('step_times: {"plain": ')


def test_step_times_are_relative_to_the_fastest_side(mine: Path) -> None:
    times = measure_step_times(read_claim(mine).experiment("toy"), rounds=3, steps=1)
    assert times.keys() == {"plain", "canon"}
    assert min(times.values()) == 1 and all(1 <= t < math.inf and round(t, 2) == t for t in times.values())


def test_a_python_file_defines_a_claim(tmp_path: Path, mine: Path) -> None:
    path = tmp_path / "mine.py"
    imports = ("from pathlib import Path", "from physlm_lite.claims import read_claim")
    path.write_text("\n".join([*imports, f"CLAIM = read_claim(Path({str(mine)!r}))"]))
    assert read_claim(path).id == "mine"
    path.write_text("CLAIM = 3")
    with pytest.raises(ValueError, match=r"must define CLAIM, a .*Claim, not 3"):
        read_claim(path)
    path.write_text("1 / 0")
    with pytest.raises(ValueError, match=r"cannot be run: ZeroDivisionError: division by zero"):
        read_claim(path)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("task: copy", "task: chess", "unknown task 'chess'"),
        ("task: copy", "tusk: copy", "unknown option of the claim in .*mine.yaml 'tusk'; did you mean 'task'"),
        ("task: copy\n", "", "Experiment needs the option 'task'"),
        ("n: 8", "m: 8", "unknown Copy option 'm'"),
        ("width: 16", "widht: 16", "mine.yaml, side plain: unknown ModelConfig option 'widht'; did you mean 'width'"),
        ("canon: ABCD", "canon: ABCQ", "mine.yaml, side canon: .*Q"),
        ("steps: 4", "steps: four", "Training option steps must be a whole number"),
        ("steps: 4", "stops: 4", "unknown Training option 'stops'; did you mean 'steps'"),
        ("grid: [4e-3, 8e-3, 1.6e-2]", "grid: [fast]", "must be a"),
        ("grid: [4e-3, 8e-3, 1.6e-2]", "grid: []", "a rate to begin with"),
        ("ahead", "ahed", "unknown rule 'ahed'; did you mean 'ahead'"),
        ("metric: accuracy", "metric: acuracy", "unknown score of Copy 'acuracy'; did you mean 'accuracy'"),
        ("worse: plain", "worse: plane", "unknown side 'plane'; did you mean 'plain'"),
        ("by: 0.1", "buy: 0.1", "unknown Ahead option 'buy'; did you mean 'by'"),
        (f"- {RULE}", f"- {{{RULE[:-1]}, factor: big}}}}", "factor"),
        (f"- {RULE}", "- ahead", "a rule is written as one name with its options"),
        ("grid:", "seeds: [1, 2, 3]\ngrid:", "needs 5 different seeds or more"),
        ("grid:", "seeds: [1, 2, 3, 4, 4]\ngrid:", "needs 5 different seeds or more"),
        ("grid:", "seeds: [100, 2, 3, 4, 5]\ngrid:", "must be others than the reported"),
        ("grid:", "tuning_seeds: []\ngrid:", "must be others than the reported"),
        ("grid:", "format: 1\ngrid:", "unknown option of the claim"),
        ("grid:", "scale: huge\ngrid:", "unknown scale 'huge'"),
        ("grid:", "id: R1\ngrid:", "R1 is a claim of this kit"),
        ("grid:", "task: depo\ngrid:", "the key 'task' stands twice"),
        ("{}", "&a {}", None),
        ("canon: {canon: ABCD}", "canon: *plain", "aliases"),
        ("title:", "title: [", "not YAML that can be read, line"),
    ],
)
def test_what_is_wrong_is_said_in_one_sentence(mine: Path, old: str, new: str, said: str | None) -> None:
    assert old in TINY
    mine.write_text(TINY.replace(old, new, 1))
    if said is None:
        assert read_claim(mine).id == "mine"
        return
    with pytest.raises(ValueError, match=said) as caught:
        read_claim(mine)
    assert "\n" not in str(caught.value).strip() or "YAML" in str(caught.value)


def test_a_claim_that_is_not_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match=r"there is no file .*lost\.yaml"):
        find_claim(str(tmp_path / "lost.yaml"))
    with pytest.raises(UnknownName, match="did you mean 'R2-depth'"):
        find_claim("R2-dept")
    assert main(["replicate", str(tmp_path / "lost.yaml")]) == 2
    assert re.fullmatch(r"physlm: there is no file .*\n", capsys.readouterr().err)
