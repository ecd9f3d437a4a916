"""The configuration by which transformers finds our models: the keys of config.json, whatever they are."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, ClassVar

from transformers.configuration_utils import PretrainedConfig

from ...models import ModelConfig
from .layouts import LAYOUTS, MODEL_TYPE, known_keys, layout_of, read_keys, write_keys

__all__ = ["KINDS", "MODEL_TYPE", "PhyslmConfig"]


class PhyslmConfig(PretrainedConfig):
    """Every key is an attribute; `model_config` reads them."""

    model_type = MODEL_TYPE
    needed: ClassVar[Mapping[str, Any]] = {}  # what the published class has to be told of the tensors as we write them
    keys_to_ignore_at_inference: ClassVar[list[str]] = ["past_key_values", "cache"]
    # Called when a configuration is made. Nobody can ask for its model before, and transformers is complete by then:
    # this is when `physlm_lite.registration` makes the model's class known.
    when_made: ClassVar[Callable[[], None] | None] = None

    def __init__(self, tie_word_embeddings: bool = False, use_cache: bool = True, **keys: Any) -> None:
        super().__init__(tie_word_embeddings=tie_word_embeddings, **keys)
        self.use_cache = use_cache  # transformers 5 takes it for one of `generate` otherwise
        for name in ("bos_token_id", "eos_token_id", "pad_token_id"):
            setattr(self, name, keys.get(name))  # there for all who ask
        if PhyslmConfig.when_made is not None:
            PhyslmConfig.when_made()

    @classmethod
    def of(cls, config: ModelConfig, **extra: Any) -> PhyslmConfig:
        """The configuration of one of our models; `extra`: further keys that change no logits."""
        keys = write_keys(config)
        del keys["model_type"]  # it belongs to the class
        return cls(**keys, **extra)

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **options: Any) -> Any:
        """The class goes by the model_type that a file names, be it asked of this one."""
        return super(PhyslmConfig, KINDS.get(config_dict.get("model_type", ""), cls)).from_dict(config_dict, **options)

    def to_diff_dict(self) -> dict[str, Any]:
        """What is written: transformers leaves out what equals its own defaults, and ties by default before version 5."""
        return {**super().to_diff_dict(), **self.needed, "tie_word_embeddings": self.tie_word_embeddings}

    def model_config(self) -> ModelConfig:
        """The model that the keys describe; ValueError if they describe none."""
        keys = self.to_dict()
        known = known_keys(layout_of(keys))
        own = PretrainedConfig().to_dict()  # what every configuration has
        return read_keys({key: value for key, value in keys.items() if key in known or key not in own})


KINDS: dict[str, type[PhyslmConfig]] = {MODEL_TYPE: PhyslmConfig}  # one for each model_type of a folder that we read
for published in LAYOUTS.values():
    title = f"{published.model_type}Config"
    about: dict[str, Any] = {
        "needed": published.needed,
        "model_type": published.model_type,
        "__module__": __name__,
        "__doc__": PhyslmConfig.__doc__,
        "__init__": PhyslmConfig.__init__,  # else transformers 5 writes one
    }
    KINDS[published.model_type] = globals()[title] = type(title, (PhyslmConfig,), about)
