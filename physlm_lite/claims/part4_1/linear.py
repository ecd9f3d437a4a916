"""What results 6 to 8 share: linear models on Lano and on Depo, small and as published."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from ..experiment import Experiment
from ..rules import Ahead, Rule
from ..settings import depo, lano
from ..settings.sizes import FEW
from ..sides import Side

START = (
    "short convolutions start like Canon layers and matrices by the rule of the Transformers, since deviations of "
    "0.02 are next to nothing at width 64"
)


def on_lano(sides: Sequence[Side], *rules: Rule, laptop: bool = False) -> dict[str, Experiment]:
    """Lano: how far from the true distribution."""
    return lano.variants(sides, *rules, laptop=laptop, note=START)


def on_depo(sides: Sequence[Side], *pairs: tuple[str, str], by: float) -> dict[str, Experiment]:
    """Depo: the first of each pair is ahead of the second by this much, at one hop when small, at four as published."""
    toy = dataclasses.replace(depo.TOY, grid=FEW, simplified=f"{depo.TOY.simplified}; {START}")
    return {
        scale: setting.compare(sides, *(Ahead(metric, better, worse, by=by) for better, worse in pairs))
        for scale, setting, metric in (("toy", toy, "accuracy_k.1"), ("paper", depo.PAPER_FOUR_HOPS, "accuracy_k.4"))
    }
