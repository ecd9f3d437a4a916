# %% [markdown]
# # 10 · Feed-forward layers: gated or standard, ReLU², experts
#
# *Part 4.1, section 5.4, result 5, figures 11, 24 and 25* · you need: notebooks 05 and 06
#
# Two thirds of a Transformer's parameters sit in its feed-forward layers. This notebook changes their design: a gate or
# none, another activation, many small layers with a router in front. What happens to stored facts?

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

gated = claim("R5-gated")
scale_table(gated)

# %% [markdown]
# One claim runs live below. Three more come from their records: squared ReLU, capacity, and experts.
#
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "Two one-layer models of exactly the same size learn the arithmetic of notebook 06. One has a gated feed-forward "
    "layer, the other a standard one. On expressions with two operations ...",
    options=("every gated seed is ahead of every standard one", "the seeds overlap", "every standard seed is ahead"),
)
prediction

# %%
claim_card(gated, folded=True)

# %% [markdown]
# ## Two designs
#
# **Standard** (GPT-2): up, activation, down. **Gated** (Llama): a second matrix, the gate, decides how much of each
# hidden unit passes. One token, one hidden unit after the other, and then the layers of the library:

# %%
import torch
import torch.nn.functional as F

from physlm_lite.models import Context, GatedFeedForward, StandardFeedForward
from physlm_lite.models.feed_forward import FeedForwardConfig, squared_relu


def standard_by_hand(x, up, down):
    """x [width], up [hidden, width], down [width, hidden]."""
    y = torch.zeros_like(x)
    for unit in range(len(up)):
        y = y + down[:, unit] * F.silu(up[unit] @ x)
    return y


def gated_by_hand(x, gate, up, down):
    y = torch.zeros_like(x)
    for unit in range(len(up)):
        y = y + down[:, unit] * F.silu(gate[unit] @ x) * (up[unit] @ x)
    return y


torch.manual_seed(0)
x = torch.randn(1, 1, 8)
one = StandardFeedForward(FeedForwardConfig(8, "standard", 12))
other = GatedFeedForward(FeedForwardConfig(8, "gated", 8))
with torch.no_grad():
    standard = standard_by_hand(x[0, 0], one.up.weight, one.down.weight)
    gate = gated_by_hand(x[0, 0], other.gate.weight, other.up.weight, other.down.weight)
    gaps = [float((a - b).abs().max()) for a, b in ((one(x, Context()), standard), (other(x, Context()), gate))]
assert max(gaps) < 1e-6
print("standard, gated: largest differences", *(f"{gap:.0e}" for gap in gaps))

# %% [markdown]
# **A fair pair.** Three matrices against two: with the same hidden width the gated layer would be half as large again.
# So it gets two thirds of the hidden units. These are the sizes of the live experiment; areas are parameters.

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.feed_forward.figures import design_figure

small = gated.experiment("toy")
sides = {side: small.run(side, 1e-3, seed=0).model_config for side in ("gated", "standard")}
assert sides["gated"].parameters == sides["standard"].parameters
figure = design_figure(sides["gated"].width, sides["gated"].feed_forward, sides["standard"].feed_forward)
Picture(figure, "The matrices of a gated and of a standard feed-forward layer, drawn to scale")

# %% [markdown]
# ## What can one hidden unit do?
#
# Three activations. ReLU² is 0 on one side and a parabola on the other:

# %%
from physlm_lite.lessons.feed_forward.figures import activation_figure

Picture(activation_figure(), "SiLU, GELU and squared ReLU, and their slopes")

# %% [markdown]
# Feed a unit two numbers a and b. A standard unit sees only their sum: its picture is a ridge. A gated unit gets a at its
# gate and b beside it: it sees something like their *product*. (Blue: negative, red: positive; lines of equal height.)

# %%
from physlm_lite.lessons.feed_forward.figures import unit_figure

Picture(unit_figure(), "One hidden unit as a function of two inputs, for both designs and two activations")

# %% [markdown]
# This can be made exact. Since silu(z) − silu(−z) = z, *two* gated units give a product. And since
# 4ab = (a + b)² − (a − b)², *four* standard units do, if their activation is ReLU²:

# %%
a, b = torch.randn(2, 1000, dtype=torch.float64)
two_gated = F.silu(a) * b + F.silu(-a) * -b
four_squared = sum(sign * squared_relu(z) for sign, z in ((1, a + b), (1, -a - b), (-1, a - b), (-1, b - a))) / 4
for name, values in (("two gated units, SiLU", two_gated), ("four standard units, ReLU²", four_squared)):
    print(f"{name:27} largest difference to a·b: {float((values - a * b).abs().max()):.0e}")
    assert torch.allclose(values, a * b)

