# %% [markdown]
# # 09 · Ablations: which Canon, and which of its parts
#
# *Part 4.1, section 5.3, result 4, figures 10, 27 and 28; figure 24 of result 1* · you need: notebooks 02
# and 07
#
# A Canon layer has few parts: a place in the block, four taps, an identity term, no activation. Which of them does the
# work? An *ablation* takes one part away and looks at what is lost.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

residual = claim("R4-residual")
scale_table(residual)

# %% [markdown]
# One claim runs live below. Five more are shown from their records: every single place, places together, Primer's
# attention, an activation, taps that are never trained.
#
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "Three Transformers learn the grammar of notebook 07: plain RoPE, RoPE with Canon-ABCD, and the same Canon layers "
    "without their residual, so that the mixture of four neighbours stands in the place of the token. "
    "The one without the residual will come out ...",
    options=(
        "ahead of the one with it, on every seed",
        "level with it: their seeds overlap",
        "behind it, and ahead of plain RoPE",
        "no better than plain RoPE",
    ),
)
prediction

# %%
claim_card(residual, folded=True)

# %% [markdown]
# ## The residual is one more tap
#
# With the identity term a layer computes *x*<sub>t</sub> + Σ<sub>j</sub> *w*<sub>j</sub> ⊙ *x*<sub>t−j</sub>. Add 1 to the tap of the token itself, and
# the identity term is not needed:

# %%
import torch

from physlm_lite.models import canon, canon_naive

torch.manual_seed(0)
x, weight = torch.randn(2, 12, 6), torch.rand(6, 1, 4) - 0.5
larger = weight.clone()
larger[:, 0, -1] += 1  # the last tap belongs to the token itself
gap = (canon(x, weight) - canon(x, larger, residual=False)).abs().max()
assert gap < 1e-5
print(f"largest difference: {gap:.0e}")

# %% [markdown]
# So the two layers can compute exactly the same functions. What the residual changes is where training *begins*, and
# where weight decay pulls: to "the token itself", or to "nothing".
#
# Fresh taps are uniform in ±0.5. **How much of a token is left behind a Canon layer on the first day?**

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.ablations.figures import energy_figure

Picture(energy_figure(), "Share of the signal that comes from the token itself and from its neighbours, at the start")

# %% [markdown]
# Without the residual a fresh branch reads a blur, and behind A and B in a row even more so. The residual stream
# *around* the branch still carries the token; but queries, keys and the feed-forward layer only see what the branch gives
# them. Whether training gets over that start is a question for an experiment.
#
# The slow twin and the fast one know every option. They agree, with documents that must not leak, too:

# %%
from itertools import product

document = torch.tensor([[0] * 7 + [1] * 5] * 2)
for residual_on, activation_on in product((True, False), (True, False)):
    options = {"residual": residual_on, "activation": activation_on, "document": document}
    gap = float((canon(x, weight, **options) - canon_naive(x, weight, **options)).abs().max())
    assert gap < 1e-5
    print(f"residual {residual_on!s:5}  activation {activation_on!s:5}  largest difference {gap:.0e}")

# %% [markdown]
# ## Taps that nobody trains
#
# In figure 24 the taps stay at their random start for ever. How can random numbers help? A reader of the mixture must
# be able to tell a token's *neighbour* from the token. Take one token, and look in which direction it shows up at each
# lag. (1: the same direction, so "a b" and "b a" differ in strength only. 0: unrelated, easy to tell apart.)

# %%
from physlm_lite.lessons.ablations.figures import signature_figure

Picture(signature_figure(), "Cosines between one token's contributions at lags 0 to 3, for equal and for random taps")

# %% [markdown]
# Random signs give every lag its own signature, before any training. A smooth average, the same in all channels, does
# not; in the paper such a hand-made average can even hurt.
#
# ## Primer's attention
#
# Primer (So et al., 2021) convolves queries, keys and values, without a residual. In our words: Canon-B, residual
# off. The paper's warning is that this alone can be worse than no Canon layer.

# %%
from physlm_lite.models import Attention, AttentionConfig, Canon, Context, attend_naive, causal_mask

taps = Canon(3 * 8, residual=False)
attention = Attention(AttentionConfig(16, heads=1, kv_heads=1, head_width=8), taps)
tokens = torch.randn(1, 10, 16)
with torch.no_grad():
    joined = torch.cat([attention.query(tokens), attention.key(tokens), attention.value(tokens)], -1)
    query, key, value = canon(joined, taps.weight, residual=False).chunk(3, -1)
    mixed, _ = attend_naive(query[:, None], key[:, None], value[:, None], causal_mask(10, 10))
    gap = float((attention.output(mixed[:, 0]) - attention(tokens, Context())).abs().max())
assert gap < 1e-5
print(f"by hand against the library's attention with canon_residual=False: {gap:.0e}")

# %% [markdown]
# ## The experiment, live: with and without the residual

# %%
from physlm_lite.lab import Live

live = Live(residual)
live

# %%
from statistics import fmean

from physlm_lite.lab import curves_figure, ledger_row, rows_figure


