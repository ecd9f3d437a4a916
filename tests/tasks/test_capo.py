"""Capo: biographies say what the specification says, and bits are counted as in Part 3.3."""

import math
from collections import Counter
from itertools import permutations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from tasks.capo_reader import read_biography
from tasks.chi_square import looks_like
from tasks.small_bpe import train_small_bpe

from physlm_lite.base.strict import UnknownName
from physlm_lite.tasks.capo import VARIANTS, Capo, Measure, capacity_bits, capo_biography, max_bits
from physlm_lite.tasks.draws import address
from physlm_lite.tasks.people import ATTRIBUTES, read_sentences

TOY = {"names": (24, 24, 24), "values": 32}
EOS, PAD = 1, 0


@st.composite
def settings_of_capo(draw):
    """Small settings, all options."""
    form = draw(st.sampled_from(["sentences", "sentences", "pairs", "short"]))
    style = draw(st.sampled_from(["bioS", "bioS", "bioR"])) if form == "sentences" else "bioS"
    orders = ["random", "fixed"] + ["script", "couple"] * (style == "bioS")
    return Capo(
        people=draw(st.integers(1, 60)),
        world=draw(st.integers(0, 3)),
        format=form,
        style=style,
        entries=draw(st.none() | st.integers(1, 3)),
        templates=draw(st.sampled_from(["redrawn", "once"])),
        order=draw(st.sampled_from(orders)),
        fullname=form == "sentences" and draw(st.booleans()),
        pronoun=draw(st.sampled_from(["random", "script"])),
        names=draw(st.sampled_from([None, (4, 4, 4), (24, 9, 7)])),
        values=draw(st.sampled_from([None, 1, 32] if form == "sentences" else [1, 32])),
        rare=draw(st.sampled_from([0.0, 0.5])),
        rare_exposures=draw(st.sampled_from([0.1, 1.0, 3.0])),
        context=draw(st.none() | st.integers(160, 400)),
    )


def biographies(task, batch):
    """The tokens of each whole biography of a batch; the last of a window may be cut and is left out."""
    for tokens, document in zip(batch.tokens.numpy(), batch.document.numpy(), strict=True):
        last = document.max() + (task.context is None)
        for number in range(last):
            yield tokens[document == number].tolist()


def texts(task, count, seed=0, split="train"):
    return [
        task.decode(tokens).removeprefix("<eos>") for tokens in biographies(task, task.batch(seed, 0, count, split))
    ]


def directory(task):
    return {task.persons[i].name: task.persons[i] for i in range(task.people)}


# -- slow and fast -----------------------------------------------------------------------------------------------------


def assert_slow_is_fast(task, seed):
    keys = address(seed, np.arange(8))
    tokens, targets, lengths = task._instances(keys, test=False)
    assert targets.all()
    pieces = np.split(tokens, np.cumsum(lengths)[:-1])
    for key, fast in zip(keys, pieces, strict=True):
        text, slow = capo_biography(task, int(key))
        assert fast.tolist() == slow
        assert task.decode(slow) == f"<eos>{text}" and len(slow) <= task.longest_instance
    person = np.arange(task.people)[-8:]
    measure = task.measure_batch(person, seed)
    for number, tokens, document in zip(person, measure.batch.tokens, measure.batch.document, strict=True):
        _, slow = capo_biography(task, int(address(seed, 2, number)[0]), int(number), fair=True)
        assert tokens[document == 0].tolist() == slow


@settings(deadline=None, max_examples=60)
@given(task=settings_of_capo(), seed=st.integers(0, 99))
def test_the_slow_twin_writes_the_same(task, seed):
    assert_slow_is_fast(task, seed)


@pytest.mark.parametrize("name", VARIANTS)
def test_every_published_variant_is_written_the_same_by_the_slow_twin(name):
    assert_slow_is_fast(Capo(people=200, **VARIANTS[name]), 7)


