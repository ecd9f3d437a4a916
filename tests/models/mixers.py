"""The linear mixers under test: settings of each, its forms, and arguments for them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from models import mixer_checks as checks

from physlm_lite.models.gated_delta import GDN2, GatedDelta, delta_chunked, delta_naive
from physlm_lite.models.gla import GLA, GLA5, gla_chunked, gla_naive
from physlm_lite.models.mamba2 import MAMBA2, Mamba2, mamba2_chunked, mamba2_naive


@dataclass(frozen=True)
class Mixer:
    """arguments(batch, position, heads, key, value, strength, seed, dtype): what the forms take, log decays in fourth place.

    sizes: released models, as (vocab, width, layers, heads, hidden, parameters, parameters with Canon-ACD). tolerance: in
    bfloat16.
    """

    cls: type
    settings: dict[str, dict[str, Any]]
    released: dict[str, Any]
    naive: Callable[..., Any]
    chunked: Callable[..., Any]
    arguments: Callable[..., tuple[torch.Tensor, ...]]
    sizes: tuple[tuple[int, ...], ...]
    tolerance: float = 0.05

    def layer(self, name: str = "paper", heads: int = 3) -> Any:
        """A small layer in 64 bits, with every parameter away from its start: the same whatever was drawn before."""
        with torch.random.fork_rng():
            torch.manual_seed(0)
            return checks.lively(self.cls(12, heads, **self.settings[name]))


def gla_arguments(batch, position, heads, key, value, strength, seed=0, dtype=torch.float64):
    query, keys = (checks.draw(batch, position, heads, key, seed=seed + i, dtype=dtype) for i in range(2))
    values = checks.draw(batch, position, heads, value, seed=seed + 2, dtype=dtype)
    log_decay = checks.log_decays(batch, position, heads, key, strength=strength, seed=seed + 3, dtype=dtype)
    return query, keys, values, log_decay


def delta_arguments(batch, position, heads, key, value, strength, seed=0, dtype=torch.float64):
    query, keys = (
        F.normalize(checks.draw(batch, position, heads, key, seed=seed + i, dtype=dtype), dim=-1) for i in range(2)
    )
    values = checks.draw(batch, position, heads, value, seed=seed + 2, dtype=dtype)
    log_decay = checks.log_decays(batch, position, heads, strength=strength, seed=seed + 3, dtype=dtype)
    return query, keys, values, log_decay, checks.uniform(batch, position, heads, seed=seed + 5, dtype=dtype)


def mamba2_arguments(batch, position, heads, key, value, strength, seed=0, dtype=torch.float64):
    query, keys = (checks.draw(batch, position, key, seed=seed + i, dtype=dtype) for i in range(2))
    values = checks.draw(batch, position, heads, value, seed=seed + 2, dtype=dtype)
    log_decay = checks.log_decays(batch, position, heads, strength=strength, seed=seed + 3, dtype=dtype)
    return query, keys, values, log_decay


MIXERS = {
    "GLA": Mixer(
        GLA,
        {
            "paper": {},
            "paper with b": {"canon_b": True},
            "released": GLA5,
            "released without b": {**GLA5, "canon_b": False},
            "others": {
                "expand_key": 2.0,
                "expand_value": 0.5,
                "canon_b": True,
                "canon_kernel": 3,
                "decay_rank": 2,
                "decay_divisor": 4.0,
                "norm_eps": 0.1,
            },
            "1 + elu": {"canon_b": True, "positive": True},
        },
        GLA5,
        gla_naive,
        gla_chunked,
        gla_arguments,
        (
            (32000, 2048, 24, 16, 4096, 1_344_004_096, 1_345_183_744),
            (32000, 3072, 26, 24, 6144, 3_149_086_208, 3_151_003_136),
            (128256, 4096, 32, 32, 9472, 8_009_691_136, 8_013_164_544),
        ),
    ),
    "gated delta net": Mixer(
        GatedDelta,
        {
            "paper": {},
            "paper without b": {"canon_b": False},
            "released": GDN2,
            "released without b": {**GDN2, "canon_b": False},
            "others": {"expand_key": 2.0, "expand_value": 0.5, "canon_kernel": 3, "norm_eps": 0.1},
        },
        GDN2,
        delta_naive,
        delta_chunked,
        delta_arguments,
        (
            (32000, 2048, 24, 16, 4096, 1_343_955_712, 1_345_135_360),
            (32000, 3072, 26, 24, 6144, 3_150_285_536, 3_152_202_464),
            (128256, 4096, 32, 32, 9472, 8_013_756_416, 8_017_229_824),
        ),
        tolerance=0.1,
    ),
    "Mamba2": Mixer(
        Mamba2,
        {
            "paper": {"state": 5},
            "paper without b": {"state": 5, "canon_b": False},
            "released": {**MAMBA2, "state": 4},
            "others": {"state": 3, "canon_kernel": 3, "norm_eps": 0.1},
        },
        MAMBA2,
        mamba2_naive,
        mamba2_chunked,
        mamba2_arguments,
        (
            (32000, 2048, 24, 16, 4096, 1_353_122_944, 1_354_302_592),
            (32000, 3072, 26, 24, 6144, 3_164_530_000, 3_166_446_928),
            (128256, 4096, 32, 32, 9472, 8_036_072_448, 8_039_545_856),
        ),
    ),
}
