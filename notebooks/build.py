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
import sys
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).resolve().parent
SOURCES = HERE / "source"
WIDGET_VIEW = "application/vnd.jupyter.widget-view+json"
KERNEL = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}


def sources(only: list[str] | None = None) -> list[Path]:
    """The percent scripts, in reading order; `only` picks by the beginning of their names."""
    found = sorted(SOURCES.glob("[0-9][0-9]_*.py"))
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
    return nbformat.v4.new_notebook(cells=cells, metadata=dict(KERNEL))


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
    """A hash of what the outputs depend on: the source, and the shipped records of the claims that it names."""
    from physlm_lite.claims import CLAIMS, SHIPPED, recorded
    from physlm_lite.training import Store

    source = path.read_text(encoding="utf-8")
    digest = hashlib.sha256(source.encode())
    for name in sorted(set(re.findall(r'claim\("([\w-]+)"\)', source))):
        for scale in CLAIMS[name].experiments:
            for records in recorded(CLAIMS[name], scale, Store(SHIPPED)).records.values():
                digest.update("".join(record.id for record in records).encode())
    return digest.hexdigest()[:16]


def execute(notebook: nbformat.NotebookNode, scale: str, timeout: int = 900) -> nbformat.NotebookNode:
    """Run all cells in a fresh kernel at a scale; raises at the first error, also at one inside a widget's output."""
    os.environ["PHYSLM_SCALE"] = scale
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", resources={"metadata": {"path": str(HERE)}}
    )
    client.execute()
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
    """Keep figures and text; drop widget state (the pictures beside it stay), timings and execution counts."""
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
            if "data" in output:
                output.data.pop(WIDGET_VIEW, None)
                if "text/plain" in output.data:
                    output.data["text/plain"] = re.sub(r" at 0x[0-9a-f]+", "", output.data["text/plain"])
                output.metadata = {}
            if output.output_type == "execute_result":
                output.execution_count = None
            kept.append(output)
        cell.outputs = kept
    return notebook


def build(path: Path, scale: str, into: Path, force: bool = False) -> bool:
    """Build one notebook; returns whether it was run."""
    target, mark = into / f"{path.stem}.ipynb", fingerprint(path)
    if not force and target.exists() and nbformat.read(target, 4).metadata.get("physlm", {}).get("fingerprint") == mark:
        return False
    notebook = tidy(execute(from_source(path), scale))
    notebook.metadata["physlm"] = {"fingerprint": mark, "scale": scale}
    nbformat.validate(notebook)
    temporary = target.with_suffix(".part")
    nbformat.write(notebook, temporary)
    temporary.replace(target)
    return True


def readme_ledger() -> str:
    """The README's verdicts: how many of each, and folded, a row for each claim and scale that was run."""
    from physlm_lite.claims.ledger import ledger
    from physlm_lite.claims.rules import NOT_RUN, VERDICTS

    lines = [
        "| claim | scale | verdict | numbers: mean [lowest-highest seed] | runs, training time |",
        "|---|---|---|---|---|",
    ]
    words = []
    for row in ledger():
        runs = [run for side in row["sides"].values() for run in side["runs"]]
        if row["verdict"] != NOT_RUN:
            words.append(row["verdict"])
            minutes = sum(run["seconds"] for run in runs) / 60
            lines.append(
                f"| {row['claim']} | {row['scale']} | **{row['verdict']}** | {row['reason']} | {len(runs)}, {minutes:.1f} min |"
            )
    counts = ", ".join(f"{words.count(word)} **{word}**" for word in VERDICTS if word in words)
    table = "\n".join(lines)
    summary = "Every row: verdict, numbers, budget"
    return f"{len(words)} recorded experiments: {counts}.\n\n<details><summary>{summary}</summary>\n\n{table}\n\n</details>"


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
    parser.add_argument("--into", type=Path, default=HERE)
    parser.add_argument("--readme", action="store_true", help="renew the README's picture and ledger instead")
    options = parser.parse_args()
    if options.readme:
        renew_readme()
        return 0
    options.into.mkdir(parents=True, exist_ok=True)
    for path in sources(options.only):
        ran = build(path, options.scale, options.into, options.force)
        print(f"{path.stem}: {'built and run at ' + options.scale + ' scale' if ran else 'unchanged'}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
