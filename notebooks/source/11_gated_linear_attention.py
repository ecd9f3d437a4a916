# %% [markdown]
# # 11 · Gated linear attention
#
# *Part 4.1, section 6.1, appendix C, figures 12, 33 and 34* · you need: notebooks 02 and 03
#
# Attention keeps the keys and values of all tokens. A linear model keeps *one matrix*, however long the text. What can
# such a matrix remember, and why does a convolution over four tokens decide what it is good for?

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

convolution, canon = claim("R6-convolution"), claim("R6-Canon")
outside, depth = claim("R6-outside"), claim("R6-depth")
residual, features = claim("R6-residual"), claim("R6-features")
scale_table(convolution, canon, outside, depth)

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "Two small GLA models learn the grammar of notebook 07. One has the short convolution inside its mixer (four taps, "
    "1 % more parameters), the other has not. Without it, the distance (KL) to the true distribution will be ...",
    options=("about the same (within 10 %)", "larger, but less than twice", "at least twice as large", "smaller"),
)
prediction

# %%
claim_card(convolution, folded=True)

# %% [markdown]
# ## Attention without the softmax
#
# Leave the softmax out, and what token t reads is `sum over s <= t of (q_t · k_s) v_s`. Nothing stops us from
# multiplying in another order: first collect `k_s v_s^T` in a matrix, then ask it with `q_t`.

# %%
import torch

generator = torch.Generator().manual_seed(0)
T, K, V = 6, 3, 4
q, k, v = (torch.randn(T, width, generator=generator) for width in (K, K, V))

by_scores = (q @ k.T).tril() @ v  # attention order: a T x T table of scores

state, by_state = torch.zeros(K, V), []
for t in range(T):  # linear order: a K x V matrix, whatever T is
    state = state + torch.outer(k[t], v[t])
    by_state.append(q[t] @ state)

torch.testing.assert_close(by_scores, torch.stack(by_state))
print("the same numbers; the table of scores has", T * T, "entries, the state", K * V)

# %% [markdown]
# ### The state is a table of associations
#
# Write three pairs, then ask with a key. If the keys are at right angles, the answer is exact. If two keys are alike,
# you read a bit of both values.

# %%
values = torch.tensor([[1.0, 0.0], [0.0, 1.0], [-1.0, -1.0]])
apart = torch.eye(3)
alike = torch.tensor([[1.0, 0.0, 0.0], [0.8, 0.6, 0.0], [0.0, 0.0, 1.0]])  # rows of length 1
for name, keys in (("keys at right angles", apart), ("keys 1 and 2 alike", alike)):
    state = keys.T @ values
    print(f"{name}: asked with key 1 it says {[round(x, 2) for x in (keys[0] @ state).tolist()]}, wanted [1.0, 0.0]")

# %% [markdown]
# ### Decay, and a gate
#
# With K channels there are only K right angles. So the model forgets: before a pair is written, each row of the state
# (each *key channel*) is multiplied by `exp(a_t)`, between 0 and 1, which the token itself decides. In full, for one head:
#
# ```
# S_t = diag(exp(a_t)) S_{t-1} + k_t v_t^T
# o_t = S_t^T q_t / sqrt(K)                          the pair of token t is already in
# y_t = Wo ( RMSNorm(o_t) * silu(gate(z_t)) )        the output gate
# ```
#
# How fast does a fresh layer forget?

# %%
import math

from physlm_lite.models.gla import GLA, gla_chunked, gla_naive, gla_step

layer = GLA(width=64, heads=2)
layer.reset_parameters(generator)
(a,) = layer.gates(torch.randn(1, 100, 64, generator=generator))
print(f"log decays {list(a.shape)} = [batch, token, head, key channel]")
print(f"kept per token: {a.exp().mean():.3f}; half is gone after {math.log(0.5) / a.mean():.0f} tokens")

# %% [markdown]
# ### One token after the other, or in chunks
#
# `gla_step` is the formula above, and `gla_naive` loops over it. For training that is hopeless: T small steps, one after
# the other. So the tokens are taken in chunks. Inside a chunk we use the attention order, and between the chunks the state.

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.gated_linear_attention.figures import chunk_figure