@pytest.mark.parametrize("options", [{}, {"fullname": True}, {"style": "bioR"}])
def test_gpt2_files_give_the_same_biographies_in_other_tokens(tmp_path, options):
    (tmp_path / "lists").mkdir()
    (tmp_path / "lists" / "employers.txt").write_text("Oz Inc.; Enid, OK\nFig; Ames, IA\n")
    options = {"people": 40, "pools": str(tmp_path / "lists"), **options}
    task, words = Capo(**options, tokenizer=train_small_bpe(tmp_path)), Capo(**options)
    assert_slow_is_fast(task, 3)
    assert texts(task, 20) == texts(words, 20)
    assert task.style == "bioR" or (any("Inc.." in text for text in texts(task, 20)) and ".." in task.vocabulary)
    measure = task.measure_batch(range(40))
    for row in range(40):  # the full stop of "Oz Inc." and the one of the sentence may be a single token
        part = measure.part[row]
        found = task.decode(measure.batch.tokens[row][part == measure.parts.index("employer")].tolist())
        assert found.strip().rstrip(".") == task.persons[row].values["employer"].rstrip(".")


POSSESSIVE = {
    "birth_date": ["{who} came on {birth_date}'s eve.", "{whose} day is {birth_date}, still."],
    "birth_city": ["{who} remembers {birth_city}'s old streets.", "{who} likes {birth_city}-born folk."],
    "major": ["{who} knew {major}'s limits.", "{who} chose {major} (early)."],
    "employer": ["{who} joined {employer}'s staff.", "{who} rose to {employer}'s."],
    "company_city": ["{who} rides {company_city}'s buses.", "{who} lives near {company_city}'s."],
}
POSSESSIVE_POOLS = {
    "employers": ["Oz Inc.; Enid, D.C.", "Macy's; St. Paul, MN", "Banks'; Enid, D.C.", "Fig & Co; Ames, IA"],
    "birth_cities": ["Enid, D.C.", "Coeur d'Alene, ID", "Land's End, OK"],
}


@pytest.mark.parametrize("tokenizer", [None, "GPT-2"])
@pytest.mark.parametrize("fullname", [False, True])
def test_a_value_may_be_followed_by_an_ending_of_its_own(tmp_path, tokenizer, fullname):
    for statement, lines in POSSESSIVE.items():
        (tmp_path / f"sentences_{statement}.txt").write_text("\n".join(lines))
    for pool, lines in POSSESSIVE_POOLS.items():
        (tmp_path / f"{pool}.txt").write_text("\r\n".join(lines))
    folder = train_small_bpe(tmp_path / "bpe") if tokenizer else None
    task = Capo(people=60, pools=str(tmp_path), fullname=fullname, tokenizer=folder)
    assert_slow_is_fast(task, 40)
    if tokenizer is None:
        assert {"'s", "Macy", "D.C", "MN", "OK-born", "(early)"} <= set(task.vocabulary)
        assert not any(piece.endswith(" ") or piece in ("s", "born") for piece in task.vocabulary)
    measure = task.measure_batch(range(60), seed=3)
    for row, person in enumerate(task.persons[i] for i in range(60)):
        for number, name in enumerate(measure.parts[2:], start=2):
            if name in ATTRIBUTES:
                found = task.decode(measure.batch.tokens[row][measure.part[row] == number].tolist()).strip()
                value = person.values[name]
                assert found.startswith(value) and found[len(value) :] in ("", ".", "-born"), (found, value)


def test_capo_is_named_by_the_files_that_it_uses(tmp_path):
    def write(name, *lines):
        (tmp_path / name).write_text("\n".join(lines))

    assert Capo(9).fingerprint == Capo(9, format="pairs").fingerprint == ""
    write("majors.txt", "Law", "Art", "Geology")
    write("sentences_study.txt", "{who} took {major} at {university}.")
    task = Capo(9, pools=str(tmp_path))
    assert len(task.fingerprint) == 8
    assert task.fingerprint == Capo(10, pools=str(tmp_path), context=512).fingerprint
    write("sentences_study.txt", "{who} did {major} at {university}.")  # bioS has no such sentence
    assert Capo(9, pools=str(tmp_path)).fingerprint == task.fingerprint
    write("majors.txt", "Law", "Art", "Physics")
    edited = Capo(9, pools=str(tmp_path))
    assert edited.fingerprint != task.fingerprint
    assert "Physics" in edited.vocabulary and "Physics" not in task.vocabulary
    tokens = Capo(9, tokenizer=train_small_bpe(tmp_path / "bpe"))
    assert tokens.fingerprint not in ("", task.fingerprint)


