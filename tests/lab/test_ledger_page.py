"""The ledger as one file: its words and numbers are the ledger's, and it asks nobody for anything."""

from __future__ import annotations

import html as markup
import json
import re
from pathlib import Path

import pytest

from physlm_lite.claims import CLAIMS, PUBLISHED, SHIPPED, VERDICTS, claim
from physlm_lite.claims.ledger import every, judged
from physlm_lite.claims.phase_map import MAPS
from physlm_lite.lab import ledger_page
from physlm_lite.lab.ledger_page import Explorer, html, ledger_html, map_data, notebook_of, page_data, script
from physlm_lite.training import Store

ROOT = Path(__file__).parents[2]
MODULE = Path(ledger_page.__file__).with_suffix(".js")


@pytest.fixture(scope="module")
def found():
    return judged(every(), Store(SHIPPED))


@pytest.fixture(scope="module")
def data(found) -> dict:
    return json.loads(json.dumps(page_data(found, Store(SHIPPED)), allow_nan=False))


def test_the_page_is_one_small_file_that_may_reach_nothing(found) -> None:
    page = ledger_html(found, Store(SHIPPED))
    assert len(page.encode()) < 3_000_000
    assert "default-src 'none'" in page
    reaches = re.findall(r"""(?:src|href|url\(|import\()\s*=?\s*["']?(?:https?:)?//[^"'\s]*""", page)
    assert reaches == [] and "<link" not in page and "@import" not in page
    text = re.search(r'<script id="data" type="application/json">(.*?)</script>', page, re.S).group(1)
    assert len(json.loads(text)["rows"]) == len(found) + len(PUBLISHED)


def test_the_module_follows_anywidgets_protocol_and_is_small() -> None:
    sizes = {
        MODULE.with_name("frame.js"): 11_000,
        MODULE: 36_000,
        MODULE.with_name("published_page.js"): 15_000,
        MODULE.with_name("maps_page.js"): 4_000,
    }
    assert [path.name for path, most in sizes.items() if len(path.read_bytes()) > most] == []
    assert script().count("export default { render };") == 1 and script().rstrip().endswith(
        "export default { render };"
    )
    assert re.findall(r"^\s*import\b|import\(|fetch\(|XMLHttpRequest|innerHTML|eval\(", script(), re.M) == []


def test_words_and_numbers_are_the_ledgers(data: dict, found) -> None:
    for row, (_, told) in zip(data["rows"], found, strict=True):
        for name in ("claim", "scale", "verdict", "rule", "history", "simplified", "protocol"):
            assert row[name] == told[name]
        assert row["reason"] == "; ".join(filter(None, (told["reason"], told["second_look"])))
        assert row["equal_seconds"]["verdict"] == told["equal_seconds"]["verdict"]
        for contrast, comparison in zip(row["contrasts"], told["comparisons"], strict=bool(row["contrasts"])):
            assert (contrast["better"], contrast["worse"]) == (comparison["better"], comparison["worse"])
            numbers = [comparison["difference"], *(comparison["interval"] or (None, None)), comparison["p"]]
            assert contrast["clocks"][0] == [n if n is None else pytest.approx(n, rel=1e-3) for n in numbers]
        for side, of in told["sides"].items():
            ids = [data["records"]["id"][place] for place in row["sides"][side]["runs"]]
            assert ids == [run["record"] for run in of["runs"]]
    for clock, counts in data["counts"].items():
        told = [(t if clock == "At equal steps" else t["equal_seconds"]) | {"by": t["protocol"]} for _, t in found]
        for word, count, before in counts:
            said = [t["by"] for t in told if t["verdict"] == word]
            assert (count, before) == (len(said), 0 if word == "not run" else said.count(1))
        assert [word for word, *_ in counts] == list(VERDICTS)


def test_every_seed_is_a_dot_and_the_bars_are_those_of_the_rule(data: dict) -> None:
    rows = {(row["claim"], row["scale"]): row for row in data["rows"]}
    depth = rows["R2-depth", "toy"]
    (panel,) = depth["panels"]
    assert [side for side, *_ in panel["sides"]] == ["RoPE + Canon", "RoPE"]
    assert panel["sides"][0][1] == [None, 300, 200, 200, None] and panel["sides"][1][1] == [None] * 5
    assert panel["sides"][0][2] == [None, 483, 322, 322, None]
    assert [c["bars"] for c in depth["contrasts"]] == [[2.0]]
    silu = rows["R4-activation", "toy"]
    assert silu["panels"][0]["floors"] == [["11-gram", 0.105]]
    assert silu["contrasts"][0]["bars"] == [-0.005, 0.005] and silu["contrasts"][0]["none"] == 0
    for row in data["rows"]:
        for panel in row["panels"]:
            for side, steps, seconds in panel["sides"]:
                assert len(steps) == len(row["sides"][side]["runs"])
                timed = row["equal_seconds"]
                assert not seconds or timed["step_times"]
                if (
                    timed["step_times"] and timed["verdict"] != "not run"
                ):  # of a row that is being recorded, some may be missing
                    assert len(seconds) == len(steps) > 0