Picture(chunk_figure(), "Scores inside the chunks are triangles; everything before passes through the state")

# %% [markdown]
# With D[t, s] for the decay from token s to token t, and S for the state before the chunk (which takes the place of
# token 0; C is the chunk's last token):
#
# ```
# o_t = S^T (q_t * D[t, 0]) + sum over s <= t of v_s sum(q_t * k_s * D[t, s])
# S_C = D[C, 0] * S + sum over s of (k_s * D[C, s]) v_s^T
# ```

# %%
import time

q, k, a = (torch.randn(1, 512, 2, 16, generator=generator) for _ in range(3))
v, a = torch.randn(1, 512, 2, 32, generator=generator), -a.abs() / 16
gla_chunked(q, k, v, a)  # the first call is slow
begin = time.perf_counter()
fast = gla_chunked(q, k, v, a)
middle = time.perf_counter()
slow = gla_naive(q, k, v, a)
end = time.perf_counter()

torch.testing.assert_close(fast, slow, rtol=1e-4, atol=1e-4)  # what is read, and the last state
faster = (end - middle) / (middle - begin)
print(f"equal; over 512 tokens, chunks of 32 are about {10 ** round(math.log10(faster)):,} times as fast as the loop")

# %% [markdown]
# ## What it costs to remember
#
# From which length on does attention keep more than GLA does?

# %%
from physlm_lite.lessons.gated_linear_attention.figures import memory_figure

Picture(memory_figure(), "Numbers kept per layer over the tokens read: attention grows, GLA does not")

# %% [markdown]
# The formula, checked with two small models that really decode:

# %%
from physlm_lite.models import DecodingState, LanguageModel, ModelConfig

for mixer in ("attention", "gla"):
    model, kept = LanguageModel(ModelConfig(vocab=10, width=64, heads=2, layers=1, mixer=mixer), seed=0), []
    for length in (10, 100, 1000):
        state = DecodingState()
        with torch.no_grad():
            model(torch.zeros(1, length, dtype=torch.long), state=state)
        kept.append(sum(tensor.numel() for tensor in state.layers[0].values()))
    print(f"{mixer:9}: after 10, 100, 1,000 tokens it keeps", ", ".join(f"{n:,}" for n in kept), "numbers")

# %% [markdown]
# ## A key that knows only itself
#
# Here is the smallest text that needs a *bound* pair: letters with a digit each, then the letters in another order.
# After the second `A`, say the digit that came *after* the first `A`.

# %%
from physlm_lite.lab.linear_states import RECALL, recall_run

text = RECALL.batch(seed=0, step=0, rows=1).tokens[0]
names = [RECALL.vocabulary[token] for token in text]
print(*names)

# %% [markdown]
# Token t writes `k_t v_t^T`, and *both* are made from token t alone. So the state gets "A is A" and "0 is 0". That 0
# stood right after A is written nowhere. **Which tokens does a key depend on?** We exchange one token after the other and
# see which keys change, in the first layer of fresh models.

# %%
from physlm_lite.lessons.gated_linear_attention.figures import reach_figure

variants = {
    "no convolution": {"mixer_options": {"canon_b": False}},
    "+ b": {"mixer_options": {"canon_b": True}},
    "+ ACD": {"mixer_options": {"canon_b": False}, "canon": "ACD"},
    "+ AbCD": {"mixer_options": {"canon_b": True}, "canon": "ACD"},
}
runs = {name: recall_run(mixer="gla", **options) for name, options in variants.items()}
fresh = {name: LanguageModel(run.model_config, seed=0) for name, run in runs.items()}
Picture(reach_figure(fresh, text, names), "Which keys of the first layer change when a token is exchanged")

# %% [markdown]
# - **b**, the short convolution of GLA's own authors, mixes q, k and v of four tokens *after* they are made: no identity term, but
#   a silu.
# - **Canon-A** mixes four tokens *before*, and keeps the identity: decay and gate get to know the neighbours, too.
# - **Canon-C and D** sit in the feed-forward layer; only the keys of the *next* layer notice them.
#
# Does it matter? Three models of one layer, a few seconds each:

