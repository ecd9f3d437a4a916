"""What follows the finger: the browser computes what the library does, and every picture moves in an exported notebook."""

from __future__ import annotations

import math
import statistics

import nbformat
import pytest
import torch
from nbconvert import HTMLExporter

from physlm_lite.bench.reaction import pictures, walk
from physlm_lite.lab.frame import Touch, read
from physlm_lite.lessons.brevo.figures import allowed_next, count_orders, distances, parents_of
from physlm_lite.models import canon_naive
from physlm_lite.models.gated_delta import delta_naive
from physlm_lite.models.gla import gla_naive

pytestmark = pytest.mark.browser
# The functions of a module by name, as the picture's own script has them, on each of several lists of arguments.
CALL = """async ([text, name, calls]) => {
    const module = await import(URL.createObjectURL(new Blob([`${text}\\nexport { ${name} };`], { type: 'text/javascript' })));
    return calls.map((given) => module[name](...given));
}"""
UNNAMED = """[...document.querySelectorAll('button, input, [role=slider]')]
    .filter((one) => !one.textContent && !one.labels?.length && !one.ariaLabel).length"""


@pytest.fixture(scope="module")
def shown() -> dict[str, Touch]:
    return pictures()


@pytest.fixture
def called(page):
    """Calls a function of a picture's module in the browser: called(picture, name, arguments, arguments, ...)."""
    page.set_content("<main></main>")

    def call(picture: Touch, name: str, *calls: list) -> list:
        return page.evaluate(CALL, [f"{read('frame.js')}\n{read(picture.script)}", name, calls])

    return call


def test_the_taps_mix_as_a_canon_layer_does(called, shown) -> None:
    picture = shown["Canon taps"]
    signal, documents = picture.data["signal"], picture.data["documents"]
    cases = [
        (taps, one, identity)
        for taps in ([0.0, 0.4, -0.3, 0.2], [-1.0, 1.0, 0.0, 0.0])
        for one in (documents, [0] * 9, [0, 1, 0, 1, 1, 0, 0, 2, 2])
        for identity in (True, False)
    ]
    matrices = called(picture, "shares", *cases)
    mixed = called(picture, "mixed", *([signal, matrix] for matrix in matrices))
    for (taps, one, identity), matrix, after in zip(cases, matrices, mixed, strict=True):
        weight = torch.tensor(taps[::-1])[None, None]
        layer = {"residual": identity, "document": torch.tensor([one])}
        columns = canon_naive(torch.eye(9)[:, :, None], weight, **{**layer, "document": torch.tensor([one] * 9)})
        assert torch.allclose(torch.Tensor(matrix), columns[..., 0].T, atol=1e-6)
        assert torch.allclose(
            torch.Tensor(after), canon_naive(torch.tensor(signal)[None, :, None], weight, **layer)[0, :, 0]
        )


def test_the_state_is_that_of_the_linear_mixers(called, shown) -> None:
    angle = math.radians(55)
    keys = torch.tensor([[1.0, 0.0], [math.cos(angle), math.sin(angle)]]).repeat(3, 1)[:5]
    values = torch.eye(2).repeat(3, 1)[:5]
    share, decay = 0.7, 0.85
    rules = ("adding", "correcting")
    stories = called(
        shown["delta rule"], "story", *([rule, keys.tolist(), values.tolist(), share, decay] for rule in rules)
    )
    k, v = keys[None, :, None], values[None, :, None]
    gate = torch.full(k.shape[:3], math.log(decay))
    for t in range(1, 6):
        added = gla_naive(k[:, :t], k[:, :t], share * v[:, :t], gate[:, :t, :, None].expand_as(k[:, :t]))[1]
        corrected = delta_naive(k[:, :t], k[:, :t], v[:, :t], gate[:, :t], torch.full_like(gate[:, :t], share))[1]
        for story, state in zip(stories, (added, corrected), strict=True):
            assert torch.allclose(torch.Tensor(story[t - 1]["state"]), state[0, 0], atol=1e-6)
            both = torch.Tensor(story[t - 1]["kept"]) + torch.Tensor(story[t - 1]["written"])
            assert torch.allclose(both, state[0, 0], atol=1e-6)


