"""Birth years: what the specification of the probe asks for, read from the text alone."""

import re
import time
from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from evaluation.readers import birth_year, years_in
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.chi_square import looks_like

from physlm_lite.evaluation import BirthYears, Filler, Probe, evaluate_probes
from physlm_lite.evaluation.birth_years import state, suspicion
from physlm_lite.tasks.people import read_pools

NAMES = tuple([f"{letter}{i}" for i in range(n)] for letter, n in (("F", 20), ("M", 20), ("L", 30)))
TEXT = Filler.from_text(" ".join(f"This is sentence {i} of a {'very ' * (i % 7)}dull text." for i in range(500)))


def source(people=5, hops=1, **options):
    return BirthYears(people, hops, **{"names": NAMES, "filler": TEXT, **options})


settings_of_the_paper = pytest.mark.parametrize(("people", "hops"), [(5, 1), (3, 2)])


def test_the_worked_example():
    """(N, k) = (3, 2): A 1963, B 1964, C 1955; D = A, E = C, F = B; asked for D."""
    statements, years = state([list("ABC"), list("DEF")], [1963, 1964, 1955], [[0, 2, 1]])
    assert statements == [
        "A was born in the year of 1963.",
        "B was born in the year of 1964.",
        "C was born in the year of 1955.",
        "D was born in the same year as A.",
        "E was born in the same year as C.",
        "F was born in the same year as B.",
    ]
    assert years == {"A": 1963, "B": 1964, "C": 1955, "D": 1963, "E": 1955, "F": 1964}


@settings(deadline=None, max_examples=60)
@given(
    people=st.integers(1, 8), hops=st.integers(1, 4), tokens=st.sampled_from([0, 1, 40, 300]), index=st.integers(0, 999)
)
def test_what_the_text_says(people, hops, tokens, index):
    probe = source(people, hops, filler_tokens=tokens).sample(7, index)
    groups, statements = probe.meta["groups"], probe.meta["statements"]
    names = [name for group in groups for name in group]
    assert len(set(names)) == people * hops and [len(group) for group in groups] == [people] * hops
    assert all(re.fullmatch(r"F\d+ M\d+ L\d+", name) for name in names)
    # years are distinct and in range
    years = [int(year) for year in years_in(probe.context)]
    assert len(set(years)) == people == len(years) and all(1950 <= year <= 2009 for year in years)
    # each later group is tied one to one to the group before it
    tied = dict(re.findall(r"(\w+ \w+ \w+) was born in the same year as (\w+ \w+ \w+)\.", probe.context))
    for before, group in pairwise(groups):
        assert sorted(tied[name] for name in group) == sorted(before)
    # statements and filler keep their orders, and nothing else is there
    sentences = re.findall(r"[^.]+\.", probe.context)
    assert [sentences[place].strip() for place in probe.meta["places"]] == statements
    assert [statement.split(" was ")[0] for statement in statements] == names
    filler = [s.strip() for i, s in enumerate(sentences) if i not in probe.meta["places"]]
    if filler:
        start = TEXT.sentences.index(filler[0])
        assert filler == list(TEXT.sentences[start : start + len(filler)])
    # fewer tokens of filler than asked for
    used = sum(len(sentence.split()) for sentence in filler)
    assert used == probe.meta["filler_tokens"] and len(filler) == probe.meta["filler_sentences"]
    assert used < tokens or tokens == used == 0
    # the first member of the last group is asked for, and the text has the answer
    assert probe.meta["asked"] == groups[-1][0] == probe.question.removeprefix("Answer me: ").split(" was")[0]
    assert probe.answer == birth_year(probe.prompt) == str(probe.meta["years"][probe.meta["asked"]])


def test_the_prompt_of_one_hop():
    probe = source(2).sample(0, 0)
    assert probe.prompt == f"{probe.context} \n\nAnswer me: {probe.meta['asked']} was born in the year of "


def test_the_prompt_of_two_hops():
    probe = source(2, 2).sample(0, 0)
    instruction, rest = probe.prompt.split("\n\n<context>")
    assert rest == f"{probe.context}</context>\n\nAnswer me: {probe.meta['asked']} was born in the year of "
    assert instruction.count(".") == 2 and "same year as" in instruction
    own = source(2, 2, instruction="Read on.").sample(0, 0)
    assert own.prompt == probe.prompt.replace(instruction, "Read on.")


def test_the_space_at_the_end_can_go():
    with_space, without = source().sample(0, 3).prompt, source(trailing_space=False).sample(0, 3).prompt
    assert with_space == without + " " and not without.endswith(" ")


@settings_of_the_paper
def test_a_sample_is_a_pure_function(people, hops):
    for tokens in (0, 200):
        probe = source(people, hops, filler_tokens=tokens).sample(4, 9)
        assert probe == source(people, hops, filler_tokens=tokens).sample(4, 9)
        assert probe.prompt != source(people, hops, filler_tokens=tokens).sample(4, 8).prompt
        assert probe.prompt != source(people, hops, filler_tokens=tokens).sample(5, 9).prompt
    # the length of the filler changes nothing else
    assert probe.meta["statements"] == source(people, hops).sample(4, 9).meta["statements"]


