"""The people of Capo: pools, templates, and a world of them."""

import re
from math import prod
from pathlib import Path

import numpy as np
import pytest
from tasks.chi_square import looks_like

from physlm_lite.base.strict import UnknownName
from physlm_lite.tasks import people
from physlm_lite.tasks.draws import bits
from physlm_lite.tasks.people import (
    ATTRIBUTES,
    POOL_FILES,
    SENTENCE_FILES,
    STATEMENTS,
    make_world,
    read_pools,
    read_sentences,
)

POOLS = read_pools()
SIZES = {
    "first": 400,
    "middle": 400,
    "last": 1000,
    "birth_date": 12 * 28 * 200,
    "birth_city": 200,
    "university": 300,
    "major": 100,
    "employer": 263,
    "company_city": 133,
}
TEMPLATES = {  # how many, how many of them end with the value, mean / least / most words with the slots (Part 3.1)
    "birth_date": (46, 33, 8.6, 4, 15),
    "birth_city": (49, 46, 6.8, 4, 10),
    "university": (49, 45, 10.0, 4, 15),
    "major": (52, 36, 6.7, 3, 11),
    "company_city": (47, 45, 8.0, 4, 13),
    "employer": (48, 36, 7.6, 4, 12),
}


# -- pools -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("pool, size", SIZES.items())
def test_pools_have_the_published_sizes(pool, size):
    entries = POOLS.values(pool)
    assert len(entries) == len(set(entries)) == POOLS.size(pool) == size
    assert all(entry == entry.strip() and "{" not in entry and "  " not in entry for entry in entries)


def test_names_are_single_words_and_the_lists_overlap_as_published():
    first, middle, last = (set(POOLS.values(name)) for name in ("first", "middle", "last"))
    assert all(re.fullmatch(r"[A-Z][A-Za-z]+", name) for name in first | middle | last)
    assert (len(first & middle), len(first & last), len(middle & last)) == (286, 64, 70)
    assert POOLS.full_names == 160_000_000


def test_small_pools_share_no_word():
    """The toy formats write each entry as one token; a shared one would mix two pools."""
    small = [word for pool in SIZES if pool != "birth_date" for word in POOLS.values(pool)[:100]]
    assert len(small) == len(set(small))


def test_companies_and_cities_have_the_published_counts():
    assert all(re.fullmatch(r"[A-Z][A-Za-z. ]+, [A-Z]{2}", city) for city in POOLS.birth_city + POOLS.company_city)
    cities = [POOLS.company_city[city] for city in POOLS.headquarters]
    assert len(cities) == 263 and len(set(cities)) == 133
    assert cities.count("New York, NY") == 36 == max(map(cities.count, set(cities)))
    assert len(set(cities) & set(POOLS.birth_city)) == 44
    assert sum(employer.endswith(".") for employer in POOLS.employer) == 2
    assert sum("," in university for university in POOLS.university) == 29


def test_dates_are_months_of_28_days_in_200_years():
    dates = POOLS.birth_date
    assert (dates[0], dates[28], dates[336], dates[-1]) == (
        "January 1, 1900",
        "February 1, 1900",
        "January 1, 1901",
        "December 28, 2099",
    )
    assert all(re.fullmatch(r"[A-Z][a-z]+ \d{1,2}, \d{4}", date) for date in dates[::97])


@pytest.mark.parametrize("attribute, counts", TEMPLATES.items())
def test_templates_have_the_published_counts_and_lengths(attribute, counts):
    number, value_last, mean, least, most = counts
    templates = read_sentences(attribute)
    words = [len(template.split()) for template in templates]
    assert len(templates) == number
    assert sum(template.endswith(f"{{{attribute}}}.") for template in templates) == value_last
    assert abs(np.mean(words) - mean) < 0.25 and min(words) == least and most - 1 <= max(words) <= most + 1
    assert sum(template.startswith("{whose}") for template in templates) == (3 if attribute == "birth_date" else 0)


def test_the_templates_make_the_published_number_of_choices():
    assert prod(len(read_sentences(attribute)) for attribute in ATTRIBUTES) == 12_956_641_152


@pytest.mark.parametrize("statement", STATEMENTS)
def test_templates_say_their_for_everybody(statement):
    for template in read_sentences(statement):
        assert not re.search(r"\b(his|her|hers|him|he|she|himself|herself)\b", template, re.IGNORECASE)
    if statement == "work":  # else the city would give the employer away
        assert all(t.index("{employer}") < t.index("{company_city}") for t in read_sentences(statement))


def write(folder: Path, **files: list[str]) -> str:
    for name, lines in files.items():
        (folder / f"{name}.txt").write_bytes("".join(f"{line}\r\n" for line in lines).encode())
    return str(folder)