# -- what a biography says ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [{}, {"fullname": True}, {"style": "bioR"}, {"context": 512}, {"order": "couple"}])
def test_every_value_stands_there_once_and_the_name_where_it_should(options):
    task = Capo(people=300, **options)
    people, statements = directory(task), {"bioS": ATTRIBUTES, "bioR": ("birth_date", "birth_city", "study", "work")}
    for text in texts(task, 60):
        person, sentences = read_biography(text, people)
        assert sorted(statement for statement, _, _ in sentences) == sorted(statements[task.style])
        subjects = [subject for _, _, subject in sentences]
        assert subjects[0] == "name"
        assert set(subjects[1:]) == ({"name"} if task.fullname else {("He", "She")[person.gender]})
        assert text.count(person.name) == (6 if task.fullname else 1)


def test_toy_formats_have_one_token_for_everything():
    pairs, short = Capo(people=90, format="pairs", **TOY), Capo(people=90, format="short", **TOY)
    for task, length, step in ((pairs, 16, 2), (short, 34, 5)):
        batch = task.batch(0, 0, 50)
        assert batch.tokens.shape == (50, length) and task.mean_length == task.longest_instance == length
        people = {tuple(p.name.split()): p for p in directory(task).values()}
        for tokens in batch.tokens.tolist():
            words = [task.vocabulary[t] for t in tokens]
            person = people[tuple(words[1:4])]
            sentences = [words[i : i + step] for i in range(4, length, step)]
            value = {value.replace(" ", "_"): attribute for attribute, value in person.values.items()}
            assert words[0] == "<eos>" and len(sentences) == 6
            assert {value[sentence[-1 if task is pairs else 3]] for sentence in sentences} == set(ATTRIBUTES)
            if task is pairs:
                assert all(marker == f"<{value[v]}>" for marker, v in sentences)
            else:
                assert all((s[0], s[4]) == ("They", ".") for s in sentences)
    assert len(pairs.vocabulary) == 2 + 3 * 24 + 6 * 32 + 6
    assert len(short.vocabulary) == 2 + 3 * 24 + 6 * 32 + 2 + 6 * 4 + 4


@pytest.mark.parametrize("options", [{}, {"style": "bioR"}, {"format": "pairs"}, {"format": "short"}])
def test_the_vocabulary_holds_exactly_what_occurs(options):
    task = Capo(people=64, names=(4, 4, 4), values=5, **options)
    assert len(set(task.vocabulary)) == len(task.vocabulary) and task.vocabulary[:2] == ("<pad>", "<eos>")
    occurring = set(task.batch(0, 0, 3000).tokens.unique().tolist()) | {PAD}
    assert occurring == set(range(len(task.vocabulary)))


def test_encoding_undoes_decoding():
    for task in (Capo(people=50), Capo(people=50, format="short", **TOY)):
        text = task.decode(task.batch(0, 0, 1).tokens[0].tolist())
        assert task.decode(task.encode(text)) == text
        assert task.encode(text + "<eos>")[-1] == EOS
    with pytest.raises(ValueError, match="'univercity' occurs in no biography of this task; did you mean 'Univ"):
        Capo(people=5).encode(" She went to univercity.")
    with pytest.raises(ValueError, match="one space is needed before each word"):
        Capo(people=5).encode("She  studied.")


# -- batches -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "task", [Capo(people=500, context=200), Capo(people=500), Capo(people=500, format="pairs", **TOY)]
)
def test_a_batch_is_a_pure_function(task):
    whole = task.batch(4, 9, 300)
    assert torch.equal(whole.tokens, task.batch(4, 9, 300).tokens)
    part = task.batch(4, 9, range(250, 270))
    width = part.tokens.shape[1]
    assert torch.equal(whole.tokens[250:270, :width], part.tokens)
    assert torch.equal(whole.tokens.flip(0), task.batch(4, 9, range(299, -1, -1)).tokens)
    for other in (task.batch(5, 9, 300), task.batch(4, 8, 300)):
        width = min(other.tokens.shape[1], whole.tokens.shape[1])
        assert (whole.tokens[:, :width] == other.tokens[:, :width]).all(1).float().mean() < 0.05


