"""Claims on published numbers: the verdicts follow from the tables, and change when these do."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from itertools import product

import jsonschema
import pytest

from physlm_lite.claims import CLAIMS, PUBLISHED, claim, published_claim
from physlm_lite.claims.ledger import SCHEMA, ledger_csv, ledger_table, published
from physlm_lite.claims.published import AWAKE, GainsMore, NotBehind, WhateverRate, Wins, Within, between_rates, cells
from physlm_lite.claims.statistics import paired_interval, sign_p
from physlm_lite.cli import main
from physlm_lite.scale.published.results import curves, tables

# What the rules said when they were written down, looked at by hand: a change must be meant.
VERDICTS = {
    "P42-wins": "holds",
    "P42-MMLU": "holds",
    "P42-earlier": "holds",
    "P42-rates": "holds",
    "P42-window": "holds",
    "P42-beyond": "does not show at this scale",
    "P42-Babilong": "holds",
    "P42-two-hops": "holds",
    "P42-GLA": "holds",
    "P42-GDN": "holds in direction",
    "P42-Mamba2": "does not show at this scale",
    "P42-level": "holds",
    "P42-averages": "holds",
    "P42-retrieval": "holds",
}
PLACES = [f"1B-Nemo-1T-lr0.00{rate}" for rate in (2, 3)] + [f"8B-Nemo-1T-lr0.00{rate}" for rate in (2, 3)]
PLACES += [f"3B-Nemo-1T-lr0.00{rate}" for rate in (2, 3)]


def table(differences: list[float], score: str = "MMLU") -> dict[str, dict[str, float]]:
    """LlamaCanon that much above Llama's 50, in six cells."""
    canon = {f"LlamaCanon-{place}": {score: 50 + d} for place, d in zip(PLACES, differences, strict=True)}
    return canon | {f"Llama-{place}": {score: 50.0} for place in PLACES}


PAIR = ("LlamaCanon", "Llama")


@pytest.mark.parametrize("name", PUBLISHED)
def test_the_verdicts_on_the_published_tables(name: str) -> None:
    assert PUBLISHED[name].verdict.word == VERDICTS[name]
    assert set(VERDICTS) == set(PUBLISHED) and not set(PUBLISHED) & set(CLAIMS)


@pytest.mark.parametrize(
    ("differences", "word"),
    [
        ([2.0, 2.1, 1.9, 2.2, 1.8, 2.0], "holds"),
        ([2.0, 2.1, 1.9, 2.2, 1.8, -0.1], "does not show at this scale"),  # five of six are no evidence: p = 0.11
        ([0.0, 2.1, 1.9, 2.2, 1.8, 2.0], "holds in direction"),  # a tie is no win: five of five, p = 0.03
        ([-2.0, -2.1, -1.9, -2.2, -1.8, -2.0], "contradicted"),
        ([1.0, -1.0, 1.0, -1.0, 1.0, -1.0], "does not show at this scale"),
    ],
)
def test_a_win_is_a_win_in_every_pair(differences: list[float], word: str) -> None:
    found = Wins("MMLU", *PAIR).judge(table(differences))
    assert found.word == word
    assert found.comparisons[0].difference == pytest.approx(sum(differences) / 6)
    assert f"in {sum(d > 0 for d in differences)} of 6 pairs" in found.reason


def test_a_size_that_is_claimed_is_judged_too() -> None:
    far = table([5.0, 5.1, 4.9, 5.2, 4.8, 5.0])
    assert Wins("MMLU", *PAIR).judge(far).word == "holds"
    assert Wins("MMLU", *PAIR, about=(1.5, 2.5)).judge(far).word == "holds in direction"


def test_less_perplexity_is_more() -> None:
    assert Wins("WikiPPL", *PAIR).judge(table([-1.0, -1.1, -0.9, -1.2, -1.0, -1.0], "WikiPPL")).word == "holds"
    assert Wins("WikiPPL", *PAIR).judge(table([1.0, 1.1, 0.9, 1.2, 1.0, 1.0], "WikiPPL")).word == "contradicted"


@pytest.mark.parametrize(
    ("shift", "either", "one_sided"),
    [
        (0.0, "holds", "holds"),
        (-0.95, "holds in direction", "holds in direction"),
        (3.0, "contradicted", "holds"),
        (-3.0, "contradicted", "contradicted"),
        (1.2, "does not show at this scale", "holds"),
    ],
)
def test_level_is_an_interval_within_the_margin(shift: float, either: str, one_sided: str) -> None:
    differences = [shift + d for d in (-0.4, 0.4, -0.3, 0.3, -0.1, 0.1)]
    assert NotBehind("MMLU", *PAIR, either_way=True).judge(table(differences)).word == either
    assert NotBehind("MMLU", *PAIR).judge(table(differences)).word == one_sided


def test_the_worst_rate_is_held_against_the_best() -> None:
    judge = WhateverRate("MMLU", *PAIR).judge
    assert judge(table([1.0, 2.0] * 3)).word == "holds"
    assert judge(table([-1.0, 2.0, 1.0, 2.0, 1.0, 2.0])).word == "holds in direction"
    assert judge(table([-1.0, 2.0] * 3)).word == "does not show at this scale"
    assert judge(table([-1.0, -2.0, 1.0, 2.0, 1.0, 2.0])).word == "contradicted"


