"""Our language model as one of transformers: whatever works with its own models should work with ours.

Its modules keep their own names, in `state_dict()` as everywhere; a folder holds the published names (`names.py`). So
saving translates, and loading, be it `from_pretrained` or `load_state_dict`, understands either.
"""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicCache
from transformers.generation import GenerationMixin
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import CausalLMOutputWithPast
from transformers.modeling_utils import PreTrainedModel, load_state_dict
from transformers.utils import logging

from ...base.strict import unknown
from ...models import Block, DecodingState, LanguageModel, Seen
from .folders import as_tied
from .hugging_face_config import PhyslmConfig
from .layouts import known_keys, layout_of
from .names import from_published, to_published

logger = logging.get_logger(__name__)

# What transformers calls the field of a cache: "past_key_values" before 5.24, and "cache" since then.
CACHE = next(f.name for f in dataclasses.fields(CausalLMOutputWithPast) if f.name in ("cache", "past_key_values"))
INSIDE = "model."  # where the LanguageModel stands in ours
LOSS_OPTIONS = ("num_items_in_batch", "ignore_index", "shift_labels")


class StateLayer(CacheLayerMixin):
    """A `DecodingState` as the only layer of a `Cache`: the past of all layers, whatever they keep of it."""

    is_compileable = is_sliding = supports_early_init = False

    def __init__(self) -> None:
        super().__init__()
        self.state = DecodingState()

    def get_seq_length(self, *_: Any) -> int:
        """Tokens read so far."""
        return self.state.length

    def get_max_length(self) -> int:
        """There is no limit, which is called -1."""
        return -1

    get_max_cache_shape = get_max_length  # before transformers 5

    def reset(self) -> None:
        """Forget everything."""
        self.state = DecodingState()

    def batch_select_indices(self, indices: Tensor) -> None:
        """Only these rows go on; they may be repeated."""
        self.state.keep(indices)

    reorder_cache = batch_select_indices  # beams that go on

    def batch_repeat_interleave(self, repeats: int) -> None:
        """Each row several times."""
        if self.state.layers:
            rows = next(len(kept) for kept in self.state.layers[0].values() if isinstance(kept, Tensor))
            self.state.keep(torch.arange(rows).repeat_interleave(repeats))

    def crop(self, *_: Any) -> None:
        """A recurrence cannot be taken back."""
        raise ValueError("the cache of this model cannot be shortened; read the text again without it")

    def update(self, *_: Any, **__: Any) -> Any:
        """Only the layers of a `LanguageModel` write here."""
        raise ValueError("this cache belongs to a model of physlm_lite; begin another model's text without a cache")

    lazy_initialization = get_mask_sizes = update


def state_of(cache: Cache) -> DecodingState:
    """The past in a cache: of a new one of transformers' own, which is taken over, or of one that our model returned.

    Raises ValueError for a cache that another model has begun, or that must keep its own kind of layers.
    """
    ours = len(cache.layers) == 1 and isinstance(cache.layers[0], StateLayer)
    if not ours and type(cache) in (Cache, DynamicCache) and not cache.get_seq_length():
        cache.layers = [StateLayer()]
    elif not ours:
        raise ValueError(
            f"{CACHE} should be a new DynamicCache or what this model returned, not a {type(cache).__name__} with "
            f"{cache.get_seq_length()} tokens; leave it out where a text begins"
        )
    return cache.layers[0].state


class HuggingFaceBlock(GradientCheckpointingLayer, Block):
    """A block that transformers may compute again in the backward pass instead of keeping its activations."""


class HuggingFaceLanguageModel(LanguageModel):
    """`LanguageModel` of such blocks."""

    layer = HuggingFaceBlock