def test_training_seeds_share_the_people_and_worlds_do_not():
    people = directory(Capo(people=30))
    for seed in range(3):
        for text in texts(Capo(people=30), 20, seed):
            read_biography(text, people)
    assert not people.keys() & directory(Capo(people=30, world=1)).keys()


@settings(deadline=None, max_examples=30)
@given(task=settings_of_capo(), split=st.sampled_from(["train", "test"]))
def test_rows_begin_with_eos_and_every_biography_does(task, split):
    batch = task.batch(1, 2, 5, split)
    assert batch.tokens.dtype == batch.document.dtype == torch.int64 and batch.targets.dtype == torch.bool
    inside = batch.document >= 0
    begins = (batch.document.diff(dim=1, prepend=torch.full((5, 1), -1)) != 0) & inside
    assert torch.equal(batch.tokens == EOS, begins) and begins[:, 0].all()
    assert torch.equal(batch.tokens == PAD, ~inside)
    if split == "train":
        first = torch.arange(batch.tokens.shape[1]) == 0
        assert torch.equal(batch.targets, inside & ~first)
        assert task.context is None or (inside.all() and batch.tokens.shape[1] == task.context)
    else:
        assert int(batch.document.max()) == 0


def test_lengths_are_as_computed():
    for options in ({}, {"fullname": True}, {"style": "bioR"}, {"order": "script"}, {"values": 8, "names": (9, 9, 9)}):
        task = Capo(people=700, **options)
        lengths = np.array([len(tokens) for tokens in biographies(task, task.batch(0, 0, 4000))])
        # the people are a sample of the pools, and the biographies of the people
        error = lengths.std() / len(lengths) ** 0.5 + lengths.std() / task.people**0.5
        assert abs(lengths.mean() - task.mean_length) < 5 * error
        assert lengths.max() <= task.longest_instance < lengths.max() + 25
    assert 65 < Capo(people=9).mean_length < 74  # 74 GPT-2 tokens in the paper


def test_everybody_is_drawn_equally_often_and_every_template_and_order():
    task = Capo(people=40)
    people = directory(task)
    read = [read_biography(text, people) for text in texts(task, 3000)]
    assert looks_like(np.bincount([person.number for person, _ in read], minlength=40), np.ones(40))
    orders = Counter(tuple(sentence[0] for sentence in sentences[:3]) for _, sentences in read)
    assert looks_like([orders[order] for order in permutations(ATTRIBUTES, 3)], np.ones(120))
    last = Counter(sentences[-1][0] for _, sentences in read)
    assert looks_like([last[attribute] for attribute in ATTRIBUTES], np.ones(6))
    for attribute in ATTRIBUTES:
        used = Counter(
            template for _, sentences in read for statement, template, _ in sentences if statement == attribute
        )
        templates = read_sentences(attribute)
        assert looks_like([used[template] for template in templates], np.ones(len(templates)))


def test_rare_people_are_seen_less_often():
    task = Capo(people=50, format="pairs", rare=0.4, rare_exposures=0.1, **TOY)
    names = {name: person.number for name, person in directory(task).items()}
    seen = [names[" ".join(text.split()[:3])] for text in texts(task, 8000)]
    assert task.common == 30
    assert looks_like(np.bincount(seen, minlength=50), [1.0] * 30 + [0.1] * 20)
    often = Capo(people=50, format="pairs", rare=0.4, rare_exposures=3.0, **TOY)
    names = {name: person.number for name, person in directory(often).items()}
    seen = [names[" ".join(text.split()[:3])] for text in texts(often, 8000)]
    assert looks_like(np.bincount(seen, minlength=50), [1.0] * 30 + [3.0] * 20)


def test_fixed_entries_are_told_again_and_again():
    for entries in (1, 2, 5):
        task = Capo(people=12, entries=entries)
        told = Counter(texts(task, 2000))
        assert len(told) == 12 * entries and min(told.values()) > 5
        assert set(texts(task, 2000, seed=8)) == set(told)  # by every training seed
    once = Capo(people=12, entries=5, templates="once")
    people, templates = directory(once), {}
    for text in texts(once, 500):
        person, sentences = read_biography(text, people)
        templates.setdefault(person.number, set()).add(frozenset(template for _, template, _ in sentences))
    assert len(templates) == 12 and all(len(sets) == 1 for sets in templates.values())
    assert len(set(texts(once, 500))) > 40
    assert len(set(texts(Capo(people=2, templates="once", order="fixed"), 50))) == 2


