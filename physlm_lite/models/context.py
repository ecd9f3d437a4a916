"""What a layer needs beside its input: positions, boundaries, and the past when a text is continued."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from typing import Any

import torch
from torch import Tensor

from .by_hand import transformed
from .canon import Canon

NOBODY = -2  # no document has this number


class Memory(dict[str, Any]):
    """The past of one layer: tensors, or tuples of them, by name. If `writes` is set, which it is without gradients, what
    grows token by token grows in a buffer that has room, and what is made of weights is kept for the tokens that follow.

    Nothing that was handed out is ever written over: only the newest tensor of a name is followed by room, and whoever
    appends to an older one gets a buffer of his own.
    """

    def __init__(self, *content: Any) -> None:
        super().__init__(*content)
        self.writes = False
        self.rooms: dict[str, _Room] = {}
        self.kept: dict[Any, tuple[Any, ...]] = {}

    def append(self, name: str, new: Tensor, dim: int) -> Tensor:
        """What is kept under `name`, if anything, followed by `new` along `dim`; both are kept."""
        old, count = self.get(name), new.shape[dim]
        if old is None or not self.writes or old.dtype != new.dtype:
            self[name] = new if old is None else torch.cat([old, new], dim)
            return self[name]
        room = self.rooms.get(name)
        if room is None or room.newest is not old or room.filled + count > room.size or room.inference != inference():
            room = self.rooms[name] = _Room(old, count, dim)
        room.buffer.narrow(dim, room.filled, count).copy_(new)
        room.filled += count
        self[name] = room.newest = room.buffer.narrow(dim, 0, room.filled)
        return room.newest

    def made(self, layer: Any, make: Callable[..., Any], *weights: Tensor) -> Any:
        """make(*weights), once for each layer, as long as the weights stay what they are."""
        if not self.writes or layer not in self.kept:
            made = make(*weights)
            if self.writes and not any(weight.is_inference() for weight in weights):  # whose changes nobody counts
                self.kept[layer] = made, [(weight, weight._version) for weight in weights]
            return made
        made, before = self.kept[layer]
        for weight, (old, version) in zip(weights, before, strict=True):
            if weight is not old or weight._version != version:
                del self.kept[layer]
                return self.made(layer, make, *weights)
        return made

    def keep(self, rows: Tensor) -> Memory:
        """That of these rows of the batch (a mask, or indices, which may repeat)."""

        def some(kept: Any) -> Any:
            return tuple(map(some, kept)) if isinstance(kept, tuple) else kept[rows.to(kept.device)]

        return Memory({name: some(kept) for name, kept in self.items()})


class _Room:
    """A buffer of which so much is `filled`; `newest` is the tensor behind which the free part begins."""

    def __init__(self, old: Tensor, count: int, dim: int) -> None:
        shape, self.filled, self.newest, self.inference = list(old.shape), old.shape[dim], old, inference()
        self.size = shape[dim] = self.filled + count + max(64, (self.filled + count) // 2)
        self.buffer = old.new_empty(shape)
        self.buffer.narrow(dim, 0, self.filled).copy_(old)


inference = torch.is_inference_mode_enabled  # what is made there cannot be written to elsewhere


@dataclass
class DecodingState:
    """The past of a text: how many tokens, their document numbers (if any), and a dictionary of tensors for each layer.

    Layers keep "key" and "value" [batch, kv_head, past, head_width] and, for each Canon position ("A", "B", ...), its
    last inputs, the oldest first: kernel - 1 tensors [batch, 1, channel]. Linear mixers keep "recurrence" [batch, head, key,
    value] and the inputs "b" of their own convolution. Continuing with one token or with several at once is exact.
    """

    length: int = 0
    document: Tensor | None = None
    layers: list[Memory] = field(default_factory=list)

    def keep(self, rows: Tensor) -> None:
        """Drop the rows of the batch that are not in `rows` (a mask or indices): texts that have ended."""
        if self.document is not None:
            self.document = self.document[rows.to(self.document.device)]
        self.layers = [layer.keep(rows) for layer in self.layers]


class Texts:
    """Which tokens of a batch belong together, worked out once for all layers.

    document: [batch, position], negative for padding; past: those of the tokens before, [batch, past]; continued: whether
    more tokens may follow. Padding is as if it were not there: Canon layers reach over it, recurrences do not see it.
    Only attention counts the places that it takes. All this costs something only if there are `holes`, that is padding
    behind which a text goes on.
    """

    def __init__(self, document: Tensor, past: Tensor | None = None, continued: bool = False) -> None:
        self.document, self.past = document, past
        self.padding = document < 0
        # under torch.func nobody can be asked, and the way over holes is right without any
        self.holes = transformed() or (bool(self.padding.any()) and self._holes(continued))
        self._windows: dict[int, tuple[Tensor, Tensor | None]] = {}

    def _holes(self, continued: bool) -> bool:
        there = self.document >= 0 if self.past is None else torch.cat([self.past, self.document], 1) >= 0
        begun = there.cumsum(1) > 0
        if continued:  # behind any of them the text may go on
            return bool((~there & begun)[:, -self.document.shape[1] :].any())
        return bool((there[:, 1:] & ~there[:, :-1] & begun[:, :-1]).any())

    def before(self, count: int) -> Tensor:
        """Numbers of the last `count` tokens of the past that are no padding [batch, count]; negative for none."""
        nobody = self.document.new_full((len(self.document), count), NOBODY)
        if self.past is None or not count:
            return nobody
        found = torch.cat([nobody, self.past], 1)
        if self.holes or (found[:, -count:] < 0).any():  # padding goes to the front
            found = found.gather(1, (found >= 0).byte().argsort(stable=True, dim=1))
        return found[:, -count:]

    def window(self, past: int) -> tuple[Tensor, Tensor | None]:
        """The numbers of `past` tokens before and of these ones; with holes also the order that moves padding to the front
        (of those numbers, which come in this order)."""
        if past not in self._windows:
            numbers, order = torch.cat([self.before(past), self.document], 1), None
            if self.holes:
                order = (numbers >= 0).byte().argsort(stable=True, dim=1)
                numbers = numbers.gather(1, order)
            self._windows[past] = numbers, order
        return self._windows[past]

    def starts(self) -> Tensor:
        """True where a token belongs to another document than the token before it: [batch, position].

        There a recurrence starts anew. Other than for attention, a document is therefore one *run* of equal numbers.
        """
        if not self.holes:
            before = self.document[:, :1] if self.past is None else self.before(1)
            return self.document != torch.cat([before, self.document[:, :-1]], 1)
        numbers, order = self.window(1)
        assert order is not None
        changes = torch.nn.functional.pad(numbers[:, 1:] != numbers[:, :-1], (1, 0))
        return changes.gather(1, order.argsort(1))[:, 1:] & ~self.padding


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
    append what somebody wants to see; `kernels`: those of other packages that may be used; `texts`: what follows from the
    document numbers.
    """

    rope: tuple[Tensor, Tensor] | None = None
    mask: Tensor | None = None
    document: Tensor | None = None
    past_document: Tensor | None = None
    state: Memory | None = None
    auxiliary: list[Tensor] | None = None
    seen: Seen | None = None
    kernels: Callable[..., Any] | None = None
    texts: Texts | None = None

    def __post_init__(self) -> None:
        if self.document is not None and self.texts is None:
            self.texts = Texts(self.document, self.past_document, self.state is not None)

    def to(self, device: torch.device, non_blocking: bool = False) -> Context:
        """The same on another device, as accelerate asks of all arguments where layers lie on several; the past stays with
        its layer."""

        moved: dict[str, Any] = {name: getattr(self, name) for name in ("mask", "document", "past_document")}
        moved = {name: z.to(device, non_blocking=non_blocking) for name, z in moved.items() if z is not None}
        if self.rope is not None:
            moved["rope"] = tuple(table.to(device) for table in self.rope)
        return replace(self, texts=None, **moved)

    def kernel(self, operation: str, width: int, size: int) -> Callable[..., Any] | None:
        """The function of another package that stands in for ours, if there is one; see `kernel_for`."""
        return None if self.kernels is None else self.kernels(operation, width, size)

    def canon(self, layer: Canon, name: str, x: Tensor) -> Tensor:
        """Apply a Canon layer, with the window of earlier inputs when decoding."""
        if self.texts is not None and self.texts.holes:
            return self._canon_over_holes(layer, name, x, self.texts)
        kernel = self.kernel("canon", x.shape[-1], layer.kernel)
        if self.state is None:
            return layer(x, self.document, kernel=kernel)
        numbers = None if self.texts is None else self.texts.window(layer.kernel - 1)[0]
        before = self.state.get(name)
        if x.shape[1] == 1 and before is not None:
            self.state[name] = (*before, x)[1:]
            return layer(x, numbers, before, self.state.made, kernel)
        before = self._before(layer, name, x)
        self._keep_end(name, before, x)
        return layer(x, numbers, before, kernel=kernel)

    def _before(self, layer: Canon, name: str, x: Tensor) -> tuple[Tensor, ...]:
        """The inputs before x, zeros before the first: [batch, 1, channel] each."""
        assert self.state is not None
        before = self.state.get(name, (x.new_zeros(len(x), 1, x.shape[-1]),) * (layer.kernel - 1))
        return tuple(z.to(x.dtype) for z in before)

    def _keep_end(self, name: str, before: tuple[Tensor, ...], x: Tensor) -> None:
        """Keep the last inputs, as many as `before`: a copy, since a view would keep all of them."""
        assert self.state is not None
        if past := len(before):
            self.state[name] = torch.cat([*before, x[:, -past:]], 1)[:, -past:].split(1, 1)

    def _canon_over_holes(self, layer: Canon, name: str, x: Tensor, texts: Texts) -> Tensor:
        """With padding moved to the front, so that a token finds its neighbours, and back again."""
        before = () if self.state is None else self._before(layer, name, x)
        numbers, order = texts.window(past := len(before))
        assert order is not None
        joined = torch.cat([*before, x], 1)
        moved = joined.gather(1, order[..., None].expand_as(joined))
        if before:
            self._keep_end(name, before, moved)
        mixed = layer(moved, numbers)
        back = order.argsort(1)[:, past:]
        return mixed.gather(1, back[..., None].expand_as(x))
