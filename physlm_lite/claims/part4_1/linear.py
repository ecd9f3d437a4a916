"""What results 6 to 8 share: linear models on Lano, Depo, Brevo and on copying, small and as published."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..claim import Claim, rows
from ..rules import Ahead, AtLeast, Level, Rule
from ..settings import brevo, copying, depo, lano, mano
from ..settings.sizes import FEW
from ..sides import FAMILIES, Side

START = (
    "short convolutions start like Canon layers and matrices by the rule of the Transformers, since deviations of "
    "0.02 are next to nothing at width 64"
)
CFG3F = "Lano, cfg3f; four model sizes"
LANO = {
    "GLA, no convolution": "37.5, 61.1, 41.8, 54.9 %",
    "GLA + b": "79.0, 89.5, 85.1, 90.6 %",
    "GLA + AbCD": "88.5, 92.8, 90.0, 94.1 %",
    "Mamba2, no convolution": "41.2, 53.4, 29.8, 56.0 %",
    "Mamba2 + b": "83.8, 92.2, 86.8, 92.2 %",
    "Mamba2 + AbCD": "88.3, 93.1, 90.1, 93.6 %",
    "GDN, no convolution": "35.3, 49.7, 25.5, 69.9 %",
    "GDN + b": "83.4, 93.8, 91.5, 94.4 %",
    "GDN + AbCD": "90.6, 93.6, 92.8, 95.1 %",
}
FOUR_HOPS = "Depo1, N = 225, K = 4; k = 4; four model sizes"
DEPO = {
    "GLA, no convolution": "7, 2, 14, 19 %",
    "GLA + b": "14, 37, 72, 72 %",
    "GLA + AbCD": "19, 37, 22, 50 %",
    "Mamba2, no convolution": "2, 11, 1, 6 %",
    "Mamba2 + b": "12, 29, 24, 43 %",
    "Mamba2 + AbCD": "51, 21, 67, 87 %",
    "GDN, no convolution": "11, 26, 23, 22 %",
    "GDN + b": "85, 85, 22, 32 %",
    "GDN + AbCD": "74, 48, 69, 91 %",
}


N70 = "Brevo1, N = 70; four model sizes"
BREVO = {
    "GLA, no convolution": "33.7, 36.5, 46.1, 42.2 %",
    "GLA + b": "62.5, 94.8, 69.7, 96.5 %",
    "GLA + AbCD": "88.0, 96.3, 95.3, 97.4 %",
    "Mamba2, no convolution": "1.0, 23.5, 0.5, 5.9 %",
    "Mamba2 + b": "3.7, 80.1, 50.1, 72.4 %",
    "Mamba2 + AbCD": "13.8, 78.7, 32.4, 92.7 %",
    "GDN + b": "92.5, 94.9, 96.2, 96.7 %",
}
RECALL = "1.3B parameters, 100B tokens; a year of birth among five sentences"
YEARS = {
    "GLA, no convolution": "71.6 %",
    "GLA + b": "84.0 %",
    "GLA + AbCD": "96.0 %",
    "Mamba2, no convolution": "67.9 %",
    "Mamba2 + b": "75.7 %",
    "Mamba2 + AbCD": "62.3 %",
    "GDN, no convolution": "79.0 %",
    "GDN + b": "68.8 %",
    "GDN + AbCD": "83.8 %",
}


def on_lano(sides: Sequence[Side], *rules: Rule, laptop: bool = False) -> dict[str, Any]:
    """A claim about Lano, how far from the true distribution: the paper's numbers of these sides, and the experiments."""
    known = [side.label for side in sides if side.label in LANO]
    return {"paper": rows(CFG3F, LANO, *known), "experiments": lano.variants(sides, *rules, laptop=laptop, note=START)}


def on_depo(sides: Sequence[Side], *pairs: tuple[Side, Side], by: float) -> dict[str, Any]:
    """The same about Depo: the first of each pair is ahead by this much, at one hop when small, at four as published."""
    toy = depo.TOY.but(grid=FEW, simplified=f"{depo.TOY.simplified}; {START}")
    scales = {
        "toy": (toy, "accuracy_k.1"),
        "gpu": (depo.GPU, "accuracy_k.4"),
        "paper": (depo.PAPER_FOUR_HOPS, "accuracy_k.4"),
    }
    return {
        "paper": rows(FOUR_HOPS, DEPO, *(side.label for side in sides if side.label in DEPO)),
        "experiments": {
            scale: setting.compare(sides, *(Ahead(metric, better.label, worse.label, by=by) for better, worse in pairs))
            for scale, (setting, metric) in scales.items()
        },
    }


