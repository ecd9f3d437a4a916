"""The ledger as one file that needs nothing: every row with its figure, and what-if over the records behind it.

One ES module, `ledger_page.js`, draws the page, the notebook's view and any other HTML alike. It follows anywidget's protocol
(`export default { render }`) and asks its model for two things: "data", which `page_data` makes, and "view" ("ledger" or
"what if"). It judges nothing: every word and number in it comes from the ledger. A notebook shows it in a frame of its own
(`Explorer`), which needs no kernel, no comm and no further package, and so still answers where only the saved notebook is read.
"""

from __future__ import annotations

import json
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain, combinations
from typing import Any

from ..base.printable import escaped
from ..claims import CLAIMS, PUBLISHED, SHIPPED, VERDICTS, Claim, Outcome, Published, everything
from ..claims.columns import budget_of, columns, facets
from ..claims.first_protocol import Deepens
from ..claims.ledger import by_luck, judged
from ..claims.phase_map import MAPS, PhaseMap
from ..claims.published import NotBehind, Wins, Within, less_is_better, scores
from ..claims.rules import NOT_RUN, Ahead, AtLeast, Beats, Climbs, Level, Noise, Rule, Stops, hops_reached
from ..training import Record, Store
from .frame import framed, read, whole_page

MOST_RECORDS = 4_000  # of the user's own, beside the shipped ones: the page stays small enough for a phone
_BY_TASK = {"depo": "03_depo", "brevo": "04_brevo", "capo": "05_capo", "mano": "06_mano", "lano": "07_lano"}
_BY_PART = {
    "R0": "01_playground",
    "R1": "02_canon_layer",
    "R3": "08_positions",
    "R4": "09_ablations",
    "R5": "10_feed_forward",
    "R6": "11_gated_linear_attention",
    "R7": "12_mamba2_and_gated_delta",
    "R8": "12_mamba2_and_gated_delta",
    "R9": "13_fair_comparison",
    "R10": "13_fair_comparison",
    "R11": "13_fair_comparison",
    "R12": "14_real_text",
    "P42": "15_canon_at_scale",
}


Judged = Sequence[tuple[Outcome, dict[str, Any]]]  # as `claims.ledger.judged` gives them


def ledger_html(found: Judged, store: Store | None = None, files: Mapping[str, str] | None = None) -> str:
    """These outcomes, and the records of a store, as one HTML file. files: those in which a reader's own claims stand, by id."""
    store = store or everything()
    maps = (map_data(phase, store) for phase in MAPS.values())
    begun = [told for told in maps if any(point["ours"] for point in told["points"])]
    data = page_data(found, _at_hand(store), files, PUBLISHED.values(), begun)
    return html(data, "ledger", "The ledger of physlm_lite")


def page_data(
    found: Judged,
    more: Iterable[Record] = (),
    files: Mapping[str, str] | None = None,
    published: Iterable[Published] = (),
    maps: Sequence[Mapping[str, Any]] = (),
) -> dict[str, Any]:
    """What is drawn, JSON-ready: the rows with the phase maps around them (`map_data`), the records that they report, and `more`
    of them for what-if; at the end, claims that are judged on published numbers."""
    records = {record.id: record for outcome, _ in found for record in _records(outcome)}
    for record in more:
        records.setdefault(record.id, record)
    places = {name: place for place, name in enumerate(records)}
    table = columns(records.values())
    rows, elsewhere = [row for _, row in found], [_published_row(claim) for claim in published]
    notes = [line.replace("* ", "Hatched: ", 1) for line in by_luck(rows) if line]
    if elsewhere:
        notes.append(f"{len(elsewhere)} more rows at the end are judged on published numbers, not on runs of ours.")
    return {
        "verdicts": VERDICTS,
        "counts": {
            "At equal steps": _counted((row["verdict"], row["protocol"]) for row in rows),
            "At equal seconds": _counted((row["equal_seconds"]["verdict"], row["protocol"]) for row in rows),
        },
        "notes": notes,
        "rows": [
            _row(outcome, row, places, files or {})
            | _asked(outcome, table)
            | {"maps": [told for told in maps if (told["claim_id"], told["scale"]) == (row["claim"], row["scale"])]}
            for outcome, row in found
        ]
        + elsewhere,
        **table,
    }


def map_data(phase: PhaseMap, store: Store) -> dict[str, Any]:
    """A phase map as the page draws it: scores with four digits, and what its score is called."""
    told, metric = phase.to_dict(store), phase.measured
    points = [
        point
        | {
            side: [score if score is None else float(f"{score:.4g}") for score in point[side]]
            for side in ("ours", "theirs")
        }
        for point in told["points"]
    ]
    return told | {"points": points, "label": metric.label, "lower": metric.lower}


