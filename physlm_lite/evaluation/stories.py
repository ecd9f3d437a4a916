"""Short stories about people, rooms and things, hidden in real text, in the manner of Babilong (Part 4.1, section 8).

Five families of questions, named as there: qa1 to qa3 need one, two or three facts of a story, qa4 and qa5 need the right
argument of a relation with two or three arguments. The sentences are our own; the words to answer with, the layout of
the few-shot prompts and the rule of scoring follow the benchmark.
"""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from typing import NamedTuple

from ..base.strict import choose
from ..tasks.draws import address
from .filler import WithFiller, hide
from .probe import Dice, Probe, probe_key

# Streams of draws.
STORY, EXAMPLE = range(2)

ROOMS = ("bathroom", "bedroom", "garden", "hallway", "kitchen", "office")
THINGS = ("apple", "football", "milk")
PEOPLE = ("Anna", "Lucy", "Peter", "Tom")
GIVERS = ("Bill", "Fred", "Jeff", "Mary")  # the names that answers of qa5 are looked up among

MOVES = ("{} walked into the {}.", "{} ran over to the {}.", "{} headed for the {}.", "{} came to the {}.")
TAKES = ("{} took the {}.", "{} fetched the {}.", "{} lifted the {}.")
DROPS = ("{} set down the {}.", "{} let go of the {}.")
GIFTS = ("{0} gave the {1} to {2}.", "{0} handed {2} the {1}.", "{0} passed the {1} to {2}.")
STEPS = {"north": 1j, "south": -1j, "east": 1, "west": -1}  # on a grid whose places are complex numbers
OPPOSITE = {"north": "south", "south": "north", "east": "west", "west": "east"}


class Told(NamedTuple):
    """A story with a question: `answer` is the one word, `sentence` the form in which the examples answer."""

    facts: list[str]
    question: str
    answer: str
    sentence: str


def live(dice: Dice, count: int, with_things: bool = True) -> tuple[list[str], dict[str, str], dict[str, list[str]]]:
    """`count` events in a house, in which people move, take and drop: told, who is where, and where each thing has been.

    A thing lies somewhere unknown until it is taken for the first time: it has been where the taker then is. Every room is
    as likely as any other.
    """
    facts: list[str] = []
    room: dict[str, str] = {}
    holder: dict[str, str] = {}
    trail: dict[str, list[str]] = {}
    for _ in range(count):
        person = dice.choose(PEOPLE)
        here, held = room.get(person), [thing for thing in holder if holder[thing] == person]
        lying = [thing for thing in THINGS if with_things and here and thing not in holder]
        reach = [thing for thing in lying if thing not in trail or trail[thing][-1] == here]
        if here and reach and dice.below(2):
            thing = dice.choose(reach)
            holder[thing] = person
            trail.setdefault(thing, [here])
            facts.append(dice.choose(TAKES).format(person, thing))
        elif held and not dice.below(4):
            thing = dice.choose(held)
            del holder[thing]
            facts.append(dice.choose(DROPS).format(person, thing))
        else:
            room[person] = dice.choose([other for other in ROOMS if other != here])
            for thing in held:
                trail[thing].append(room[person])
            facts.append(dice.choose(MOVES).format(person, room[person]))
    return facts, room, trail


# -- five ways to tell a story and ask about it; None if this story does not allow the question ------------------------


def where_is_a_person(dice: Dice, count: int, form: int) -> Told | None:
    """qa1: one supporting fact."""
    facts, room, _ = live(dice, count, with_things=False)
    person = dice.choose(sorted(room))
    return Told(facts, f"Where is {person}?", room[person], f"The latest room of {person} is the {room[person]}.")


def where_is_a_thing(dice: Dice, count: int, form: int) -> Told | None:
    """qa2: two supporting facts, who has (or dropped) the thing and where that was."""
    facts, _, trail = live(dice, count)
    if not trail:
        return None
    thing = dice.choose(sorted(trail))
    room = trail[thing][-1]
    return Told(facts, f"Where is the {thing}?", room, f"The {thing} is in the {room}.")