class PhyslmForCausalLM(PreTrainedModel, GenerationMixin):
    """`LanguageModel` with the interface of transformers; `model` is the one inside."""

    config_class = PhyslmConfig
    supports_gradient_checkpointing = True
    _no_split_modules = ("HuggingFaceBlock",)
    _tied_weights_keys = {"model.head.weight": "model.embedding.weight"}  # noqa: RUF012 (transformers asks for a dict)
    _is_stateful = True  # no decoding that would have to take tokens back
    _supports_sdpa = True

    def __init__(self, config: PhyslmConfig, **keys: Any) -> None:
        super().__init__(config)
        for key in keys:
            raise unknown("key of the configuration", key, sorted(known_keys(layout_of(config.to_dict()))))
        self.model = HuggingFaceLanguageModel(config.model_config())
        self.post_init()
        self._lacking: dict[str, Tensor] = {}  # how weights start that a folder lacks

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """A LanguageModel starts by itself; what a folder lacks starts as in a new one, and new rows as wide as the old."""
        lacking = getattr(self, "_lacking", None)  # None while the model is made
        if lacking:
            own = list(module.parameters(recurse=False))
            for name, parameter in self.named_parameters() if own else ():
                if name in lacking and any(parameter is other for other in own):
                    parameter.copy_(lacking.pop(name))
        elif lacking is not None and not any(module is other for other in self.modules()):
            old = self.model.embedding if isinstance(module, nn.Embedding) else self.model.head
            module.get_parameter("weight").normal_(0, old.weight.std().item())

    def to(self, *where: Any, **options: Any) -> Any:
        """As any module; ValueError for tensors without memory, where accelerate has read published names by its own."""
        try:
            return super().to(*where, **options)
        except NotImplementedError as error:
            raise ValueError(
                "the model has tensors without memory, since its folder was read by something that does not know the "
                "published names; load it with AutoModelForCausalLM.from_pretrained(folder, device_map=...)"
            ) from error

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return True  # which transformers 4 assumes of no stateful model

    def get_input_embeddings(self) -> nn.Module:
        """The embedding."""
        return self.model.embedding

    def set_input_embeddings(self, value: nn.Module) -> None:
        """Another embedding, perhaps of more tokens."""
        self.model.embedding = value  # type: ignore[assignment]

    def get_output_embeddings(self) -> nn.Module:
        """The head."""
        return self.model.head

    def set_output_embeddings(self, new_embeddings: nn.Module) -> None:
        """Another head."""
        self.model.head = new_embeddings  # type: ignore[assignment]

    def resize_token_embeddings(self, *options: Any, **more: Any) -> nn.Module:
        """More or fewer tokens, as for any model of transformers; `model.config` follows."""
        embedding = super().resize_token_embeddings(*options, **more)
        self.model.config = dataclasses.replace(self.model.config, vocab=len(embedding.weight))
        return embedding

    def _set_gradient_checkpointing(
        self, enable: bool = True, gradient_checkpointing_func: Callable[..., Any] = checkpoint, **options: Any
    ) -> None:
        """Always in the way that is not reentrant: the other one loses the load-balance losses of experts."""
        function = partial(gradient_checkpointing_func, use_reentrant=False)
        super()._set_gradient_checkpointing(enable, function, **options)

    def save_pretrained(
        self,
        save_directory: str | Path,
        is_main_process: bool = True,
        state_dict: Mapping[str, Tensor] | None = None,
        **options: Any,
    ) -> None:
        """As any model of transformers, under the published names; `scale.load_pretrained` reads the folder as well."""
        state = self.state_dict() if state_dict is None else state_dict
        if any(tensor.is_meta for tensor in state.values()):  # some lie on a disk
            from accelerate.utils.modeling import get_state_dict_offloaded_model

            state = get_state_dict_offloaded_model(self)
        inside = {name.removeprefix(INSIDE): tensor for name, tensor in state.items()}
        self.model.config = config = as_tied(self.model.config, inside)
        self.config.tie_word_embeddings = config.tied
        content, used = to_published(config, state, INSIDE), set()
        for name, tensor in content.items():  # each with its own memory
            place = tensor.untyped_storage().data_ptr()
            content[name] = tensor.clone() if place in used else tensor
            used.add(place)
        super().save_pretrained(save_directory, is_main_process, content, **options)

    @classmethod
    def _load_pretrained_model(
        cls,
        model: PhyslmForCausalLM,
        state_dict: dict[str, Tensor] | None,
        checkpoint_files: list[str] | None,
        *rest: Any,
        **options: Any,
    ) -> Any:
        """The step of `from_pretrained` that reads tensors, here under either names."""
        if state_dict is None:
            state_dict = {}
            for file in checkpoint_files or ():
                state_dict |= load_state_dict(file)
        anew = options.get("ignore_mismatched_sizes") or getattr(rest[0], "ignore_mismatched_sizes", False)
        mend = "correct the configuration, or pass ignore_mismatched_sizes=True to start it anew"
        state = from_published(model.model.config, state_dict, INSIDE, mend=None if anew else mend)
        lacking = {
            name
            for name, parameter in model.named_parameters()
            if name not in state or state[name].shape != parameter.shape
        }
        if lacking:
            new = LanguageModel(model.model.config).state_dict(prefix=INSIDE)
            model._lacking = {name: new[name] for name in lacking}
        if "sharded_metadata" in options:  # transformers 4 would take the names from there
            options["sharded_metadata"] = None
        return super()._load_pretrained_model(model, state, [""], *rest, **options)  # [""]: no files, but `state`

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """`load_state_dict` passes here before it goes on to the parts; it may bring only some of the tensors."""
        given = {name.removeprefix(prefix): state_dict[name] for name in state_dict if name.startswith(prefix)}
        if not given.keys() <= self.state_dict().keys():
            now = {name: parameter.detach() for name, parameter in self.named_parameters(remove_duplicate=False)}
            for name in given:
                del state_dict[prefix + name]
            state = from_published(self.model.config, given, INSIDE, now)
            state_dict |= {prefix + name: tensor for name, tensor in state.items()}
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def forward(
        self,
        input_ids: Tensor | None = None,
        attention_mask: Tensor | None = None,
        position_ids: Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: Tensor | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        cache_position: Tensor | None = None,
        logits_to_keep: int | Tensor = 0,
        output_attentions: bool | None = None,
        output_hidden_states: bool | None = None,
        return_dict: bool | None = None,
        token_type_ids: Tensor | None = None,
        cache: Cache | None = None,
        **options: Any,
    ) -> CausalLMOutputWithPast | tuple[Any, ...]:
        """Logits [batch, position, vocab] of input_ids [batch, position], and the loss if there are labels.

        attention_mask: 0 for what is hidden, [batch, position], with the positions of the past if there are any.
        position_ids: by how much to rotate; where they jump, and no mask is given, another text begins that does not see
        the one before. inputs_embeds: [batch, position, width] in the place of input_ids. past_key_values, or cache, as it is
        called since transformers 5.24: what an earlier call returned; any number of tokens can follow. use_cache: return
        one (by default, except in training). labels: the tokens themselves, -100 where nothing is to be predicted (the
        shift is made here). logits_to_keep: only so many logits, from the end (0: all), or those of these positions.
        output_attentions: where attention looked; linear mixers have no such weights. token_type_ids and cache_position
        change nothing. options: num_items_in_batch and others of transformers' loss.

        Raises ValueError for what cannot be computed.
        """
        for name in [name for name, value in options.items() if value is not None and name not in LOSS_OPTIONS]:
            raise unknown("argument", name, (*inspect.signature(self.forward).parameters, *LOSS_OPTIONS))
        tokens = inputs_embeds if input_ids is None else input_ids
        if tokens is None or (input_ids is not None and inputs_embeds is not None):
            raise ValueError("give either input_ids or inputs_embeds")
        config = self.model.config

        def wanted(value: bool | None, key: str) -> bool:
            return bool(getattr(self.config, key, False) if value is None else value)

        attentions: list[Tensor] | None = [] if wanted(output_attentions, "output_attentions") else None
        if attentions is not None and config.mixer != "attention":
            raise ValueError(
                f"output_attentions asks where attention looked, and this model has mixer {config.mixer!r}"
            )
        seen = None
        if attentions is not None or wanted(output_hidden_states, "output_hidden_states"):
            seen = Seen(weights=attentions)
        cache = past_key_values if cache is None else cache
        if cache is None and wanted(use_cache, "use_cache") and (use_cache or not self.training):
            cache = DynamicCache()
        if cache is not None and self.training and torch.is_grad_enabled() and self._checkpoints():
            logger.warning_once("a layer that is computed again for its gradient cannot have a cache; it is left out")
            cache = None
        state = None if cache is None else state_of(cache)
        document = documents(tokens, attention_mask, position_ids, state)
        auxiliary: list[Tensor] | None = [] if labels is not None and self.training and config.experts else None
        hidden = self.model.hidden(tokens, document, state, auxiliary, seen, position_ids)
        whole = isinstance(logits_to_keep, int) and not logits_to_keep
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.model.head(hidden if whole else hidden[:, kept])
        loss: Tensor | None = None
        if labels is not None:
            every = logits if whole else self.model.head(hidden)
            loss = self.loss_function(logits=every, labels=labels, vocab_size=every.shape[-1], **options)
        if loss is not None and labels is not None and auxiliary:
            # where gradients are accumulated, this part of the batch counts by its share
            items, ignored = options.get("num_items_in_batch"), options.get("ignore_index") or -100
            share = 1.0 if items is None else (labels[:, 1:] != ignored).sum() / items
            loss = loss + share * config.expert_balance * torch.stack(auxiliary).sum().float()
        states = (*seen.hidden, hidden) if seen and wanted(output_hidden_states, "output_hidden_states") else None
        output = CausalLMOutputWithPast(
            loss=loss,
            logits=logits,
            hidden_states=states,
            attentions=None if attentions is None else tuple(attentions),
            **{CACHE: cache},
        )
        return output if wanted(return_dict, "return_dict") else output.to_tuple()

    def _checkpoints(self) -> bool:
        return any(getattr(block, "gradient_checkpointing", False) for block in self.model.blocks)