@pytest.mark.parametrize(
    "options, orders",
    [
        ({"order": "fixed"}, {ATTRIBUTES}),
        ({"order": "script"}, {(*ATTRIBUTES[:4], "company_city", "employer")}),
        (
            {"order": "couple"},
            {(*a, *b, *c) for a, b, c in permutations([ATTRIBUTES[:2], ATTRIBUTES[2:4], ATTRIBUTES[4:]])},
        ),
        ({"style": "bioR"}, set(permutations(("birth_date", "birth_city", "study", "work")))),
        ({"style": "bioR", "order": "fixed"}, {("birth_date", "birth_city", "study", "work")}),
    ],
)
def test_orders(options, orders):
    task = Capo(people=30, **options)
    people = directory(task)
    assert {tuple(sentence[0] for sentence in read_biography(text, people)[1]) for text in texts(task, 300)} == orders


def test_steps_count_exposures():
    toy = Capo(people=1000, format="pairs", **TOY)
    assert toy.steps(100, 64) == 1562  # one biography a row
    capo = Capo(people=50_000, context=512)
    assert capo.steps(100, 12) == round(50_000 * 100 * capo.mean_length / (512 * 12))  # the paper's has 74 for our mean
    assert Capo(people=1000, format="pairs", rare=0.5, rare_exposures=0.1, **TOY).steps(100, 64) == round(55_000 / 64)


# -- measuring ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"order": "script"},
        {"order": "couple"},
        {"fullname": True},
        {"style": "bioR"},
        {"style": "bioR", "fullname": True},
        {"entries": 2},
        {"format": "pairs", **TOY},
        {"format": "short", **TOY},
    ],
)
def test_measured_tokens_are_the_name_and_the_values(options):
    task = Capo(people=50, **options)
    measure = task.measure_batch(range(50), seed=3)
    gender = not task.toy and not task.fullname
    assert measure.parts == ("", "name", *ATTRIBUTES[: 6 if task.toy else 5], *["gender"] * gender)
    for number in range(50):
        person, tokens = task.persons[number], measure.batch.tokens[number]
        part = {name: (measure.part[number] == i).nonzero()[:, 0].tolist() for i, name in enumerate(measure.parts)}
        found = {name: task.decode(tokens[places].tolist()) for name, places in part.items()}
        assert part["name"] == list(range(1, 1 + len(part["name"]))) and found["name"] == f" {person.name}"
        for attribute in measure.parts[2 : 8 if task.toy else 7]:
            value = person.values[attribute]
            assert found[attribute] == " " + (value.replace(" ", "_") if task.toy else value)
            assert part[attribute] == list(range(part[attribute][0], part[attribute][-1] + 1))
        if gender:
            words = [task.vocabulary[t] for t in tokens]
            pronouns = [i for i, word in enumerate(words) if word in ("He", "She", "His", "Her")]
            assert part["gender"] == pronouns[:1]
        if not task.toy:
            text = task.decode(tokens.tolist())
            assert task.style == "bioR" or text.index(f" {person.values['employer']}") < text.rindex(
                f" {person.values['company_city']}"
            )
    assert torch.equal(measure.value, measure.part > 1) and torch.equal(measure.name, measure.part == 1)
    assert not (measure.value & measure.name).any() and not (measure.value & ~measure.batch.targets).any()


def test_the_employer_comes_before_its_city_when_measured():
    task = Capo(people=300)
    people = directory(task)
    measure = task.measure_batch(range(300))
    before = 0
    for tokens in measure.batch.tokens.tolist():
        statements = [s for s, _, _ in read_biography(task.decode(tokens).removeprefix("<eos>"), people)[1]]
        assert statements.index("employer") < statements.index("company_city")
    for text in texts(task, 300):
        statements = [s for s, _, _ in read_biography(text, people)[1]]
        before += statements.index("employer") < statements.index("company_city")
    assert 100 < before < 200  # in training either may come first


