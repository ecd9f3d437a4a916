"""What a layer needs beside its input: positions, boundaries, and the past when a text is continued."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor

from .canon import Canon


@dataclass
class DecodingState:
    """The past of a text: how many tokens, their document numbers (if any), and a dictionary of tensors for each layer.

    Layers keep "key" and "value" [batch, kv_head, past, head_width] and, for each Canon position A, B, C, D, X, its
    last kernel - 1 inputs [batch, kernel - 1, channel]; linear mixers keep "recurrence" [batch, head, key, value] and the
    inputs "b" of their own convolution. Continuing with one token or with several at once is exact.
    """

    length: int = 0
    document: Tensor | None = None
    layers: list[dict[str, Tensor]] = field(default_factory=list)

    def keep(self, rows: Tensor) -> None:
        """Drop the rows of the batch that are not in `rows` (a mask or indices): texts that have ended."""
        if self.document is not None:
            self.document = self.document[rows]
        self.layers = [{name: tensor[rows] for name, tensor in layer.items()} for layer in self.layers]


@dataclass
class Seen:
    """What a forward pass keeps on its way, for those who look inside: the input of each layer [batch, position, width]
    and, if asked for, where attention looked [batch, head, query, key]."""

    hidden: list[Tensor] = field(default_factory=list)
    weights: list[Tensor] | None = None


@dataclass
class Context:
    """The surroundings of one layer call.

    `rope`: cosine and sine tables or None; `mask`: where attention may look, None for plain causal; `document`:
    [batch, position] numbers of packed examples; `past_document`: those of the tokens before; `state`: this layer's
    past; `auxiliary`: where layers append losses of their own while training, None outside of training; `seen`: where they
    append what somebody wants to see.
    """

    rope: tuple[Tensor, Tensor] | None = None
    mask: Tensor | None = None
    document: Tensor | None = None
    past_document: Tensor | None = None
    state: dict[str, Tensor] | None = None
    auxiliary: list[Tensor] | None = None
    seen: Seen | None = None

    def canon(self, layer: Canon, name: str, x: Tensor) -> Tensor:
        """Apply a Canon layer, with the window of earlier inputs when decoding."""
        if self.state is None:
            return layer(x, self.document)
        past = layer.kernel - 1
        history, history_document = self.state.get(name), None
        if history is None:
            history = x.new_zeros(len(x), past, x.shape[-1])
        if self.document is not None:
            none = self.document.new_full((len(x), past), -2)  # no document has this number: nothing to mix in
            before = none if self.past_document is None else torch.cat([none, self.past_document], 1)
            history_document = before[:, before.shape[1] - past :]
        self.state[name] = layer.next_history(x, history)
        return layer(x, self.document, history, history_document)

    def remember(self, name: str, new: Tensor) -> Tensor:
        """Append `new` to the past along positions (dimension 2) and return both."""
        assert self.state is not None
        if name in self.state:
            new = torch.cat([self.state[name], new], 2)
        self.state[name] = new
        return new