def test_the_tree_is_open_where_the_derivation_is(called, shown) -> None:
    picture = shown["Lano tree"]
    for sentence in picture.data["sentences"]:
        nodes, tokens = sentence["nodes"], sentence["tokens"]
        places = range(len(tokens) + 1)
        found = called(picture, "openAt", *([nodes, place] for place in places))
        for place, (row, open_now) in enumerate(zip(sentence["next"], found, strict=True)):
            begun = [node for node in nodes if node[2] < place and node[3] > place]
            assert open_now == begun and [node[0] for node in begun] == list(range(len(begun)))
            assert sum(row) == pytest.approx(1, abs=1e-4)
            assert row[tokens[place] if place < len(tokens) else 0] > 0, "what came must have been allowed"


def test_the_walk_and_the_graph_agree_with_the_tasks(called, shown) -> None:
    picture = shown["Depo ring"]
    for ring in picture.data["rings"]:
        names, edges = ring["names"], ring["edges"]
        pairs = [(names[place], names[(place + 1) % len(names)]) for place in edges]
        for start, hops in ((0, 1), (1, 6), (2, 4)):
            (path,) = called(picture, "walk", [edges, start, hops])
            at, follows = names[start], dict(pairs)
            for pair in path:
                assert pairs[pair][0] == at
                at = follows[at]
            assert at == names[(start + hops) % len(names)]

    picture = shown["Brevo graph"]
    for one in picture.data["instances"][:4]:
        edges = [(edge["parent"], edge["child"]) for edge in one["edges"]]
        parents = parents_of(edges)
        rows = [sorted(parents.get(vertex, ())) for vertex in range(len(one["names"]))]
        for query in range(len(rows)):
            goal = distances(parents, query)
            (needed,) = called(picture, "neededFor", [rows, query])
            assert sorted(needed) == sorted(goal)
            (ways,) = called(picture, "waysOn", [rows, needed, []])
            assert ways == count_orders(parents, query)
        written = one["answer"][:2]
        goal = distances(parents, one["query"])
        (free,) = called(picture, "allowedNext", [rows, list(goal), written])
        assert set(free) == allowed_next(parents, goal, written)


def test_every_picture_follows_the_finger_in_an_exported_notebook_without_a_network(page, shown, tmp_path) -> None:
    cells = [
        nbformat.v4.new_code_cell(outputs=[nbformat.v4.new_output("display_data", data=picture._repr_mimebundle_())])
        for picture in shown.values()
    ]
    html, _ = HTMLExporter().from_notebook_node(nbformat.v4.new_notebook(cells=cells))
    path = tmp_path / "touch.html"
    path.write_text(html, encoding="utf-8")
    said: list[str] = []
    page.on("pageerror", lambda error: said.append(str(error)))
    page.on("console", lambda message: said.append(message.text))
    page.context.set_offline(True)
    page.goto(path.as_uri())
    frames = page.frames[1:]
    assert len(frames) == len(shown)
    every: list[float] = []
    for name, frame in zip(shown, frames, strict=True):
        frame.wait_for_selector("svg.follows")
        times, idle = walk(page, frame)
        print(f"{name}: {len(times)} events, median {statistics.median(times):.1f} ms, slowest {max(times):.0f} ms")
        assert idle == [], f"{name}: these change nothing"
        assert len(times) > 20
        every += times
        unnamed = frame.evaluate(UNNAMED)
        assert unnamed == 0
        assert frame.evaluate("document.documentElement.scrollHeight <= innerHeight + 1"), f"{name} is cut off"
    print(f"all: {len(every)} events, median {statistics.median(every):.1f} ms")
    assert [message for message in said if "MathJax" not in message and "ERR_INTERNET" not in message] == []
    assert not any(image.is_visible() for image in page.locator("img").all()), (
        "the still picture shows beside its frame"
    )
    page.evaluate("document.querySelectorAll('iframe').forEach((frame) => frame.remove())")
    assert all(image.is_visible() for image in page.locator("img").all())
