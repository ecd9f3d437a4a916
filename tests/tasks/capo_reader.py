"""Reads a biography back, knowing nothing but the templates and the people: an independent judge of Capo's texts."""

from functools import cache

from physlm_lite.tasks.people import STATEMENTS, read_sentences


@cache
def _all_templates():
    """(statement, template, its words between the subject and the first value) for "who" and for "whose" templates."""
    found = {"{who}": [], "{whose}": []}
    for statement in STATEMENTS:
        for template in read_sentences(statement):
            subject, _, words = template.partition(" ")
            found[subject].append((statement, template, f" {words[: words.index('{')]}"))
    return found


def read_biography(text, people):
    """The person and the (statement, template, subject) of each sentence; raises ValueError for anything else.

    `people` maps full names to persons; `subject` is "name" or the pronoun.
    """
    person = people[" ".join(text.split(" ")[1:4]).removesuffix("'s")]
    subjects = [
        ("{who}", person.name, "name"),
        ("{whose}", f"{person.name}'s", "name"),
        *(("{who}", word, word) for word in ("He", "She")),
        ("{whose}", "His", "He"),
        ("{whose}", "Her", "She"),
    ]
    found = []
    while text:
        fits = []
        for slot, words, subject in subjects:
            if not text.startswith(f"{words} ", 1):
                continue
            for statement, template, between in _all_templates()[slot]:
                if text.startswith(words + between, 1):
                    sentence = f" {template.replace(slot, words).format(**person.values)}"
                    if text.startswith(sentence) and text[len(sentence) : len(sentence) + 1] in ("", " "):
                        fits.append((sentence, statement, template, subject))
        if len(fits) != 1:
            raise ValueError(f"{len(fits)} sentences fit the beginning of {text!r}")
        found.append(fits[0][1:])
        text = text[len(fits[0][0]) :]
    return person, found
