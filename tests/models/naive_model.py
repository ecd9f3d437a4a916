"""LlamaCanon once more, in NumPy and in 64 bits, written from its specification and not from the package's code.

Only the names in the state dict are the package's. Loops over positions, heads and coordinates take the place of
reshapes, so that a transposed axis or an off-by-one in one of the two shows as a difference.
"""

from dataclasses import dataclass, replace

import numpy as np


@dataclass
class Settings:
    layers: int
    heads: int
    kv_heads: int
    head_width: int
    canon: str = ""
    residual: bool = True
    activation: bool = False
    rope_dim: int = 0
    theta: float = 10_000.0
    layout: str = "half"
    qk_norm: bool = False
    eps: float = 1e-5
    positions: str = "rope"
    rope_heads: int | None = None
    mlp: str = "gated"
    act: str = "silu"
    canon_layers: tuple[int, ...] | None = None
    cross: bool = False


def settings_of(config):
    """The settings that a ModelConfig asks for."""
    return Settings(
        config.layers,
        config.heads,
        config.kv_heads or config.heads,
        config.head_width or config.width // config.heads,
        config.canon,
        config.canon_residual,
        config.canon_activation,
        config.rope_dim if config.rope_dim is not None else config.head_width or config.width // config.heads,
        config.rope_theta,
        config.rope_layout,
        config.qk_norm,
        config.norm_eps,
        config.positions,
        config.rope_heads,
        config.mlp,
        config.activation,
        config.canon_layers,
        config.canon_cross,
    )


def silu(x):
    return x / (1 + np.exp(-x))


def gelu(x):
    return x / 2 * (1 + np.tanh(np.sqrt(2 / np.pi) * (x + 0.044715 * x**3)))


ACTIVATIONS = {"silu": silu, "gelu": gelu, "relu2": lambda x: np.maximum(x, 0) ** 2}


