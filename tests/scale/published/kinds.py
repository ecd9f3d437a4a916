"""A small model of each kind, as transformers loads it."""

import torch
from transformers import AutoModelForCausalLM
from transformers.utils import logging

import physlm_lite  # noqa: F401 (makes the models known)
from physlm_lite import models
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import save_pretrained

VOCAB = 24
KINDS = {
    "Llama": {"heads": 4, "kv_heads": 2},
    "LlamaCanon": {"canon": "ABCD", "heads": 4, "kv_heads": 2, "qk_norm": True},
    "GLA5": {"mixer": "gla", "mixer_options": models.GLA5, "canon": "ACD"},
    "GDN2": {"mixer": "gated_delta", "mixer_options": models.GDN2, "canon": "ACD"},
    "Mamba2": {"mixer": "mamba2", "mixer_options": {**models.MAMBA2, "state": 8}, "canon": "ACD"},
}
TOKENS = torch.randint(2, VOCAB, (3, 9), generator=torch.Generator().manual_seed(1))
MASK = torch.ones_like(TOKENS)
logging.disable_progress_bar()


def kit(kind, **more):
    return LanguageModel(ModelConfig(vocab=VOCAB, width=32, **{**KINDS[kind], **more}), seed=2)


def loaded(kind, folder, **more):
    save_pretrained(kit(kind, **more), folder)
    return AutoModelForCausalLM.from_pretrained(folder)


def close(a, b, tolerance=2e-5):
    torch.testing.assert_close(a, b, atol=tolerance, rtol=tolerance)
