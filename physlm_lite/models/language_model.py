"""The language model of Part 4.1: a pre-norm decoder with Canon layers at A, B, C and D.

A block, for an input x of shape [batch, position, width]:

    x = x + Attention( CanonA( RMSNorm(x) ) )        CanonB inside, on [query | key | value]
    x = x + FeedForward( CanonC( RMSNorm(x) ) )      CanonD inside, on [gate | up]

Canon layers sit inside the residual branches, never on the residual stream itself. Other places inside them are the keys (K)
and values (V), and what attention (O) and the feed-forward layer (M) are about to add. The one exception is the cross-layer
Canon of section 9, y = Block(x) + convolution(x). Another mixer may stand in the place of attention.
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..base.strict import Seed, conform
from .attention import Attention, causal_mask
from .by_hand import transformed
from .canon import Canon
from .config import MIXERS, ModelConfig
from .context import Context, DecodingState, Memory, Seen, Texts
from .experts import Experts, ExpertsConfig
from .feed_forward import GatedFeedForward, StandardFeedForward
from .kernels import chosen
from .positions import position_mask, rope_table
from .short_convolution import ShortConvolution
from .start import ByName, Dice, Start

INTEGERS = (torch.int64, torch.int32, torch.int16, torch.uint8, torch.int8)


class Block(nn.Module):
    """One layer of the decoder, the one at depth `layer`; `mixer` is attention or a linear mixer."""

    def __init__(self, config: ModelConfig, layer: int = 0) -> None:
        super().__init__()

        def canon(name: str) -> Canon | None:
            if name not in config.canon_widths or layer not in config.canon_depths:
                return None
            return config.canon_part.make(name, config.canon_widths[name])

        def mixer() -> Any:
            if config.mixer == "attention":
                return Attention(config.mixer_part, canon("B"), canon("K"), canon("V"))
            return MIXERS[config.mixer](config.width, config.heads, **config.all_mixer_options)

        def feed_forward() -> Experts | GatedFeedForward | StandardFeedForward:
            part = config.feed_forward_part
            if isinstance(part, ExpertsConfig):
                return Experts(part)
            return (GatedFeedForward if config.mlp == "gated" else StandardFeedForward)(part, canon("D"))

        self.mixer_norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.canon_a = canon("A")
        self.mixer = mixer()
        self.canon_o = canon("O")
        self.feed_forward_norm: Any = nn.RMSNorm(config.width, eps=config.norm_eps) if config.mlp != "none" else None
        self.canon_c = canon("C")
        self.feed_forward = feed_forward() if config.mlp != "none" else None
        self.canon_m = canon("M")
        self.canon_x = canon("X")

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """x [batch, position, width] to the same shape."""
        before = x
        branch = self.mixer_norm(x)
        if (canon := self.canon_a) is not None:
            branch = context.canon(canon, "A", branch)
        branch = self.mixer(branch, context)
        if (canon := self.canon_o) is not None:
            branch = context.canon(canon, "O", branch)
        x = x + branch
        if (feed_forward := self.feed_forward) is not None:
            branch = self.feed_forward_norm(x)
            if (canon := self.canon_c) is not None:
                branch = context.canon(canon, "C", branch)
            branch = feed_forward(branch, context)
            if (canon := self.canon_m) is not None:
                branch = context.canon(canon, "M", branch)
            x = x + branch
        return x if (canon := self.canon_x) is None else x + context.canon(canon, "X", before)

    def reset_parameters(self, start: Start, divisor: float) -> None:
        """The matrices of attention and of the feed-forward layer; a linear mixer brings its own start."""
        attention = self.mixer if isinstance(self.mixer, Attention) else None
        parts = [part for part in (attention, self.feed_forward) if part is not None]
        for part in parts:
            start.inputs(part.inputs())
        for part in parts:
            part.start_output(start, divisor)


class LanguageModel(nn.Module):
    """Embedding, blocks, norm, head.

    The same `seed` always gives the same weights, each drawn by its name; without one PyTorch's generator is used.
    """

    layer = Block  # what a layer is made of: a class in its place is called with the same arguments

    def __init__(self, config: ModelConfig, seed: int | None = None) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab, config.width)
        self.blocks = nn.ModuleList(self.layer(config, layer) for layer in range(config.layers))
        self.norm = nn.RMSNorm(config.width, eps=config.norm_eps)
        self.head = nn.Linear(config.width, config.vocab, bias=False)
        if config.tied:
            self.head.weight = self.embedding.weight
        self._tables: tuple[int, Tensor, Tensor] | None = None
        if self.embedding.weight.device.type != "meta":
            seed = conform("seed", Seed | None, seed)
            self.reset_parameters(None if seed is None else ByName(self, seed))

    @torch.no_grad()
    def reset_parameters(self, dice: Dice = None) -> None:
        """The published starting distributions (appendix C.2; see `ModelConfig.init`)."""
        config, start = self.config, Start(self.config.init, self.config.init_std, dice)
        start.ends(self.embedding.weight, None if config.tied else self.head.weight)
        for i, block in enumerate(self.blocks):
            assert isinstance(block, Block)
            depth = {"none": 1.0, "current": (2 * (i + 1)) ** 0.5, "global": (2 * (config.layers + 1)) ** 0.5}
            block.reset_parameters(start, depth[config.depth_scaling])
            if not isinstance(block.mixer, Attention):
                block.mixer.reset_parameters(dice, config.init, depth[config.depth_scaling])
        for module in self.modules():
            if isinstance(module, Canon) and not isinstance(module, ShortConvolution):
                module.reset_parameters(dice)
            elif isinstance(module, nn.RMSNorm):
                module.weight.fill_(1.0)

    def hidden(
        self,
        tokens: Tensor,
        document: Tensor | None = None,
        state: DecodingState | None = None,
        auxiliary: list[Tensor] | None = None,
        seen: Seen | None = None,
        positions: Tensor | None = None,
    ) -> Tensor:
        """Final hidden vectors [batch, position, width] of tokens [batch, position], or of what stands in the place of
        their embeddings [batch, position, width].

        `document` [batch, position]: packed examples and padding (each example its own number, padding -1) that must
        not see each other; without it, every position sees all earlier ones (the published, leaky behaviour for packed
        windows). `state`: the past of a continued text, updated in place. `auxiliary`: a list to which layers append
        losses of their own, given in training only (experts are then limited). `seen`: keeps what is on the way.
        `positions` [batch or 1, position]: by how much to rotate, in the place of counting from the first token on.

        Padding may also stand in the middle of a text: Canon layers and recurrences pass it by as if it were not there,
        and attention, which counts the places that it takes, does not see it.
        """
        x = self.embed(tokens)
        if document is not None and document.shape != x.shape[:2]:
            raise ValueError(f"document should be {list(x.shape[:2])} like tokens, not {list(document.shape)}")
        past = state.length if state is not None else 0
        count = past + x.shape[1]
        every, past_document = document, state.document if state is not None else None
        if state is not None:
            if past and (document is None) != (past_document is None):
                raise ValueError(
                    "a text begun with document numbers must be continued with them, and one begun without must not"
                )
            if not state.layers:
                state.layers = [Memory() for _ in self.blocks]
            if document is not None:
                every = document if past_document is None else torch.cat([past_document, document], 1)
                state.document = every
            state.length = count
        mask = self.mask(x.shape[1], count, every, x.device)
        rope = self.rope(past, count, x.device, positions)
        texts = None if document is None else Texts(document, past_document, state is not None)
        shared = (rope, mask, document, past_document)
        kernels = chosen(x)
        writes = not (torch.is_grad_enabled() or torch.compiler.is_compiling() or transformed())
        for i, block in enumerate(self.blocks):
            memory = state.layers[i] if state is not None else None
            if memory is not None:
                memory.writes = writes
            if seen is not None:
                seen.hidden.append(x)
            x = block(x, Context(*shared, memory, auxiliary, seen, kernels, texts))
        return self.norm(x)

    def embed(self, tokens: Tensor) -> Tensor:
        """Vectors [batch, position, width] of tokens [batch, position]; what are vectors already stays.

        Raises ValueError for anything else, and for numbers that are no token's.
        """
        if tokens.is_floating_point() and tokens.dim() == 3 and tokens.shape[2] == self.config.width:
            return tokens
        if tokens.dim() != 2 or tokens.dtype not in INTEGERS:
            raise ValueError(
                "tokens should be whole numbers [batch, position], or embeddings [batch, position, "
                f"{self.config.width}], not {list(tokens.shape)} of {tokens.dtype}"
            )
        if tokens.dtype not in INTEGERS[:2]:
            tokens = tokens.long()
        try:
            return self.embedding(tokens)
        except IndexError as error:
            wrong = tokens[(tokens < 0) | (tokens >= self.config.vocab)]
            raise ValueError(
                f"tokens should be between 0 and {self.config.vocab - 1}, the last of the vocabulary, and "
                f"{wrong[0].item()} is not"
            ) from error

    def forward(self, tokens: Tensor, document: Tensor | None = None, state: DecodingState | None = None) -> Tensor:
        """Next-token logits [batch, position, vocab]; arguments as in `hidden`."""
        return self.head(self.hidden(tokens, document, state))

    def loss(self, tokens: Tensor, targets: Tensor, document: Tensor | None = None, squared: float = 0.0) -> Tensor:
        """What training minimises: `cross_entropy`, and with experts `expert_balance` times the sum of the layers'
        load-balance losses."""
        if not self.config.experts:
            return self.cross_entropy(tokens, targets, document, squared=squared)
        auxiliary: list[Tensor] = []
        loss = self.cross_entropy(tokens, targets, document, auxiliary, squared)
        return loss + self.config.expert_balance * torch.stack(auxiliary).sum().float()

    def cross_entropy(
        self,
        tokens: Tensor,
        targets: Tensor,
        document: Tensor | None = None,
        auxiliary: list[Tensor] | None = None,
        squared: float = 0.0,
    ) -> Tensor:
        """Mean cross-entropy over the tokens marked in `targets` (each predicted from the tokens before it), to which
        `squared` times its own square is added for each token (the published runs' "z_loss")."""
        before = None if document is None else document[:, :-1]
        # without experts nobody has losses to add, and a model that overrides `hidden` need not know of them
        options: dict[str, Any] = {} if auxiliary is None else {"auxiliary": auxiliary}
        hidden = self.hidden(tokens[:, :-1], before, **options)
        wanted = targets[:, 1:]
        logits, labels = self.head(hidden[wanted]).float(), tokens[:, 1:][wanted]
        if not squared:
            return F.cross_entropy(logits, labels)
        each = F.cross_entropy(logits, labels, reduction="none")
        return (each + squared * each.square()).mean()

    @torch.no_grad()
    def guesses(self, tokens: Tensor, document: Tensor | None = None) -> Tensor:
        """The most likely token for each position under teacher forcing: guesses[:, t] is for tokens[:, t]."""
        best = self(tokens[:, :-1], None if document is None else document[:, :-1]).argmax(-1)
        return F.pad(best, (1, 0), value=-1)

    def mask(
        self, queries: int, keys: int, document: Tensor | None = None, device: torch.device | None = None
    ) -> Tensor | None:
        """Where the last `queries` of `keys` positions may look, as `Context.mask`; None for plain causal attention."""
        config = self.config
        if config.mixer != "attention":
            return None
        if document is None and config.positions == "rope" and queries in (1, keys):
            return None
        return position_mask(config.positions, config.heads, causal_mask(queries, keys, document, device))

    def rope(
        self, begin: int, end: int, device: torch.device, positions: Tensor | None = None
    ) -> tuple[Tensor, Tensor] | None:
        """The rotation tables of positions begin..end-1, or of those that are given, or None for a model without any."""
        if self.config.rotated == 0:
            return None
        if positions is not None:
            tables = rope_table(positions.flatten(), self.config.rotated, self.config.rope_theta)
            cos, sin = (table.unflatten(0, positions.shape)[:, None] for table in tables)
            return cos, sin
        if self._tables is None or self._tables[0] < end or self._tables[1].device != device:
            size = max(2 * end, 128)  # room to grow: decoding asks for one more position at each step
            with torch.inference_mode(False):  # the table outlives this call and may serve training next
                table = rope_table(torch.arange(size, device=device), self.config.rotated, self.config.rope_theta)
            if transformed():  # what torch.func makes must not outlive it
                return table[0][begin:end], table[1][begin:end]
            self._tables = (size, *table)
        return self._tables[1][begin:end], self._tables[2][begin:end]
