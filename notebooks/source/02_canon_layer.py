# %% [markdown]
# # 02 · The Canon layer from scratch
#
# *Part 4.1, section 4 and figure 5* · you need: tensors, and what attention does
#
# A Canon layer is four lines of code. This notebook builds it, shows what it does to a sentence, puts it into a
# Transformer in its four places, and lets it solve a puzzle that one plain layer cannot.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

copying = claim("R1")
scale_table(copying)

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "One-layer models repeat a random sequence of 8 to 24 symbols. What share of the symbols "
    "does the plain one get right after 500 steps? (guessing: about 0.06)",
    start=0.6,
)
prediction

# %%
claim_card(copying, folded=True)

# %% [markdown]
# ## The idea
#
# Attention is *global*: any token may look at any earlier one. But it has no cheap way to say "the token next to
# me". To use its neighbour, a token must first find it by position, and that takes an attention layer. Yet most
# patterns in text want exactly this: *find where I have seen this word, then take what stood right after it.* One
# global step and one local step.
#
# A Canon layer supplies the local step. Each channel adds a weighted sum of the current token and its three
# predecessors:
#
# &emsp; *h*′<sub>t</sub> = *h*<sub>t</sub> + *w*<sub>0</sub> ⊙ *h*<sub>t</sub> + *w*<sub>1</sub> ⊙ *h*<sub>t−1</sub> +
# *w*<sub>2</sub> ⊙ *h*<sub>t−2</sub> + *w*<sub>3</sub> ⊙ *h*<sub>t−3</sub>
#
# with zeros before the start. ⊙ multiplies channel by channel. The *w* are learnt, four numbers a channel. In code, shift and add:

# %%
import torch
import torch.nn.functional as F


def canon_by_hand(x, weight):
    """x [batch, position, width]; weight [width, 1, 4], whose last entry belongs to the current token."""
    y = x.clone()  # the identity term
    for lag in range(4):
        shifted = F.pad(x, (0, 0, lag, 0))[:, : x.shape[1]]  # what stood `lag` tokens earlier
        y = y + weight[:, 0, 3 - lag] * shifted
    return y


torch.manual_seed(0)
x, weight = torch.randn(2, 10, 6), torch.rand(6, 1, 4) - 0.5
canon_by_hand(x, weight).shape

# %% [markdown]
# The library has the same layer three times: `canon_naive` (like the cell above, with every option), `canon`
# (fast, with its own backward pass), and PyTorch's depth-wise `Conv1d` knows it, too. They agree, values and
# gradients:

# %%
from physlm_lite.models import canon, canon_naive


def values_and_gradients(layer):
    a, w = x.clone().requires_grad_(), weight.clone().requires_grad_()
    y = layer(a, w)
    y.square().sum().backward()
    return y.detach(), a.grad, w.grad


reference = values_and_gradients(canon_by_hand)


def conv1d(a, w):
    return a + F.conv1d(F.pad(a.transpose(1, 2), (3, 0)), w, groups=6).transpose(1, 2)


for name, layer in {"canon_naive": canon_naive, "canon": canon, "Conv1d": conv1d}.items():
    gaps = [float((got - want).abs().max()) for got, want in zip(values_and_gradients(layer), reference, strict=True)]
    assert max(gaps) < 1e-4
    print(f"{name:<12} largest difference: value {gaps[0]:.0e}, gradient of x {gaps[1]:.0e}, of the taps {gaps[2]:.0e}")

# %% [markdown]
# ## See it: drag the taps
#
# Two short examples are packed into one window. Drag the four taps of a channel. The matrix says which word is mixed
# into which; below it, a signal (one number for each word, to be dragged as well) goes in at the top and comes out at the
# bottom. Drag along the lower row to choose the word that receives.
#
# **Three goals stand below the picture.** Two taps are enough for the first. Is there a way without the identity term?
# Then take the wall between the examples away: which words hear of "mouse" now?

# %%
from physlm_lite.lessons.canon_layer.figures import canon_taps

canon_taps()

