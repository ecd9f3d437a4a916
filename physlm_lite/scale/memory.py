"""How much memory a training step takes, counted before it is run.

A step of the model with two layers is carried out on tensors without data, and the bytes that are alive are counted from
operation to operation. Every further layer adds what the second one added. So there is no formula that could forget a
tensor: what the plan says is what the code that trains will do, in PyTorch's eager mode.
"""

from __future__ import annotations

import contextlib
import dataclasses
import math
import weakref
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial
from typing import Any, Literal

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.checkpoint import CheckpointPolicy, checkpoint, create_selective_checkpoint_contexts

from ..base.strict import choose
from ..models import LanguageModel, ModelConfig

Numbers = Literal["float32", "autocast", "bfloat16"]
CHECKPOINTING = {
    "none": "every layer keeps what its backward pass needs",
    "selective": "products of matrices and of attention are kept, the rest is computed again",
    "full": "a layer keeps its input alone, and is computed again",
}
SHORT = 1024  # tokens of a row, of which more are counted in the place of a longer one
PRODUCTS = ("mm", "addmm", "_scaled_dot_product_flash_attention_for_cpu", "_scaled_dot_product_flash_attention",
            "_scaled_dot_product_efficient_attention", "_scaled_dot_product_cudnn_attention")  # fmt: skip


def recompute(model: LanguageModel, kind: str) -> LanguageModel:
    """The model, whose layers from now on keep for the backward pass what `CHECKPOINTING` says. Names of weights stay."""
    choose("checkpointing", kind, CHECKPOINTING)
    options: dict[str, Any] = {"use_reentrant": False, "preserve_rng_state": False}
    if kind == "selective":
        options["context_fn"] = partial(create_selective_checkpoint_contexts, _policy)
    for block in model.blocks if kind != "none" else ():
        block.forward = partial(checkpoint, block.forward, **options)
    return model


def _policy(_: Any, operation: Any, *args: Any, **kwargs: Any) -> CheckpointPolicy:
    kept = operation.namespace == "aten" and operation._opname in PRODUCTS
    return CheckpointPolicy.MUST_SAVE if kept else CheckpointPolicy.PREFER_RECOMPUTE


class Alive(TorchDispatchMode):
    """Counts the bytes of tensors that operations make inside, as long as they are alive: `now`, and `most` so far.

    What a kernel takes and gives back within itself is not seen.
    """

    def __init__(self, *known: Tensor) -> None:
        super().__init__()
        self.now = self.most = 0
        self._known = {tensor.untyped_storage()._cdata for tensor in known}

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = function(*args, **(kwargs or {}))
        for part in made if isinstance(made, tuple | list) else (made,):
            if isinstance(part, Tensor):
                self._count(part.untyped_storage())
        self.most = max(self.most, self.now)
        return made

    def _count(self, storage: torch.UntypedStorage) -> None:
        place, size = storage._cdata, storage.nbytes()
        if place not in self._known:
            self._known.add(place)
            self.now += size
            weakref.finalize(storage, self._gone, place, size)

    def _gone(self, place: int, size: int) -> None:
        self._known.discard(place)
        self.now -= size

    def phase(self) -> tuple[int, int]:
        """Bytes now, and the most since the last call."""
        most, self.most = self.most, self.now
        return self.now, most


@dataclass(frozen=True)
class Counted:
    """Bytes of one step, beside weights and the optimiser's moments, on one device.

    kept: for the backward pass, of all layers. each: of one layer. ends: beyond `kept`, for the logits and the loss. before:
    the most until the last layer's backward pass is over. after: from then on, gradients included.
    """

    kept: int
    each: int
    ends: int
    before: int
    after: int