@live.when_done
def report(outcome):
    kl = {side: [r.score("kl") for r in runs] for side, runs in outcome.records.items()}
    without, with_it, plain = kl["Canon-ABCD, no residual"], kl["Canon-ABCD"], kl["RoPE"]
    truth = "no better than plain RoPE"
    if max(without) < min(with_it):
        truth = "ahead of the one with it, on every seed"
    elif min(without) <= max(with_it):
        truth = "level with it: their seeds overlap"
    elif max(without) < min(plain):
        truth = "behind it, and ahead of plain RoPE"
    numbers = f"KL {fmean(without):.3f} without, {fmean(with_it):.3f} with the residual, {fmean(plain):.3f} for RoPE"
    return [
        Picture(rows_figure(outcome), "KL and valid sentences of the live runs"),
        Picture(curves_figure(outcome, "kl"), "KL of the live runs over steps and over seconds"),
        prediction.score(truth, numbers + (" (of a smoke run)." if outcome.scale == "smoke" else ".")),
        ledger_row(outcome),
    ]


# %% [markdown]
# **Read it:** compare the first evaluation with the last. A bad start shows early and may fade. A harder path of
# training stays visible to the end.
#
# ## The records: everything on one ladder
#
# All sides of the six claims, each at its own best learning rate. KL is on a logarithmic axis: the rules ask for
# *factors*. Beside it stands what each variant costs.

# %%
from physlm_lite.claims import recorded
from physlm_lite.lab import known, verdict_line

each, cumulative, primer = claim("R4-each"), claim("R4-cumulative"), claim("R4-Primer")
activation, frozen = claim("R4-activation"), claim("R1-frozen")
claims = (each, cumulative, residual, primer, activation, frozen)
order = ("RoPE", "Canon-A", "Canon-B", "Canon-C", "Canon-D", "Canon-AC", "Canon-ABCD")
ladder = rows_figure(*(recorded(c, "toy") for c in claims), order=order)
Picture(ladder, "KL, valid sentences, parameters and seconds of every variant")

# %% [markdown]
# Before you read the verdicts, look along three lines. Which single letter is the best bargain in seconds? What do B
# and D add to AC? And how wide do the seeds of one row spread, compared with the step to the next row?
#
# ### The residual

# %%
for outcome in known(residual):
    display(Picture(rows_figure(outcome), f"RoPE, and Canon-ABCD with and without the residual, {outcome.scale} scale"))
verdict_line(*known(residual))

# %% [markdown]
# ### One place at a time
#
# **Guess:** which single letter gains most? Does any of them gain nothing?

# %%
claim_card(each, folded=True)

# %%
for outcome in known(each):
    display(Picture(rows_figure(outcome), f"A Canon layer at A, B, C or D alone, beside RoPE, {outcome.scale} scale"))
verdict_line(*known(each))

# %% [markdown]
# ### Several places
#
# **Guess:** how much of the gain of all four do A and C have alone?

# %%
claim_card(cumulative, folded=True)

# %%
for outcome in known(cumulative):
    display(Picture(rows_figure(outcome), f"No Canon layer, then A, A and C, all four, {outcome.scale} scale"))
verdict_line(*known(cumulative))

# %% [markdown]
# "Cumulative" is a trend over the paper's whole grid of tasks and sizes, not a law for each cell: there, too, ACD is
# ahead of ABCD in some. Its practical summary is that A and C together, at half the overhead, give most of the gain.
#
# ### Primer
#
# **Guess:** a convolution on queries, keys and values, and no identity term: better than plain RoPE, or worse?

# %%
claim_card(primer, folded=True)

# %%
for outcome in known(primer):
    display(Picture(rows_figure(outcome), f"RoPE, Canon-B, and Primer's attention, {outcome.scale} scale"))
verdict_line(*known(primer))

# %% [markdown]
# ### An activation
#
# **Guess:** a silu behind the mixture: a gain, a loss, or nothing?

# %%
claim_card(activation, folded=True)

# %%
for outcome in known(activation):
    display(Picture(rows_figure(outcome), f"Canon-ABCD with and without silu, {outcome.scale} scale"))
verdict_line(*known(activation))

# %% [markdown]
# ### Frozen taps
#
# **Guess:** how far do random taps get that nobody ever trains?

# %%
claim_card(frozen, folded=True)

# %%
for outcome in known(frozen):
    display(Picture(rows_figure(outcome), f"RoPE, Canon-ABCD, and Canon-ABCD with frozen taps, {outcome.scale} scale"))
verdict_line(*known(frozen))

# %% [markdown]
# *Most of the gain?* The rule above asks whether frozen taps beat RoPE. This is how much of the way (in the logarithm
# of KL, as on the axis) they go:

# %%
import math

kl = {side: fmean(r.score("kl") for r in runs) for side, runs in recorded(frozen, "toy").records.items() if runs}
if len(kl) == 3:
    way = math.log(kl["RoPE"] / kl["frozen Canon-ABCD"]) / math.log(kl["RoPE"] / kl["Canon-ABCD"])
    print(f"frozen taps go {way:.0%} of the way from RoPE to trained Canon layers")
else:
    print("not all three sides are recorded yet")

