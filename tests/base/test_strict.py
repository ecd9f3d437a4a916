"""One check for names and values, whether they come from Python, JSON, YAML or a command line."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
import pytest
import yaml

from physlm_lite.base.strict import (
    Count,
    Fraction,
    NotNegative,
    Positive,
    Range,
    Seed,
    UnknownName,
    Whole,
    build,
    choose,
    plain,
    read_options,
    shown,
    unknown,
    verify,
)


@dataclass(frozen=True)
class Inner:
    size: Count = 1

    def __post_init__(self) -> None:
        verify(self)


@dataclass(frozen=True)
class Options:
    """A field of every kind that the kit's configurations have."""

    count: Count = 1
    whole: Whole = 0
    seed: Seed = 0
    rate: Positive = 1e-3
    decay: NotNegative = 0.0
    share: Fraction = 0.5
    beta: Annotated[float, Range(least=0, below=1)] = 0.9
    few: Annotated[int, Range(2, 5)] = 2
    tied: bool = False
    word: Literal["cosine", "linear"] = "cosine"
    text: str = "x"
    maybe: Count | None = None
    perhaps: str | None = None
    either: Literal["a"] | Count = "a"
    sizes: tuple[Count, ...] = (1,)
    three: tuple[Count, Count, Count] | None = None
    anything: Any = None
    table: Mapping[str, Any] = field(default_factory=dict)
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self) -> None:
        verify(self)


WRONG: dict[str, tuple[str, Any, str]] = {
    "bool for a number": ("count", True, "count must be a whole number of at least 1, not True"),
    "text for a number": ("count", "3", "whole number"),
    "float for a whole number": ("seed", 1.5, "whole number"),
    "whole float": ("count", 2.0, "whole number"),
    "None": ("count", None, "whole number"),
    "list": ("count", [1], "whole number"),
    "too small": ("count", 0, "of at least 1, not 0"),
    "negative": ("whole", -1, "at least 0"),
    "too large": ("few", 6, "from 2 to 5, not 6"),
    "huge": ("seed", 2**63, "below 9,223,372,036,854,775,808"),
    "NaN": ("rate", math.nan, "a positive number, not nan"),
    "infinity": ("rate", math.inf, "a positive number, not inf"),
    "NumPy's NaN": ("rate", np.float32("nan"), "a positive number, not nan"),
    "zero": ("rate", 0, "a positive number, not 0"),
    "NaN without bounds above": ("decay", math.nan, "at least 0, not nan"),
    "over the end": ("share", 1.01, "from 0 to 1"),
    "on the open end": ("beta", 1, "of at least 0 and below 1, not 1"),
    "complex": ("rate", 1j, "a positive number"),
    "text for a bool": ("tied", "no", "tied must be True or False, not 'no'"),
    "number for a bool": ("tied", 1, "True or False"),
    "word": ("word", "cosin", "did you mean 'cosine'"),
    "bool for a word": ("word", True, "unknown Options word True"),
    "number for a text": ("text", 3, "a text, not 3"),
    "path for a text": ("text", Path("x"), "a text"),
    "optional": ("maybe", "3", "a whole number of at least 1 or None, not '3'"),
    "optional out of range": ("maybe", 0, "at least 1 or None, not 0"),
    "optional text": ("perhaps", 3, "a text or None"),
    "one of two": ("either", "b", "one of 'a' or a whole number of at least 1"),
    "text for a list": ("sizes", "12", "a list of values"),
    "wrong entry": ("sizes", [1, 0], "sizes[1] must be a whole number of at least 1, not 0"),
    "wrong length": ("three", [1, 2], "a list of 3 values"),
    "number for a table": ("table", 3, "a mapping"),
    "names that are none": ("table", {3: 1}, "a key of Options option table must be a text"),
    "wrong value inside": ("inner", {"size": 0}, "size must be"),
    "unknown name inside": ("inner", {"sice": 1}, "did you mean 'size'"),
    "something else": ("inner", 3, "Inner"),
}


@pytest.mark.parametrize(("name", "value", "said"), WRONG.values(), ids=WRONG)
def test_a_wrong_value_gets_one_sentence(name: str, value: Any, said: str) -> None:
    for make in (lambda: Options(**{name: value}), lambda: build(Options, {name: value})):
        with pytest.raises(ValueError) as error:
            make()
        message = str(error.value)
        assert said in message and "\n" not in message and len(message) < 300