def count(config: ModelConfig, rows: int, window: int, numbers: Numbers, kind: str = "none") -> Counted:
    """A step on `rows` rows of `window` tokens, each of which is learnt. Takes a second or so; nothing large is made.

    numbers: "float32"; "autocast", weights in float32 and products in bfloat16; "bfloat16", for weights that are copied into
    it before the step, as sharded ones are. Raises ValueError for a mixture of experts.
    """
    if config.experts:
        raise ValueError(
            "the memory of a mixture of experts depends on where its tokens go, and is not counted; plan without"
        )
    if config.positions == "rope" and window > SHORT:  # all but a mask depends on the number of tokens alone
        rows, window = round(rows * window / SHORT), SHORT
    few = math.ceil(
        config.width / window
    )  # with fewer tokens than numbers in each, layers join other things, see `joined`
    if rows <= 2 * few:
        marks = _phases(config, rows, window, numbers, kind)
    else:
        pairs = zip(*(_phases(config, n * few, window, numbers, kind) for n in (1, 2)), strict=True)
        marks = [tuple(round(a + (b - a) * (rows / few - 1)) for a, b in zip(*pair, strict=True)) for pair in pairs]
    now, most = [now for now, _ in marks], [most for _, most in marks]
    if rows > 2 * few:  # there, what is the most changes with the number of tokens
        most[len(marks) // 2] = now[len(marks) // 2 - 1] + _ends(config, rows, window, numbers)
    # phases: embedding, each layer, head and loss, each layer backwards, embedding backwards
    layers = (len(now) - 3) // 2
    further, each = config.layers - layers, now[layers] - now[layers - 1]
    left = now[layers + 2] - now[layers + 1] + each  # of a layer's gradients
    return Counted(
        kept=now[layers] + further * each,
        each=each,
        ends=most[layers + 1] - now[layers],
        before=max(most[: layers + 3]) + further * each,
        after=max(most[layers + 3 :], default=0) + further * left,
    )


@lru_cache
def _phases(config: ModelConfig, rows: int, window: int, numbers: Numbers, kind: str) -> list[tuple[int, int]]:
    """Bytes at the end of each phase of a step, and the most within it, for a model of at most two layers, unless they differ."""
    layers = min(2, config.layers) if config.canon_layers is None else config.layers
    with torch.device("meta"):
        model = recompute(LanguageModel(dataclasses.replace(config, layers=layers)), kind)
    marks: list[tuple[int, int]] = []
    with _without_data(model, numbers) as alive, _marking(model, alive, marks):
        tokens = torch.zeros(rows, window, dtype=torch.long)
        _learn(model, lambda: model.hidden(tokens), numbers)
        marks.append(alive.phase())
    return marks


def _ends(config: ModelConfig, rows: int, window: int, numbers: Numbers) -> int:
    """The most bytes that the head and the loss add: the logits, or the gradient of the head, whichever is more."""
    with torch.device("meta"):
        model = LanguageModel(dataclasses.replace(config, layers=1, canon_layers=None))
    with _without_data(model, numbers) as alive:
        wide = torch.bfloat16 if numbers == "bfloat16" else torch.float32
        x = torch.zeros(rows, window, config.width, dtype=wide, requires_grad=True)
        before, _ = alive.phase()
        _learn(model, lambda: model.norm(x), numbers)
        return alive.most - before


@contextlib.contextmanager
def _without_data(model: LanguageModel, numbers: Numbers) -> Iterator[Alive]:
    """The model's weights become tensors without data."""
    from torch._subclasses.fake_tensor import FakeTensorMode

    if numbers == "bfloat16":
        model.to(torch.bfloat16)
    with FakeTensorMode(allow_non_fake_inputs=True):
        model.to_empty(device="cpu")
        with Alive(*model.parameters()) as alive:
            yield alive


def _learn(model: LanguageModel, hidden: Callable[[], Tensor], numbers: Numbers) -> None:
    """As in `LanguageModel.cross_entropy`, but places are given as numbers, for which tensors without data cannot be asked."""
    with torch.autocast("cpu", torch.bfloat16, enabled=numbers == "autocast"):
        x = hidden()
        places = torch.zeros(2, x.shape[0] * x.shape[1], dtype=torch.long)
        logits = model.head(x[places[0], places[1]]).float()
        del x
        loss = F.cross_entropy(logits, places[0])
        del logits
    loss.backward()


@contextlib.contextmanager
def _marking(model: LanguageModel, alive: Alive, marks: list[tuple[int, int]]) -> Iterator[None]:
    """Note the end of each phase of a step."""

    def note(*_: Any) -> None:
        marks.append(alive.phase())

    def begins(block: Any, given: tuple[Any, ...]) -> None:
        note()
        given[0].register_hook(note)

    def ends(block: Any, given: Any, x: Tensor) -> None:
        note()
        x.register_hook(note)

    handles = [block.register_forward_pre_hook(begins) for block in model.blocks[:1]]
    handles += [block.register_forward_hook(ends) for block in model.blocks]
    yield
    for handle in handles:
        handle.remove()