def where_was_a_thing(dice: Dice, count: int, form: int) -> Told | None:
    """qa3: three supporting facts, two rooms and who carried the thing from one to the other."""
    facts, _, trail = live(dice, count)
    moved = sorted(thing for thing, rooms in trail.items() if len(rooms) > 1)
    if not moved:
        return None
    thing = dice.choose(moved)
    later = dice.choose(sorted(set(trail[thing][1:])))
    before = [first for first, second in pairwise(trail[thing]) if second == later][-1]
    question = f"Where was the {thing} just before it was last in the {later}?"
    return Told(facts, question, before, f"Before it was last in the {later}, the {thing} was in the {before}.")


def which_room_lies_there(dice: Dice, count: int, form: int) -> Told | None:
    """qa4: two-argument relations. A tree of rooms on a grid; each fact joins two neighbours and may be turned round."""
    rooms = dice.sample(ROOMS, count + 1)
    spot, neighbours, facts = {rooms[0]: 0j}, [], []
    for new in rooms[1:]:
        while new not in spot:
            host, way = dice.choose(list(spot)), dice.choose(list(STEPS))
            place = spot[host] + STEPS[way]
            if place not in spot.values():
                spot[new] = place
        neighbours += [(host, way, new), (new, OPPOSITE[way], host)]
        first, relation, second = (new, way, host) if dice.below(2) else (host, OPPOSITE[way], new)
        facts.append(f"The {first} is {relation} of the {second}.")
    # One room only may lie that way, and it should take the relation, not just the sentence, to tell it from another.
    clear = [
        (room, way, other)
        for room, way, other in neighbours
        if not any(spot[other] + far * STEPS[way] in spot.values() for far in range(1, len(ROOMS)))
    ]
    joined = [place for place in clear if sum(room == place[0] for room, _, _ in neighbours) > 1]
    if not clear:
        return None
    room, way, other = dice.choose(joined or clear)
    question = f"What is {way} of the {room}?" if form == 0 else f"What is the {room} {OPPOSITE[way]} of?"
    return Told(dice.sample(facts, count), question, other, f"{other}.")


def who_gave_what_to_whom(dice: Dice, count: int, form: int) -> Told | None:
    """qa5: three-argument relations."""
    holder: dict[str, str] = {}
    gifts, facts = [], []
    for _ in range(count):
        thing = dice.choose(THINGS)
        if thing not in holder:
            holder[thing] = dice.choose(GIVERS)
            facts.append(dice.choose(TAKES).format(holder[thing], thing))
        elif not dice.below(4):
            facts.append(dice.choose(DROPS).format(holder.pop(thing), thing))
        else:
            giver = holder[thing]
            holder[thing] = dice.choose([person for person in GIVERS if person != giver])
            gifts.append((giver, thing, holder[thing]))
            facts.append(dice.choose(GIFTS).format(*gifts[-1]))
    if not gifts:
        return None
    giver, thing, taker = dice.choose(gifts)
    given = ((1, 2), (0, 1), (0, 2))[form]  # what the question says; it asks for the last gift of its kind
    same = [gift for gift in gifts if all(gift[i] == (giver, thing, taker)[i] for i in given)]
    giver, thing, taker = same[-1]
    question, answer = (
        (f"Who last gave the {thing} to {taker}?", giver),
        (f"Who did {giver} last give the {thing} to?", taker),
        (f"What did {giver} last give to {taker}?", thing),
    )[form]
    return Told(facts, question, answer, f"{answer}.")


@dataclass(frozen=True)
class Family:
    """One family of stories: how to tell one, what it is about, and how to answer.

    facts: usual number, fewest and most. forms: of the question. labels: the words to answer with.
    """

    tell: Callable[[Dice, int, int], Told | None]
    facts: int
    fewest: int
    about: str
    answer: str
    most: int = 1000
    forms: int = 1
    labels: tuple[str, ...] = ROOMS

    @property
    def instruction(self) -> str:
        """The paragraph before the examples."""
        return (
            f"Some sentences of the text tell of {self.about}; the others have nothing to do with it. Use only what these "
            f"sentences say. {self.answer}"
        )


