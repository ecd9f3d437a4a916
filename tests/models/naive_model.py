"""LlamaCanon once more, in NumPy and in 64 bits, written from its specification and not from the package's code.

Only the names in the state dict are the package's. Loops over positions, heads and coordinates take the place of
reshapes, so that a transposed axis or an off-by-one in one of the two shows as a difference.
"""

from dataclasses import dataclass

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


def silu(x):
    return x / (1 + np.exp(-x))


def rms_norm(x, gain, eps):
    return x / np.sqrt((x**2).mean(-1, keepdims=True) + eps) * gain


def canon(x, weight, settings, document):
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
    return x + out if settings.residual else out


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
    h, outputs = settings.head_width, []
    for head in range(settings.heads):
        served = head // (settings.heads // settings.kv_heads)
        qh = rope(q[:, head * h : (head + 1) * h], settings)
        kh, vh = rope(k[:, served * h : (served + 1) * h], settings), v[:, served * h : (served + 1) * h]
        out = np.zeros_like(qh)
        for t in range(len(x)):
            seen = [s for s in range(t + 1) if document[s] == document[t]]
            score = np.array([qh[t] @ kh[s] for s in seen]) / np.sqrt(h)
            share = np.exp(score - score.max())
            out[t] = (share / share.sum()) @ vh[seen]
        outputs.append(out)
    return np.concatenate(outputs, 1) @ w["output.weight"].T


def feed_forward(x, w, settings, document):
    both = np.concatenate([x @ w["gate.weight"].T, x @ w["up.weight"].T], 1)
    if "D" in settings.canon:
        both = canon(both, w["canon_d.weight"], settings, document)
    half = both.shape[1] // 2
    return (silu(both[:, :half]) * both[:, half:]) @ w["down.weight"].T


def under(weights, prefix):
    return {name.removeprefix(prefix): value for name, value in weights.items() if name.startswith(prefix)}


def logits(tokens, weights, settings, document=None):
    """Next-token logits [position, vocab] of one text."""
    document = [0] * len(tokens) if document is None else document
    x = weights["embedding.weight"][tokens]
    for layer in range(settings.layers):
        w = under(weights, f"blocks.{layer}.")
        a = rms_norm(x, w["attention_norm.weight"], settings.eps)
        if "A" in settings.canon:
            a = canon(a, w["canon_a.weight"], settings, document)
        x = x + attention(a, under(w, "attention."), settings, document)
        c = rms_norm(x, w["feed_forward_norm.weight"], settings.eps)
        if "C" in settings.canon:
            c = canon(c, w["canon_c.weight"], settings, document)
        x = x + feed_forward(c, under(w, "feed_forward."), settings, document)
    return rms_norm(x, weights["norm.weight"], settings.eps) @ weights["head.weight"].T
