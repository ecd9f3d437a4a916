"""The configuration by which transformers finds our models: the keys of config.json, whatever they are."""

from __future__ import annotations

from typing import Any

from transformers.configuration_utils import PretrainedConfig

from ...models import ModelConfig
from .layouts import MODEL_TYPE, known_keys, layout_of, read_keys, write_keys

__all__ = ["MODEL_TYPE", "PhyslmConfig"]


class PhyslmConfig(PretrainedConfig):
    """Every key is an attribute; `model_config` reads them.

    Making one registers the model's class: only now is transformers complete (see `physlm_lite.registration`), and
    nobody can ask for the model before.
    """

    model_type = MODEL_TYPE

    def __init__(self, **keys: Any) -> None:
        super().__init__(**keys)
        from transformers.models.auto.modeling_auto import AutoModelForCausalLM

        from .hugging_face_model import PhyslmForCausalLM

        AutoModelForCausalLM.register(PhyslmConfig, PhyslmForCausalLM, exist_ok=True)

    @classmethod
    def of(cls, config: ModelConfig, **extra: Any) -> PhyslmConfig:
        """The configuration of one of our models; `extra`: further keys that change no logits."""
        keys = write_keys(config)
        del keys["model_type"]  # it belongs to the class
        return cls(**keys, **extra)

    def model_config(self) -> ModelConfig:
        """The model that the keys describe; ValueError if they describe none."""
        keys = self.to_dict()
        known = known_keys(layout_of(keys))
        own = PretrainedConfig().to_dict()  # what every configuration has
        return read_keys({key: value for key, value in keys.items() if key in known or key not in own})
