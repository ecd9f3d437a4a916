"""Birth years: find one fact in a text, or one fact by way of another (Part 4.1, section 8: "1-hop-L" and "2-hop-L").

Some people's birth years are stated; others are only said to be born in the same year as somebody named before. The
question asks for the year of one person.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..tasks.people import read_pools
from .filler import WithFiller, hide
from .probe import Dice, Probe, probe_key

# Streams of draws.
NAMES, YEARS, LINKS, ASKED = range(4)

MOST_NAMED = 10_000  # people of one probe

INSTRUCTION = (
    "You will be asked in which year a person was born, and the answer is hidden in a text about other things. "
    "For some people the text gives the year; for others it says that they were born in the same year as "
    "another person, whom it names."
)


@dataclass(frozen=True)
class BirthYears(WithFiller):
    """Groups of people, the first with years of their own, each later one tied one to one to the group before it.

    people: in each group. hops: number of groups; the person asked about belongs to the last one. years: first and last
    possible year. The paper's "1-hop-L" is (people, hops) = (5, 1), its "2-hop-L" (3, 2), with `filler_tokens` from 0 to
    6,000. A model that names any year of the text is right once in `people` times.

    random_asked: ask about any member of the last group; as published it is always the *first*, so that a model may score
    by looking at one place. trailing_space: end the prompt in a space, as published; vocabularies that join a space to
    the word after it read the year better without. drop_suspicious: leave out filler sentences that name a person of the
    probe or a possible year (`suspicion`); as published they stay. names: pools of first, middle and last names, those
    of the biographies unless given. instruction: the paragraph before the text, from two hops on; scores shift with it.

    >>> names = (["Ada", "Bo", "Cy"], ["Lee", "Ray"], ["Hill", "Moss"])
    >>> probe = BirthYears(people=2, hops=2, names=names).sample(seed=0, index=0)
    >>> print(probe.context.replace(". ", ".\\n"), probe.question.strip(), probe.answer, sep="\\n")
    Bo Lee Moss was born in the year of 1952.
    Bo Ray Moss was born in the year of 1978.
    Cy Ray Moss was born in the same year as Bo Ray Moss.
    Ada Lee Moss was born in the same year as Bo Lee Moss.
    Answer me: Cy Ray Moss was born in the year of
    1978
    """

    people: int = 5
    hops: int = 1
    years: tuple[int, int] = (1950, 2009)
    random_asked: bool = False
    trailing_space: bool = True
    drop_suspicious: bool = False
    names: tuple[Sequence[str], Sequence[str], Sequence[str]] | None = None
    instruction: str = INSTRUCTION

    new_tokens = 8

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.people < 1 or self.hops < 1 or self.people * self.hops > MOST_NAMED:
            raise ValueError(
                f"birth years need at least 1 person and 1 hop and at most {MOST_NAMED:,} people in all, "
                f"not {self.people} and {self.hops}"
            )
        first, last = self.years
        if not 1000 <= first <= last <= 9999:  # an answer is judged by its first four characters
            raise ValueError(f"years must be two years of four digits, the earlier one first, not {self.years}")
        if last - first + 1 < self.people:
            raise ValueError(
                f"{self.people} people need years of their own, and {first} to {last} are only "
                f"{last - first + 1}; widen years, or lower people"
            )
        if self.names is not None:
            different = len(set(self.names[0])) * len(set(self.names[1])) * len(set(self.names[2]))
            if different < self.people * self.hops:
                raise ValueError(
                    f"the names make {different} different people, and {self.people * self.hops} are needed; "
                    "give more names, or lower people or hops"
                )

    def sample(self, seed: int, index: int) -> Probe:
        """Probe number `index`. `meta`: groups, years, statements, asked, places, suspicious, and facts of the filler.

        One (seed, index) has the same people and years at every `filler_tokens`.
        """
        key = probe_key(seed, index)
        biographies, dice = read_pools(), Dice(key, NAMES)
        pools = self.names or (biographies.first, biographies.middle, biographies.last)
        chosen: dict[str, None] = {}
        while len(chosen) < self.people * self.hops:  # all different
            chosen[" ".join(dice.choose(pool) for pool in pools)] = None
        names = list(chosen)
        groups = [names[i : i + self.people] for i in range(0, len(names), self.people)]
        years = Dice(key, YEARS).sample(range(self.years[0], self.years[1] + 1), self.people)
        dice = Dice(key, LINKS)
        links = [dice.sample(range(self.people), self.people) for _ in groups[1:]]
        statements, year_of = state(groups, years, links)
        asked = groups[-1][Dice(key, ASKED).below(self.people) if self.random_asked else 0]

        suspect = suspicion(names, self.years)
        passage = self.passage(key, (lambda sentence: not suspect(sentence)) if self.drop_suspicious else None)
        text, places = hide(statements, passage, key)
        question = f"Answer me: {asked} was born in the year of" + " " * self.trailing_space
        shown = f"{text} " if self.hops == 1 else f"{self.instruction}\n\n<context>{text}</context>"
        return Probe(
            prompt=f"{shown}\n\n{question}",
            answer=str(year_of[asked]),
            question=question,
            context=text,
            meta={
                "groups": groups,
                "years": year_of,
                "statements": statements,
                "asked": asked,
                "places": places,
                "suspicious": [sentence for sentence in passage if suspect(sentence)],
                **self.filler_facts(passage),
            },
        )

    def right(self, output: str, probe: Probe) -> bool:
        """Are the first four characters, after any white space, the year? (The paper does not say; this is its plainest rule.)"""
        return output.strip()[:4] == probe.answer


def state(
    groups: Sequence[Sequence[str]], years: Sequence[int], links: Sequence[Sequence[int]]
) -> tuple[list[str], dict[str, int]]:
    """The statements in the order of the groups, and everybody's year.

    Person i of the first group was born in years[i]; person i of group g + 1 in the same year as person links[g][i] of
    the group before.

    >>> state([["Ann", "Bob"], ["Cid", "Dot"]], [1963, 1955], [[1, 0]])[0][2]
    'Cid was born in the same year as Bob.'
    """
    year_of = dict(zip(groups[0], years, strict=True))
    statements = [f"{name} was born in the year of {year}." for name, year in year_of.items()]
    for before, group, link in zip(groups, groups[1:], links, strict=False):
        for name, i in zip(group, link, strict=True):
            statements.append(f"{name} was born in the same year as {before[i]}.")
            year_of[name] = year_of[before[i]]
    return statements, year_of


def suspicion(people: Sequence[str], years: tuple[int, int]) -> Callable[[str], bool]:
    """Does a sentence hold a name of one of the people (first, middle or last, as a word) or a year of the range?"""
    parts = {part for name in people for part in name.split()}
    name = re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(parts)))})\b")
    year = re.compile(r"(?<!\d)\d{4}(?!\d)")
    return lambda text: bool(name.search(text)) or any(years[0] <= int(n) <= years[1] for n in year.findall(text))