_CARRIED = "A thing goes where the person goes who took it, and stays where it was set down. "
_SENTENCE = "Answer with one sentence of this form:"
FAMILIES = {
    "qa1": Family(
        where_is_a_person,
        6,
        1,
        "people who go from room to room",
        f"If somebody moves more than once, the latest room counts. {_SENTENCE} The latest room of NAME is the ROOM.",
    ),
    "qa2": Family(
        where_is_a_thing,
        12,
        2,
        "people who carry things from room to room",
        f"{_CARRIED}{_SENTENCE} The THING is in the ROOM.",
    ),
    "qa3": Family(
        where_was_a_thing,
        30,
        3,
        "people who carry things from room to room",
        f"{_CARRIED}{_SENTENCE} Before it was last in the ROOM, the THING was in the ROOM.",
    ),
    "qa4": Family(
        which_room_lies_there, 2, 1, "where rooms lie", "Answer with one word, the name of a room.", most=5, forms=2
    ),
    "qa5": Family(
        who_gave_what_to_whom,
        10,
        2,
        "people who give things to each other",
        "Answer with one word, a name or a thing, and explain nothing.",
        forms=3,
        labels=GIVERS + THINGS,
    ),
}


@dataclass(frozen=True)
class Story(WithFiller):
    """Stories of one family, hidden in filler, behind a few-shot prompt.

    task: "qa1" (where is a person), "qa2" (where is a thing), "qa3" (where was it before), "qa4" (what is north of ...) or
    "qa5" (who gave what to whom). facts: sentences of the story, as many as usual for the task if None. The examples are
    the same for every probe, made by the same rules, without filler and with at most six facts.

    One and the same answer is right less than once in five times, but short stories give much away: naming the last room
    of the text is right in 42, 33 and 23 of 100 stories of qa1 to qa3 at the usual lengths, and always in the shortest.

    >>> probe = Story("qa4").sample(seed=0, index=0)
    >>> print(probe.context, probe.question, probe.answer, sep="\\n")
    The kitchen is east of the bedroom. The kitchen is west of the garden.
    What is east of the kitchen?
    garden
    """

    task: str = "qa1"
    facts: int | None = None

    new_tokens = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        family = choose("story", self.task, FAMILIES)
        if self.facts is not None and not family.fewest <= self.facts <= family.most:
            raise ValueError(f"a story of {self.task} needs {family.fewest} to {family.most} facts, not {self.facts}")

    @property
    def family(self) -> Family:
        return FAMILIES[self.task]

    @property
    def fact_count(self) -> int:
        return self.family.facts if self.facts is None else self.facts

    @cached_property
    def examples(self) -> list[Told]:
        """Each form of the question comes up."""
        dice = [Dice(address(0, i), EXAMPLE) for i in range(max(2, self.family.forms))]
        return [self._tell(die, min(self.fact_count, 6), i % self.family.forms) for i, die in enumerate(dice)]

    @cached_property
    def _opening(self) -> str:
        shown = (f"{_ask(' '.join(told.facts), told.question)} {told.sentence}" for told in self.examples)
        return "\n\n".join([self.family.instruction, *shown])

    def _tell(self, dice: Dice, count: int, form: int) -> Told:
        """Tell stories until one allows the question."""
        return next(told for told in (self.family.tell(dice, count, form) for _ in itertools.count()) if told)

    def sample(self, seed: int, index: int) -> Probe:
        """Probe number `index`. `meta`: facts, sentence (the answer in the form of the examples), places, and filler facts."""
        key = probe_key(seed, index)
        dice = Dice(key, STORY)
        told = self._tell(dice, self.fact_count, dice.below(self.family.forms))
        passage = self.passage(key)
        text, places = hide(told.facts, passage, key)
        return Probe(
            prompt=f"{self._opening}\n\n{_ask(text, told.question)}",
            answer=told.answer,
            question=told.question,
            context=text,
            meta={"facts": told.facts, "sentence": told.sentence, "places": places, **self.filler_facts(passage)},
        )

    def right(self, output: str, probe: Probe) -> bool:
        """The benchmark's rule: of the labels, what the output names and the question does not must be the answer alone.

        Only the part before the first full stop, and before another `<context>` or `<example>`, is read, in lower case.
        """
        said, question = re.split(r"\.|<context>|<example>", output.lower())[0], probe.question.lower()
        named = {label.lower() for label in self.family.labels if label.lower() in said}
        return {label for label in named if label not in question} == {probe.answer.lower()}


def _ask(text: str, question: str) -> str:
    return f"<context>\n{text}\n</context>\n\nQuestion: {question}\nAnswer:"