def html(data: Mapping[str, Any], view: str, title: str) -> str:
    """One self-contained page with a view of the data ("ledger" or "what if")."""
    begin = f"const model = {{ get: (name) => ({{ data, view: {json.dumps(view)} }})[name] }};\n"
    start = f"{begin}render({{ model, el: document.getElementById('page') }});"
    return whole_page(title, data, script().replace(_EXPORT, start), read("ledger_page.css"))


class Explorer:
    """Some claims of the ledger in a notebook: their rows, or what-if over the records of their worlds; claims on published
    numbers have rows alone.

    It is shown in a frame of its own, by the module that draws the page; in plain text it is the rows in words.
    """

    def __init__(
        self, *claims: Claim | Published, view: str = "what if", store: Store | None = None, height: int = 780
    ) -> None:
        published = [claim for claim in claims if isinstance(claim, Published)]
        store, found = store or everything(), judged([claim for claim in claims if isinstance(claim, Claim)], store)
        worlds = [(outcome.experiment.task, dict(outcome.experiment.task_options)) for outcome, _ in found]
        alike = (record for record in _at_hand(store) if (record.run.task, dict(record.run.task_options)) in worlds)
        self.data = page_data(found, alike, published=published)
        self.view, self.height = view, height
        self.title = f"{', '.join(claim.id for claim in claims)}: {view}"

    def _repr_mimebundle_(self, **_: Any) -> dict[str, str]:
        frame = framed(html(self.data, self.view, self.title), self.title, self.height)
        said = [f"{row['claim']}, {row['scale']}: {row['verdict']} ({row['state']})" for row in self.data["rows"]]
        line = f"{'; '.join(said)}. The frame draws the numbers behind it; where it is not shown, physlm ledger --html does."
        return {"text/html": f"{frame}<p>{escaped(line)}</p>", "text/plain": "\n".join(said)}


_EXPORT = "export default { render };"


def script() -> str:
    """The module's text: what anywidget calls `_esm`. What it draws of published numbers and of phase maps stands in files of
    their own."""
    parts = [read(name) for name in ("frame.js", "ledger_page.js", "published_page.js", "maps_page.js")]
    return "\n".join([*parts, _EXPORT])


def _at_hand(store: Store) -> Iterable[Record]:
    """The records that ship, and so many of the user's own."""
    own = [Store(folder) for folder in store.folders if folder != SHIPPED]
    mine = (record for folder in own for record in folder if record.status != "stopped")
    return chain(Store(SHIPPED), (record for record, _ in zip(mine, range(MOST_RECORDS), strict=False)))


# -- a row -------------------------------------------------------------------------------------------------------------


def _records(outcome: Outcome) -> list[Record]:
    return [r for side in (*outcome.records.values(), *outcome.in_time.values()) for r in side]


def _counted(verdicts: Iterable[tuple[str, int]]) -> list[list[Any]]:
    """Each word, how many rows it is said of, and of how many of these by the first protocol."""
    counts = Counter((word, protocol if word != NOT_RUN else 2) for word, protocol in verdicts)
    return [[word, counts[word, 1] + counts[word, 2], counts[word, 1]] for word in VERDICTS]


def _row(
    outcome: Outcome, row: Mapping[str, Any], places: Mapping[str, int], names: Mapping[str, str]
) -> dict[str, Any]:
    """A row of the ledger as the page has it: its runs point to the records, and all that is drawn stands ready."""
    claim, experiment = outcome.claim, outcome.experiment
    part = claim.id.partition("-")[0] if claim.id in CLAIMS else "own"
    asked = f"{names.get(claim.id, claim.id)} --scale {outcome.scale}"
    runs = [place for record in _records(outcome) if (place := places[record.id]) is not None]
    sides = {
        side: {
            "learning_rate": told["learning_rate"],
            "rate_source": told["rate_source"],
            "runs": [places[run["record"]] for run in told["runs"]],
            "runs_in_time": [places[run["record"]] for run in told["runs_in_time"]],
            "options": dict(experiment.sides[side]),
            "facets": facets({**experiment.model, **experiment.sides[side]}),
        }
        for side, told in row["sides"].items()
    }
    kept = ("claim", "title", "source", "scale", "protocol", "paper", "rule", "verdict", "budget")
    return {
        **{name: row[name] for name in (*kept, "basis", "simplified", "history", "learning_rate_grid")},
        "reason": "; ".join(filter(None, (row["reason"], row["second_look"]))),
        "part": part,
        "task": experiment.task,
        "task_options": dict(experiment.task_options),
        "model": dict(experiment.model),
        "statement": claim.statement,
        "state": _state(outcome),
        "equal_seconds": {name: row["equal_seconds"][name] for name in ("verdict", "reason", "step_times")},
        "redo": [f"physlm replicate {asked}"] + [f"physlm verify {asked}"] * (bool(runs) and outcome.protocol > 1),
        "notebook": notebook_of(claim),
        "sides": sides,
        "metric": _first_metric(outcome),
        "panels": _panels(outcome, row) if runs else [],
        "contrasts": _contrasts(experiment.rules, row),
    }


