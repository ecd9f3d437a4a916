"""Figures say what they show: labels, seeds, and every seed's dot."""

from __future__ import annotations

import dataclasses
from itertools import chain, combinations
from statistics import fmean

import numpy as np
import pytest
from drawn import dots_of
from matplotlib.colors import to_rgb
from matplotlib.text import Text

from physlm_lite.claims import CLAIMS, Outcome, claim, recorded, replicate
from physlm_lite.claims.rules import NOT_RUN
from physlm_lite.lab import (
    claim_card,
    effect_figure,
    ledger_row,
    outcome_figure,
    save_figure,
    scale_table,
    setting_table,
)
from physlm_lite.lab.plots import colour, new_figure
from physlm_lite.lab.show import smallest_letters
from physlm_lite.lab.terminal import report
from physlm_lite.training import Store


@pytest.fixture(scope="module")
def outcome(tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    return replicate(claim("R2-depth"), "smoke", store=Store(tmp_path_factory.mktemp("runs")))


def test_an_outcome_shows_every_seed(outcome: Outcome) -> None:
    figure = outcome_figure(outcome)
    assert len(dots_of(figure.axes[0])) == 2 * 3 * len(outcome.experiment.panels)
    assert "3 seeds" in figure.get_suptitle()
    assert figure.axes[0].get_ylabel()
    assert [axis.get_xlabel() for axis in figure.axes[-2:]] == ["training step", "seconds of training"]


def test_means_stand_on_their_dots_and_the_floors_below_or_above_them() -> None:
    structure = recorded(claim("R2-structure"), "toy")
    axis, curves, _ = outcome_figure(structure).axes
    kl, valid = structure.experiment.panels
    assert (axis.get_title(), curves.get_title()) == (kl.label, f"{kl.label},\nwhile it learns")
    scores = [[r.score("kl") for r in runs] for runs in structure.records.values()]
    assert sorted(dots_of(axis)[:, 1]) == pytest.approx(sorted(chain(*scores)))
    texts = [text.get_text() for text in axis.texts]
    assert texts[: len(scores)] == [f"{fmean(s):.2f}" for s in scores]
    assert [bar.get_height() for bar in axis.patches] == pytest.approx([fmean(s) for s in scores])
    (name, floor), *_ = structure.floors(kl).items()
    assert name in texts and any(line.get_ydata()[0] == floor for line in axis.lines)
    for label, runs in zip(axis.get_xticklabels(), structure.records.values(), strict=True):
        assert label.get_text().endswith(f"({fmean(r.score('accuracy') for r in runs):.2f})")
    assert valid.label in axis.get_xlabel()


@pytest.mark.parametrize(("name", "rows"), [("R1", 2), ("R4-activation", 1)])
def test_the_interval_of_each_difference_is_drawn_on_both_clocks(name: str, rows: int) -> None:
    found = recorded(claim(name), "toy")
    assert found.protocol == 2 and len(found.verdict.comparisons) == rows
    figure = outcome_figure(found)
    judged = figure.axes[2]
    drawn = [bars.lines[0].get_xdata()[0] for bars in judged.containers]
    pairs = zip(found.verdict.comparisons, found.verdict_in_time.comparisons, strict=True)
    assert drawn == pytest.approx([c.difference for pair in pairs for c in pair])
    ends = [sorted(cap.get_xdata()[0] for cap in bars.lines[1]) for bars in judged.containers]
    assert ends[0] == pytest.approx(found.verdict.comparisons[0].interval)
    assert figure.get_suptitle().endswith(
        f"equal steps: {found.verdict.word}  ·  equal seconds: {found.verdict_in_time.word}"
    )


def test_of_depth_the_steps_to_its_rung_are_drawn_a_dot_a_seed() -> None:
    depth = recorded(claim("R2-depth"), "toy")
    assert depth.protocol == 2
    judged, (rule,) = outcome_figure(depth).axes[2], depth.experiment.rules
    places = sorted(x for x, _ in dots_of(judged))
    reached = [rule.steps(record) for records in depth.records.values() for record in records]
    never = 1.3 * depth.experiment.training.steps
    assert places == pytest.approx(sorted(min(step, never) for step in reached))
    assert [label.get_text() for label in judged.get_xticklabels()][-1] == "never"


def test_no_name_at_the_end_of_a_curve_covers_another() -> None:
    figure = outcome_figure(recorded(claim("R1"), "toy"))  # two sides end at 1
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in figure.axes[1].texts]
    assert len(boxes) == 3 and not any(one.overlaps(other) for one, other in combinations(boxes, 2))


def test_letters_are_large_enough_on_a_page_and_there_are_three_panels() -> None:
    figure = outcome_figure(recorded(claim("R0-playground"), "toy"))
    assert len(figure.axes) == 3
    width = figure.get_size_inches()[0]
    sizes = [text.get_fontsize() for text in figure.findobj(Text) if text.get_text()]
    assert min(sizes) / 72 * 900 / width >= 11


