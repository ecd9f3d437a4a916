"""Readers of probes that see the prompt alone: what they answer is what the text says.

None of this knows how the probes are made. Texts may be full of other sentences.
"""

import re

NAME = r"(\w+ \w+ \w+)"
ROOM = r"(bathroom|bedroom|garden|hallway|kitchen|office)"
THING = r"(apple|football|milk)"
PERSON = r"(Anna|Lucy|Peter|Tom|Bill|Fred|Jeff|Mary)"


def years_in(prompt):
    """The birth years that a text states, in order."""
    return re.findall(r"was born in the year of (\d{4})\.", prompt)


def birth_year(prompt):
    """Follow "same year as" until a year is stated."""
    stated = dict(re.findall(NAME + r" was born in the year of (\d{4})\.", prompt))
    tied = dict(re.findall(NAME + r" was born in the same year as " + NAME + r"\.", prompt))
    person = re.search("Answer me: " + NAME + " was born", prompt)[1]
    while person not in stated:
        person = tied[person]
    return stated[person]


def needle(prompt):
    """The value given for what the last line asks."""
    kind, name = re.search(r"\nWhat is the secret (\w+) of the (\w+ \w+)\?", prompt).groups()
    return re.search(rf"The secret {kind} of the {name} is (\S+)\.", prompt)[1]


def story(prompt):
    """The answer to the last question of a few-shot prompt, as one word."""
    text, question = re.findall(r"<context>\n(.*?)\n</context>\n\nQuestion: (.*?)\nAnswer:", prompt, re.DOTALL)[-1]
    return told(text, question)


def told(text, question):
    """The answer to one question about a story."""
    for pattern, answer in QUESTIONS.items():
        if match := re.fullmatch(pattern, question):
            return answer(text, *match.groups())
    raise AssertionError(f"nobody asks {question!r}")


def _events(text):
    """(person, verb, object, receiver) of each fact in the order of the text."""
    verbs = {
        "move": rf"{PERSON} (?:walked into|ran over to|headed for|came to) the {ROOM}\.",
        "take": rf"{PERSON} (?:took|fetched|lifted) the {THING}\.",
        "drop": rf"{PERSON} (?:set down|let go of) the {THING}\.",
        "give": rf"{PERSON} (?:gave|passed) the {THING} to {PERSON}\.",
        "hand": rf"{PERSON} handed {PERSON} the {THING}\.",
    }
    found = [(m.start(), verb, *m.groups()) for verb, pattern in verbs.items() for m in re.finditer(pattern, text)]
    for _, verb, person, *rest in sorted(found):
        yield (person, "give", rest[1], rest[0]) if verb == "hand" else (person, verb, *rest)


def _places(text, thing):
    """Where a thing is known to be after each event."""
    where, carrier, place, places = {}, None, None, []
    for person, verb, what, *_ in _events(text):
        if verb == "move":
            where[person] = what
        elif what == thing:
            assert verb != "take" or (carrier is None and place in (None, where[person])), "took what was out of reach"
            assert verb != "drop" or carrier == person, "dropped what another holds"
            carrier = person if verb == "take" else None
        place = where[carrier] if carrier else place
        places.append(place)
    return places


def _person(text, person):
    return [what for who, verb, what, *_ in _events(text) if who == person and verb == "move"][-1]


def _before(text, thing, later):
    places = _places(text, thing)
    last = max(i for i, place in enumerate(places) if place == later)
    return next(place for place in reversed(places[:last]) if place != later)


def _relation(text, way, room):
    """What is `way` of the room? There must be one answer."""
    opposite = {"north": "south", "south": "north", "east": "west", "west": "east"}
    stated = re.findall(rf"The {ROOM} is (\w+) of the {ROOM}\.", text)
    stated += [(b, opposite[w], a) for a, w, b in stated]
    (answer,) = {a for a, w, b in stated if (w, b) == (way, room)}
    return answer


def _gift(text, giver=None, thing=None, taker=None):
    for event in reversed([event for event in _events(text) if event[1] == "give"]):
        found = (event[0], event[2], event[3])
        if all(wanted in (None, there) for wanted, there in zip((giver, thing, taker), found, strict=True)):
            return next(f for f, wanted in zip(found, (giver, thing, taker), strict=True) if wanted is None)
    raise AssertionError("no such gift")


QUESTIONS = {
    rf"Where is {PERSON}\?": _person,
    rf"Where is the {THING}\?": lambda text, thing: _places(text, thing)[-1],
    rf"Where was the {THING} just before it was last in the {ROOM}\?": _before,
    rf"What is (\w+) of the {ROOM}\?": _relation,
    rf"What is the {ROOM} (\w+) of\?": lambda text, room, way: _relation(
        text, {"north": "south", "south": "north", "east": "west", "west": "east"}[way], room
    ),
    rf"Who last gave the {THING} to {PERSON}\?": lambda text, thing, taker: _gift(text, None, thing, taker),
    rf"Who did {PERSON} last give the {THING} to\?": lambda text, giver, thing: _gift(text, giver, thing),
    rf"What did {PERSON} last give to {PERSON}\?": lambda text, giver, taker: _gift(text, giver, None, taker),
}