# %% [markdown]
# <details><summary>Answers</summary>
#
# Copy: 1 at "1 before", and −1 at "this token" to cancel the identity term; or switch that off and leave the tap at 0.
# Change nothing: without the identity term, 1 at "this token". What is new: −1 at "1 before", and the identity term (or 1
# at "this token").
# Without the wall, "a", "dog" and "fell" hear of "mouse", as far as the taps reach: that is what a leak between packed
# examples is.
# </details>
#
# Nothing is ever above the diagonal: a Canon layer is *causal*, so it can sit anywhere in a language model. And
# note that the weights do not depend on the words: unlike attention, the mixing is the same for every sentence.
#
# ## Four places: A, B, C, D
#
# A Transformer block has two residual branches. Canon-A and Canon-C sit at their entrances, *after* the norm.
# Canon-B mixes queries, keys and values; Canon-D mixes the feed-forward's two inner projections *before* the
# non-linearity. None touches the residual stream itself.

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.canon_layer.figures import block_figure

Picture(block_figure(), "A Transformer block with Canon layers at A, B, C and D")

# %%
from physlm_lite.models import LanguageModel, ModelConfig

config = ModelConfig(vocab=100, width=64, layers=2, heads=2, canon="ABCD")
model = LanguageModel(config, seed=0)
for name, p in model.blocks[0].named_parameters():
    if "canon" in name:
        print(f"{name:22} {tuple(p.shape)}")
print(
    f"{config.parameters:,} parameters, {config.parameters - ModelConfig(vocab=100, width=64, layers=2, heads=2).parameters:,} "
    "of them in Canon layers"
)

# %% [markdown]
# **Three details that matter.** The taps start uniform in ±0.5, not at 0.02: from the first step on, each channel
# is a *different* mixture of neighbours. Packed examples do not leak: where several examples share a window, a
# tap that would reach into another example counts as zero. And decoding keeps the last three inputs of each Canon
# layer as its state, so a text can be continued by one token or by several at once:

# %%
from physlm_lite.models import DecodingState

tokens = torch.randint(100, (1, 12))
state = DecodingState()
with torch.no_grad():
    pieces = [model(tokens[:, a:b], state=state) for a, b in ((0, 5), (5, 6), (6, 12))]
    print("whole text against three pieces:", float((model(tokens) - torch.cat(pieces, 1)).abs().max()))

# %% [markdown]
# ## The copy toy, live
#
# The smallest task that wants one global and one local step: repeat a random sequence. Three one-layer models of
# width 32 compete: plain, with Canon, and with Canon layers whose taps are *frozen at their random start*.

# %%
from physlm_lite.tasks import text_view

task = copying.experiment("toy").run("RoPE", 1e-3, seed=0).made_task
print(text_view(task, task.batch(seed=1, step=0, rows=1)))

# %%
from physlm_lite.lab import Live

live = Live(copying)
live

# %%
from statistics import fmean

from physlm_lite.lab import ledger_row, outcome_figure


@live.when_done
def report(outcome):
    plain = fmean(record.score("accuracy") for record in outcome.records["RoPE"])
    return [
        Picture(outcome_figure(outcome), "Accuracy of copying for each side, and the learning curves"),
        prediction.score(plain, "It learns which symbols occur, not their order."),
        ledger_row(outcome),
    ]


# %% [markdown]
# The recorded runs, at two scales:

# %%
from physlm_lite.claims import recorded

Picture(outcome_figure(recorded(copying, "toy")), "Recorded copy runs at toy scale")

# %%
Picture(outcome_figure(recorded(copying, "laptop")), "Recorded copy runs at laptop scale")

# %%
from physlm_lite.lab import verdict_line

verdict_line(recorded(copying, "toy"), recorded(copying, "laptop"))

# %% [markdown]
# ## What did it learn?
#
# Train one Canon model and look inside. Each row is a query. While repeating, the head looks exactly at the
# symbol that comes *next* in the original: the keys have been mixed with their predecessors, so "the symbol after
# 7" can be found by asking for 7.

# %%
from physlm_lite.claims import scale_of
from physlm_lite.lab import Trained
from physlm_lite.lessons.canon_layer.figures import attention_figure

run = copying.experiment("smoke" if scale_of() == "smoke" else "toy").run("RoPE + Canon", 4e-3, seed=0)
small = Trained(run)
small