def test_bounds_of_ours_contradict_nobody() -> None:
    judge = Within("MMLU", PAIR, 49, 51, ("1B", "3B")).judge
    assert judge(table([0.5] * 6)).word == "holds"
    assert judge(table([0.5, 0.5, 9.0, 9.0, 0.5, 0.5])).word == "holds"  # 8B is not asked
    assert judge(table([9.0] * 6)).word == "does not show at this scale"


def test_gains_are_compared_with_gains() -> None:
    sides = ("GLA5Canon", "GLA5conv", "Mamba2Canon", "Mamba2conv")
    gains: Mapping[str, float] = dict(zip(sides, (3.0, 0.0, 1.0, 0.5), strict=True))
    found = {f"{side}-{place}": {"MMLU": gains[side]} for side, place in product(sides, PLACES)}
    rule = GainsMore("MMLU", "GLA5Canon", "Mamba2Canon", without="GLA5conv", worse_without="Mamba2conv")
    assert rule.differences(found) == [2.5] * 6
    judged = rule.judge(found | {f"GLA5Canon-{PLACES[0]}": {"MMLU": 3.1}})
    assert judged.word == "holds" and "the gain of GLA5Canon ahead of that of Mamba2Canon in 6 of 6" in judged.reason


def test_cells_have_everything_in_common_but_the_side() -> None:
    found = cells(tables(), "MMLU", *PAIR)
    assert [place for place, _ in found][:3] == ["1B, 1T, rate 0.002", "1B, 1T, rate 0.003", "1B, 2T, rate 0.003"]
    assert len(found) == 8 and found[-1] == ("8B, 1T, rate 0.003", {"LlamaCanon": 62.1, "Llama": 60.6})
    assert len(cells(tables(), "MMLU", "GDN2Canon", "LlamaCanon")) == 6  # whose rates both have
    with pytest.raises(ValueError, match="unknown published score 'MMLUs'; did you mean 'MMLU'"):
        cells(tables(), "MMLUs", *PAIR)


def test_the_distance_between_rates_stands_for_noise() -> None:
    assert between_rates(table([0.0, 1.0, 0.0, 3.0, 0.0, 2.0]), "MMLU", ("LlamaCanon",)) == 2.0
    assert "two runs that differ in the rate alone: 0.30 apart" in PUBLISHED["P42-wins"].verdict.reason
    assert all("no seed repeated" in claim.limits for claim in PUBLISHED.values())


def test_the_sign_test_is_exact() -> None:
    assert sign_p([1.0] * 8) == 1 / 256
    assert sign_p([1.0] * 7 + [-1.0]) == 9 / 256
    assert sign_p([-1.0] * 3) == 1.0 and sign_p([0.0, 0.0]) == 1.0
    low, high = paired_interval([1.0, 2.0, 3.0, 4.0, 5.0])
    assert 1.0 < low < 3.0 < high < 5.0


def test_rows_fit_the_schema_and_stand_apart_in_table_and_csv() -> None:
    rows = json.loads(json.dumps(published()))
    jsonschema.validate(rows, SCHEMA)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate([{**rows[0], "basis": "recorded"}], SCHEMA)
    lines = ledger_table(rows).splitlines()
    assert "Judged on published numbers, not on runs of ours (one run of each kind):" in lines
    assert sum(line.startswith("P42-") for line in lines) == len(rows)
    assert not any("rows are judged" in line for line in lines), "they are no experiments of ours"
    found = list(csv.DictReader(io.StringIO(ledger_csv(rows))))
    assert {(row["basis"], row["clock"], row["scale"], row["runs"]) for row in found} == {
        ("published", "tokens", "", "")
    }
    assert len([row for row in found if row["claim"] == "P42-retrieval"]) == 3


def test_every_number_of_a_row_stands_in_the_tables() -> None:
    for row in published():
        for told in row["numbers"]:
            size, tokens, rate = (part.split()[-1] for part in told["setting"].split(","))
            for side, value in told["values"].items():
                name = f"{side}-{size}-Nemo-{tokens}-lr{rate}"
                if told["score"] == AWAKE:  # read off the curves: above the bar there, and nowhere before
                    curve = curves()[name]
                    place = int((curve.tokens / 1e9 < value - 0.1).sum())
                    assert curve.scores["mmlu"][place] > 30 and (curve.scores["mmlu"][:place] <= 30).all()
                else:
                    assert tables()[name][told["score"]] == value


def test_what_cannot_be_run_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(ValueError, match="P42-wins is judged on published numbers, so that there is nothing to run"):
        claim("P42-wins")
    assert main(["replicate", "P42-wins"]) == 2
    assert "nothing to run; `physlm ledger` shows it" in capsys.readouterr().err
    assert published_claim("P42-wins").title.startswith("With Canon layers")
    with pytest.raises(ValueError, match="unknown claim on published numbers 'P42-win'; did you mean 'P42-wins'"):
        published_claim("P42-win")
