"""What every verb's arguments are read by."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn, Protocol

from .. import __version__
from ..base.strict import shown, unknown


class Parser(argparse.ArgumentParser):
    """One that complains in one sentence, and takes no option for another that begins alike."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options, allow_abbrev=False)
        self.set_defaults(parser=self)

    def error(self, message: str) -> NoReturn:
        raise ValueError(f"{message}; see `{self.prog} --help`")


def left_over(argument: str, parser: argparse.ArgumentParser) -> ValueError:
    """The error for the first argument that a verb does not know."""
    if not argument.startswith("-"):
        return ValueError(f"{shown(argument)} is one argument too many; see `{parser.prog} --help`")
    return unknown(f"option of {parser.prog}", argument, [name for a in parser._actions for name in a.option_strings])


def a_folder(text: str) -> Path:
    if not text:
        raise argparse.ArgumentTypeError("it must name a folder")
    return Path(text)


def a_file(text: str) -> Path:
    """Where to write; a claim that stands right behind the option would be taken for it."""
    if not text or Path(text).suffix.lower() in (".yaml", ".yml", ".py"):
        raise argparse.ArgumentTypeError(f"it must name a file to write, not {shown(text)}; name your claims before it")
    return Path(text)


def some_names(text: str) -> list[str]:
    return [name for name in text.split(",") if name]


def a_project(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("it must name a project")
    return text


class Verb(Protocol):
    """Adds a verb, which is called with its options; one that prints `otherwise` can print JSON instead."""

    def __call__(
        self, call: Callable[[argparse.Namespace], int | None], about: str, otherwise: str = ""
    ) -> argparse.ArgumentParser: ...


def parser_of(*groups: Callable[[Verb], None]) -> argparse.ArgumentParser:
    """The parser of the command, to which each group adds its verbs."""
    parser = Parser(prog="physlm", description="Teaching and replication kit for Physics of Language Models.")
    parser.add_argument("--version", action="version", version=f"physlm {__version__}")
    verbs = parser.add_subparsers(required=True, metavar="VERB")

    def verb(
        call: Callable[[argparse.Namespace], int | None], about: str, otherwise: str = ""
    ) -> argparse.ArgumentParser:
        added = verbs.add_parser(call.__name__.removeprefix("_"), help=about)
        added.set_defaults(verb=call)
        if otherwise:
            added.add_argument("--json", action="store_true", help=f"print JSON instead of {otherwise}")
        return added

    for add_verbs in groups:
        add_verbs(verb)
    return parser