def on_copying(sides: Sequence[Side], *rules: Rule) -> dict[str, Any]:
    """The same about recall: of a sequence of random symbols, which one layer has to copy."""
    toy = copying.TOY.but(simplified=f"{copying.TOY.simplified}; {START}")
    return {
        "paper": rows(RECALL, YEARS, *(side.label for side in sides if side.label in YEARS)),
        "experiments": {"toy": toy.compare(sides, *rules)},
    }


def no_residual_on_mano(result: int, name: str, residual: Side, without: Side, known: str, figures: str) -> Claim:
    """What results 7 and 8 say in passing: where facts are worked with, Canon layers do better without their residual.

    known: the paper's numbers with it; those without it are only drawn.
    """
    return Claim(
        id=f"R{result}-residual-manipulation",
        title=f"{residual.label}: Mano prefers no residual",
        source=f"Part 4.1, section 6.{result - 5}, result {result}, {figures}",
        statement=f"On Mano, Canon layers around {name} do slightly better without their residual.",
        paper=rows("Mano, L = 10; four model sizes", {residual.label: known}),
        experiments=mano.variants(
            (residual, without), lambda metric: (Ahead(metric, without.label, residual.label),), note=START
        ),
        first={},
    )


def recall(result: int, name: str, outside: str) -> Iterator[Claim]:
    """What a family is said to gain from convolutions, tried on recall, a task of another kind than Lano.

    outside: "ahead" or "level", what is said of a convolution outside the mixer instead of inside.
    """
    plain, own, acd, abcd = FAMILIES[name]
    gains = Ahead("accuracy", own.label, plain.label, by=0.1)
    adds = Ahead("accuracy", abcd.label, own.label, by=0.05)
    moved: Rule = Ahead("accuracy", acd.label, own.label, by=0.05)
    if outside == "level":
        moved = Level("accuracy", acd.label, own.label, margin=0.05)
    tests = {
        "convolution": (f"{name} without its convolution, on recall", (plain, own), gains),
        "Canon": (f"{name}: Canon layers on top, on recall", (own, abcd), adds),
        "outside": (f"{name}: outside the mixer instead of inside, on recall", (own, acd), moved),
    }
    told = {
        "convolution": f"A short convolution lifts {name} on copying, too.",
        "Canon": f"On copying, too, Canon layers at A, C and D add to what {name}'s own convolution gives.",
        "outside": f"On copying, too, Canon-ACD outside {name}'s mixer does "
        + ("better than" if outside == "ahead" else "as well as")
        + " the convolution inside it.",
    }
    for kind, (title, sides, rule) in tests.items():
        source = f"Part 4.1, sections 6.{result - 5} and 8, result {result}, figure 16"
        test = on_copying(sides, rule)
        name = f"R{result}-{kind}"
        yield Claim(f"{name}-recall", title, source, told[kind], **test, first={}, again=name)


def breadth(result: int, name: str, statement: str) -> Claim:
    """What a family is said to gain on Brevo."""
    plain, _, abcd = sides = [FAMILIES[name][place] for place in (0, 1, 3)]
    return Claim(
        f"R{result}-breadth",
        f"{name}: graphs with and without convolutions",
        f"Part 4.1, section 6.{result - 5}, result {result}, figures 12 and 13",
        statement,
        rows(N70, BREVO, *(side.label for side in sides if side.label in BREVO)),
        brevo.variants(sides, lambda metric: (Ahead(metric, abcd.label, plain.label, by=0.1),), note=START),
        first={},
    )


def at_least(metric: str, pairs: Sequence[tuple[Side, Side]], margin: float) -> list[Rule]:
    """The first of each pair is not behind the second."""
    return [AtLeast(metric, one.label, other.label, margin) for one, other in pairs]


def common(result: int, name: str, outside_rule: Rule, **told: tuple[str, str]) -> Iterator[Claim]:
    """The four claims that every family is put to. told: the figures and the statement of each."""
    plain, own, acd, abcd = FAMILIES[name]
    lifts = Ahead("kl", own.label, plain.label, factor=1.3)
    adds = Ahead("kl", abcd.label, own.label, factor=1.1)
    tests = {
        "convolution": (f"{name} without its convolution", on_lano((plain, own), lifts, laptop=True)),
        "Canon": (f"{name}: Canon layers on top of its own convolution", on_lano((own, abcd), adds, laptop=True)),
        "outside": (f"{name}: outside the mixer instead of inside", on_lano((own, acd), outside_rule)),
        "depth": (
            f"{name}: hops with and without convolutions",
            on_depo((plain, own, abcd), (own, plain), (abcd, plain), by=0.15),
        ),
    }
    for kind, (title, test) in tests.items():
        figures, statement = told[kind]
        source = f"Part 4.1, section 6.{result - 5}, result {result}, {figures}"
        again = f"R{result}-{kind}-recall" * (kind != "depth")
        yield Claim(f"R{result}-{kind}", title, source, statement, **test, again=again)
