"""The lesson about noise: formula and simulation agree, contests are counted as the rule counts them, figures are readable."""

from __future__ import annotations

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from physlm_lite.claims import CLAIMS, Outcome, claim
from physlm_lite.lab.show import WIDGET_VIEW, png
from physlm_lite.lessons.playground import check
from physlm_lite.lessons.playground import figures as playground
from physlm_lite.tasks.text import Text
from physlm_lite.training import Record

# RoPE's last seed is an outlier: it decides neither the commonest order nor the winner, but it moves the mean.
SCORES = {"RoPE": [0.50, 0.52, 0.10], "NoPE + Canon": [0.45, 0.40, 0.41], "RoPE + Canon": [0.60, 0.43, 0.61]}


def made_up(name: str, scores: dict[str, list[float]]) -> Outcome:
    """An outcome at toy scale with these accuracies, and half of each as its second score."""
    experiment = claim(name).at_first["toy"]  # three seeds, 27 contests
    records = {}
    for side, values in scores.items():
        entries = [
            {metric: x if metric == "accuracy" else x / 2 for metric in ("accuracy", *experiment.shown)} for x in values
        ]
        records[side] = [
            Record(
                experiment.run(side, 1e-3, seed),
                "finished",
                [{**entry, "standard_error": 0.02}],
                1.0,
                1.0,
                9,
                1.0,
                format=1,
            )
            for seed, entry in enumerate(entries)
        ]
    return Outcome(claim(name), "toy", dict.fromkeys(scores, 1e-3), records, tried=experiment)


@pytest.fixture
def measured() -> Outcome:
    return made_up("R0-text", SCORES)


@pytest.fixture
def empty() -> Outcome:
    return made_up("R0-playground", {side: [] for side in SCORES})


# -- the text task -----------------------------------------------------------------------------------------------------


def test_the_question_card_shows_a_passage_and_its_true_continuation(tmp_path: Path) -> None:
    corpus = "\n\n".join(f"Document {i} says that {i} times {j} is <{i * j}>." for i in range(40) for j in range(9))
    (tmp_path / "tables.txt").write_text(corpus, encoding="utf-8")
    task = Text(corpus=str(tmp_path / "tables.txt"), context=60, answer=12)
    card = playground.question_card(task, row=3)
    right = re.search(r"\((\w) is true\)", card.text)
    assert right is not None
    assert f"<details><summary>How does it go on?</summary>{right[1]}</details>" in card.markup
    shown = card.text[: card.text.index("\n  A  ")]
    chosen = re.search(rf"^  {right[1]}  (.*)$", card.text, flags=re.MULTILINE)
    assert chosen is not None
    held_out = playground.readable(task.stream["test"].tolist())
    assert (shown + chosen[1]).replace("\n", "") in held_out.replace("\n", "")
    assert "&lt;" in card.markup


# -- noise -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "setting",
    [(0.01, 1000, 1, 0.0), (0.02, 300, 3, 0.02), (0.0, 500, 2, 0.01), (0.05, 100, 1, 0.0), (0.01, 30_000, 4, 0.015)],
)
def test_the_formula_is_what_the_simulation_finds(setting: tuple[float, int, int, float]) -> None:
    found = playground.wrong_share(playground.simulated_gaps(*setting))
    assert found == pytest.approx(playground.wrong_probability(*setting), abs=0.012)


def test_the_standard_error_is_the_spread_of_many_scores() -> None:
    scores = np.random.default_rng(1).binomial(400, 0.3, 20_000) / 400
    assert playground.standard_error(0.3, 400) == pytest.approx(scores.std(), rel=0.02)


def test_a_tie_is_half_wrong_and_no_noise_ranks_rightly() -> None:
    assert playground.wrong_share(np.zeros(5)) == 0.5
    assert playground.wrong_share(np.array([-1.0, 0.0, 1.0, 1.0])) == 0.375
    assert playground.wrong_probability(1.0, 10) == 0.0
    assert playground.wrong_probability(0.0, 10) == 0.5


def test_every_control_of_the_explorer_redraws() -> None:
    explorer = playground.ranking_explorer()
    assert WIDGET_VIEW in explorer.outputs()[-1]
    pictures = {bytes(explorer.image.value)}
    for control in explorer.controls.values():
        values = [value for _, value in control.options] if hasattr(control, "options") else [control.min, control.max]
        for value in (values[0], values[-1]):
            control.value = value
            pictures.add(bytes(explorer.image.value))
    assert not explorer.errors
    assert len(pictures) > 5


# -- contests ----------------------------------------------------------------------------------------------------------


def test_contests_are_counted_as_the_verdict_counts_them(measured: Outcome) -> None:
    orders = playground.contests(measured)
    assert orders.total() == 27
    (order, wins), *_ = orders.most_common()
    assert measured.verdict.reason.startswith(f"{wins} of 27 contests end as {' > '.join(order)};")
    assert playground.commonest_share(measured) == wins / 27
    assert check.exercises["order_share"].reference(SCORES) == wins / 27