def test_measured_biographies_depend_on_person_and_seed_only():
    task = Capo(people=100)
    some = task.measure_batch([7, 99], seed=2).batch.tokens
    assert torch.equal(task.measure_batch(range(100), seed=2).batch.tokens[[7, 99], : some.shape[1]], some)
    assert not torch.equal(
        task.measure_batch([7], seed=3).batch.tokens[0], task.measure_batch([7], seed=2).batch.tokens[0]
    )


@pytest.mark.parametrize("people", [[], [-1], [100], range(90, 101)])
def test_only_people_of_the_world_are_measured(people):
    with pytest.raises(ValueError, match="people are numbered 0 to 99, at least one is needed"):
        Capo(people=100).measure_batch(people)


def test_losses_are_summed_over_tokens_and_averaged_over_people():
    part = torch.tensor([[0, 1, 1, 0, 2, 3], [0, 1, 1, 1, 0, 2]])
    measure = Measure(Capo(people=2).batch(0, 0, 1), part, ("", "name", "a", "b"))
    nats = torch.tensor([[9.0, 1.0, 2.0, 9.0, 4.0, 8.0], [torch.inf, 1.0, 1.0, 3.0, 9.0, 0.5]])
    assert measure.losses(nats) == ((3 + 5) / 2, (12 + 0.5) / 2)


def test_test_rows_are_the_people_and_their_targets_the_values():
    task = Capo(people=60, rare=0.2)
    people = directory(task)
    batch, later = task.batch(0, 0, 60, "test"), task.batch(0, 1, 60, "test")
    numbers = []
    for tokens, again, targets in zip(batch.tokens.tolist(), later.tokens.tolist(), batch.targets, strict=True):
        person, _ = read_biography(task.decode(tokens).removeprefix("<eos>"), people)
        assert read_biography(task.decode(again).removeprefix("<eos>"), people)[0] == person
        numbers.append(person.number)
        measured = len(task.measure_batch([person.number]).value.nonzero())
        assert int(targets.sum()) == measured
    assert sorted(numbers) == list(range(60))
    assert 0 < sum(number >= task.common for number in numbers[:10]) < 5  # a few rows hold rare people, too
    assert not torch.equal(batch.tokens[:, :50], later.tokens[:, :50])


def test_many_test_rows_are_those_of_a_few_at_a_time():
    task = Capo(people=40)
    many, few = task.batch(0, 0, 1100, "test"), task.batch(0, 0, range(1020, 1030), "test")
    for whole, part in zip(many, few, strict=True):
        assert torch.equal(whole[1020:1030, : part.shape[1]], part)


@pytest.mark.parametrize("task", [Capo(people=30, context=300), Capo(people=30, format="short", **TOY)])
def test_grading(task):
    batch = task.batch(0, 0, 20, "test")
    count = int(batch.targets.sum())
    grade = task.grade(batch, batch.tokens)
    assert (grade["accuracy"], grade["count"]) == (1.0, count)
    assert task.grade(batch, torch.where(batch.targets, batch.tokens, -1))["accuracy"] == 1.0
    assert task.grade(batch, torch.where(batch.targets, -1, batch.tokens))["accuracy"] == 0.0
    assert task.grade(batch, batch.tokens.roll(1, 1))["accuracy"] < 0.2
    guesses = batch.tokens.clone()
    row, place = batch.targets.nonzero()[7].tolist()
    guesses[row, place] += 1
    assert task.grade(batch, guesses)["accuracy"] == (count - 1) / count


# -- bits --------------------------------------------------------------------------------------------------------------


def test_the_published_numbers_of_names_and_values():
    task = Capo(people=100_000)
    assert task.N0 == 160_000_000 and round(math.log2(task.N0), 4) == 27.2535
    assert task.S0 == 2 * (12 * 28 * 200) * 200 * 300 * 100 * 263 and round(math.log2(task.S0), 4) == 47.5916
    assert Capo(people=9, fullname=True).S0 == task.S0 // 2  # nothing tells the gender
    toy = Capo(people=1000, format="pairs", **TOY)
    assert (toy.N0, toy.S0) == (13_824, 2**30)


