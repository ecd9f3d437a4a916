"""What moves the weights: AdamW, or Muon for the matrices of the layers and AdamW for all else."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import AdamW, Muon, Optimizer

from ..models import LanguageModel
from .config import Training

MOMENTS = ("step", "exp_avg", "exp_avg_sq")  # what AdamW keeps of each parameter
# What each optimiser keeps, under the name that it has in checkpoints.
KEPT: dict[type[Optimizer], tuple[str, tuple[str, ...]]] = {
    AdamW: ("adam", MOMENTS),
    Muon: ("muon", ("momentum_buffer",)),
}


def optimizers_of(model: LanguageModel, settings: Training) -> list[Optimizer]:
    """One, or two that share the parameters; their rates are set before each step.

    Muon's update of a matrix has the size that AdamW's has (Moonshot's factor), so that one rate and one weight decay serve
    both.
    """
    parameters = [p for p in model.parameters() if p.requires_grad]
    rate, decay = settings.learning_rate, settings.weight_decay
    turned = matrices_of(model) if settings.optimizer == "muon" else []
    own = {id(p) for p in turned}
    rest = [p for p in parameters if id(p) not in own]
    groups = [{"params": rest, "weight_decay": decay}]
    if not settings.decay_all:
        groups = [
            {"params": [p for p in rest if p.dim() > 1], "weight_decay": decay},
            {"params": [p for p in rest if p.dim() == 1], "weight_decay": 0.0},
        ]
    found: list[Optimizer] = [AdamW(groups, rate, (settings.beta1, settings.beta2), settings.eps, fused=True)]
    if turned:
        found.append(Muon(turned, rate, decay, adjust_lr_fn="match_rms_adamw"))
    return found


def matrices_of(model: LanguageModel) -> list[nn.Parameter]:
    """Those of the linear maps within the layers."""
    maps = [m.weight for m in model.blocks.modules() if isinstance(m, nn.Linear)]
    return [weight for weight in maps if isinstance(weight, nn.Parameter) and weight.requires_grad]


def moments_of(optimizers: list[Optimizer], names: dict[Tensor, str]) -> dict[str, Tensor]:
    """All that optimisers keep, by name; zeros for one that has not moved yet, which from then on it keeps."""
    found: dict[str, Tensor] = {}
    for optimizer in optimizers:
        short, keys = KEPT[type(optimizer)]
        for p in (p for group in optimizer.param_groups for p in group["params"]):
            state = optimizer.state[p]
            for key in keys:
                if key not in state:
                    state[key] = torch.zeros((), device=p.device) if key == "step" else torch.zeros_like(p)
                found[f"{short}.{key}.{names[p]}"] = state[key]
    return found
