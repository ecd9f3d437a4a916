# %% [markdown]
# # 12 · Mamba2 and the gated delta net
#
# *Part 4.1, sections 6.2, 6.3 and 7.1, appendix C, figures 12, 13, 30 to 32, 35 and 36* · you need: notebooks
# 07 (Lano) and 11 (gated linear attention)
#
# Two more ways to remember a text in one matrix. Mamba2 writes and forgets with a single number. The delta net looks up
# what it knows before it writes. Both carry a small convolution inside. How much of their success is the convolution's?

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

mamba2_convolution, delta_convolution = claim("R7-convolution"), claim("R8-convolution")
scale_table(mamba2_convolution, delta_convolution)

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "Mamba2 learns the language of notebook 07, with the small convolution inside its mixer and without. "
    "After 400 steps its distance to the truth (KL) will be, without the convolution, ...",
    options=("less than 1.3 times as large", "1.3 to 2 times as large", "more than 2 times as large"),
)
prediction

# %%
claim_card(mamba2_convolution, folded=True)

# %% [markdown]
# ## Mamba2: the same matrix, one dial
#
# Gated linear attention (GLA) writes a key with its value into a matrix S, after S has decayed. So does Mamba2. With a
# step size d > 0 for each token and head:
#
# S ← exp(−rate · d) · S + B (d x)ᵀ,  read: Sᵀ C + skip · x
#
# | | GLA | Mamba2 |
# |---|---|---|
# | key, query | own ones for each head | one key B and one query C for all heads |
# | decay | a number for each channel of the key | a number for each head |
# | how strongly a token is written | by its key and value | the step size d again, the one that also decays |
#
# Nothing else is new, as a step of each shows. Give GLA the same key in each head and the same decay in each channel:

# %%
import torch

from physlm_lite.models.gla import gla_step
from physlm_lite.models.mamba2 import mamba2_step

heads, N, P = 4, 16, 32  # N: width of a key, P: width of a head's values
torch.manual_seed(0)
state, x, key, query = torch.randn(1, heads, N, P), torch.randn(1, heads, P), torch.randn(1, N), torch.randn(1, N)
size, rate = torch.rand(1, heads), torch.arange(1.0, heads + 1)
written, log_decay = size[..., None] * x, -rate * size

ours, after = mamba2_step(state, query, key, written, log_decay)
same_key, same_query = key.expand(heads, N)[None], query.expand(heads, N)[None] * N**0.5  # GLA divides by the root
theirs, after_gla = gla_step(state, same_query, same_key, written, log_decay[..., None].expand(1, heads, N))
print("Mamba2's step is a step of GLA:", torch.allclose(ours, theirs, atol=1e-5), torch.allclose(after, after_gla))

# %% [markdown]
# **What can one number do?** On the left, it decays; on the right, both effects together. Can a head keep everything and
# write strongly?

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.mamba2_and_gated_delta.figures import step_figure

Picture(step_figure(), "Decay and strength of writing as functions of the step size, for three rates")

# %% [markdown]
# It cannot. Near the right edge it keeps all and writes nothing. A small step ignores a token; a large one forgets what
# was there and writes.
#
# **A question for the widget:** how do you make the head remember "chased" alone? And how do you make it drop "chased" as
# if it had never been there?

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import step_explorer

step_explorer()

# %% [markdown]
# <details><summary>Answer</summary>
#
# A large step at "chased" wipes out what stood before and writes it; steps near 0 afterwards keep it. A step of 0 at
# "chased" skips it: nothing decays, nothing is written.
# </details>
#
# ### The layer, token by token
#
# One matrix makes everything from the input: a gate, then x, B and C side by side, and the step sizes. The convolution
# mixes x, B and C with the three tokens before.

# %%
import torch.nn.functional as F

from physlm_lite.models import Context, Mamba2

d = 64  # and heads * P = 2 * d
layer = Mamba2(d, heads, state=N)


