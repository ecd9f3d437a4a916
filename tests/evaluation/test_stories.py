"""Stories: a solver that reads the text alone agrees with the world behind it."""

import re
import time
from collections import Counter

import pytest
from evaluation.readers import story, told
from tasks.chi_square import looks_like

from physlm_lite.evaluation import Filler, Probe, Story, evaluate_probes
from physlm_lite.evaluation.stories import FAMILIES, GIVERS, ROOMS, THINGS

TEXT = Filler.from_text(" ".join(f"This is sentence {i} of a dull text." for i in range(500)))
LEAST = {"qa1": 1, "qa2": 2, "qa3": 3, "qa4": 1, "qa5": 2}
tasks = pytest.mark.parametrize("task", FAMILIES)


@tasks
@pytest.mark.parametrize("more", [None, 0, 1, 4])
def test_the_solver_agrees_with_the_world(task, more):
    facts = None if more is None else LEAST[task] + more
    source = Story(task, facts)
    for index in range(300):
        probe = source.sample(1, index)
        assert told(probe.context, probe.question) == probe.answer
        assert probe.meta["facts"] == re.findall(r"\S[^.]+\.", probe.context)
        assert len(probe.meta["facts"]) == source.fact_count == (facts or FAMILIES[task].facts)


@tasks
def test_the_solver_reads_stories_in_filler(task):
    source = Story(task, filler_tokens=200, filler=TEXT)
    assert evaluate_probes(source, lambda prompts: [story(prompt) for prompt in prompts], count=200)["accuracy"] == 1.0
    for index in range(50):
        probe = source.sample(0, index)
        sentences = re.findall(r"\S[^.]+\.", probe.context)
        assert [sentences[place] for place in probe.meta["places"]] == probe.meta["facts"]
        filler = [s for i, s in enumerate(sentences) if i not in probe.meta["places"]]
        assert sum(len(s.split()) for s in filler) == probe.meta["filler_tokens"] < 200 and set(filler) <= set(
            TEXT.sentences
        )


@tasks
def test_answers_in_the_form_of_the_examples_are_right(task):
    source = Story(task)
    for index in range(300):
        probe = source.sample(2, index)
        assert source.right(f" {probe.meta['sentence']}\n\n<context>\nmore", probe)
        assert source.right(f" {probe.answer}", probe)
        others = [
            label for label in source.family.labels if label not in (probe.answer, *re.findall(r"\w+", probe.question))
        ]
        assert not any(source.right(f" {other}.", probe) for other in others)
        assert not source.right(f" {probe.answer} or {others[0]}.", probe)


@tasks
def test_no_answer_comes_up_more_often_than_its_share(task):
    """Rooms: one in six each. Gifts: each form one third of the time, among four people or three things."""
    answers = Counter(Story(task).sample(0, i).answer for i in range(3000))
    shares = (
        dict.fromkeys(GIVERS, 1 / 6) | dict.fromkeys(THINGS, 1 / 9) if task == "qa5" else dict.fromkeys(ROOMS, 1 / 6)
    )
    assert set(answers) == set(shares) and max(answers.values()) < 0.2 * 3000
    assert looks_like([answers[label] for label in shares], list(shares.values()))


@tasks
def test_simple_habits_do_not_solve_it(task):
    """Naming the last label of the text, the first, or the most frequent one: at most half right at the usual lengths."""
    source, hits = Story(task), Counter()
    for index in range(600):
        probe = source.sample(3, index)
        named = [w for w in re.findall(r"\w+", probe.context) if w in source.family.labels and w not in probe.question]
        hits.update(
            last=named[-1] == probe.answer,
            first=named[0] == probe.answer,
            most=Counter(named).most_common(1)[0][0] == probe.answer,
        )
    assert max(hits.values()) < 0.56 * 600


@tasks
def test_the_layout_of_the_prompt(task):
    source = Story(task, filler_tokens=30, filler=TEXT)
    probe = source.sample(0, 0)
    shots = 3 if task == "qa5" else 2
    blocks = re.split(r"\n\n(?=<context>)", probe.prompt)
    assert blocks[0] == FAMILIES[task].instruction and "\n" not in blocks[0] and len(blocks) == shots + 2
    for block, example in zip(blocks[1:-1], source.examples, strict=True):
        text, question, sentence = re.fullmatch(
            r"<context>\n([^\n]+)\n</context>\n\nQuestion: ([^\n]+)\nAnswer: ([^\n]+\.)", block
        ).groups()
        assert told(text, question) == example.answer and sentence == example.sentence
        assert source.right(sentence, Probe("", example.answer, question, "", {}))
    assert blocks[-1] == f"<context>\n{probe.context}\n</context>\n\nQuestion: {probe.question}\nAnswer:"
    assert (
        blocks[:-1] == re.split(r"\n\n(?=<context>)", Story(task).sample(8, 5).prompt)[:-1]
    )  # the same for every probe
    if task in ("qa1", "qa2", "qa3"):  # the answers have the form that the instruction asks for
        form = blocks[0].split("of this form: ")[1]
        assert re.sub("NAME|ROOM|THING", r"\\w+", form).rstrip(".") and re.fullmatch(
            re.sub("NAME|ROOM|THING", r"\\w+", re.escape(form)), sentence
        )


