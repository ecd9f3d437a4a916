"""The Capo lesson: coloured biographies are the biographies, bits add up, and the figures read the records."""

from __future__ import annotations

from math import log2
from pathlib import Path

import pytest
import trials
from hypothesis import given, settings
from hypothesis import strategies as st

from physlm_lite.base.strict import UnknownName
from physlm_lite.claims import claim, recorded
from physlm_lite.lab import Interactive
from physlm_lite.lessons.capo.figures import (
    INSPECTED,
    LINE,
    NAME,
    VALUE,
    biography_pieces,
    bits_figure,
    capacity_explorer,
    capacity_figure,
    capo_figure,
    capo_inspector,
    different_texts,
    part_bits,
    parts_table,
    share_in_window,
    stored_bits,
    text_lines,
    window_figure,
)
from physlm_lite.tasks.capo import Capo, max_bits
from physlm_lite.training import Store

CAPACITY = claim("R2-capacity")
TASKS = {name: Capo(9, **options) for name, options in INSPECTED.items()}


def every_value_redraws(explorer: Interactive) -> None:
    """Send each control every value, as the browser would."""
    for name, control in explorer.controls.items():
        values = [v for _, v in control.options] if hasattr(control, "options") else range(control.min, control.max + 1)
        pictures = set()
        for value in values:
            control.value = value
            pictures.add(explorer.image.value)
        assert len(pictures) > 1, f"{name} changes nothing"
        control.value = next(iter(values))
    assert explorer.errors == []


# -- a person and their biographies ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_the_pieces_are_the_biography_and_the_coloured_ones_are_the_knowledge(name: str) -> None:
    task = TASKS[name]
    measure = task.measure_batch([4], seed=2)
    pieces = biography_pieces(task, measure)
    text = "".join(text for text, _ in pieces)
    assert f"<eos>{text}" == task.decode(measure.batch.tokens[0].tolist())
    someone = task.persons[4]
    assert "".join(text for text, kind in pieces if kind == NAME).strip() == someone.name
    coloured = "".join(text for text, kind in pieces if kind == VALUE)
    for attribute, value in someone.values.items():
        assert (value.replace(" ", "_" if task.toy else " ") in coloured) == (attribute in task.parts), attribute


@pytest.mark.parametrize("name", TASKS)
def test_lines_keep_the_text_and_fit_the_sheet(name: str) -> None:
    pieces = biography_pieces(TASKS[name], TASKS[name].measure_batch([3]))
    lines = text_lines(pieces)
    written = []
    for line in lines:
        sheet = ""
        for column, text, _ in line:
            assert column >= len(sheet)  # nothing overlaps
            sheet = sheet.ljust(column) + text
        assert len(sheet) <= LINE
        assert sheet == sheet.lstrip()
        written.append(sheet)
    assert " ".join(written) == "".join(text for text, _ in pieces).strip()


@settings(max_examples=50, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from([" a", " word", ".", ",", " longer-word"]), st.sampled_from([NAME, VALUE])),
        min_size=1,
    ),
    st.integers(25, 60),
)
def test_lines_break_before_spaces_only(pieces: list[tuple[str, str]], width: int) -> None:
    pieces = [(" first", NAME), *pieces]
    lines = text_lines(pieces, width)
    sheets = []
    for line in lines:
        sheet = ""
        for column, text, _ in line:
            sheet = sheet.ljust(column) + text
        sheets.append(sheet)
    assert " ".join(sheets) == "".join(text for text, _ in pieces)[1:]


def test_the_inspector_redraws_over_its_whole_range() -> None:
    every_value_redraws(capo_inspector(people=5))


def test_a_data_set_with_one_entry_shows_one_text_and_the_papers_one_always_another() -> None:
    assert different_texts(TASKS["bioS single"], 3) == 1
    assert 1 < different_texts(TASKS["bioS multi5"], 3) <= 5
    assert different_texts(TASKS["bioS(N)"], 3) == 12