@pytest.mark.parametrize(
    "people, bits",
    [(50_000, 59.24), (100_000, 58.24), (200_000, 57.24), (500_000, 55.91), (1_000_000, 54.91), (2_000_000, 53.91)],
)
def test_the_published_maximum_of_bits(people, bits):
    task = Capo(people=people, context=512)
    assert round(max_bits(people, task.N0, task.S0) / people, 2) == bits
    # a perfect model pays log N for a name and nothing for a value; one that knows the pools only has no bits
    assert math.isclose(
        capacity_bits(people, math.log(people), 0.0, task.N0, task.S0), max_bits(people, task.N0, task.S0)
    )
    assert abs(capacity_bits(people, math.log(task.N0), math.log(task.S0), task.N0, task.S0)) < 1e-6 * people


def test_the_worked_example():
    task = Capo(people=100_000)
    assert abs(capacity_bits(1, 12.5, 0.0, task.N0, 1) - 9.2199) < 1e-4
    bits = capacity_bits(100_000, 12.5, 6.0, task.N0, task.S0)
    assert round(bits / 1e6, 3) == 4.816 and round(bits / 10e6, 4) == 0.4816
    assert round(max_bits(100_000, task.N0, task.S0) / 10e6, 4) == 0.5824


def test_bits_of_two_models_measured_through_the_masks():
    """A uniform guesser of toy values has no bits, and one that knows every second value has half of the values' bits."""
    task = Capo(people=200, format="pairs", **TOY)
    measure = task.measure_batch(range(200))
    nats = measure.name.double() * math.log(24) + measure.value.double() * math.log(32)
    p1, p2 = measure.losses(nats)
    assert abs(capacity_bits(200, p1, p2, task.N0, task.S0)) < 1e-6
    half = nats * ~torch.isin(measure.part, torch.tensor([2, 4, 6]))
    assert math.isclose(capacity_bits(200, *measure.losses(half), task.N0, task.S0), 200 * 15, rel_tol=1e-9)


# -- settings that make no sense ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options, sentence",
    [
        ({"people": 0}, "Capo option people must be a whole number from 1 to 20,000,000"),
        (
            {"people": 13_825, **TOY},
            "people must be 1 to 13,824, the number of full names these pools make, not 13,825",
        ),
        ({"entries": 0}, "entries must be a whole number of at least 1 or None, not 0"),
        ({"rare": 1.0}, "rare must be a number of at least 0 and below 1, not 1.0"),
        ({"rare_exposures": 0.0}, "rare_exposures must be a positive number, not 0.0"),
        (
            {"format": "pairs", "fullname": True},
            "fullname, style and tokenizer belong to the format 'sentences', not 'pairs'",
        ),
        ({"format": "short", "style": "bioR"}, "belong to the format 'sentences', not 'short'"),
        ({"values": 101}, "a pool of 101 entries cannot be taken from majors.txt, which has 100"),
        ({"pools": "/nowhere"}, "/nowhere is not a folder"),
    ],
)
def test_settings_that_make_no_sense_are_refused(options, sentence):
    with pytest.raises(ValueError) as error:
        Capo(**{"people": 10, **options})
    assert sentence in str(error.value)


@pytest.mark.parametrize(
    "options, sentence",
    [
        (
            {"format": "sentence"},
            "unknown Capo format 'sentence'; did you mean 'sentences'? (valid: sentences, short, pairs)",
        ),
        ({"order": "permuted"}, "unknown Capo order 'permuted'"),
        ({"order": "couple", "style": "bioR"}, "unknown Capo order 'couple'"),
        ({"templates": "redraw"}, "did you mean 'redrawn'?"),
        ({"style": "bior"}, "did you mean 'bioR'?"),
        ({"pronoun": "they"}, "unknown Capo pronoun 'they'"),
    ],
)
def test_unknown_options_get_the_nearest_one(options, sentence):
    with pytest.raises(UnknownName) as error:
        Capo(people=10, **options)
    assert sentence in str(error.value)


def test_a_window_too_small_is_refused_at_the_first_use():
    longest = Capo(people=10).longest_instance
    assert Capo(people=10, context=longest).batch(0, 0, 2).tokens.shape == (2, longest)
    with pytest.raises(ValueError) as error:
        Capo(people=10, context=longest - 1).batch(0, 0, 2)
    assert f"a window of {longest - 1} tokens cannot hold every biography: the longest has {longest}" in str(
        error.value
    )