@torch.no_grad()
def mamba2_by_hand(z):  # [position, d]
    gate, xBC, step = layer.input(z).split([2 * d, 2 * d + 2 * N, heads], -1)
    x, B, C = layer.canon_b(xBC[None])[0].split([2 * d, N, N], -1)  # silu(convolution + bias)
    x, size, rate = x.unflatten(-1, (heads, P)), F.softplus(step + layer.step_bias), layer.log_rate.exp()
    S, read = torch.zeros(heads, N, P), []
    for t in range(len(z)):
        S = torch.exp(-rate * size[t])[:, None, None] * S  # decay
        S = S + B[t][None, :, None] * (size[t, :, None] * x[t])[:, None]  # write
        read.append(torch.einsum("hnp,n->hp", S, C[t]) + layer.skip[:, None] * x[t])
    return layer.output(layer.norm(torch.stack(read).flatten(1) * F.silu(gate)))


z = torch.randn(12, d)
assert torch.allclose(mamba2_by_hand(z), layer(z[None], Context())[0], atol=1e-5)
print("by hand and by the layer: equal")

# %% [markdown]
# ### What is left without the convolution
#
# Change the input of one word and see which keys move. With the convolution a key speaks of four tokens, so "what stood
# after the cat" can be found by asking for the cat. Without it a key speaks of its own token alone.

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import reach_figure

bare = Mamba2(d, heads, state=N, canon_b=False)
Picture(
    reach_figure({"with its convolution": layer, "without": bare}),
    "Which keys move when one input is changed, with and without the convolution",
)

# %%
counts = {own: sum(p.numel() for p in mixer.parameters()) for own, mixer in ((True, layer), (False, bare))}
print(f"parameters with {counts[True]:,}, without {counts[False]:,}: {1 - counts[False] / counts[True]:.1%} less")

# %% [markdown]
# The silu goes with it: in Mamba2 nothing takes its place, and x, B and C become plain linear maps. (GLA and the delta
# net keep a silu, or nothing, as their options say.)
#
# ### Three forms
#
# One token at a time for decoding, a loop as the slow twin, and chunks for training: inside a chunk all pairs of tokens at
# once, from chunk to chunk only the matrix.

# %%
import math
import time

from physlm_lite.models.mamba2 import mamba2_chunked, mamba2_naive


def race(naive, chunked, *inputs):
    """The largest difference, and how many times as fast the chunks are (as a power of 2)."""
    seconds, answers = [], []
    for form in (naive, chunked):
        begin = time.perf_counter()
        answers.append(form(*inputs))
        seconds.append(time.perf_counter() - begin)
    apart = max(float((a - b).abs().max()) for a, b in zip(*answers, strict=True))
    return f"apart by {apart:.0e}; the chunks are about {2 ** round(math.log2(seconds[0] / seconds[1]))} times as fast"


def draw(*shape):
    return torch.randn(*shape, dtype=torch.float64)


T = 512
size = F.softplus(draw(2, T, heads) - 2)
inputs = (draw(2, T, N), draw(2, T, N), size[..., None] * draw(2, T, heads, P), -rate * size)
mamba2_chunked(*inputs)  # warm up
print("Mamba2:", race(mamba2_naive, mamba2_chunked, *inputs))

# %% [markdown]
# ## The delta rule: correct, do not add
#
# Write an older value under a key, then a newer one under the *same* key. What does the key find? GLA's rule adds. The
# delta rule first reads what the matrix says about the key, and writes a share b of the difference:
#
# S ← decay · S,  then  S ← S + k [ b (v − Sᵀ k) ]ᵀ

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import rewrite_figure

Picture(rewrite_figure(), "What is read after a second value was written under the same key, for adding and correcting")

# %% [markdown]
# Adding never comes to the newer value: the older one is still there. Correcting walks towards it, and with b = 1 arrives.
#
# Two *similar* keys disturb each other. How much, and does it help to write both again?

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import similar_figure