def test_a_folder_replaces_the_files_it_has(tmp_path):
    folder = write(
        tmp_path, first_names=["Ann", "Bo"], employers=["Fig & Co.; Enid, OK", "A; B; Ames, IA", "Oz; Enid, OK"]
    )
    pools = read_pools(folder)
    assert pools.first == ("Ann", "Bo") and pools.middle == POOLS.middle
    assert pools.employer == ("Fig & Co.", "A; B", "Oz") and pools.company_city == ("Enid, OK", "Ames, IA")
    assert pools.headquarters == (0, 1, 0)
    assert pools.full_names == 2 * 400 * 1000
    assert read_sentences("major", folder) == read_sentences("major")


def test_the_released_folder_is_read_as_it_is(tmp_path):
    lists = {
        "first_name": ["Ann", "Bo"],
        "middle_name": ["Cy"],
        "last_name": ["Lee", "Ng"],
        "city": ["Enid, OK"],
        "university": ["Oz College", "Fig, Ltd"],
        "field": ["Law", "Art"],
        "company": ["Oz; Enid, OK"],
        "job": ["Cook", "Cook"],
    }
    pools = read_pools(write(tmp_path, **lists))
    assert (pools.first, pools.middle, pools.last) == (("Ann", "Bo"), ("Cy",), ("Lee", "Ng"))
    assert (pools.birth_city, pools.university, pools.major) == (
        ("Enid, OK",),
        ("Oz College", "Fig, Ltd"),
        ("Law", "Art"),
    )
    assert (pools.employer, pools.company_city) == (("Oz",), ("Enid, OK",))
    with pytest.raises(ValueError, match=r"holds both majors\.txt and field\.txt; keep one of them"):
        read_pools(write(tmp_path, majors=["Law"]))


def test_a_list_that_is_no_file_is_refused(tmp_path):
    (tmp_path / "city.txt").mkdir()
    with pytest.raises(ValueError, match=r"city\.txt is a folder, and a file is needed"):
        read_pools(str(tmp_path))


def test_a_folder_may_have_sentences_of_its_own(tmp_path):
    folder = write(tmp_path, sentences_major=["{who} did {major}, yes.", "{whose} major was {major}."])
    assert read_sentences("major", folder) == ("{who} did {major}, yes.", "{whose} major was {major}.")


@pytest.mark.parametrize(
    "files, sentence",
    [
        ({"majors": ["Law", "Art", "Law"]}, "majors.txt has 'Law' 2 times; remove the repeats"),
        ({"employers": ["Oz; Enid, OK", "Oz; Ames, IA"]}, "employers.txt has 'Oz' 2 times"),
        ({"majors": []}, "majors.txt is empty; it should have one entry a line"),
        ({"employers": ["Oz, Enid"]}, "employers.txt: 'Oz, Enid' should read 'name; City, ST'"),
        ({"employers": ["Oz;"]}, "employers.txt: 'Oz;' should read 'name; City, ST'"),
        ({"major": ["Law"]}, "'major.txt'; did you mean 'majors.txt'?"),
    ],
)
def test_lists_that_make_no_sense_are_refused(tmp_path, files, sentence):
    with pytest.raises(ValueError) as error:
        read_pools(write(tmp_path, **files))
    assert sentence in str(error.value)


def test_a_misspelt_file_is_an_unknown_name(tmp_path):
    with pytest.raises(UnknownName, match="unknown file in"):
        read_pools(write(tmp_path, lastnames=["Lee"]))
    with pytest.raises(ValueError, match=r"is not a folder; it should hold any of first_names\.txt, "):
        read_pools(str(tmp_path / "nowhere"))


@pytest.mark.parametrize(
    "template",
    [
        "{who} studied.",
        "{who} studied {major}",
        "Often {who} studied {major}.",
        "{who} studied {major} and {major}.",
        "{who} studied {major} at {university}.",
        "{who} studied ({major}).",
        "{who} and {who} studied {major}.",
        "{major}.",
    ],
)
def test_templates_that_make_no_sense_are_refused(tmp_path, template):
    with pytest.raises(ValueError, match=r"should begin with \{who\} or \{whose\}, have \{major\} once"):
        read_sentences("major", write(tmp_path, sentences_major=[template]))


def test_smaller_pools_are_the_first_entries():
    pools = read_pools(None, (3, 4, 5), 6)
    assert (pools.first, pools.middle, pools.last) == (POOLS.first[:3], POOLS.middle[:4], POOLS.last[:5])
    assert pools.full_names == 60
    assert all(pools.size(attribute) == len(pools.values(attribute)) for attribute in ATTRIBUTES)
    for attribute in ("birth_date", "birth_city", "university", "major", "employer"):
        assert pools.values(attribute) == POOLS.values(attribute)[:6]
    assert pools.company_city == POOLS.company_city[:6]
    assert [pools.company_city[c] for c in pools.headquarters] == [
        POOLS.company_city[c] for c in POOLS.headquarters[:6]
    ]


