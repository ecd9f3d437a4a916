"""Our language model as one of transformers: Auto classes, `generate` and pipelines work with it.

`physlm_lite.registration` makes it known, so that no code has to be downloaded beside the weights.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import Cache
from transformers.generation import GenerationConfig, GenerationMixin
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel

from ...base.machine import device_of
from ...models import DecodingState, LanguageModel
from .folders import load_pretrained, write_folder
from .hugging_face_config import PhyslmConfig
from .layouts import IGNORED

# What the Auto classes and pipelines pass on, and what is of no importance for a folder on this machine.
HARMLESS = {
    "cache_dir",
    "force_download",
    "local_files_only",
    "proxies",
    "revision",
    "subfolder",
    "token",
    "adapter_kwargs",
    "trust_remote_code",
    "code_revision",
    "use_safetensors",
    "low_cpu_mem_usage",
    "attn_implementation",
    "weights_only",
    "variant",
    "resume_download",
    "use_auth_token",
}


# What transformers calls a cache: "past_key_values" before 5.24, and "cache" since then.
CACHE = next(f.name for f in dataclasses.fields(CausalLMOutputWithPast) if f.name in ("cache", "past_key_values"))


class StateCache(Cache):
    """A `DecodingState` in the place where transformers expects its own cache."""

    def __init__(self) -> None:
        # Its constructor makes layers of keys and values, and ours keep other things too.
        self.layers: list[Any] = []
        self.state = DecodingState()

    def get_seq_length(self, layer_idx: int = 0) -> int:
        """Tokens read so far."""
        return self.state.length

    @property
    def is_linear(self) -> list[bool]:
        """`generate` asks whether a cache does not know how long its text is; this one does, whatever its mixer."""
        return [False]

    def get_max_cache_shape(self, layer_idx: int = 0) -> int:
        """There is no limit, which is called -1."""
        return -1

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Rows are selected, and may be repeated: beams that go on."""
        self.state.keep(beam_idx)

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only these rows go on."""
        self.state.keep(indices)

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row several times."""
        if self.state.layers:
            rows = len(next(iter(self.state.layers[0].values())))
            self.state.keep(torch.arange(rows).repeat_interleave(repeats))

    def reset(self) -> None:
        """Forget everything."""
        self.state = DecodingState()

    def crop(self, *_: Any) -> None:
        """A recurrence cannot be taken back."""
        raise ValueError("a StateCache cannot be shortened; read the text again without it")