def _asked(outcome: Outcome, table: Mapping[str, Any]) -> dict[str, Any]:
    """What `physlm replicate` runs, as the records' columns say it: world (None: one without any record), budget, seeds."""
    experiment = outcome.claim.experiment(outcome.scale)
    world = {"task": experiment.task, "options": dict(experiment.task_options)}
    same = [place for place, known in enumerate(table["worlds"]) if world.items() <= known.items()]
    return {
        "world": same[0] if same else None,
        "budget_name": budget_of(experiment.training),
        "seeds": list(experiment.seeds),
    }


def _first_metric(outcome: Outcome) -> str:
    """The score whose curves are drawn first: what the first rule looks at."""
    experiment = outcome.experiment
    for rule in experiment.rules:
        if isinstance(rule, Climbs):
            return f"accuracy_k.{rule.hops}"
        if hasattr(rule, "metric"):
            return str(rule.metric)
    return experiment.panels[0].name


def notebook_of(claim: Claim | Published) -> str | None:
    """The notebook that tells of a claim: by its part or, where a part has several, by its task."""
    part = claim.id.partition("-")[0]
    name = _BY_PART.get(part)
    if part == "R2" and isinstance(claim, Claim):
        name = _BY_TASK.get(next(iter(claim.experiments.values())).task)
    return name and f"notebooks/{name}.ipynb"


def _state(outcome: Outcome) -> str:
    """How far the records are."""
    experiment = outcome.experiment
    asked = len(experiment.seeds) * (len(experiment.sides) + len(outcome.slower))
    here = len(_records(outcome))
    if not here:
        return "no records yet"
    if outcome.protocol == 1 and outcome.verdict.word != NOT_RUN:
        return f"first protocol: {len(experiment.seeds)} seeds, which chose the learning rates, too"
    return f"{len(experiment.seeds)} seeds a side" if outcome.complete else f"recording, {here} of {asked} runs"


