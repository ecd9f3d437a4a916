"""Real text in which birth years are hidden: the probe of Part 4.1, section 8, made small enough to be trained on.

The paper's models learn to look things up from 100 billion tokens of text. Ours meet such sentences in every row, with other
names and years, at other places of another text. So a toy learns within a minute what the probe asks for, and can then be asked
how far it reaches and whether it follows a link. The text is read character by character, like in `tasks.text`; names, years
and the words between them are a token each, as the common words of a large vocabulary are.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any, ClassVar

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..base.strict import Range, verify
from .batch import Batch, Rows, Steps, Window, accuracy, in_chunks, row_numbers, split_number, to_batch
from .draws import U64, Ints, OneByOne, address, below, bits
from .metric import Metric, by_member, by_name, share
from .text import CHARACTERS, END, PYTHON, Text

NAMES = (
    "Ada Ben Cora Dan Edith Finn Gina Hugo Ida Jack Kate Leo Mona Ned Olga Paul Queen Rosa Sam Tess Ugo Vera Walt Xenia "
    "Yves Zoe Alma Bruno Clara Dirk Elsa Frank Greta Hans Ines Jonas Klara Lars Maria Nils Otto Petra Ralf Sonja Tom Ursel "
    "Viktor Wanda Xaver Yara Zeno Agnes Bodo Carla Dora Emil Flora Georg Hilda Igor"
).split()
YEARS = range(1950, 2010)  # those of the paper
BORN, LINKED = "born-in", "as-old-as"
WORDS = len(CHARACTERS)  # the first token that is no character
SENTENCE = 3  # tokens: a name, one of the two words, and a year or another name
FAR = (2, 4)  # how many times as long the texts are in which the test looks, too
LINE = CHARACTERS.index("\n")
PLACE, NAME, PERSON, YEAR, CUT, ORDER, ASKED, HOP = range(8)  # streams of draws


@dataclass(frozen=True)
class Births:
    """A window of `context` tokens: text in which some people's birth years are hidden, then questions; loss on the answers.

    There are `people` different years, and a sentence gives each to somebody. With two `hops`, somebody else is said to be as
    old as each of these people; with three, others again as old as those. A row of the training split asks for each year
    once, in random order, of any one of those who were born then, or only of those at most `taught` hops away; a row of the
    test split asks once, of anybody. Sentences stand anywhere between two characters. pool: how many names and years there are.

    corpus, corpus_hash: as for `Text`. A question is complete in itself, and the first one of a row cannot be answered by
    leaving out the years that were said already.

    >>> from physlm_lite.tasks import text_view
    >>> task = Births(context=40, people=2, hops=2)
    >>> print(task.batch(seed=0, step=0, rows=1).tokens.shape)
    torch.Size([1, 40])
    """

    corpus: str = PYTHON
    context: Window = 128
    people: Annotated[int, Range(2, 20)] = 8
    hops: Annotated[int, Range(1, 3)] = 1
    taught: Annotated[int, Range(1, 3)] | None = None
    pool: Annotated[int, Range(2, len(NAMES))] = 24
    corpus_hash: str | None = None
    reads: ClassVar[tuple[str, ...]] = ("corpus", "corpus_hash")  # a run is named by what the files hold

    def __post_init__(self) -> None:
        verify(self)
        if self.sentences > self.pool:
            raise ValueError(
                f"{self.people} people and {self.hops} hops need a pool of {self.sentences} names, not {self.pool}"
            )
        if (room := self.room("train")) < 1:
            raise ValueError(
                f"{self.people} people and {self.hops} hops need a window of {self.context - room + 1} tokens or more, not "
                f"{self.context}"
            )

    @property
    def sentences(self) -> int:
        """How many are hidden in a row."""
        return self.people * self.hops

    def room(self, split: str) -> int:
        """How many characters of the corpus are in a row: the rest is sentences and questions."""
        return self.context - SENTENCE * (self.sentences + self.questions(split))

    def questions(self, split: str) -> int:
        """How many there are in a row."""
        return self.people if split == "train" else 1

    @cached_property
    def text(self) -> Text:
        """The text in which the years are hidden."""
        return Text(self.corpus, max(FAR) * self.context, 1, corpus_hash=self.corpus_hash)  # the test reads longer ones

    @property
    def fingerprint(self) -> str:
        return self.text.fingerprint

    @cached_property
    def vocabulary(self) -> tuple[str, ...]:
        """The characters, two words, names and years."""
        years = (str(year) for year in YEARS[: self.pool])
        return (*self.text.vocabulary, BORN, LINKED, *NAMES[: self.pool], *years)

    @property
    def first_name(self) -> int:
        """The token of the first name; the other names follow, then the years."""
        return WORDS + 2

    def at_hand(self) -> Births:
        """This task on the text that is here: the same one, unless `corpus_hash` asks for another."""
        return self if self.text.at_hand() is self.text else dataclasses.replace(self, corpus_hash=None)

    def longer(self, times: int) -> Births:
        """The same in a window of so many times the length."""
        task = dataclasses.replace(self, context=times * self.context)
        vars(task).update({name: vars(self)[name] for name in ("text", "streams") if name in vars(self)})  # read once
        return task

    @cached_property
    def streams(self) -> dict[str, NDArray[np.uint8]]:
        """The characters of each split; a document ends with its line."""
        return {split: np.where(ids == END, np.uint8(LINE), ids) for split, ids in self.text.stream.items()}

    def batch(self, seed: int, step: Steps, rows: Rows, split: str = "train") -> Batch:
        """[rows, context] tokens."""
        key = address(seed, split_number(split), step, row_numbers(rows))
        return in_chunks(lambda some: self._rows(some, split), self.context, key)

    def _rows(self, key: U64, split: str) -> Batch:
        stream, room, count, key = self.streams[split], self.room(split), self.sentences, key[:, None]
        tokens, row = np.zeros((len(key), self.context), np.int64), np.arange(len(key))[:, None]
        names, years = self._people(key)
        # the sentences of each row in random order
        links = [_sentence(names[:, hop], LINKED, names[:, hop - 1]) for hop in range(1, self.hops)]
        told = np.concatenate([_sentence(names[:, 0], BORN, years), *links], 1)
        told = told[row, bits(key, ORDER, np.arange(count)).argsort(1, kind="stable")]
        # a window of text, and where they stand in it: before so many of its characters
        begin, inside = below(bits(key, PLACE), len(stream) - room), np.arange(room)
        cuts = np.sort(below(bits(key, CUT, np.arange(count)), room), axis=1)
        tokens[row, inside + SENTENCE * (cuts[:, :, None] <= inside).sum(1)] = stream[begin + inside]
        places = (cuts + SENTENCE * np.arange(count))[:, :, None] + np.arange(SENTENCE)
        tokens[row[:, None], places] = told
        # the questions
        asked = bits(key, ASKED, np.arange(self.people)).argsort(1, kind="stable")[:, : self.questions(split)]
        hop = below(bits(key, HOP, np.arange(asked.shape[1])), self.asked_hops(split))
        questions = _sentence(names[row, hop, asked], BORN, years[row, asked])
        tokens[:, room + SENTENCE * count :] = questions.reshape(len(key), -1)
        targets = np.zeros(tokens.shape, bool)
        targets[:, room + SENTENCE * count + SENTENCE - 1 :: SENTENCE] = True
        return to_batch(tokens, targets, np.zeros_like(tokens))

    def asked_hops(self, split: str) -> int:
        """How far away the people are at most whom a split asks about."""
        return min(self.hops, self.taught or self.hops) if split == "train" else self.hops

    def _people(self, key: U64) -> tuple[Ints, Ints]:
        """Tokens of names [row, hops, people] and of years [row, people]; the people of one column were born in the same year."""
        names = _different(key, NAME, self.pool, self.sentences)
        names = np.take_along_axis(names, bits(key, PERSON, np.arange(self.sentences)).argsort(1, kind="stable"), 1)
        names = names.reshape(len(key), self.hops, self.people)
        return self.first_name + names, self.first_name + self.pool + _different(key, YEAR, self.pool, self.people)

    @property
    def metrics(self) -> dict[str, Metric]:
        any_year: dict[str, Any] = {"guess": lambda: 1 / self.people}
        return by_name(
            share("accuracy", "years found", error="standard_error", **any_year),
            (share(f"accuracy_far.{far}", f"at {far} x the length", **any_year) for far in FAR),
            (share(f"accuracy_k.{k}", f"{k} hop{'s' * (k > 1)}", **any_year) for k in range(1, self.hops + 1)),
        )

    def grade(self, batch: Batch, guesses: Tensor) -> dict[str, Any]:
        """Share of the first questions that are answered, in all and by the number of hops; graded from the text alone."""
        right: dict[int, list[bool]] = {}
        for tokens, guess in zip(batch.tokens.tolist(), guesses.tolist(), strict=True):
            written = [self.vocabulary[token] for token in tokens]
            first = len(written)
            while first >= SENTENCE and written[first - 2] == BORN:  # back from question to question
                first -= SENTENCE
            hops, year = look_up(written[:first], written[first])
            right.setdefault(hops, []).append(self.vocabulary[guess[first + 2]] == year)
        return {**accuracy([[answer] for answers in right.values() for answer in answers]), **by_member("k", right)}


def look_up(text: Sequence[str], name: str) -> tuple[int, str]:
    """By how many sentences somebody's year is found in a text, and the year. Raises ValueError if it is not.

    >>> look_up("Ada born-in 1960 , and Ben as-old-as Ada".split(), "Ben")
    (2, '1960')
    """
    found = {text[i - 1]: (word, text[i + 1]) for i, word in enumerate(text) if word in (BORN, LINKED)}
    for hops in range(1, len(text)):
        if name not in found:
            break
        word, name = found[name]
        if word == BORN:
            return hops, name
    raise ValueError(f"the text does not say when {name} was born")


def _different(key: U64, stream: int, size: int, count: int) -> Ints:
    """[row, count] different numbers below `size`: every set of them is as likely (Floyd's way), not every order."""
    drawn = np.zeros((len(key), count), np.int64)
    for i in range(count):
        last = size - count + i
        number = below(bits(key[:, 0], stream, i), last + 1)
        drawn[:, i] = np.where((drawn[:, :i] == number[:, None]).any(1), last, number)
    return drawn


def _sentence(names: Ints, word: str, others: Ints) -> Ints:
    """[row, sentence, token]."""
    return np.stack([names, np.full_like(names, WORDS + (BORN, LINKED).index(word)), others], -1)


def births_row(task: Births, key: int, split: str) -> tuple[list[str], list[bool]]:
    """The slow twin: the tokens of one row by name, and which of them carry loss."""
    draw = OneByOne(key)
    names = [
        NAMES[number] for number in shuffled(draw, one_after_the_other(draw, NAME, task.pool, task.sentences), PERSON)
    ]
    years = [str(YEARS[number]) for number in one_after_the_other(draw, YEAR, task.pool, task.people)]
    sentences = []
    for number, name in enumerate(names):
        older = number - task.people  # whom the text names
        sentences.append([name, LINKED, names[older]] if older >= 0 else [name, BORN, years[number]])
    stream, room = task.streams[split], task.room(split)
    begin = draw.below(len(stream) - room, PLACE)
    text = [task.vocabulary[token] for token in stream[begin : begin + room].tolist()]
    cuts = sorted(draw.below(room, CUT, number) for number in range(task.sentences))
    row: list[str] = []
    rest = 0
    for cut, sentence in zip(cuts, shuffled(draw, sentences, ORDER), strict=True):
        row, rest = [*row, *text[rest:cut], *sentence], cut
    row += text[rest:]
    loss = [False] * len(row)
    for number, column in enumerate(shuffled(draw, list(range(task.people)), ASKED)[: task.questions(split)]):
        hop = draw.below(task.asked_hops(split), HOP, number)
        row += [names[hop * task.people + column], BORN, years[column]]
        loss += [False, False, True]
    return row, loss


def shuffled(draw: OneByOne, things: Sequence[Any], stream: int) -> list[Any]:
    return [things[i] for i in sorted(range(len(things)), key=lambda i: draw.bits(stream, i))]


def one_after_the_other(draw: OneByOne, stream: int, size: int, count: int) -> list[int]:
    """Different numbers: if one comes up again, the largest that was not yet possible is taken in its place."""
    drawn: list[int] = []
    for i in range(count):
        number = draw.below(size - count + i + 1, stream, i)
        drawn.append(size - count + i if number in drawn else number)
    return drawn