def test_every_form_of_a_question_comes_up():
    assert (
        len(
            {
                re.sub(r"the \w+|[A-Z][a-z]+(?= |\?)|north|south|east|west", "_", Story("qa5").sample(0, i).question)
                for i in range(60)
            }
        )
        == 3
    )
    assert len({Story("qa4").sample(0, i).question.split(" the ")[0].split()[-1] in ("is",) for i in range(60)}) == 2
    assert len({example.question.split()[1] for example in Story("qa5").examples}) == 2  # last (who), did (who, what)


def test_rooms_never_overlap_and_relations_have_one_answer():
    """Rebuild the map from the facts: a grid with one room a place, and one room on the line that is asked about."""
    steps = {"north": (0, 1), "south": (0, -1), "east": (1, 0), "west": (-1, 0)}
    for index in range(300):
        probe = Story("qa4", 5).sample(0, index)
        facts = [re.fullmatch(r"The (\w+) is (\w+) of the (\w+)\.", fact).groups() for fact in probe.meta["facts"]]
        spot = {facts[0][2]: (0, 0)}
        while len(spot) < 6:
            for a, way, b in facts:
                (x, y) = steps[way]
                if b in spot:
                    spot[a] = (spot[b][0] + x, spot[b][1] + y)
                elif a in spot:
                    spot[b] = (spot[a][0] - x, spot[a][1] - y)
        assert len(set(spot.values())) == 6
        room = re.search("|".join(ROOMS), probe.question)[0]
        way = next(way for way in steps if way in probe.question)
        x, y = steps[way] if probe.question.startswith(f"What is {way}") else [-c for c in steps[way]]
        line = {(spot[room][0] + x * i, spot[room][1] + y * i) for i in range(1, 6)}
        assert [name for name, place in spot.items() if place in line] == [probe.answer]


@tasks
def test_a_sample_is_a_pure_function(task):
    source = Story(task, filler_tokens=50, filler=TEXT)
    assert source.sample(3, 7) == Story(task, filler_tokens=50, filler=TEXT).sample(3, 7)
    assert len({source.sample(seed, index).prompt for seed in range(6) for index in range(20)}) == 120
    assert source.sample(3, 7).meta["facts"] == Story(task).sample(3, 7).meta["facts"]


@pytest.mark.parametrize(
    ("output", "verdict"),
    [
        (" kitchen.", True),
        ("The apple is in the KITCHEN", True),
        ("kitchen or office", False),
        ("office. kitchen", False),
        ("kitchen<context>office", True),
        ("kitchen <example> office", True),
        ("garden", False),
        ("", False),
        (".kitchen", False),
        ("Before the office it was in the kitchen.", False),
        ("Before the bathroom it was in the kitchen.", True),
        ("kitchen\nQuestion: Where is the office?", False),  # only a full stop or a tag ends an answer
    ],
)
def test_the_rule_of_scoring(output, verdict):
    probe = Probe("", "kitchen", "Where was the apple before the bathroom?", "", {})
    assert Story("qa3").right(output, probe) is verdict


@tasks
def test_a_thousand_probes_take_less_than_a_second(task):
    source = Story(task)
    begin = time.process_time()
    for index in range(1000):
        source.sample(0, index)
    assert time.process_time() - begin < 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"task": "qa6"}, "unknown story 'qa6'; did you mean 'qa5'"),
        ({"task": "qa3", "facts": 2}, "a story of qa3 needs 3 to 1000 facts, not 2"),
        ({"task": "qa4", "facts": 6}, "a story of qa4 needs 1 to 5 facts, not 6"),
        ({"filler_tokens": -1}, "filler_tokens must be a whole number from 0 to 4,194,304, not -1"),
    ],
)
def test_bad_input_gets_one_clear_sentence(options, message):
    with pytest.raises(ValueError, match=message):
        Story(**options)
