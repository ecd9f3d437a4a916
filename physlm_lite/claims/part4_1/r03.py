"""Result 3: with Canon layers, positions can be left out, or nearly so (Part 4.1, section 5.2)."""

from __future__ import annotations

from ..claim import Claim, rows
from ..experiment import Experiment, Setting
from ..rules import Ahead, Beats, Level
from ..settings import brevo, depo, lano
from ..settings.sizes import FEW, GRID
from ..sides import ALIBI, HARD_ALIBI, NOPE, NOPE_CANON, QUARTER, QUARTER_OF_EACH, ROPE_CANON

EIGHT_HOPS = "Depo1, N = 225, K = 8; four model sizes; k = 8"


def _without(setting: Setting, metric: str, at_least: float, at_most: float) -> Experiment:
    """NoPE with and without Canon layers, beside RoPE + Canon; the judged score chooses the rates, too."""
    return setting.but(select=metric).compare(
        (NOPE, NOPE_CANON, ROPE_CANON),
        Beats(metric, "NoPE + Canon", "NoPE", at_least, at_most),
        Level(metric, "NoPE + Canon", "RoPE + Canon"),
    )


NO_POSITIONS = Claim(
    id="R3-NoPE",
    title="With Canon layers, positions can be left out",
    source="Part 4.1, section 5.2, result 3, figure 7",
    statement="Without positional encoding a Transformer stays at chance on Depo; with Canon layers it equals RoPE + "
    "Canon.",
    paper=rows(
        EIGHT_HOPS, {"NoPE": "0, 0, 0, 0 %", "NoPE + Canon": "99, 99, 99, 100 %", "RoPE + Canon": "97, 92, 73, 94 %"}
    ),
    experiments={
        "toy": _without(depo.TOY, "accuracy_k.1", at_least=0.75, at_most=0.25),
        "laptop": _without(depo.LAPTOP, "accuracy", at_least=0.75, at_most=0.40),
        "gpu": _without(depo.GPU, "accuracy_k.4", at_least=0.75, at_most=0.25),
        "paper": _without(depo.PAPER, "accuracy_k.8", at_least=0.75, at_most=0.05),
    },
)


def _against_alibi(setting: Setting, metric: str) -> Experiment:
    rules = (Ahead(metric, "NoPE + Canon", other, by=0.2) for other in ("ALiBi", "H-ALiBi"))
    return setting.compare((NOPE_CANON, ALIBI, HARD_ALIBI), *rules)


BIAS = Claim(
    id="R3-ALiBi",
    title="Without positions, Canon layers do more than ALiBi",
    source="Part 4.1, section 5.2, result 3, figure 10",
    statement="NoPE + Canon reasons deeper than attention that prefers the near tokens by rule, softly (ALiBi) or hard "
    "(H-ALiBi).",
    paper=(
        *rows(EIGHT_HOPS, {"NoPE + Canon": "99, 99, 99, 100 %"}),
        *rows(
            "12 layers of width 768; the easiest Depo, Brevo and Mano",
            {"ALiBi": "70 to 99 %, falling behind on the harder settings"},
        ),
    ),
    experiments={
        "toy": _against_alibi(depo.TOY, "accuracy_k.1"),
        "gpu": _against_alibi(depo.GPU, "accuracy_k.4"),
        "paper": _against_alibi(depo.PAPER, "accuracy_k.8"),
    },
)


def _rotating_less(setting: Setting, metric: str) -> Experiment:
    """All heads, a quarter in two layouts, none; Canon layers everywhere."""
    rules = (Ahead(metric, "1/4 RoPE + Canon", other, by=0.05) for other in ("RoPE + Canon", "NoPE + Canon"))
    return setting.compare((ROPE_CANON, QUARTER, QUARTER_OF_EACH, NOPE_CANON), *rules)


LESS_ROPE = Claim(
    id="R3-quarter",
    title="With Canon layers, rotating a quarter is enough",
    source="Part 4.1, section 5.2, result 3, figure 26",
    statement="With Canon layers, rotating a quarter of the coordinates beats rotating all of them, and none.",
    paper=rows(
        "Brevo1, N = 110; four model sizes",
        {
            "RoPE + Canon": "24.8, 49.1, 41.2, 58.8 %",
            "1/4 RoPE + Canon": "47.9, 82.2, 69.7, 84.5 %",
            "NoPE + Canon": "42.0, 75.3, 58.2, 84.9 %",
        },
    ),
    experiments={
        "toy": _rotating_less(brevo.TOY.but(grid=FEW), "accuracy_n.6"),
        "gpu": _rotating_less(brevo.GPU, "accuracy"),
        "paper": _rotating_less(brevo.PAPER, "accuracy"),
    },
)

EXCEPTION = Claim(
    id="R3-structure",
    title="The exception: grammar wants relative positions",
    source="Part 4.1, section 5.2, result 3, figure 7",
    statement="On Lano, NoPE + Canon stays clearly behind RoPE + Canon.",
    paper=rows(
        "cfg3k; four model sizes",
        {"NoPE + Canon": "33.5, 51.0, 37.2, 53.1 %", "RoPE + Canon": "75.2, 87.1, 83.0, 86.7 %"},
    ),
    experiments=lano.variants(
        (NOPE_CANON, ROPE_CANON), Ahead("kl", "RoPE + Canon", "NoPE + Canon", factor=1.2), laptop=True, grid=GRID
    ),
)

CLAIMS = (NO_POSITIONS, BIAS, LESS_ROPE, EXCEPTION)