def test_the_card_shows_the_six_facts_and_says_which_one_follows() -> None:
    figure = capo_figure(TASKS["bioS(N)"], person=2)
    shown = [text.get_text() for text in figure.axes[0].texts]
    for attribute, value in TASKS["bioS(N)"].persons[2].values.items():
        assert value + " (follows from the employer)" * (attribute == "company_city") in shown
    assert "12 exposures show 12 texts" in shown


# -- bits --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TASKS)
def test_the_bars_add_up_to_what_there_is_to_know(name: str) -> None:
    task = TASKS[name]
    assert task.people * sum(part_bits(task).values()) == pytest.approx(max_bits(task.people, task.N0, task.S0))
    texts = [text.get_text() for text in bits_figure(task).axes[0].texts]
    assert len(texts) == 7 + ("gender" in task.parts)
    assert any("gives it away" in text for text in texts) != task.toy


def test_the_values_of_the_published_pools_make_47_6_bits() -> None:
    assert "47.6 bits of values" in bits_figure(Capo(100_000)).axes[0].get_title()


# -- records -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def store(tmp_path: Path) -> Store:
    return trials.capacity_by_rate(tmp_path)


def test_the_parts_table_turns_losses_into_bits_a_person(store: Store) -> None:
    outcome = recorded(CAPACITY, "toy", store)
    task = outcome.experiment.run("RoPE", 1e-3, 0).made_task
    lines = parts_table(outcome).text.splitlines()
    assert len(lines) == 2 + len(outcome.records)
    assert f"{log2(task.N0 / 1000):.1f}  {log2(task.S0) - 2:.1f}" in lines[2]
    empty = recorded(CAPACITY, "toy", Store(store.folders[0] / "none"))
    assert len(parts_table(empty).text.splitlines()) == 2


# -- the kernel's window -----------------------------------------------------------------------------------------------


def test_a_kernel_of_four_sees_other_values_in_pairs_only() -> None:
    pairs, short = TASKS["toy: pairs"], TASKS["toy: short sentences"]
    assert share_in_window(pairs) == pytest.approx(5 / 6)  # all but the first value, which stands behind the name
    assert share_in_window(short) == 0
    assert share_in_window(pairs, kernel=1) == 0
    assert share_in_window(short, kernel=5) == pytest.approx(5 / 6)


def test_the_window_figure_states_the_shares_and_the_value_to_predict() -> None:
    figure = window_figure({"pairs": TASKS["toy: pairs"], "words": TASKS["bioS(N)"]}, person=2)
    texts = [text.get_text() for text in figure.axes[0].texts]
    assert sum("83%" in text for text in texts) == 1
    assert texts.count("← to predict") == 2


# -- room in a model ---------------------------------------------------------------------------------------------------


def test_a_model_holds_what_there_is_or_what_fits() -> None:
    known, stored = stored_bits(100_000, 1_000_000, 1000)
    assert known / 100_000 == pytest.approx(58.24, abs=0.01)  # Part 3.3's pools
    assert stored == 2_000_000
    assert stored_bits(100_000, 1_000_000, 100)[1] == 1_000_000
    assert stored_bits(100_000, 10**9, 100)[1] == known


def test_impossible_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="people must be 1 to 160,000,000"):
        stored_bits(0, 1e6)
    with pytest.raises(ValueError, match="exposures must be one of 100, 1000"):
        stored_bits(10, 1e6, 300)
    with pytest.raises(UnknownName, match="did you mean 'bioS single'"):
        capo_inspector(5).draw("bios single", 0, 0)


def test_the_explorer_redraws_over_its_whole_range() -> None:
    explorer = capacity_explorer()
    every_value_redraws(explorer)
    assert "parameters</b> would hold all" in explorer.text.value


def test_the_capacity_figure_names_the_limit() -> None:
    assert "it is full" in capacity_figure(100_000, 1_000_000).axes[0].get_title()
    assert "nothing more to know" in capacity_figure(100_000, 100_000_000).axes[0].get_title()
