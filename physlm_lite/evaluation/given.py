"""Questions from a file: the prompts of a paper, or the original data of a benchmark, in the place of the kit's own.

A line of JSON each, with "prompt" and "answer", and if need be "rule": how an output is judged, "begins" with the answer (white
space aside) or "contains" it, which is the default.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated

from ..base.reading import read_text
from ..base.strict import Range, conform, shown, unknown
from .filler import words
from .probe import Probe, Tokenizer

RULES = ("contains", "begins")


@dataclass(frozen=True)
class Given:
    """The questions of a file, in its order, whatever the seed. Raises ValueError, with the line, for one that is none."""

    path: str
    tokenize: Tokenizer = words
    new_tokens: Annotated[int, Range(1, 4096)] = 64
    filler_tokens = 0

    def __post_init__(self) -> None:
        conform("new_tokens", Annotated[int, Range(1, 4096)], self.new_tokens)

    @cached_property
    def questions(self) -> list[tuple[str, str, str]]:
        """Prompt, answer and rule of each line."""
        found = []
        for number, line in enumerate(read_text(self.path).splitlines(), start=1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
                if not isinstance(row, dict) or not all(isinstance(row.get(key), str) for key in ("prompt", "answer")):
                    raise ValueError(f'expected {{"prompt": ..., "answer": ...}}, not {shown(row)}')
                if (rule := row.get("rule", RULES[0])) not in RULES:
                    raise unknown("rule", rule, RULES)
            except ValueError as error:
                raise ValueError(f"{self.path}, line {number}: {error}") from error
            found.append((row["prompt"], row["answer"], rule))
        if not found:
            raise ValueError(f"{self.path} holds no questions; write one a line, as JSON with a prompt and an answer")
        return found

    @property
    def name(self) -> str:
        """The file's, without its ending."""
        return Path(self.path).stem

    def sample(self, seed: int, index: int) -> Probe:
        """Question number `index` of the file."""
        prompt, answer, rule = self.questions[index]
        return Probe(prompt, answer, question=prompt, context=prompt, meta={"rule": rule})

    def right(self, output: str, probe: Probe) -> bool:
        """As the line's rule says, in either case of the letters."""
        said, answer = output.strip().lower(), probe.answer.strip().lower()
        return said.startswith(answer) if probe.meta["rule"] == "begins" else answer in said