# %% [markdown]
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(residual)

# %% [markdown]
# All six claims share this task and the budget of the toy scale. Their rules:

# %%
from physlm_lite.lab import rule_table

rule_table(*claims)

# %% [markdown]
# **Should survive:** Canon layers at several places ahead of none, and random taps that help. **May not:** fine orders
# between subsets, and *warnings*. In two layers trained for 400 steps, whatever brings a neighbour nearer is scarce, so
# even a clumsy mixture may be better than none; in 8 to 12 layers and 100,000 steps plain attention has found its own
# ways, and a blur can do harm. The paper's own advice is to read whole grids (five tasks, four model sizes), because
# single cells are a matter of luck.
#
# ## What if: your own set of parts
#
# Four layers, your choice of letters, kernel, residual, activation and layers. *Cross-layer Canon* (an idea of section
# 9) adds a convolution of a layer's input to its output. On the left, what one of the Canon layers makes of an impulse. On
# the right, which earlier tokens can influence a position, measured on a fresh model with attention switched off.
#
# **Questions:** how many layers does it take with A alone until a token 12 back gets through, and how many with ABCD?
# Then let attention carry, too: what is left for Canon to do?

# %%
from physlm_lite.lessons.ablations.figures import parts_explorer

parts_explorer()

# %% [markdown]
# <details><summary>One answer</summary>
#
# A kernel of 4 reaches 3 back. With A alone, 12 back takes four layers; with ABCD one, since A, B, C and D follow each
# other. But look at the strength: what went through many Canon layers is faint. Attention reaches everybody in its first
# layer. What it lacks is a cheap way to say *next to me*, and that is the part of Canon: not far, but always there.
#
# (Try "in the first layer only" and "in all but the first": the author's second tutorial asks whether Canon layers work
# because attention can match several tokens at once, which only the first layer needs, or because they change how skills
# are learnt level by level. `canon_layers` in `ModelConfig` sets it for a training of your own.)
# </details>
#
# ## Exercises
#
# **1 · What a block loses** (10 minutes, medium). `weight` is [width, 1, kernel]; its last entry belongs to the token
# itself. Tokens are unrelated, so energies (squares of what multiplies them) add up. Return the token's own share of the
# energy, over all channels, as a number from 0 to 1.
#
# <details><summary>Hint</summary>With the residual, the token itself is multiplied with 1 + its tap.</details>

# %%
from physlm_lite.lessons.ablations import check


def my_share(weight, residual):
    # solution
    taps = weight[:, 0].clone()
    taps[:, -1] += float(residual)
    return float(taps[:, -1].square().sum() / taps.square().sum())


check("own_share", my_share)

# %% [markdown]
# **2 · How far it sees** (5 minutes, easy). `layers` holds the letters of each layer, such as `["ABCD", "", "AC"]`. How
# many tokens, itself included, can reach a position by Canon layers alone?
#
# <details><summary>Hint</summary>One Canon layer brings kernel - 1 more tokens. Which of the four follow each other?</details>


# %%
def my_tokens_seen(layers, kernel):
    # solution
    return 1 + (kernel - 1) * sum(len(letters) for letters in layers)


check("tokens_seen", my_tokens_seen)

# %% [markdown]
# **3 · Primer from its formula** (15 minutes, medium). One head, no positions: `x` [position, width]; `query`, `key`,
# `value` [head_width, width]; `taps` [3 · head_width, 1, kernel] for queries, keys and values side by side, the last tap
# for the token itself. Project, convolve causally, then causal softmax attention. Return [position, head_width].
#
# <details><summary>Hint</summary>Pad kernel - 1 zero rows on top, then add up shifted copies. Mask before the softmax.</details>


# %%
def my_primer(x, query, key, value, taps):
    # solution
    import torch.nn.functional as F

    kernel, n = taps.shape[-1], len(x)
    joined = F.pad(torch.cat([x @ query.T, x @ key.T, x @ value.T], 1), (0, 0, kernel - 1, 0))
    mixed = sum(joined[j : j + n] * taps[:, 0, j] for j in range(kernel))
    q, k, v = mixed.chunk(3, 1)
    score = q @ k.T / q.shape[1] ** 0.5
    future = torch.ones(n, n).triu(1).bool()
    return score.masked_fill(future, float("-inf")).softmax(1) @ v


check("primer_attention", my_primer)

# %% [markdown]
# **4 · What a subset costs** (5 minutes, easy). How many taps have the Canon layers at `letters`, in `layers` layers of
# full attention and a gated feed-forward layer of width `hidden`?
#
# <details><summary>Hint</summary>A and C are as wide as the model. What stands side by side at B, and at D?</details>


# %%
def my_taps(letters, width, hidden, layers, kernel):
    # solution
    channels = {"A": width, "B": 3 * width, "C": width, "D": 2 * hidden}
    return layers * kernel * sum(channels[letter] for letter in letters)


check("subset_taps", my_taps)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*(outcome for c in claims for outcome in known(c)))

# %% [markdown]
# Next: [10 · Feed-forward layers](10_feed_forward.ipynb), where the *other* branch of the block is taken apart.