@pytest.mark.parametrize(
    "names, values, sentence",
    [
        ((1, 2), None, "names must be three pool sizes (first, middle, last), not (1, 2)"),
        ((0, 1, 1), None, "a pool of 0 entries cannot be taken from first_names.txt, which has 400; choose 1 to 400"),
        ((1, 1, 1001), None, "last_names.txt, which has 1000"),
        (None, 101, "a pool of 101 entries cannot be taken from majors.txt, which has 100"),
    ],
)
def test_pool_sizes_that_make_no_sense_are_refused(names, values, sentence):
    with pytest.raises(ValueError) as error:
        read_pools(None, names, values)
    assert sentence in str(error.value)


def test_the_files_are_the_documented_ones():
    folder = Path(read_pools.__wrapped__.__code__.co_filename).parent / "pools"
    assert {path.name for path in folder.iterdir()} == {*POOL_FILES.values(), *SENTENCE_FILES.values()}


# -- people ------------------------------------------------------------------------------------------------------------

WORLD = make_world(POOLS, 30_000, seed=5)


def test_full_names_are_unique():
    assert len(np.unique(WORLD.table[:, :3], axis=0)) == len(WORLD) == 30_000
    few = read_pools(None, (4, 5, 6))
    assert len(np.unique(make_world(few, 120).table[:, :3], axis=0)) == 120  # all that there are


def test_an_eighth_of_all_names_takes_few_draws_more(monkeypatch):
    counted = []
    monkeypatch.setattr(people, "bits", lambda key, *where: counted.append(np.size(where[-1])) or bits(key, *where))
    make_world(read_pools(None, (40, 40, 50)), 10_000)  # the share of the largest world, 20 million of 160 million
    assert sum(counted[:3]) < 3 * 1.03 * 80_000 * np.log(8 / 7)


@pytest.mark.parametrize("people", [0, -1, 121])
def test_more_people_than_names_are_refused(people):
    with pytest.raises(ValueError, match=f"people must be 1 to 120, the number of full names .* not {people}"):
        make_world(read_pools(None, (4, 5, 6)), people)


def test_the_people_of_a_smaller_world_are_the_first_of_a_larger_one():
    assert np.array_equal(make_world(POOLS, 1000, 5).table, WORLD.table[:1000])
    assert (make_world(POOLS, 1000, 6).table != WORLD.table[:1000]).any(1).all()
    few = read_pools(None, (4, 5, 6))
    assert np.array_equal(make_world(few, 30, 5).table[:, :3], make_world(few, 120, 5).table[:30, :3])


@pytest.mark.parametrize("column, pool", enumerate(["first", "middle", "last", "gender", *ATTRIBUTES[1:5]]))
def test_names_and_values_are_uniform(column, pool):
    size = 2 if pool == "gender" else POOLS.size(pool)
    column += pool in ATTRIBUTES  # the birth date, which has too many values to be counted, is left out
    assert looks_like(np.bincount(WORLD.table[:, column], minlength=size), np.ones(size))


def test_dates_are_uniform_in_day_and_year():
    date = WORLD.table[:, 4]
    assert looks_like(np.bincount(date % 336, minlength=336), np.ones(336))
    assert looks_like(np.bincount(date // 336, minlength=200), np.ones(200))


def test_values_are_independent_of_each_other():
    correlation = np.corrcoef(WORLD.table[:, :-1].T)
    assert np.abs(correlation[~np.eye(9, dtype=bool)]).max() < 5 / len(WORLD) ** 0.5


def test_the_company_city_follows_from_the_employer():
    homes = dict(zip(POOLS.employer, POOLS.headquarters, strict=True))
    for number in range(0, 30_000, 300):
        person = WORLD[number]
        assert person.values["company_city"] == POOLS.company_city[homes[person.values["employer"]]]
    new_york = np.mean(WORLD.table[:, -1] == POOLS.company_city.index("New York, NY"))
    assert abs(new_york - 36 / 263) < 5 * (0.137 * 0.863 / 30_000) ** 0.5


def test_a_toy_city_is_drawn_on_its_own():
    world = make_world(read_pools(None, None, 8), 20_000, own_city=True)
    pairs = 8 * world.table[:, -2] + world.table[:, -1]
    assert looks_like(np.bincount(pairs, minlength=64), np.ones(64))


def test_pronouns_of_the_script_alternate():
    world = make_world(POOLS, 10, pronoun="script")
    assert [world[i].subject(full=False)["who"] for i in range(10)] == ["He", "She"] * 5
    assert np.array_equal(
        world.table[:, [0, 1, 2, 4, 5, 6, 7, 8, 9]], make_world(POOLS, 10).table[:, [0, 1, 2, 4, 5, 6, 7, 8, 9]]
    )


def test_a_person_in_words():
    person, row = WORLD[77], WORLD.table[77].tolist()
    assert person.name == f"{POOLS.first[row[0]]} {POOLS.middle[row[1]]} {POOLS.last[row[2]]}"
    assert person.values == {a: POOLS.values(a)[i] for a, i in zip(ATTRIBUTES, row[4:], strict=True)}
    assert person.subject(full=True) == {"who": person.name, "whose": f"{person.name}'s"}
    assert person.subject(full=False) == [{"who": "He", "whose": "His"}, {"who": "She", "whose": "Her"}][person.gender]
    assert person.number == 77