# %%
from physlm_lite.claims import scale_of
from physlm_lite.lab import Trained
from physlm_lite.lab.page import table

steps = 20 if scale_of() == "smoke" else 400
three = ("no convolution", "+ b", "+ ACD")
small = Trained(*(recall_run(steps, mixer="gla", **variants[name]) for name in three))
small


# %%
@small.when_done
def recalled(trained):
    rows = [(name, f"{record.score('accuracy'):.0%}") for name, (_, record) in zip(three, trained, strict=True)]
    return [table(("model", "digits recalled, one seed"), rows)]


# %% [markdown]
# (A model can also see which digits occur at all, and which are used up; that alone is worth more than one in eight.)
#
# ### The state viewer
#
# Walk along the text. What does a token write, what decays, and *of which earlier tokens* does it read the value? Rows
# are key channels, columns are value channels.

# %%
from physlm_lite.lab.linear_states import state_viewer


@small.when_done
def walk(trained):
    models = {name: model for name, (model, _) in zip(three, trained, strict=True)}
    return [state_viewer({name: models[name] for name in ("+ b", "no convolution")}, text, names, t=8)]


# %% [markdown]
# **A question for the viewer:** stop at a letter of the second half. It wants the digit that stands *after* its twin. Which model
# reads the value of that digit, or of one of the next three tokens (why are these as good, with b)? And what does the model
# without convolution read?
#
# ## The experiment, live
#
# Back to a real task: the grammar of notebook 07, with and without b.

# %%
from physlm_lite.lab import Live

live = Live(convolution)
live

# %%
from statistics import fmean

from physlm_lite.lab import ledger_row, outcome_figure


