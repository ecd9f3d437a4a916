"""Folders as they are published, and what a model in one computes: from the paper's formulas and the published names.

Nothing here is the package's. The tensors are drawn under their published names, and the logits come from the naive twins
of the models' tests, in NumPy and in 64 bits, which know neither the package's names nor its way to read a folder.
"""

import json

import numpy as np
import torch
from models import naive_model, test_gated_delta, test_gla, test_mamba2
from models.mixer_checks import rms_norm, silu
from models.naive_model import canon, under
from safetensors.torch import save_file

VOCAB, WIDTH, LAYERS, HIDDEN, LENGTH = 19, 32, 2, 24, 9
TOKENS = np.random.default_rng(7).integers(0, VOCAB, (2, LENGTH))
LLAMA = {
    "model_type": "llama_canon",
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 4,
    "num_key_value_heads": 4,
    "head_dim": 8,
    "intermediate_size": HIDDEN,
    "rms_norm_eps": 1e-3,
    "rope_theta": 100.0,
    "hidden_act": "silu",
    "canon_set": "ABCD",
    "canon_kernel": 4,
    "canon_residual": True,
    "canon_activation": False,
    "canon_bias": False,
    "rope_dim": 4,
    "rope_version": "lingua",
    "qk_norm": True,
    "tie_word_embeddings": False,
}
LINEAR = {
    "vocab_size": VOCAB,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_heads": 2,
    "canon_set": "AbbCD",
    "intermediate_size": HIDDEN,
    "hidden_act": "swish",
}
FLA = {**LINEAR, "norm_eps": 1e-3, "expand_v": 2, "output_gate_rank": 16, "zeyuan_layernorm": False}
GLA5 = {**FLA, "model_type": "gla5", "expand_k": 1}
GDN2 = {**FLA, "model_type": "gdn2", "head_dim": 16}
MAMBA2 = {
    **LINEAR,
    "model_type": "mamba2_canon",
    "hidden_act": "silu",
    "layer_norm_epsilon": 1e-3,
    "state_size": 5,
    "mlp_type": "mlp10",
    "conv_kernel": 4,
    "n_groups": 1,
    "expand": 2,
}
ALL = {"LlamaCanon": LLAMA, "GLA5": GLA5, "GDN2": GDN2, "Mamba2": MAMBA2}


def shapes_of(keys):
    """All published names and their shapes."""
    if "num_attention_heads" in keys:
        return _llama_shapes(keys)
    return _mamba_shapes(keys) if "state_size" in keys else _fla_shapes(keys)


def _llama_shapes(keys):
    d, h, K, F = WIDTH, keys["head_dim"], keys["canon_kernel"], keys["intermediate_size"]
    q, k = keys["num_attention_heads"] * h, keys["num_key_value_heads"] * h
    letters = keys.get("canon_set") or ""
    layer = {
        "input_layernorm": (d,),
        "post_attention_layernorm": (d,),
        "self_attn.q_proj": (q, d),
        "self_attn.k_proj": (k, d),
        "self_attn.v_proj": (k, d),
        "self_attn.o_proj": (d, q),
        "mlp.gate_proj": (F, d),
        "mlp.up_proj": (F, d),
        "mlp.down_proj": (d, F),
    }
    layer |= {"self_attn.q_norm": (q,), "self_attn.k_norm": (k,)} if keys.get("qk_norm") else {}
    layer |= {"canonA": (d, 1, K)} if "A" in letters else {}
    layer |= {"self_attn.canonB": (q + 2 * k, 1, K)} if "B" in letters else {}
    layer |= {"canonC": (d, 1, K)} if "C" in letters else {}
    layer |= {"mlp.canonD": (2 * F, 1, K)} if "D" in letters else {}
    shapes = {"model.embed_tokens.weight": (VOCAB, d), "model.norm.weight": (d,)}
    shapes |= {} if keys["tie_word_embeddings"] else {"lm_head.weight": (VOCAB, d)}
    return shapes | {f"model.layers.{n}.{name}.weight": shape for n in range(LAYERS) for name, shape in layer.items()}