def documents(tokens: Tensor, mask: Any, positions: Tensor | None, state: DecodingState | None) -> Tensor | None:
    """Document numbers [batch, position] for `LanguageModel`, -1 for padding; None where one text fills each row.

    mask: 0 for what is hidden, of the past as well. positions: where they jump, and there is neither mask nor past,
    another text begins, as in transformers.

    Raises ValueError for a mask or positions of another form.
    """
    batch, length = tokens.shape[:2]
    past, before = (0, None) if state is None else (state.length, state.document)
    number = None if before is None else before.amax(1, keepdim=True).clamp(min=0)  # the text that goes on
    if positions is not None:
        if positions.shape not in ((1, length), (batch, length)):
            raise ValueError(f"position_ids should be {[batch, length]}, not {list(positions.shape)}")
        if mask is None and not past and (jumps := positions.diff(dim=1) != 1).any():
            number = F.pad(jumps.cumsum(1), (1, 0))
    if mask is None:
        return None if number is None else number.expand(batch, length)
    if not isinstance(mask, Tensor) or mask.shape != (batch, past + length):
        found = list(mask.shape) if isinstance(mask, Tensor) else type(mask).__name__
        raise ValueError(
            f"attention_mask should be {[batch, past + length]}, the {past} positions of the past and those of "
            f"the new tokens, not {found}"
        )
    shown = mask != 0
    if before is None and shown.all():
        return None
    if past and (before is None or (shown[:, :past] != (before >= 0)).any()):
        raise ValueError("attention_mask differs from that of the tokens already read; go on with the same")
    return torch.where(shown[:, past:], 0 if number is None else number, -1)