def _panels(outcome: Outcome, row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """For each score that is judged: every seed of every side on both clocks, the floors, and the bars on the score itself."""
    panels: dict[str, dict[str, Any]] = {}
    times = outcome.experiment.step_times
    for rule in outcome.experiment.rules:
        panel = _panel(outcome, rule)
        panel = panels.setdefault(panel["name"], panel)
        if isinstance(rule, Beats):
            panel["bars"] += [["at least", rule.at_least], ["at most", rule.at_most]]
        elif isinstance(rule, Stops):
            panel["bars"] = [["at most", rule.at_most]]
        for side in rule.sides():
            if side in panel["sides"]:
                continue
            steps = [_value(rule, record) for record in outcome.records.get(side, ())]
            seconds: list[float | None] = []
            if isinstance(rule, Climbs) and times:
                seconds = [None if v is None else round(v * times[side]) for v in steps]
            elif times:
                again = outcome.in_time.get(side, ()) if side in outcome.slower else outcome.records.get(side, ())
                seconds = [_value(rule, record) for record in again]
            panel["sides"][side] = [steps, seconds]
    for panel in panels.values():
        panel["floors"] = list(row["floors"].get(panel["name"], {}).items())
        panel["sides"] = [[side, *values] for side, values in panel["sides"].items()]
    return list(panels.values())


def _panel(outcome: Outcome, rule: Rule) -> dict[str, Any]:
    """An empty panel: what it counts, whether that is a share, whether less is better, and what no number means."""
    if isinstance(rule, Climbs):
        rungs = f"{rule.hops} hop{'s' * (rule.hops > 1)}"
        said = (f"steps to {rungs}", f"steps until {rungs} are answered", False, True, "never")
    elif isinstance(rule, Deepens):
        said = ("hops answered", "hops answered", False, False, "diverged")
    else:
        metric = outcome.experiment.metric(rule.metric)  # type: ignore[attr-defined]
        said = (metric.name, metric.label, metric.share, metric.lower, "diverged")
    return {**dict(zip(("name", "label", "share", "lower", "lost"), said, strict=True)), "sides": {}, "bars": []}


def _value(rule: Rule, record: Record) -> float | None:
    """What a rule looks at in a run, as it was measured; None where that is infinite."""
    if isinstance(rule, Climbs):
        value = rule.steps(record)
    elif isinstance(rule, Deepens):
        value = hops_reached(record, rule.accuracy)
    else:
        value = record.score(rule.metric)  # type: ignore[attr-defined]
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _contrasts(rules: Sequence[Rule], row: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The ledger's comparisons on both clocks, each with the place of "no difference" and the bars of its rule."""
    lines = [line for rule in rules for line in _lines(rule)]
    steps, seconds = row["comparisons"], row["equal_seconds"]["comparisons"]
    return [
        {
            **{name: found[name] for name in ("metric", "better", "worse")},
            "kind": kind,
            "none": none,
            "bars": bars,
            "clocks": [_numbers(found), _numbers(seconds[place]) if len(seconds) == len(steps) else None],
        }
        for place, (found, (kind, none, bars)) in enumerate(zip(steps, lines, strict=False))
    ]


def _lines(rule: Rule) -> list[tuple[str, float, list[float]]]:
    """For each comparison that a rule makes: what is compared, its value where the sides are alike, and the bars."""
    if isinstance(rule, Ahead):
        return [("difference", 0.0, [rule.by])] if rule.factor is None else [("ratio", 1.0, [rule.factor])]
    if isinstance(rule, Level):
        return [("difference", 0.0, [-rule.margin, rule.margin])]
    if isinstance(rule, AtLeast):
        return [("difference", 0.0, [-rule.margin])]
    if isinstance(rule, Climbs):
        return [("ratio", 1.0, [rule.factor])]
    if isinstance(rule, Noise):
        return [("contests won", 0.5, [rule.enough])] * len(list(combinations(rule.compared, 2)))
    return [("difference", 0.0, [])]


def _numbers(found: Mapping[str, Any]) -> list[Any]:
    """Difference, interval and p, rounded for a picture."""
    low, high = found["interval"] or (None, None)
    return [None if value is None else float(f"{value:.4g}") for value in (found["difference"], low, high, found["p"])]


# -- a row on published numbers ----------------------------------------------------------------------------------------


def _published_row(claim: Published) -> dict[str, Any]:
    """A row without records: a dot is a run of others, and what is compared are pairs of them."""
    row = claim.to_dict()
    return {
        **{name: row[name] for name in ("claim", "title", "source", "basis", "paper", "rule", "verdict", "reason")},
        **{name: row[name] for name in ("statement", "limits", "numbers")},
        "scale": "published",
        "part": claim.id.partition("-")[0],
        "task": "real text",
        "protocol": 2,
        "state": "published numbers, not our runs",
        "sides": {},
        "redo": [],
        "notebook": notebook_of(claim),
        "panels": list(map(_published_panel, claim.rules)),
        "contrasts": [
            {
                **{name: found[name] for name in ("metric", "better", "worse")},
                "kind": "difference",
                "none": 0.0,
                "bars": bars,
                "clocks": [_numbers(found), None],
            }
            for found, bars in zip(row["comparisons"], filter(None, map(_published_bars, claim.rules)), strict=True)
        ],
    }


def _published_panel(rule: Any) -> dict[str, Any]:
    """Every run of every side, by one score."""
    sides: dict[str, list[float]] = {side: [] for side in rule.sides()}
    for _, values in rule.seen(scores()):
        for side, value in values.items():
            sides[side].append(value)
    lower = less_is_better(rule.score)
    said = {
        "name": rule.score,
        "label": rule.score if lower else f"{rule.score}, percent",
        "lower": lower,
        "close": True,
    }
    bars = [["at least", rule.least], ["at most", rule.most]] if isinstance(rule, Within) else []
    drawn = [[side, values, []] for side, values in sides.items()]
    return {**said, "share": False, "lost": "", "floors": [], "bars": bars, "sides": drawn}


def _published_bars(rule: Any) -> list[float] | None:
    """The bars on the mean difference; None where a rule compares no pairs."""
    if isinstance(rule, NotBehind):
        return [-rule.margin, *([rule.margin] * rule.either_way)]
    return list(rule.about or (0.0,)) if isinstance(rule, Wins) else None