@settings_of_the_paper
def test_a_model_that_names_any_year_of_the_text_scores_one_in_people(people, hops):
    def guess(prompts):
        pick = np.random.default_rng(0)
        return [f" {pick.choice(years_in(prompt))}." for prompt in prompts]

    result = evaluate_probes(source(people, hops), guess, count=2000)
    assert abs(result["accuracy"] - 1 / people) < 5 * result["standard_error"] < 0.06


@settings_of_the_paper
def test_a_reader_scores_everything(people, hops):
    result = evaluate_probes(
        source(people, hops, filler_tokens=300, random_asked=True),
        lambda prompts: [birth_year(prompt) for prompt in prompts],
        count=200,
    )
    assert result["accuracy"] == 1.0


def test_the_year_that_stands_first_is_right_only_as_published():
    """The person asked for is the first of the five: the trap that `random_asked` closes."""

    def first(prompts):
        return [years_in(prompt)[0] for prompt in prompts]

    assert evaluate_probes(source(), first, count=300)["accuracy"] == 1.0
    fair = evaluate_probes(source(random_asked=True), first, count=2000)
    assert abs(fair["accuracy"] - 0.2) < 5 * fair["standard_error"]


def test_people_years_and_links_are_uniform():
    probes = [source(3, 2).sample(0, i) for i in range(3000)]
    years = Counter(probe.answer for probe in probes)
    assert len(years) == 60 and looks_like(list(years.values()), np.ones(60))
    firsts = Counter(probe.meta["asked"].split()[0] for probe in probes)
    assert len(firsts) == 20 and looks_like(list(firsts.values()), np.ones(20))
    orders = Counter(
        tuple(
            probe.meta["groups"][0].index(statement[:-1].split("year as ")[1])
            for statement in probe.meta["statements"][3:]
        )
        for probe in probes
    )
    assert len(orders) == 6 and looks_like(list(orders.values()), np.ones(6))


@pytest.mark.parametrize(
    ("output", "verdict"),
    [
        ("1963", True),
        (" 1963.", True),
        ("\n 1963, as the text says", True),
        ("19634", True),
        ("It was 1963", False),
        ("1964", False),
        ("196", False),
        ("", False),
        (" '63", False),
    ],
)
def test_the_first_four_characters_are_judged(output, verdict):
    assert source().right(output, Probe("", "1963", "", "", {})) is verdict


def test_filler_that_may_mislead_is_found_and_can_be_dropped():
    sentences = (
        "In 1955 it rained.",
        "In 1949 and 2010 it did not.",
        "The number 19551 is no year.",
        "F3 is a key.",
        "F33 is none.",
        "Nothing at all.",
    )
    people = ["F3 M1 L2"]
    assert list(filter(suspicion(people, (1950, 2009)), sentences)) == ["In 1955 it rained.", "F3 is a key."]
    text = Filler(sentences)
    names = (["F3"], ["M1"], ["L2"])
    options = {"names": names, "filler": text, "filler_tokens": 1000}
    kept = [BirthYears(1, **options).sample(0, i) for i in range(30)]
    assert any(probe.meta["suspicious"] for probe in kept)
    for probe in kept:
        assert probe.meta["suspicious"] == [s for s in (sentences[0], sentences[3]) if s in probe.context]
    dropped = [BirthYears(1, drop_suspicious=True, **options).sample(0, i) for i in range(30)]
    assert not any(
        probe.meta["suspicious"] or "In 1955" in probe.context or "F3 is" in probe.context for probe in dropped
    )
    assert any("Nothing at all." in probe.context for probe in dropped)


def test_names_come_from_the_biographies():
    pools = read_pools()
    for name in BirthYears().sample(0, 0).meta["groups"][0]:
        first, middle, last = name.split(" ")
        assert first in pools.first and middle in pools.middle and last in pools.last


def test_a_thousand_probes_take_less_than_a_second():
    probes = source(3, 2)
    begin = time.process_time()
    for index in range(1000):
        probes.sample(0, index)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"people": 0}, "at least 1 person and 1 hop .*, not 0 and 1"),
        ({"hops": 0}, "at least 1 person and 1 hop .*, not 5 and 0"),
        (
            {"people": 61},
            "61 people need years of their own, and 1950 to 2009 are only 60; widen years, or lower people",
        ),
        ({"years": (2009, 1950)}, "two years of four digits, the earlier one first"),
        ({"years": (11, 29)}, "two years of four digits"),
        ({"names": (["A", "A"], ["B"], ["C", "D"])}, "the names make 2 different people, and 5 are needed"),
        (
            {"names": ("ab", "cd", "ef")},
            "names must be a list of 3 values, each a list of values, each a text or None, not",
        ),
    ],
)
def test_bad_input_gets_one_clear_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        source(**options)