def rms_norm(x, gain, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * gain


def canon(x, weight, settings, document, residual=True):
    """x [position, channel], weight [channel, 1, kernel]; tokens of another document count as zeros."""
    kernel = weight.shape[2]
    out = np.zeros_like(x)
    for t in range(len(x)):
        for j in range(kernel):
            s = t - (kernel - 1) + j
            if s >= 0 and document[s] == document[t]:
                out[t] += weight[:, 0, j] * x[s]
    if settings.activation:
        out = silu(out)
    return x + out if settings.residual and residual else out


def rope(head, settings):
    """Rotate one head [position, head_width]."""
    out, R = head.copy(), settings.rope_dim
    for p in range(len(head)):
        for i in range(R // 2):
            angle = p * settings.theta ** (-2 * i / R)
            a, b = (i, i + R // 2) if settings.layout == "half" else (2 * i, 2 * i + 1)
            out[p, a] = head[p, a] * np.cos(angle) - head[p, b] * np.sin(angle)
            out[p, b] = head[p, a] * np.sin(angle) + head[p, b] * np.cos(angle)
    return out


def attention(x, w, settings, document):
    q, k, v = x @ w["query.weight"].T, x @ w["key.weight"].T, x @ w["value.weight"].T
    if settings.qk_norm:
        q, k = (rms_norm(z, w[f"{name}_norm.weight"], settings.eps) for z, name in ((q, "query"), (k, "key")))
    if "B" in settings.canon:
        mixed = canon(np.concatenate([q, k, v], 1), w["canon_b.weight"], settings, document)
        q, k, v = mixed[:, : q.shape[1]], mixed[:, q.shape[1] : -v.shape[1]], mixed[:, -v.shape[1] :]
    k = canon(k, w["canon_k.weight"], settings, document) if "K" in settings.canon else k
    v = canon(v, w["canon_v.weight"], settings, document) if "V" in settings.canon else v
    h, outputs = settings.head_width, []
    for head in range(settings.heads):
        served = head // (settings.heads // settings.kv_heads)
        qh, kh, vh = (z[:, n * h : (n + 1) * h] for z, n in ((q, head), (k, served), (v, served)))
        if settings.positions == "rope" and head < (settings.rope_heads or settings.heads):
            qh, kh = rope(qh, settings), rope(kh, settings)
        out, number = np.zeros_like(qh), head + 1
        for t in range(len(x)):
            seen = [s for s in range(t + 1) if document[s] == document[t]]
            if settings.positions == "hard_alibi" and number <= settings.heads // 2:
                seen = [s for s in seen if s > t - number]
            score = np.array([qh[t] @ kh[s] for s in seen]) / np.sqrt(h)
            if settings.positions == "alibi":
                score = score - 2 ** (-8 * number / settings.heads) * (t - np.array(seen))
            share = np.exp(score - score.max())
            out[t] = (share / share.sum()) @ vh[seen]
        outputs.append(out)
    return np.concatenate(outputs, 1) @ w["output.weight"].T


def feed_forward(x, w, settings, document):
    if "router.weight" in w:
        return experts(x, w, settings, document)
    into = [x @ w["gate.weight"].T, x @ w["up.weight"].T] if settings.mlp == "gated" else [x @ w["up.weight"].T]
    both, act = np.concatenate(into, 1), ACTIVATIONS[settings.act]
    if "D" in settings.canon:
        both = canon(both, w["canon_d.weight"], settings, document)
    half = both.shape[1] // 2
    inner = act(both[:, :half]) * both[:, half:] if settings.mlp == "gated" else act(both)
    return inner @ w["down.weight"].T


def experts(x, w, settings, document):
    """Each token through the expert that the router likes best, times how much it likes it; padding through none."""
    act, out = ACTIVATIONS[settings.act], np.zeros_like(x)
    for t in range(len(x)):
        liking = np.exp(w["router.weight"] @ x[t])
        best = int(liking.argmax())
        up = w["up"][best] @ x[t]
        inner = act(w["gate"][best] @ x[t]) * up if settings.mlp == "gated" else act(up)
        if document[t] >= 0:
            out[t] = liking[best] / liking.sum() * (w["down"][best] @ inner)
    return out


def under(weights, prefix):
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def logits(tokens, weights, settings, document=None):
    """Next-token logits [position, vocab] of one text."""
    document = [0] * len(tokens) if document is None else document
    x = weights["embedding.weight"][tokens]
    for layer in range(settings.layers):
        w, before = under(weights, f"blocks.{layer}."), x
        chosen = settings.canon_layers is None or layer in [place % settings.layers for place in settings.canon_layers]
        here = replace(settings, canon=settings.canon if chosen else "")
        a = rms_norm(x, w["mixer_norm.weight"], settings.eps)
        if "A" in here.canon:
            a = canon(a, w["canon_a.weight"], settings, document)
        o = attention(a, under(w, "mixer."), here, document)
        x = x + (canon(o, w["canon_o.weight"], settings, document) if "O" in here.canon else o)
        if settings.mlp != "none":
            c = rms_norm(x, w["feed_forward_norm.weight"], settings.eps)
            if "C" in here.canon:
                c = canon(c, w["canon_c.weight"], settings, document)
            m = feed_forward(c, under(w, "feed_forward."), here, document)
            x = x + (canon(m, w["canon_m.weight"], settings, document) if "M" in here.canon else m)
        if settings.cross and chosen:
            x = x + canon(before, w["canon_x.weight"], settings, document, residual=False)
    return rms_norm(x, weights["norm.weight"], settings.eps) @ weights["head.weight"].T


def logits_of(model, tokens, document=None):
    """Next-token logits [row, position, vocab] of the package's model, its weights taken over."""
    weights = {name: value.detach().double().numpy() for name, value in model.state_dict().items()}
    numbers = [None] * len(tokens) if document is None else document.tolist()
    return np.stack(
        [logits(row, weights, settings_of(model.config), d) for row, d in zip(tokens.tolist(), numbers, strict=True)]
    )