RIGHT: dict[str, tuple[str, Any, Any]] = {
    "NumPy's whole number": ("count", np.int64(3), 3),
    "NumPy's float": ("rate", np.float32(0.5), 0.5),
    "whole number for a float": ("rate", 1, 1.0),
    "NumPy's bool": ("tied", np.bool_(True), True),
    "NumPy's text": ("text", np.str_("a"), "a"),
    "list for a tuple": ("sizes", [1, 2], (1, 2)),
    "NumPy's array": ("sizes", np.arange(1, 4), (1, 2, 3)),
    "range": ("sizes", range(1, 4), (1, 2, 3)),
    "None": ("maybe", None, None),
    "anything": ("anything", [np.int64(1), {"a": np.float64(2)}], [1, {"a": 2.0}]),
    "table": ("table", {"a": np.int32(1)}, {"a": 1}),
    "a mapping for a dataclass": ("inner", {"size": 2}, Inner(2)),
}


@pytest.mark.parametrize(("name", "value", "expected"), RIGHT.values(), ids=RIGHT)
def test_two_spellings_of_a_value_are_one(name: str, value: Any, expected: Any) -> None:
    found = getattr(Options(**{name: value}), name)
    assert found == expected and type(found) is type(expected)
    assert type(getattr(build(Options, {name: value}), name)) is type(expected)


def test_yaml_and_python_agree() -> None:
    found = build(Options, yaml.safe_load("{rate: 1e-5, count: 3, sizes: [1, 2], tied: true, word: linear}"))
    assert found == Options(rate=1e-5, count=3, sizes=(1, 2), tied=True, word="linear")
    with pytest.raises(ValueError, match="count must be a whole number"):
        build(Options, {"count": "1e5"})
    assert build(Options, {"text": "1e-5"}).text == "1e-5"  # where a text is wanted it stays one


@pytest.mark.parametrize("options", [[], "rate", 3, None])
def test_only_a_mapping_makes_options(options: Any) -> None:
    with pytest.raises(ValueError, match="takes a mapping"):
        build(Options, options)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("count=3", 3),
        ("rate=1e-5", 1e-5),
        ("rate=1", 1.0),
        ("tied=True", True),
        ("tied=false", False),
        ("maybe=None", None),
        ("maybe=4", 4),
        ("perhaps=None", None),
        ("perhaps=4", "4"),
        ("text=12", "12"),
        ("text='a b'", "a b"),
        ("text=a=b", "a=b"),
        ("word=linear", "linear"),
        ("sizes=1,2", (1, 2)),
        ("three=(1, 2, 3)", (1, 2, 3)),
    ],
)
def test_a_command_line_is_read_by_the_same_annotations(text: str, expected: Any) -> None:
    (found,) = read_options(Options, [text]).values()
    assert found == expected and type(found) is type(expected)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("count", "key=value"),
        ("cuont=3", "did you mean 'count'"),
        ("count=three", "whole number"),
        ("count=1e3", "whole number"),
        ("tied=no", "True or False"),
        ("rate=nan", "positive number"),
        ("word=sine", "did you mean 'cosine'"),
        ("sizes=1,x", "a list of values"),
        ("count=" + "(" * 10_000, "whole number"),
    ],
)
def test_a_wrong_command_line_gets_one_sentence(text: str, said: str) -> None:
    with pytest.raises(ValueError) as error:
        read_options(Options, [text])
    assert said in str(error.value) and len(str(error.value)) < 300


def test_what_a_message_quotes_is_short_and_harmless() -> None:
    assert shown("\x1b[31m") == r"'\x1b[31m'" and shown(np.int64(3)) == "3"
    assert len(shown("a" * 10_000)) < 90
    assert "\x1b" not in str(unknown("verb", "\x1b[2J", ["ledger"]))


def test_a_name_of_another_kind_is_unknown() -> None:
    for name in (3, None, ["toy"], True):
        with pytest.raises(UnknownName, match="unknown scale"):
            choose("scale", name, {"toy": 1})  # type: ignore[arg-type]


def test_plain_reaches_every_depth() -> None:
    found = plain({"a": (np.int64(1), [np.arange(2), np.float32(0.5)]), "b": "x"})
    assert found == {"a": (1, [[0, 1], 0.5]), "b": "x"} and type(found["a"]) is tuple
