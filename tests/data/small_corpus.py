"""A small prepared corpus for tests of all kinds of tasks, written once a process."""

import atexit
import shutil
import tempfile
from dataclasses import MISSING, fields
from functools import cache
from pathlib import Path

from physlm_lite.data.prepare import prepare
from physlm_lite.data.tokenizer import Characters


@cache
def small_corpus() -> str:
    """Its folder: 40 documents of some 500 characters each, a few of them held out."""
    home = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, home, ignore_errors=True)
    text = "\n<|endoftext|>\n".join(f"Document {i}: " + "some words and more " * (i % 5 + 20) for i in range(40))
    (home / "text.txt").write_text(text)
    prepare([str(home / "text.txt")], home / "corpus", Characters(), held_out=4)
    return str(home / "corpus")


def needed(kind: type) -> dict[str, object]:
    """Options for what has no default: a corpus for prepared text, numbers otherwise, such as the people of Capo."""
    names = [f.name for f in fields(kind) if f.default is f.default_factory is MISSING]
    return {name: {small_corpus(): 1.0} if name == "sources" else 50 for name in names}