Picture(similar_figure(), "Errors of two stored values against the similarity of their keys, and over repeated writes")

# %% [markdown]
# The delta rule is no free lunch: the newer value is exact, and the older one pays. But what is written again gets
# better, while adding only piles up.
#
# ### One step

# %%
from physlm_lite.models.gated_delta import delta_step

K, V = 3, 2
S, q, v = torch.randn(K, V), F.normalize(torch.randn(K), dim=0), torch.randn(V)
k, a, b = F.normalize(torch.randn(K), dim=0), torch.tensor(-0.2), torch.tensor(0.6)

decayed = a.exp() * S
by_hand = decayed + torch.outer(k, b * (v - decayed.T @ k))
_, after = delta_step(*(part[None, None] for part in (S, q, k, v, a, b)))
assert torch.allclose(by_hand, after[0, 0])

# The same as a step of gradient descent on the error of reading, at rate b:
guess = decayed.clone().requires_grad_()
((v - guess.T @ k).square().sum() / 2).backward()
assert torch.allclose(by_hand, decayed - b * guess.grad)
print("by hand, delta_step, and gradient descent: equal")

# %% [markdown]
# ### A chunk of four
#
# The loop seems unavoidable: what a token writes depends on what all before it wrote. Call u the corrections, one row a
# token, and D[t, s] the decay from token s to token t. Then
#
# u_t + b_t · Σ_{s < t} D[t, s] (k_t · k_s) u_s = b_t (v_t − D[t, 0] Sᵀ k_t)
#
# Row 1 has no sum, row 2 needs row 1, row 3 needs both: a *triangular* system. Its inverse is not about the values or the
# matrix before, so all chunks can have theirs at once.

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import solve_figure
from physlm_lite.models.recurrence import decays

keys, values = F.normalize(torch.randn(4, K), dim=1), torch.randn(4, V)
log_decay, share = -0.3 * torch.rand(4), torch.tensor([0.9, 0.5, 0.8, 0.7])

D, from_start, to_end, whole = decays(log_decay)
products = keys @ keys.T
system = torch.eye(4) + (share[:, None] * D * products).tril(-1)
u = torch.linalg.solve_triangular(system, share[:, None] * (values - from_start[:, None] * (keys @ S)), upper=False)

state = S  # now the loop
for t in range(4):
    state = log_decay[t].exp() * state
    correction = share[t] * (values[t] - state.T @ keys[t])
    assert torch.allclose(u[t], correction, atol=1e-5)
    state = state + torch.outer(keys[t], correction)
assert torch.allclose(state, whole * S + (to_end[:, None] * keys).T @ u, atol=1e-5)
print("the system and the loop: equal corrections, equal state")
inverse = torch.linalg.inv(system)
Picture(
    solve_figure({"products of keys": products, "the system": system, "its inverse": inverse}),
    "Products of four keys, the triangular system made of them, and its inverse",
)

# %% [markdown]
# **Read it:** two keys at a right angle leave a 0 in the system. Which tokens of the chunk disturb each other most?
#
# ### Three forms

# %%
from physlm_lite.models.gated_delta import delta_chunked, delta_naive

queries, keys = (F.normalize(draw(2, T, heads, N), dim=-1) for _ in range(2))
inputs = (queries, keys, draw(2, T, heads, P), -0.1 * draw(2, T, heads).square(), draw(2, T, heads).sigmoid())
delta_chunked(*inputs)
print("delta rule:", race(delta_naive, delta_chunked, *inputs))

# %% [markdown]
# ## Look inside: four mixers, one text
#
# Four small models of one layer learn to recall: pairs of a letter and a digit, then the letters again. Frames mark where
# the wanted digit stands. **Who looks there? And who takes values away (blue)?**