# %%
@small.when_done
def look_inside(trained):
    ((model, _),) = trained
    example = task.batch(seed=5, step=0, rows=1, split="test")
    return [Picture(attention_figure(model, task, example), "Attention of the trained one-layer model while it copies")]


# %% [markdown]
# ## Simplified or full
#
# | | the paper | here (`toy`) |
# |---|---|---|
# | sequence | always 500 symbols | 8 to 24 symbols, a different number in each row |
# | width | 16 to 128 | 32 |
# | training | up to 50,000 steps of 32 sequences | 500 steps of 32 sequences |
#
# The varying length is our change, and it matters. At a fixed short length a plain layer finds a way round: it
# looks back a fixed distance and never needs the symbols. (At 500 symbols and small width that fails, which is
# why the paper can keep the length fixed; there a plain layer succeeds from width 128 on.) **Should survive:**
# Canon copies, the plain layer does not, and frozen taps come a little later. **Will not:** step counts.
#
# ## Exercises
#
# **1 · Write the layer** (10 minutes, easy). Without looking up: `x` is [batch, position, width], `weight` is
# [width, 1, 4].
#
# <details><summary>Hint</summary>Pad on the left by the lag, cut to the old length, multiply by that lag's tap, add. Do not forget x itself.</details>

# %%
from physlm_lite.lessons.canon_layer import check


def my_canon(x, weight):
    # solution
    y = x.clone()
    for lag in range(4):
        y = y + weight[:, 0, 3 - lag] * F.pad(x, (0, 0, lag, 0))[:, : x.shape[1]]
    return y


check("canon", my_canon)

# %% [markdown]
# **2 · Put it in its place** (5 minutes, medium). Write one branch of a block with Canon-A. `norm`, `canon` and
# `mixer` are functions.
#
# <details><summary>Hint</summary>The residual stream x passes untouched.</details>


# %%
def my_branch(x, norm, canon, mixer):
    # solution
    return x + mixer(canon(norm(x)))


check("canon_block", my_branch)

# %% [markdown]
# **3 · How wide is each place?** (5 minutes, medium). Return `{"A": ..., "B": ..., "C": ..., "D": ...}`, the
# channels at each place, for a model with `heads` query heads, `kv_heads` key and value heads of `head_width`,
# and a gated feed-forward of width `hidden`.
#
# <details><summary>Hint</summary>B holds queries, keys and values side by side; D holds gate and up.</details>


# %%
def my_channels(width, heads, kv_heads, head_width, hidden):
    # solution
    return {"A": width, "B": (heads + 2 * kv_heads) * head_width, "C": width, "D": 2 * hidden}


check("canon_channels", my_channels)

# %% [markdown]
# **4 · Train your own** (15 minutes, medium). Return a module for a number of `channels` that takes [batch, position,
# channels] and gives the same back. It will stand where Canon stood, at all four places of the one-layer model that could not
# copy, and it is judged by the bar of the ledger: at least 99 % of the symbols, on every seed. Looking ahead is forbidden, and
# is noticed. Any idea counts: fewer taps, a running mean, a gate, a tiny attention over four tokens.
#
# <details><summary>Hint</summary>A class inside the function is fine. The smallest layer that works adds the token before.
# Whatever learns must be an nn.Parameter or a module.</details>

# %%
from torch import nn

from physlm_lite.lab import Own


def my_layer(channels):
    # solution
    class Layer(nn.Module):
        def __init__(self):
            super().__init__()
            self.tap = nn.Parameter(torch.rand(channels) - 0.5)

        def forward(self, x):
            return x + self.tap * F.pad(x, (0, 0, 1, 0))[:, :-1]

    return Layer()


own = Own(copying, my_layer)
own

# %% [markdown]
# It trains in this notebook's own process, one seed first; "The other 4 seeds" make a verdict of it. The record is named by
# your code: change a line, and it is another run; change it back, and the old one is there at once.


# %%
@own.when_done
def judged(outcome):
    return [
        Picture(outcome_figure(outcome), "Your layer against RoPE alone: symbols copied, and learning curves"),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The ledger

# %%
ledger_row(recorded(copying, "toy"), recorded(copying, "laptop"))

# %% [markdown]
# Next: [03 · Depo: reasoning depth](03_depo.ipynb), where the local step buys whole rungs of a ladder.
