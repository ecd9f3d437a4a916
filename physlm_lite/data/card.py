"""The card of a task's data: what it holds and how to make it again, in Markdown."""

from __future__ import annotations

import dataclasses
import inspect
import sys
from typing import Any

from .. import __version__
from ..tasks.batch import Task, text_view
from ..tasks.prepared import Prepared
from ..tasks.presets import KINDS

CITATION = """\
@inproceedings{allenzhu2025canon,
  author    = {Allen-Zhu, Zeyuan},
  title     = {{Physics of Language Models: Part 4.1, Architecture Design and the Magic of Canon Layers}},
  booktitle = {Advances in Neural Information Processing Systems (NeurIPS 2025)},
  year      = {2025},
  url       = {https://arxiv.org/abs/2512.17351}
}"""


def name_and_options(task: Task) -> tuple[str, dict[str, Any]]:
    """What `make_task` needs to make this task again."""
    kind = next((kind for kind, made in KINDS.items() if type(task) is made), type(task).__name__)
    return kind, {field.name: getattr(task, field.name) for field in dataclasses.fields(task)}  # type: ignore[arg-type]


def licence(task: Task) -> str:
    """What is generated here comes under the kit's licence; real text stays under its own."""
    return "that of the text" if hasattr(task, "corpus") or isinstance(task, Prepared) else "Apache-2.0"


def card(task: Task, seed: int = 0, split: str = "train") -> str:
    """What a dataset of this task holds and how to make it again, in Markdown; the first row is shown as an example."""
    kind, options = name_and_options(task)
    title = (inspect.getdoc(sys.modules[type(task).__module__]) or kind).split("\n\n")[0].replace("\n", " ").rstrip(".")
    blocks = text_view(task, task.batch(seed, 0, 1, split)).split("\n\n")
    content = f"| content of its files | `{task.fingerprint}` |\n" if task.fingerprint else ""
    row = "\n\n".join([*blocks[:3], *(["(and so on)"] if len(blocks) > 3 else [])])
    return f"""\
# {title}

Rows of the task `{kind}`, made by physlm-lite {__version__}. Each row is a pure function of (seed, split, step, row).

| | |
|---|---|
| task | `{kind}` |
| options | `{options}` |
{content}| vocabulary | {len(task.vocabulary)} tokens |
| seed | {seed} |
| split | {split} |
| licence | {licence(task)} |

Columns: `step` and `row` are the address. `tokens` are numbers of `task.vocabulary`, the padding cut off. `targets` says
of each token whether it carries loss, that is, has to be predicted from those before it. `document` is the number of the
example inside its row.

The first row, the next token written under each place that carries loss:

```text
{row}
```

To make it again:

```python
from physlm_lite.data import stream
from physlm_lite.tasks.presets import make_task

rows = stream(make_task({kind!r}, {options}), seed={seed}, split={split!r})
```

Please cite the paper:

```bibtex
{CITATION}
```
"""