def _fla_shapes(keys):
    d, F, H, letters, K = WIDTH, HIDDEN, keys["num_heads"], keys["canon_set"], 4
    layer = {
        "attn_norm.weight": (d,),
        "mlp_norm.weight": (d,),
        "attn.q_proj.weight": (d, d),
        "attn.k_proj.weight": (d, d),
        "attn.v_proj.weight": (2 * d, d),
        "attn.o_proj.weight": (d, 2 * d),
        "mlp.down_proj.weight": (d, F),
    }
    if rank := keys["output_gate_rank"]:
        layer |= {"attn.g_proj.0.weight": (rank, d), "attn.g_proj.1.weight": (2 * d, rank)}
        layer |= {"attn.g_proj.1.bias": (2 * d,)}
    else:
        layer |= {"attn.g_proj.weight": (2 * d, d)}
    if "b" in letters:
        layer |= {f"attn.{name}_conv1d.weight": (d * (2 if name == "v" else 1), 1, K) for name in "qkv"}
    if keys["model_type"] == "gla5":
        norm = "g_norm" if keys["zeyuan_layernorm"] else "g_norm_swish_gate"
        layer |= {
            "attn.gk_proj.0.weight": (16, d),
            "attn.gk_proj.1.weight": (d, 16),
            "attn.gk_proj.1.bias": (d,),
            f"attn.{norm}.weight": (2 * d // H,),
            "mlp.gate_proj.weight": (2 * F, d),
        }
    else:
        layer |= {
            "attn.A_log": (H,),
            "attn.dt_bias": (H,),
            "attn.b_proj.weight": (H, d),
            "attn.a_proj.weight": (H, d),
            "attn.o_norm.weight": (2 * d // H,),
        }
        layer |= (
            {"mlp.both_proj.weight": (2 * F, d)}
            if "D" in letters
            else {"mlp.gate_proj.weight": (F, d), "mlp.up_proj.weight": (F, d)}
        )
    layer |= {"canonA.weight": (d, 1, K)} if "A" in letters else {}
    layer |= {"canonC.weight": (d, 1, K)} if "C" in letters else {}
    layer |= {"mlp.canonD.weight": (2 * F, 1, K)} if "D" in letters else {}
    shapes = {"model.embeddings.weight": (VOCAB, d), "model.norm.weight": (d,), "lm_head.weight": (VOCAB, d)}
    return shapes | {f"model.layers.{n}.{name}": shape for n in range(LAYERS) for name, shape in layer.items()}


def _mamba_shapes(keys):
    d, F, H, n, letters, K = WIDTH, HIDDEN, keys["num_heads"], keys["state_size"], keys["canon_set"], 4
    layer = {
        "norm.weight": (d,),
        "mixer.in_proj.weight": (4 * d + 2 * n + H, d),
        "mixer.out_proj.weight": (d, 2 * d),
        "mixer.norm.weight": (2 * d,),
        "mixer.A_log": (H,),
        "mixer.D": (H,),
        "mixer.dt_bias": (H,),
        "mixer.conv1d.weight": (2 * d + 2 * n, 1, K),
    }  # without b it is there, and ignored
    layer |= {"mixer.conv1d.bias": (2 * d + 2 * n,)} if "b" in letters else {}
    layer |= {"canonA.weight": (d, 1, K)} if "A" in letters else {}
    if keys["mlp_type"]:
        layer |= {"pre_mlp_layernorm.weight": (d,), "mlp.both_proj.weight": (2 * F, d), "mlp.down_proj.weight": (d, F)}
        layer |= {"canonC.weight": (d, 1, K)} if "C" in letters else {}
        layer |= {"mlp.canonD.weight": (2 * F, 1, K)} if "D" in letters else {}
    shapes = {"backbone.embeddings.weight": (VOCAB, d), "backbone.norm_f.weight": (d,), "lm_head.weight": (VOCAB, d)}
    return shapes | {f"backbone.layers.{n}.{name}": shape for n in range(LAYERS) for name, shape in layer.items()}


def tensors_of(keys, seed=0, dtype=torch.float64):
    """Every tensor drawn, none near a value at which it could be left out."""
    rng = np.random.default_rng(seed)

    def drawn(name, shape):
        if len(shape) == 1:
            return rng.normal(0 if name.endswith(("bias", "A_log")) else 1, 0.3, shape)
        return rng.normal(0, 0.4 if len(shape) == 3 else 1.5 * shape[-1] ** -0.5, shape)

    return {name: torch.tensor(drawn(name, shape), dtype=dtype) for name, shape in shapes_of(keys).items()}


def write(folder, keys, tensors):
    """A folder of one file."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "config.json").write_text(json.dumps(keys))
    save_file(tensors, folder / "model.safetensors", {"format": "pt"})
    return folder


def logits_of(keys, tensors, tokens=TOKENS):
    """[row, position, vocab], by the formulas."""
    weights = {name: tensor.double().numpy() for name, tensor in tensors.items()}
    form = _llama if "num_attention_heads" in keys else _linear
    return torch.from_numpy(np.stack([form(row, weights, keys) for row in tokens]))


LLAMA_NAMES = {
    "input_layernorm": "mixer_norm",
    "post_attention_layernorm": "feed_forward_norm",
    "canonA": "canon_a",
    "canonC": "canon_c",
    "self_attn.q_proj": "mixer.query",
    "self_attn.k_proj": "mixer.key",
    "self_attn.v_proj": "mixer.value",
    "self_attn.o_proj": "mixer.output",
    "self_attn.q_norm": "mixer.query_norm",
    "self_attn.k_norm": "mixer.key_norm",
    "self_attn.canonB": "mixer.canon_b",
    "mlp.gate_proj": "feed_forward.gate",
    "mlp.up_proj": "feed_forward.up",
    "mlp.down_proj": "feed_forward.down",
    "mlp.canonD": "feed_forward.canon_d",
}


def _llama(tokens, w, keys):
    renamed = {
        "embedding.weight": w["model.embed_tokens.weight"],
        "norm.weight": w["model.norm.weight"],
        "head.weight": w["model.embed_tokens.weight" if keys["tie_word_embeddings"] else "lm_head.weight"],
    }
    for name, value in w.items():
        if ".layers." in name:
            _, _, n, part = name.removesuffix(".weight").split(".", 3)
            renamed[f"blocks.{n}.{LLAMA_NAMES[part]}.weight"] = value
    settings = naive_model.Settings(
        LAYERS,
        keys["num_attention_heads"],
        keys["num_key_value_heads"],
        keys["head_dim"],
        keys.get("canon_set") or "",
        keys["canon_residual"],
        keys["canon_activation"],
        keys["head_dim"] if keys.get("rope_dim") is None else keys["rope_dim"],
        keys["rope_theta"],
        "interleaved" if keys["rope_version"] == "lingua" else "half",
        keys["qk_norm"],
        keys["rms_norm_eps"],
    )
    return naive_model.logits(tokens, renamed, settings)


def _linear(tokens, w, keys):
    mamba, letters, heads = "state_size" in keys, keys["canon_set"], keys["num_heads"]
    eps = keys["layer_norm_epsilon" if mamba else "norm_eps"]
    root, norm, mlp_norm = ("backbone.", "norm", "pre_mlp_layernorm") if mamba else ("model.", "attn_norm", "mlp_norm")
    plain, alone = naive_model.Settings(LAYERS, heads, heads, 0), [0] * len(tokens)

    def mix(z, p):
        if mamba:
            p = under(p, "mixer.")
            if "b" not in letters:
                del p["conv1d.weight"]
            return test_mamba2.twin(z, p, alone, heads, eps)
        p = under(p, "attn.")
        if "A_log" in p:
            return test_gated_delta.twin(z, p, alone, heads, eps)
        p = {name.replace("g_norm.", "g_norm_swish_gate."): value for name, value in p.items()}
        return test_gla.twin(z, p, alone, heads, convolve="b" in letters, silu=True, eps=eps)

    x = w[f"{root}embeddings.weight"][tokens]
    for n in range(LAYERS):
        p = under(w, f"{root}layers.{n}.")
        z = rms_norm(x, p[f"{norm}.weight"], eps)
        x = x + mix(canon(z, p["canonA.weight"], plain, alone) if "A" in letters else z, p)
        if mamba and not keys["mlp_type"]:
            continue
        c = rms_norm(x, p[f"{mlp_norm}.weight"], eps)
        c = canon(c, p["canonC.weight"], plain, alone) if "C" in letters else c
        if "mlp.up_proj.weight" in p:
            both = np.concatenate([c @ p["mlp.gate_proj.weight"].T, c @ p["mlp.up_proj.weight"].T], 1)
        else:
            both = c @ p["mlp.both_proj.weight" if "mlp.both_proj.weight" in p else "mlp.gate_proj.weight"].T
        both = canon(both, p["mlp.canonD.weight"], plain, alone) if "D" in letters else both
        x = x + (silu(both[:, :HIDDEN]) * both[:, HIDDEN:]) @ p["mlp.down_proj.weight"].T
    return rms_norm(x, w[f"{root}{'norm_f' if mamba else 'norm'}.weight"], eps) @ w["lm_head.weight"].T