# %%
from physlm_lite.claims import scale_of
from physlm_lite.lab import Trained
from physlm_lite.lab.linear_states import RECALL, recall_run
from physlm_lite.lab.mixing import mixing_figure, mixing_maps, shares
from physlm_lite.lab.page import table

OPTIONS = {
    "attention + Canon-B": {"canon": "B"},
    "GLA + b": {"mixer": "gla", "mixer_options": {"canon_b": True, "expand_key": 1.0}},
    "Mamba2 + b": {"mixer": "mamba2", "mixer_options": {"state": 16}},
    "GDN + b": {"mixer": "gated_delta", "mixer_options": {"expand_key": 1.0}},
}
steps = 20 if scale_of() == "smoke" else 300
small = Trained(*(recall_run(steps, **options) for options in OPTIONS.values()))
small

# %%
texts = RECALL.batch(seed=0, step=0, rows=200, split="test").tokens
text = next(row for row in texts if len(row.unique()) == 8)  # four letters and four different digits
names = [RECALL.vocabulary[token] for token in text.tolist()]
half = len(names) // 2
wanted = [(t, names.index(names[t]) + 1) for t in range(half, len(names), 2)]


def best_head(model):
    """Of the first layer, the head that looks most at the wanted places."""
    rows, columns = zip(*wanted, strict=True)
    return max(mixing_maps(model, text)[0], key=lambda head: float(shares(head)[rows, columns].sum()))


@small.when_done
def compare(trained):
    named = dict(zip(OPTIONS, trained, strict=True))
    maps = {name: best_head(model) for name, (model, _) in named.items()}
    rows = [(name, f"{record.score('accuracy'):.0%}") for name, (_, record) in named.items()]
    return [
        table(("model", f"digits recalled after {steps} steps"), rows),
        Picture(
            mixing_figure(maps, names, columns=4, wanted=wanted, title="one head of each mixer on the same text"),
            "Mixing maps of attention, GLA, Mamba2 and the gated delta net on the same text",
        ),
    ]


# %% [markdown]
# A head may also look a little to the right of a frame: the convolution mixes the values, too, so the next three tokens
# carry the digit along.
#
# The matrix itself, token by token, for the two mixers of this lesson. (In the delta net, "written" is what is left of the
# value after the correction.)

# %%
from physlm_lite.lab.linear_states import state_viewer


@small.when_done
def walk(trained):
    models = {name: model for name, (model, _) in zip(OPTIONS, trained, strict=True)}
    return [state_viewer({name: models[name] for name in ("GDN + b", "Mamba2 + b")}, text, names)]


# %% [markdown]
# ## The experiment, live
#
# Mamba2 on Lano, with its own convolution and without. Same data, same steps, each side at its best learning rate.

# %%
from physlm_lite.lab import Live

live = Live(mamba2_convolution)
live

# %%
from statistics import fmean

from physlm_lite.lab import ledger_row, outcome_figure