class PhyslmForCausalLM(PreTrainedModel, GenerationMixin):
    """`LanguageModel` with the interface of transformers; `model` is the one inside."""

    config_class = PhyslmConfig
    _is_stateful = True  # no decoding that would have to take tokens back
    _supports_sdpa = True

    def __init__(self, config: PhyslmConfig, model: LanguageModel | None = None) -> None:
        super().__init__(config)
        self.model = LanguageModel(config.model_config()) if model is None else model
        self.post_init()

    def _init_weights(self, module: torch.nn.Module) -> None:
        """A LanguageModel starts by itself."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def get_input_embeddings(self) -> torch.nn.Module:
        """The embedding."""
        return self.model.embedding

    def get_output_embeddings(self) -> torch.nn.Module:
        """The head."""
        return self.model.head

    @classmethod
    def from_pretrained(
        cls,
        folder: str | Path,
        *_: Any,
        config: PhyslmConfig | None = None,
        dtype: Any = None,
        torch_dtype: Any = None,
        device_map: Any = None,
        **options: Any,
    ) -> PhyslmForCausalLM:
        """`load_pretrained`; dtype "auto" or None keeps that of the folder, device_map names one device or is "auto"."""
        for name, value in options.items():
            if value and name not in HARMLESS and not name.startswith("_"):
                raise ValueError(f"{name} is an option that this model does not know; leave it out")
        dtype = torch_dtype if dtype is None else dtype
        if isinstance(dtype, str):
            dtype = None if dtype == "auto" else getattr(torch, dtype.removeprefix("torch."))
        if isinstance(device_map, dict):
            if set(device_map) != {""}:
                raise ValueError("device_map should name one device for the whole model, for example {'': 'cuda:0'}")
            device_map = device_map[""]
        device = device_of(None) if device_map == "auto" else torch.device("cpu" if device_map is None else device_map)
        model = load_pretrained(folder, dtype, device)
        config = PhyslmConfig.from_pretrained(folder) if config is None else config
        wrapped = cls(config, model).eval()
        if (Path(folder) / "generation_config.json").is_file():
            wrapped.generation_config = GenerationConfig.from_pretrained(folder)
        return wrapped

    def save_pretrained(
        self, folder: str | Path, *_: Any, state_dict: dict[str, Tensor] | None = None, **options: Any
    ) -> None:
        """As `scale.save_pretrained`, with generation_config.json; `state_dict` as a Trainer gathers it."""
        if options.pop("push_to_hub", False):
            raise ValueError("push_to_hub is not supported; save the folder, and upload it")
        tensors = self.state_dict() if state_dict is None else state_dict
        said = self.config.to_diff_dict()
        extra = {key: value for key, value in said.items() if key.endswith("_token_id") and key in IGNORED}
        write_folder(
            self.model.config,
            {name.removeprefix("model."): tensor for name, tensor in tensors.items()},
            Path(folder),
            extra,
        )
        if self.generation_config is not None:
            self.generation_config.save_pretrained(folder)

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: Cache | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,
        cache: Cache | None = None,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Logits [batch, position, vocab] of input_ids [batch, position], and the loss if there are labels.

        attention_mask: 0 for padding, [batch, position], with the positions of the past if there are any. Padding may
        stand anywhere, but a text that is continued can only be padded on the left. past_key_values, or cache, as it is
        called since transformers 5.24: what an earlier call returned; any number of tokens can follow. use_cache: return
        one; by default only if one was given. labels: the tokens themselves, -100 where nothing is to be predicted (the
        shift is made here). logits_to_keep: only so many logits, from the end (0: all).
        """
        cache = past_key_values if cache is None else cache
        if cache is not None and not isinstance(cache, StateCache):
            raise ValueError(
                f"{CACHE} should be the StateCache that this model returned, not a {type(cache).__name__}; "
                "leave it out where a text begins"
            )
        cache = StateCache() if cache is None and use_cache else cache
        state = None if cache is None else cache.state
        document = _documents(input_ids, attention_mask, state)
        auxiliary: list[Tensor] | None = (
            [] if labels is not None and self.training and self.model.config.experts else None
        )
        hidden = self.model.hidden(input_ids, document, state, auxiliary)
        kept = (
            slice(-logits_to_keep, None)
            if isinstance(logits_to_keep, int) and logits_to_keep
            else (slice(None) if isinstance(logits_to_keep, int) else logits_to_keep)
        )
        logits, loss = self.model.head(hidden[:, kept]), None
        if labels is not None:
            every = self.model.head(hidden) if logits.shape[1] < hidden.shape[1] else logits
            loss = torch.nn.functional.cross_entropy(every[:, :-1].flatten(0, 1).float(), labels[:, 1:].flatten())
            if auxiliary:
                loss = loss + self.model.config.expert_balance * torch.stack(auxiliary).sum().float()
        output = CausalLMOutputWithPast(loss=loss, logits=logits, **{CACHE: cache})
        return output.to_tuple() if return_dict is False else output

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        next_sequence_length: int | None = None,
        past_key_values: StateCache | None = None,
        attention_mask: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int = 0,
        cache: StateCache | None = None,
        **kwargs: Any,
    ) -> dict[str, Any]:
        """Of input_ids, those tokens that the cache has not read yet. The rest of what `generate` offers is not needed."""
        cache, new = past_key_values if cache is None else cache, next_sequence_length
        if new is None:  # transformers 4 does not say it, but its mask covers the whole text
            past = 0 if cache is None else cache.get_seq_length()
            new = input_ids.shape[1] if attention_mask is None else attention_mask.shape[1] - past
        return {
            "input_ids": input_ids[:, input_ids.shape[1] - new :],
            CACHE: cache,
            "attention_mask": attention_mask,
            "use_cache": use_cache,
            "logits_to_keep": logits_to_keep,
        }


def _documents(tokens: Tensor, mask: Tensor | None, state: DecodingState | None) -> Tensor | None:
    """Document numbers for `LanguageModel`, -1 for padding; None if there is no padding."""
    past = 0 if state is None else state.length
    padded = state is not None and state.document is not None
    if mask is None:
        return torch.zeros_like(tokens) if padded else None
    expected = (len(tokens), past + tokens.shape[1])
    if mask.shape != expected:
        raise ValueError(
            f"attention_mask should be {list(expected)}, the {past} positions of the past and those of "
            f"input_ids, not {list(mask.shape)}"
        )
    mask = mask != 0
    if not padded and mask.all():
        return None
    if state is not None:
        if (mask[:, 1:] < mask[:, :-1]).any():
            raise ValueError("with a cache, padding must stand on the left: set tokenizer.padding_side = 'left'")
        if past and not padded:
            raise ValueError(
                "attention_mask hides tokens that were read without one; begin the text with the same mask"
            )
    return torch.where(mask[:, past:], 0, -1)
