"""Exercises of notebook 15: the arithmetic of a large run. What goes wrong are factors, so each mistake is one of them."""

from __future__ import annotations

from collections.abc import Callable

from ...lab.checks import Check, Exercise

# Parameters, vocabulary, width, layers, window of the published Transformers with Canon, and of a small one.
SHAPES = [(8_035_766_272, 128_256, 4096, 32, 4096), (1_367_000_000, 32_000, 2048, 24, 4096), (850_560, 98, 128, 4, 128)]


def step_tokens(gpus: int, rows: int, turns: int, window: int) -> int:
    """Tokens of a step."""
    return gpus * rows * turns * window


def flops_per_token(parameters: int, vocab: int, width: int, layers: int, window: int, attention: float = 6) -> float:
    """Of training, for each token, with attention to earlier tokens."""
    return 6 * (parameters - vocab * width) + attention * layers * window * width


def gpu_hours(flops: float, tokens: float, tflops: float, mfu: float) -> float:
    """Hours of one GPU, for `flops` a token."""
    return flops * tokens / (tflops * 1e12 * mfu) / 3600


def bytes_per_gpu(parameters: int, gpus: int) -> float:
    """Weights, gradient and AdamW's moments in float32, sharded; and all layers gathered in bfloat16."""
    return 16 * parameters / gpus + 2 * parameters


def _memory(shard: float, gathered: float, *, whole: bool = False) -> Callable[[int, int], float]:
    return lambda parameters, gpus: shard * parameters / (1 if whole else gpus) + gathered * parameters


check = Check(
    step_tokens=Exercise(
        step_tokens,
        [(512, 3, 1, 4096), (64, 3, 8, 4096), (1, 4, 8, 128)],
        "6,291,456 tokens for 512 GPUs with 3 rows each, and as many for 64 GPUs that take 8 turns: the same experiment",
        hints={
            "no turns": "before the optimiser moves, every GPU takes several turns: they count, too",
            "one GPU": "you count one GPU; all of them read other rows of the same step",
            "rows, not tokens": "these are rows; each has a window of tokens",
        },
        wrong={
            "no turns": lambda gpus, rows, turns, window: gpus * rows * window,
            "one GPU": lambda gpus, rows, turns, window: rows * turns * window,
            "rows, not tokens": lambda gpus, rows, turns, window: gpus * rows * turns,
        },
    ),
    flops_per_token=Exercise(
        flops_per_token,
        SHAPES,
        "4.83e10 for the 8B model: 93 % of it in the matrices, 7 % in attention",
        hints={
            "forward only": "2 operations a weight are the forward pass; backwards it takes twice as many again",
            "the input table": "the input table is looked up, not multiplied: leave V d out",
            "all pairs": "a token looks at earlier tokens alone, half of all pairs on average: 6 L T d, not 12",
            "no attention": "queries times keys and weights times values are products without weights: 6 L T d more",
            "a weight once": "a weight multiplies and adds: 2 operations forwards, 4 backwards",
        },
        wrong={
            "forward only": lambda n, v, d, layers, t: flops_per_token(n, v, d, layers, t) / 3,
            "the input table": lambda n, v, d, layers, t: flops_per_token(n, 0, d, layers, t),
            "all pairs": lambda n, v, d, layers, t: flops_per_token(n, v, d, layers, t, 12),
            "no attention": lambda n, v, d, layers, t: flops_per_token(n, v, d, layers, t, 0),
            "a weight once": lambda n, v, d, layers, t: flops_per_token(n, v, d, layers, t) / 2,
        },
    ),
    gpu_hours=Exercise(
        gpu_hours,
        [(4.8284e10, 1.00663e12, 989.4, 0.328), (4.8284e10, 1.00663e12, 312.0, 0.5), (1e9, 1e11, 989.4, 0.4)],
        "41,600 H200-hours: 81 hours on 512 of them. At two dollars an hour, 83,000 dollars",
        hints={
            "the peak": "no run reaches the peak: only a share, the MFU, does what the model needs",
            "seconds": "these are seconds; an hour has 3,600",
            "times the share": "the smaller the share that is reached, the longer it takes: divide by the MFU",
            "one token": "this is the time of one token",
        },
        wrong={
            "the peak": lambda flops, tokens, tflops, mfu: gpu_hours(flops, tokens, tflops, 1.0),
            "seconds": lambda flops, tokens, tflops, mfu: 3600 * gpu_hours(flops, tokens, tflops, mfu),
            "times the share": lambda flops, tokens, tflops, mfu: gpu_hours(flops, tokens, tflops, 1 / mfu),
            "one token": lambda flops, tokens, tflops, mfu: gpu_hours(flops, 1.0, tflops, mfu),
        },
    ),
    bytes_per_gpu=Exercise(
        bytes_per_gpu,
        [(8_035_766_272, 512), (8_035_766_272, 8), (1_367_000_000, 64)],
        "16.3 GB on 512 GPUs, of which sharding has made 0.25: what stays is the model as it computes, in 16 bits",
        hints={
            "not sharded": "16 bytes a parameter are 129 GB for 8B: each GPU keeps its share of them alone",
            "no moments": "AdamW keeps two numbers for each weight beside weight and gradient: 16 bytes, not 8",
            "nothing gathered": "to compute, the layers must be whole: 2 bytes a parameter, on every GPU",
            "gathered in 32 bits": "what is gathered computes in bfloat16: 2 bytes a parameter, not 4",
            "moments in 16 bits": "the moments are kept in float32: 4 bytes each, so 16 in all",
        },
        wrong={
            "not sharded": _memory(16, 2, whole=True),
            "no moments": _memory(8, 2),
            "nothing gathered": _memory(16, 0),
            "gathered in 32 bits": _memory(16, 4),
            "moments in 16 bits": _memory(12, 2),
        },
    ),
)