@live.when_done
def report(outcome):
    kl = {side: fmean(record.score("kl") for record in runs) for side, runs in outcome.records.items()}
    ratio = kl["Mamba2, no convolution"] / kl["Mamba2 + b"]
    first, second, third = prediction.control.options
    answer = first if ratio < 1.3 else second if ratio < 2 else third
    note = f"The ratio is {ratio:.2f}" + (" (of a smoke run)." if outcome.scale == "smoke" else ".")
    return [
        Picture(outcome_figure(outcome), "KL and valid sentences of the live runs, and their learning curves"),
        prediction.score(answer, note),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The records: Mamba2
#
# For each claim its largest recorded scale is drawn, and every verdict gets its sentence. First the one that has just run:
# with the convolution and without.

# %%
from physlm_lite.claims import recorded
from physlm_lite.lab import verdict_line


def show(claim, card=True):
    if card:
        display(claim_card(claim, folded=True))
    outcomes = [recorded(claim, scale) for scale in claim.experiments if scale not in ("smoke", "paper")]
    complete = [outcome for outcome in outcomes if all(outcome.records.values())]
    if complete:
        largest = complete[-1]
        display(Picture(outcome_figure(largest), f"{claim.id}: scores and curves at {largest.scale} scale"))
    display(verdict_line(*(complete or outcomes[:1])))


show(mamba2_convolution, card=False)

# %% [markdown]
# **Without its convolution, is Mamba2 still ahead of GLA?** (Both without.)

# %%
level = claim("R7-level")
show(level)

# %% [markdown]
# **Is anything left to gain?** The convolution sits inside the mixer; Canon layers at A, C and D come on top.

# %%
mamba2_canon = claim("R7-Canon")
show(mamba2_canon)

# %% [markdown]
# **Could they replace it?** Canon layers outside, no convolution inside.

# %%
mamba2_outside = claim("R7-outside")
show(mamba2_outside)

# %% [markdown]
# **And reasoning depth?** One hop of Depo.

# %%
mamba2_depth = claim("R7-depth")
show(mamba2_depth)

# %% [markdown]
# ## The records: the gated delta net
#
# The same questions. **Before you look:** the delta rule corrects what it writes. Does it need its convolution less than
# Mamba2 does, or as much?

# %%
show(delta_convolution)

# %%
delta_canon = claim("R8-Canon")
show(delta_canon)

# %%
delta_outside = claim("R8-outside")
show(delta_outside)

# %%
delta_depth = claim("R8-depth")
show(delta_depth)

# %% [markdown]
# **Which of the three families suffers least without any convolution?**

# %%
least = claim("R8-least")
show(least)

# %% [markdown]
# ## Three families, four variants
#
# Section 7.1 draws the sum (result 9): convolutions help every linear family, and those outside the mixer can stand in
# for the one inside. All three families at equal steps; under each bar the seconds that these steps took.
#
# **Three questions for the picture.** How far apart are the families without convolution, and how far with it? Is ACD,
# outside, as good as b, inside? What do both together add?

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import families_figure

gla = (claim("R6-convolution"), claim("R6-Canon"), claim("R6-outside"))
mamba2 = (mamba2_convolution, level, mamba2_canon, mamba2_outside)
delta = (delta_convolution, delta_canon, delta_outside)
Picture(
    families_figure([recorded(c, "toy") for c in (*gla, *mamba2, *delta)]),
    "KL of GLA, Mamba2 and the delta net without convolution, with b, with ACD and with AbCD",
)

# %% [markdown]
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

everything = (*mamba2, mamba2_depth, *delta, delta_depth, least)
setting_table(mamba2_convolution, mamba2_depth)

# %% [markdown]
# The other claims have the same settings, on Lano or Depo. Their rules:

# %%
from physlm_lite.lab import rule_table

rule_table(*(c for c in everything if c not in (mamba2_convolution, mamba2_depth)))

# %% [markdown]
# **Should survive:** with convolutions ahead of without, in each family. **Depends on the scale:** how much AbCD adds to b,
# which family leads, and the hops. The paper asks for four hops on rings of 225 after thousands of times our tokens; we
# ask for one hop on rings of eight. Remember the clock, too: a Canon layer makes each step slower.
#
# ## What if: two keys, two values
#
# Two pairs are written in turns, over and over. Drag along the tokens, turn the newer key, slide the share b and the decay:
# the state of both rules follows, and beside it what each key reads. (Hollow: what was to be stored. Adding with one decay
# for all channels is the gated linear attention of notebook 11.)
#
# **Question:** at 60°, correcting once gets the newer value right and the older one wrong. What helps the older one: a
# smaller share, or writing both once more? And what happens when the share passes 2?

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import delta_state

delta_state()

# %% [markdown]
# The same errors in numbers, by the library's own rule:

# %%
from physlm_lite.lessons.mamba2_and_gated_delta.figures import errors

for share, times in ((1.0, 1), (0.5, 1), (1.0, 2), (2.2, 2), (2.2, 8)):
    older, newer = errors("correcting", degrees=60, share=share, times=times)
    print(
        f"share {share}, written {times} time(s): error {older:.2f} for the older value, {newer:.2f} for the newer one"
    )

# %% [markdown]
# <details><summary>Reading</summary>
#
# A small share leaves both values unfinished after one pass. Writing again helps: each pass is a step of gradient descent,
# and here both values can be right at once. A share above 2 is too large a learning rate: every write overshoots by more
# than it mends. A sigmoid for b and keys of length 1 keep the layer away from that.
# </details>
#
# ## Exercises
#
# **1 · The step size** (5 minutes, easy). For the numbers `logit` that a head gets from its tokens, its `bias` and the
# *logarithm* of its rate, return two tensors: what is kept of the state, and the factor of what is written.
#
# <details><summary>Hint</summary>softplus makes the step size positive. Then exp(−rate · size).</details>

# %%
from physlm_lite.lessons.mamba2_and_gated_delta import check


def my_step_size(logit, bias, log_rate):
    # solution
    from math import exp

    size = F.softplus(logit + bias)
    return torch.exp(-exp(log_rate) * size), size


check("step_size", my_step_size)

# %% [markdown]
# **2 · The delta rule** (10 minutes, medium). From the formula: `key` [token, K] and `value` [token, V], a `decay` and a
# `share` for each token. Return the state [K, V] after the last token.
#
# <details><summary>Hint</summary>Start with zeros. For each token: decay, read with the key, write the share of the
# difference. torch.outer(a, b) is a bᵀ.</details>


# %%
def my_delta(key, value, decay, share):
    # solution
    state = torch.zeros(key.shape[1], value.shape[1])
    for k, v, g, b in zip(key, value, decay, share):
        state = g * state
        state = state + torch.outer(k, b * (v - state.T @ k))
    return state


check("delta_rule", my_delta)

# %% [markdown]
# **3 · Why keys have length 1** (10 minutes, medium). The value is the number 1. It is written `times` times under one key
# of some `length`, by the delta rule with a `share` and without decay, into an empty memory. Return the list of errors
# (1 minus what the key reads) after 0, 1, ..., `times` writes. What happens with length 2 and share 1? Up to which length
# is every share below 1 safe?
#
# <details><summary>Hint</summary>Follow only what is read, r. A write adds (length · share · (1 − r)) to the matrix along the
# key; how much does that add to r?</details>


# %%
def my_errors(length, share, times):
    # solution: Each write multiplies the error by 1 − share · length²: by −3 for length 2 and share 1. It never grows
    # as long as share · length² is at most 2, so up to √2 every share is safe. With length 1 a write does not even
    # overshoot.
    read, errors = 0.0, [1.0]
    for _ in range(times):
        read += length**2 * share * (1 - read)
        errors.append(1 - read)
    return errors


check("rewriting_errors", my_errors)

# %% [markdown]
# **4 · A chunk at once** (15 minutes, hard). No decay, and nothing is known before the chunk. Return the corrections u
# [token, V] of all tokens, without a loop.
#
# <details><summary>Hint</summary>The system is the identity, plus the products of keys *below* the diagonal, row t times b_t.
# The right side is b_t v_t.</details>


# %%
def my_corrections(key, value, share):
    # solution
    system = torch.eye(len(key)) + (share[:, None] * (key @ key.T)).tril(-1)
    return torch.linalg.solve_triangular(system, share[:, None] * value, upper=False)


check("chunk_corrections", my_corrections)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*(recorded(c, scale) for c in everything for scale in c.experiments if scale in ("toy", "laptop")))

# %% [markdown]
# Or run `physlm ledger` for every claim at every scale, or compare with
# [11 · gated linear attention](11_gated_linear_attention.ipynb), the first of the three families.