def test_rows_without_records_say_so_and_those_of_the_first_protocol_are_told(data: dict) -> None:
    for row in data["rows"]:
        runs = sum(len(side["runs"]) for side in row["sides"].values())
        if not runs:
            assert row["state"] == "no records yet" and row["panels"] == []
        elif row["verdict"] == "not run":
            assert re.fullmatch(r"recording, \d+ of \d+ runs", row["state"])
        elif row["protocol"] == 1:
            assert row["state"].startswith("first protocol")


def test_the_command_and_the_notebook_are_real(data: dict) -> None:
    for row in data["rows"]:
        assert row["redo"][0] == f"physlm replicate {row['claim']} --scale {row['scale']}"
    for name, of in CLAIMS.items():
        path = notebook_of(of)
        assert path is None or (ROOT / path).exists(), name
    assert notebook_of(claim("R2-breadth")) == "notebooks/04_brevo.ipynb"


def test_a_claims_text_cannot_end_the_data_or_become_markup(data: dict) -> None:
    page = html({**data, "notes": ["</script><img src=x onerror=alert(1)>"]}, "ledger", "<b>a & b")
    assert "</script><img" not in page and "<title>&lt;b&gt;a &amp; b</title>" in page


def test_in_a_notebook_it_is_a_frame_with_its_words_beside_it() -> None:
    bundle = Explorer(claim("R4-activation"), store=Store(SHIPPED))._repr_mimebundle_()
    assert bundle["text/plain"].splitlines()[0].startswith("R4-activation, toy: does not show at this scale")
    page = re.fullmatch(
        r'<iframe title="R4-activation: what if" style="[^"]*" srcdoc="([^"]*)"></iframe><p>([^<]*)</p>',
        bundle["text/html"],
    )
    inside = markup.unescape(page.group(1))
    assert inside.startswith("<!doctype html>") and 'view: "what if"' in inside
    assert "R4-activation, toy: does not show at this scale (5 seeds a side)" in page.group(2)
    told = json.loads(re.search(r'<script id="data" type="application/json">(.*?)</script>', inside, re.S).group(1))
    assert {world["task"] for world in told["worlds"]} == {"lano"}, "only the records of its worlds travel along"
    assert len(inside) < 500_000


def test_a_map_stands_in_its_row_with_the_scores_of_its_records(found) -> None:
    phase = MAPS["copying"]
    run = phase.run("RoPE", 4e-3, 300, *phase.places[0])
    told = map_data(phase, Store(SHIPPED))
    assert (told["label"], told["lower"]) == (phase.measured.label, phase.measured.lower)
    assert len(told["points"]) == len(phase.places) and run.seed in told["seeds"]
    data = page_data(found, maps=[told])
    (row,) = [row for row in data["rows"] if row["maps"]]
    assert (row["claim"], row["scale"], row["maps"]) == ("R1", "toy", [told])


def test_rows_on_published_numbers_come_last_and_hold_every_dot() -> None:
    rows = page_data([], published=PUBLISHED.values())["rows"]
    assert [row["claim"] for row in rows] == list(PUBLISHED)
    for row, of in zip(rows, PUBLISHED.values(), strict=True):
        told = of.to_dict()
        assert (row["verdict"], row["reason"], row["limits"]) == (told["verdict"], told["reason"], told["limits"])
        assert row["state"] == "published numbers, not our runs" and row["redo"] == [] and row["sides"] == {}
        drawn = sorted(value for panel in row["panels"] for _, values, _ in panel["sides"] for value in values)
        assert drawn == sorted(value for number in told["numbers"] for value in number["values"].values())
        assert [c["clocks"][0][3] for c in row["contrasts"]] == [
            pytest.approx(c["p"], rel=1e-3) for c in told["comparisons"]
        ]
    alone = Explorer(*PUBLISHED.values(), view="ledger")._repr_mimebundle_()
    assert alone["text/plain"].startswith("P42-wins, published: holds (published numbers, not our runs)")