def test_the_tables_hold_the_numbers(measured: Outcome) -> None:
    text = playground.contest_table(measured).text
    assert [int(n) for n in re.findall(r"(\d+) of 27", text)] == [
        n for _, n in playground.contests(measured).most_common()
    ]
    row = playground.noise_table(measured).text.splitlines()[1]
    means = [float(np.mean(scores)) for scores in SCORES.values()]
    spread = np.sqrt(np.mean([np.var(scores, ddof=1) for scores in SCORES.values()]))
    assert f"{100 * (max(means) - min(means)):.3g} points  {100 * spread:.3g} points" in row
    assert "2 points" in row.split(f"{100 * spread:.3g} points")[1]


def test_pairs_are_told_apart(measured: Outcome, empty: Outcome) -> None:
    rows = playground.pair_table(measured).text.splitlines()[1:]
    assert len(rows) == 3
    assert "NoPE + Canon > RoPE  3 of 9  4.7 points" in rows[0]  # the outlier: better by the mean, not by the contests
    assert "RoPE + Canon > NoPE + Canon  8 of 9" in rows[2]
    assert "no records yet" in playground.pair_table(empty).text


def test_everything_says_so_while_there_are_no_records(empty: Outcome, measured: Outcome) -> None:
    assert not playground.contests(empty)
    assert playground.commonest_share(empty) is None
    assert "no records yet" in playground.contest_table(empty, measured).text
    assert "no records yet" in playground.noise_table(empty).text
    axis = playground.contest_figure(measured, empty).axes[1]
    assert "no records yet" in [text.get_text() for text in axis.texts]


def test_every_seed_is_a_dot_with_the_error_of_its_questions(measured: Outcome) -> None:
    (axis,) = playground.contest_figure(measured).axes
    bars = [container.get_children()[0].get_ydata()[0] for container in axis.containers]
    assert bars == [score for scores in SCORES.values() for score in scores]
    low, high = axis.containers[0].get_children()[-1].get_segments()[0][:, 1]
    assert (high - low) / 2 == pytest.approx(1.96 * 0.02)
    assert "3 seeds" in axis.get_title()


def test_a_claim_without_contests_is_refused() -> None:
    with pytest.raises(ValueError, match="R2-depth does not rank its sides; expected a claim such as R0-text"):
        playground.contests(Outcome(claim("R2-depth"), "toy", {}, {}))
    assert playground.ranks_of(Outcome(CLAIMS["R0-playground"], "smoke", {}, {})).settled


# -- figures and tables ------------------------------------------------------------------------------------------------


def boxes(figure: Figure) -> list:
    """Where the annotations of the first panel are on the page."""
    renderer = FigureCanvasAgg(figure).get_renderer()
    figure.draw(renderer)
    return [text.get_window_extent(renderer) for text in figure.axes[0].texts]


def test_no_label_of_the_published_models_covers_another() -> None:
    labels = boxes(playground.proxy_figure())
    assert len(labels) == len(playground.PUBLISHED_TEXT)
    assert not any(one.overlaps(other) for one, other in combinations(labels, 2))


def test_figures_have_labels_and_are_small(measured: Outcome, empty: Outcome) -> None:
    for figure in (
        playground.proxy_figure(),
        playground.error_figure(),
        playground.ranking_figure(0.01, 1000, 0.0, 1),
        playground.ranking_figure(0.0, 100, 0.03, 10),
        playground.contest_figure(measured, empty),
    ):
        assert all(axis.get_ylabel() or not len(axis.get_yticks()) for axis in figure.axes)
        assert figure.get_figwidth() <= 10.5
        assert len(png(figure)) < 150_000


def test_the_published_tables_are_whole() -> None:
    assert all(len(row) == 1 + len(playground.BASE_MODELS) for row in playground.PUBLISHED_BASE)
    assert all(len(cell.split()) == 4 for row in playground.PUBLISHED_BASE for cell in row[1:])
    assert "brevo1" in playground.base_table().text.lower()


def test_each_task_shows_a_short_row_and_its_facts() -> None:
    cards = playground.task_cards()
    assert [card.name for card in cards] == ["Depo", "Brevo", "Capo", "Mano", "Lano"]
    for card in cards:
        batch = card.small.batch(seed=0, step=0, rows=1)
        assert batch.targets.any()
        assert batch.tokens.shape[1] <= 40
    gallery, facts = playground.task_gallery(), playground.task_table()
    assert gallery.text.count("tokens") >= 5 and gallery.markup.count("#ffe99a") > 30
    assert "always answering 0: 7.0%" in facts.text
    assert [line[-2:] for line in facts.text.splitlines()[1:]] == ["03", "04", "05", "06", "07"]