@live.when_done
def report(outcome):
    kl = {side: fmean(r.score("kl") for r in runs) for side, runs in outcome.records.items()}
    ratio = kl["GLA, no convolution"] / kl["GLA + b"]
    answers = ("smaller", "about the same (within 10 %)", "larger, but less than twice", "at least twice as large")
    answer = answers[sum(ratio >= edge for edge in (0.9, 1.1, 2))]
    explanation = f"KL {kl['GLA, no convolution']:.3f} without, {kl['GLA + b']:.3f} with b: {ratio:.1f} times"
    return [
        Picture(outcome_figure(outcome), "KL and valid sentences of the live runs, and their learning curves"),
        prediction.score(answer, explanation + (" (of a smoke run)." if outcome.scale == "smoke" else ".")),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The records
#
# The same claim at every scale that has been recorded.

# %%
from physlm_lite.claims import recorded
from physlm_lite.lab import verdict_line


def records(claim):
    outcomes = [recorded(claim, scale) for scale in claim.experiments if scale != "smoke"]
    known = [outcome for outcome in outcomes if all(outcome.records.values())]
    for outcome in known:
        display(Picture(outcome_figure(outcome), f"{claim.id}: scores and curves recorded at {outcome.scale} scale"))
    display(verdict_line(*(known or outcomes[:1])))
    everything.extend(known or outcomes[:1])


everything = []
records(convolution)

# %% [markdown]
# ### Canon on top of b
#
# b mixes inside the mixer only. Is there anything left to gain outside?

# %%
display(claim_card(canon, folded=True))
records(canon)

# %% [markdown]
# ### Outside instead of inside
#
# Then is b needed at all?

# %%
display(claim_card(outside, folded=True))
records(outside)

# %% [markdown]
# ### Two details
#
# Two more findings of the paper: does the identity term of the Canon layers matter here as well, and does the feature map
# 1 + elu on queries and keys, which makes all scores positive, help or hurt?

# %%
display(claim_card(residual, folded=True))
records(residual)

# %%
display(claim_card(features, folded=True))
records(features)

# %% [markdown]
# ### Reasoning depth
#
# A hop of Depo is "the token after q" once more. In the paper's numbers, look for cells in which AbCD is *behind* b: its
# claim is about the whole grid of tasks and sizes.

# %%
display(claim_card(depth, folded=True))
records(depth)

# %% [markdown]
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(convolution, canon, outside, depth)

# %% [markdown]
# **Should survive:** the distance between a GLA without any convolution and one with a convolution somewhere. **Need
# not:** the order among b, ACD and AbCD on any single task, which differs from cell to cell in the paper as well; the sizes
# of the gaps; the number of hops. Note that our short convolutions do not start like the published ones (see the table).
#
# ## What if the state is full?
#
# No training here: random pairs go into a matrix, and each is read back. **Question:** how many pairs does a state
# of 16 × 16 hold before half of them are misread, and does decay make it more or fewer? What is decay good for, then?

# %%
from physlm_lite.lessons.gated_linear_attention.figures import capacity_explorer

capacity_explorer()

# %% [markdown]
# <details><summary>One answer</summary>
#
# Without decay about 40, and all of them suffer alike. Decay does not add room, it *chooses*: recent pairs are read back
# almost surely, old ones not at all. That pays where the recent past matters more, and when far more is written than fits:
# try a width of 8 and 100 pairs.
# </details>
#
# ## Exercises
#
# **1 · One token** (6 minutes, easy). One head: `state` [K, V]; `query`, `key`, `log_decay` [K]; `value` [V]. Return what
# the token reads and the new state.
#
# <details><summary>Hint</summary>Decay, write, read, in this order. `[:, None]` turns a vector into a column.</details>

# %%
from physlm_lite.lessons.gated_linear_attention import check


def my_step(state, query, key, value, log_decay):
    # solution
    state = log_decay.exp()[:, None] * state + key[:, None] * value
    return query @ state / len(query) ** 0.5, state


check("gla_step", my_step)

# %% [markdown]
# **2 · A scan in chunks** (20 minutes, hard). One head, *one* decay for all its channels: `query`, `key` [T, K], `value`
# [T, V], `log_decay` [T]; `chunk` divides T. No scaling. Return what all tokens read, [T, V], with one loop over the chunks
# and none over tokens.
#
# <details><summary>Hint</summary>Inside a chunk, let `since = a.cumsum(0)`. Then log D[t, 0] is `since[t]`, and log D[t, s] is
# `since[t] - since[s]`. Scores times D, `tril()`, times values; then the past; then the new state.</details>


# %%
def my_scan(query, key, value, log_decay, chunk):
    # solution: With a decay for each channel, `since[t] - since[s]` no longer comes out of the product of q and k,
    # and a strong decay would overflow in `exp(-since)`: see `models/recurrence.py` for a way that never divides.
    state, read = torch.zeros(key.shape[1], value.shape[1]), []
    for begin in range(0, len(key), chunk):
        q, k, v, a = (z[begin : begin + chunk] for z in (query, key, value, log_decay))
        since = a.cumsum(0)
        scores = (q @ k.T * (since[:, None] - since).exp()).tril()
        read.append(scores @ v + since.exp()[:, None] * (q @ state))
        left = k * (since[-1] - since).exp()[:, None]
        state = since[-1].exp() * state + left.T @ v
    return torch.cat(read)


check("chunked_scan", my_scan)

# %% [markdown]
# **3 · Which order is cheaper?** (5 minutes, easy). Count multiplications, without the mask: `[cost of (Q K^T) V, cost of
# Q (K^T V)]`, with Q and K of T × K, and V of T × V.
#
# <details><summary>Hint</summary>An a × b matrix times a b × c matrix takes a·b·c multiplications.</details>


# %%
def my_costs(T, K, V):
    # solution
    return [T * T * K + T * T * V, K * T * V + T * K * V]


check("order_cost", my_costs)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*everything)

# %% [markdown]
# Next: [12 · Mamba2 and the gated delta net](12_mamba2_and_gated_delta.ipynb): the same matrix with another decay, and one that *corrects* what it
# has written. Or run `physlm ledger` for every claim at every scale.