def test_the_front_page_figure_has_a_label(outcome: Outcome) -> None:
    assert any(axis.get_ylabel() for axis in effect_figure(outcome).axes)


@pytest.mark.sampled(7)
@pytest.mark.parametrize("name", CLAIMS)
@pytest.mark.parametrize("scale", ["toy", "laptop"])
def test_records_can_always_be_drawn(name: str, scale: str) -> None:
    if scale in CLAIMS[name].experiments:
        result = recorded(CLAIMS[name], scale)
        assert outcome_figure(result).axes
        begun = result.verdict.word == NOT_RUN and any(result.records.values())
        assert ("not judged yet" if begun else result.verdict.word) in ledger_row(result).text


@pytest.mark.parametrize("name", ["R2-depth", "R2-structure", "R2-capacity"])  # a share, a distance, bits
@pytest.mark.parametrize("tests", [0, 2])
@pytest.mark.parametrize("seeds", [1, 3])
def test_diverged_runs_are_drawn_and_told_whatever_the_score(name: str, tests: int, seeds: int) -> None:
    whole = recorded(claim(name), "toy")
    side = list(whole.records)[-1]
    runs = list(whole.records[side])
    fallen = [dataclasses.replace(run, status="diverged", curve=run.curve[:tests]) for run in runs[:seeds]]
    outcome = dataclasses.replace(whole, records={**whole.records, side: [*fallen, *runs[seeds:]]})
    metric = outcome.experiment.panels[0]
    figure, _ = outcome_figure(outcome), effect_figure(outcome)
    texts = [text.get_text() for axis in figure.axes for text in axis.texts]
    assert (f"{seeds} diverged" in texts) == (not metric.share)
    assert outcome.verdict.word in report(outcome).lower() and outcome.verdict.word in ledger_row(outcome).text
    assert "diverged" in outcome.verdict.reason or metric.share


def test_a_figure_is_written_whole(outcome: Outcome, tmp_path) -> None:
    path = save_figure(outcome_figure(outcome), tmp_path / "deep" / "figure.png")
    assert path.read_bytes().startswith(b"\x89PNG")
    assert [file.name for file in path.parent.iterdir()] == ["figure.png"]


def test_one_seed_of_each_side_is_called_a_lead(outcome: Outcome) -> None:
    first = {side: list(records)[:1] for side, records in outcome.records.items()}
    assert (
        "One seed of each side: a lead, not a verdict" in ledger_row(dataclasses.replace(outcome, records=first)).text
    )
    assert "a lead" not in ledger_row(outcome).text


def test_page_pieces_come_from_the_claims() -> None:
    depth = claim("R2-depth")
    assert depth.statement in claim_card(depth).text
    assert depth.paper[0]["value"] in claim_card(depth).markup
    assert "← the dial" in scale_table(depth).text
    assert depth.experiment("toy").simplified in setting_table(depth).text


def test_a_phase_map_is_drawn_whatever_is_recorded_of_it() -> None:
    from physlm_lite.claims import SHIPPED
    from physlm_lite.claims.phase_map import MAPS
    from physlm_lite.lab.maps import map_figure

    for phase in MAPS.values():
        (axis,) = map_figure(phase, Store(SHIPPED)).axes
        known = [point for point in phase.points(Store(SHIPPED)) if point.difference is not None]
        assert len(axis.texts) == len(known) and phase.question.split()[0] in axis.get_title()
        assert axis.get_xlabel() == phase.across.label


def _lightness_and_hue(shade: str) -> np.ndarray:
    """A colour in CIELAB, where distances are as they are seen."""
    rgb = np.array(to_rgb(shade))
    linear = np.where(rgb > 0.04045, ((rgb + 0.055) / 1.055) ** 2.4, rgb / 12.92)
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(to_xyz @ linear / np.array([0.9505, 1, 1.089]))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def test_the_sides_of_a_claim_are_told_apart_by_colour() -> None:
    ladder = [
        side
        for name in ("residual", "each", "cumulative", "Primer")
        for side in claim(f"R4-{name}").experiment("toy").sides
    ]
    drawn = [list(experiment.sides) for c in CLAIMS.values() for experiment in c.experiments.values()]
    for sides in [dict.fromkeys(ladder), *drawn]:
        for one, other in combinations(sides, 2):
            apart = np.linalg.norm(_lightness_and_hue(colour(one)) - _lightness_and_hue(colour(other)))
            assert apart >= 20, (one, other, apart)


def test_no_figure_is_wider_than_a_page_so_that_its_letters_stay_readable() -> None:
    figure, (axis,) = new_figure(1, width=14.0)
    axis.set_xlabel("small", fontsize=9)
    width = figure.get_figwidth() * figure.dpi
    narrowest = 848  # pixels, of an output in JupyterLab in a window of 1280 with the file browser open
    assert smallest_letters(figure) * narrowest / width >= 11