# %% [markdown]
# A reading of the paper's results, not a proof: a product is what "if the operator is × *and* the number is 3" needs.
# ReLU² gives a standard layer the products that it lacks. A gated layer has them already, and with ReLU² its units turn
# into polynomials of degree three.
#
# ## The experiment, live: gated or standard

# %%
from physlm_lite.lab import Live

live = Live(gated)
live

# %%
from physlm_lite.lab import curves_figure, ledger_row, rows_figure


@live.when_done
def report(outcome):
    metric = outcome.experiment.select
    scores = {side: [record.score(metric) for record in runs] for side, runs in outcome.records.items()}
    truth = "the seeds overlap"
    if min(scores["gated"]) > max(scores["standard"]):
        truth = "every gated seed is ahead of every standard one"
    elif max(scores["gated"]) < min(scores["standard"]):
        truth = "every standard seed is ahead"
    return [
        Picture(rows_figure(outcome), "Accuracy of the live runs by the number of operations"),
        Picture(curves_figure(outcome, metric), "Learning curves of the live runs over steps and over seconds"),
        prediction.score(truth, "(A smoke run has learnt nothing yet.)" if outcome.scale == "smoke" else ""),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The records
#
# Dotted: the best constant answer. Every dot is one seed at its side's best learning rate.

# %%
from physlm_lite.lab import known, verdict_line

for outcome in known(gated):
    display(Picture(rows_figure(outcome), f"Gated and standard feed-forward layers on Mano, {outcome.scale} scale"))
verdict_line(*known(gated))

# %% [markdown]
# ### Squared ReLU
#
# **Guess:** which of the two designs gains from it, and which loses?

# %%
squares = claim("R5-ReLU2")
claim_card(squares, folded=True)

# %%
for outcome in known(squares):
    display(Picture(rows_figure(outcome), f"Both designs with SiLU and with squared ReLU, {outcome.scale} scale"))
verdict_line(*known(squares))

# %% [markdown]
# With Canon layers, the paper adds, both designs with ReLU² reach 95 % and more on this task: the choice of the activation
# hardly matters any more.
#
# ### Capacity
#
# Notebook 05 counted bits per parameter. Gating is said to cost some of them when each fact is seen only 100 times.

# %%
capacity = claim("R5-capacity")
claim_card(capacity, folded=True)

# %%
for outcome in known(capacity):
    display(Picture(rows_figure(outcome), f"Bits per parameter of both designs, {outcome.scale} scale"))
verdict_line(*known(capacity))

# %% [markdown]
# ## A mixture of experts
#
# Many feed-forward layers, and a *router* that sends each token to one of them (top-1) and multiplies what comes back
# by its probability. Parameters grow with the number of experts; the computation for a token does not:

# %%
from physlm_lite.lessons.feed_forward.figures import cost_table

cost_table()

# %% [markdown]
# In training an expert takes at most `capacity` × its equal share of the tokens. Who comes late gets nothing from the
# layer; only the residual stream carries that token on. The slow twin sends one token after the other, the fast one
# sorts them by expert first:

# %%
from physlm_lite.models.experts import balance, dispatch, dispatch_naive

tokens, up, gate = torch.randn(64, 16), torch.randn(4, 24, 16), torch.randn(4, 24, 16)
down, router = torch.randn(4, 16, 24), torch.randn(4, 16)
share = (tokens @ router.T).softmax(-1)
expert = share.argmax(-1)
naive, fast = (send(tokens, expert, up, down, gate, F.silu, room=20) for send in (dispatch_naive, dispatch))
assert torch.allclose(naive, fast, atol=1e-3)
print(f"equal; {int((fast == 0).all(1).sum())} of 64 tokens found no room, loads {torch.bincount(expert).tolist()}")

# %% [markdown]
# A router that begins to prefer one expert trains that one more, and so prefers it more. Against that, each layer adds a
# *load-balance loss*: experts × Σₑ (fraction of tokens sent to e) × (mean share of e). It is 1 for an even load. The
# fractions are counts and have no gradient; the shares do.

# %%
even, lopsided = torch.eye(4).repeat(8, 1), torch.eye(4)[torch.zeros(32, dtype=torch.long)]
for name, shares in (("even", even), ("everything to one", lopsided), ("the router above", share)):
    print(f"{name:18} {float(balance(shares, shares.argmax(-1))):.2f}")

# %% [markdown]
# ## What if: the router
#
# Forty tokens in the order in which they are given room. Grey: the router's shares; a frame: the chosen expert; a red
# cross: turned away.
#
# **Questions:** with capacity 2 and four experts, how strong must the favourite be before anybody is turned away? Which
# tokens are it, and why should room not simply go to those of which the router is surest?

# %%
from physlm_lite.lessons.feed_forward.figures import router_explorer

router_explorer()

# %% [markdown]
# <details><summary>One answer</summary>
#
# Capacity 2 of four experts is room for half of the tokens: only a favourite of more than half of them overflows (a
# bias of about 1 does it in most draws). Those who lose their place stand late. If room went to the surest, a *later* token
# could take an earlier one's place, and the model would have seen the future. Outside of training nobody is turned away,
# so that a token's output depends on the token and its past alone.
# </details>
#
# ### Why Canon-D and experts do not go together
#
# Canon-D mixes hidden units of *neighbouring tokens*, before the activation. But unit 7 of expert 1 has nothing to do with
# unit 7 of expert 2. How often do neighbours meet in one expert, with a random even router?

# %%
from physlm_lite.lessons.feed_forward.figures import together_figure

Picture(together_figure(), "How often a token and its neighbours go to the same expert, for 2 to 32 experts")

# %%
from textwrap import fill

from physlm_lite.models import ModelConfig

try:
    ModelConfig(vocab=10, experts=4, canon="ABCD")
except ValueError as refusal:
    print(fill(str(refusal), 90))

# %% [markdown]
# ### Experts and facts
#
# **Guess:** the same parameters in four experts: as many bits about the people, fewer, or more?

# %%
experts = claim("R5-experts")
claim_card(experts, folded=True)

# %%
for outcome in known(experts):
    display(Picture(rows_figure(outcome), f"Bits per parameter with and without experts, {outcome.scale} scale"))
verdict_line(*known(experts))

# %% [markdown]
# A way to see why it may be so: each expert sees only its part of the tokens, and with it only a part of the 100
# exposures. A fact is wanted wherever a router in training happens to send its tokens.
#
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(gated, capacity, experts)

# %% [markdown]
# `R5-ReLU2` is measured like `R5-gated`. Its rules:

# %%
from physlm_lite.lab import rule_table

rule_table(squares)

# %% [markdown]
# **Should survive:** what two designs of equal size can compute, and who is turned away by a full expert. **May not:** the
# orders. The paper's gaps on Mano appear with expressions of 10 operations; ours have 1 to 3, and many of those can be
# learnt by heart. Capacity at width 16 is limited by few updates as much as by size. And 4 experts that share one hidden
# width are a milder change than 32 that each have all of it.
#
# ## Exercises
#
# **1 · A fair pair** (5 minutes, easy). A standard layer has `hidden` units in a model of `width`. How many must a gated
# layer have to come nearest to the same number of parameters?
#
# <details><summary>Hint</summary>3 · width · units = 2 · width · hidden. Then `round`.</details>

# %%
from physlm_lite.lessons.feed_forward import check


def my_units(width, hidden):
    # solution
    return round(2 * hidden / 3)


check("gated_width", my_units)

# %% [markdown]
# **2 · A product without a gate** (10 minutes, medium). `relu2` is squared ReLU, `a` and `b` are tensors. Return a · b,
# made only of sums and of `relu2` applied to sums.
#
# <details><summary>Hint</summary>relu2(z) + relu2(-z) = z². And 4ab is a difference of two squares.</details>


# %%
def my_product(relu2, a, b):
    # solution
    def square(z):
        return relu2(z) + relu2(-z)

    return (square(a + b) - square(a - b)) / 4


check("product_of", my_product)

# %% [markdown]
# **3 · Top-1 with a limit** (10 minutes, medium). `share` is [token, expert]. Send each token to its likeliest expert, in
# order; an expert takes `room` tokens. Return a list with each token's expert, or -1 if it was turned away.
#
# <details><summary>Hint</summary>One counter for each expert. Nobody gets a second choice.</details>


# %%
def my_routing(share, room):
    # solution
    taken, places = [0] * share.shape[1], []
    for e in share.argmax(1).tolist():
        places.append(e if taken[e] < room else -1)
        taken[e] += 1
    return places


check("top_one", my_routing)

# %% [markdown]
# **4 · The load-balance loss** (10 minutes, medium). From `share` [token, expert] and `expert` [token], where each token
# was sent.
#
# <details><summary>Hint</summary>`torch.bincount(expert, minlength=...)`. Two things are means over the tokens.</details>


# %%
def my_balance(share, expert):
    # solution
    experts = share.shape[1]
    fraction = torch.bincount(expert, minlength=experts) / len(expert)
    return experts * (fraction * share.mean(0)).sum()


check("balance_loss", my_balance)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*(outcome for c in (gated, squares, capacity, experts) for outcome in known(c)))

# %% [markdown]
# Next: [11 · Gated linear attention](11_gated_linear_attention.ipynb), where the *first* branch of the block changes.
