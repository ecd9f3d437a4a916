# %% [markdown]
# # 08 · Positions: NoPE, ALiBi, partial RoPE
#
# *Part 4.1, section 5.2, result 3, figures 7, 10 and 26* · you need: notebooks 02 and 03
#
# How does a Transformer know which word came first? Usually it is told, by a rotation of queries and keys (RoPE).
# This notebook takes the rotation away, puts cheaper things in its place, and asks what is left for it to do once
# there are Canon layers.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

nope, alibi = claim("R3-NoPE"), claim("R3-ALiBi")
quarter, structure = claim("R3-quarter"), claim("R3-structure")
scale_table(nope, alibi, quarter, structure)

# %% [markdown]
# One claim runs live below. The other three come with their records, further down.
#
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "Depo, one hop, equal steps, both with Canon layers, each at its best rate. Compared with RoPE, the model without "
    "positions (NoPE) will be ...",
    options=("behind by more than 0.1", "within 0.1", "ahead by more than 0.1"),
)
prediction

# %%
claim_card(nope, folded=True)

# %% [markdown]
# ## RoPE: turn, then compare
#
# Take two coordinates of a query as one complex number and turn it by an angle that grows with the position. Do the
# same with the key. Their product then depends on the *difference* of the angles: on the distance, not on the place.
# Pair *i* of *R* rotated coordinates turns by θ<sup>−2i/R</sup> for each token, from fast to slow.

# %%
import torch

from physlm_lite.models import rope_table, rotate


def rotate_by_hand(x, theta=10_000.0):
    """x [position, width]; pair i is coordinates i and i + width / 2."""
    half = x.shape[1] // 2
    y = torch.empty_like(x)
    for position in range(len(x)):
        for i in range(half):
            angle = torch.tensor(position * theta ** (-2 * i / x.shape[1]))
            turned = torch.complex(x[position, i], x[position, i + half]) * torch.polar(torch.tensor(1.0), angle)
            y[position, i], y[position, i + half] = turned.real, turned.imag
    return y


torch.manual_seed(0)
x = torch.randn(10, 8)
fast = rotate(x[None, None], *rope_table(torch.arange(10), 8, 10_000.0))[0, 0]
print(f"by hand against the library: {float((fast - rotate_by_hand(x)).abs().max()):.0e}")

q, k = torch.randn(2, 8)  # one query and one key, put at every place
scores = rotate_by_hand(q.expand(10, 8)) @ rotate_by_hand(k.expand(10, 8)).T
print("three tokens apart:", [f"{scores[t, t - 3]:.4f}" for t in (3, 6, 9)])

# %% [markdown]
# ### Not every coordinate has to turn
#
# A coordinate at rest compares contents only, at any distance. The paper tries five rotations of the same layer.
# **Which coordinates turn, and how fast?** Rows are heads, columns their coordinates.

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.positions.figures import layouts_figure

Picture(layouts_figure(), "Rotated coordinates of 8 heads of width 64 in five layouts, coloured by wavelength")

# %% [markdown]
# In the last layout but one all heads turn, each in its first 16 coordinates. Their speeds run from fastest to
# slowest all the same, because the exponent is −2i/R with the *rotated* part *R*.
#
# ## ALiBi: near is better, by rule
#
# ALiBi rotates nothing. It subtracts from each score the distance times a slope, 2<sup>−8h/H</sup> for head *h* of *H*.
# Hard ALiBi (H-ALiBi) is blunter: head *h* of the first half sees the nearest *h* tokens, itself included; the
# others see everything. **How far does each head see, before any content comes into play?**

# %%
from physlm_lite.lessons.positions.figures import reach_figure

Picture(reach_figure(), "Attention of ALiBi and H-ALiBi heads if all contents were equal")

# %% [markdown]
# ## NoPE: who says that there is no order?
#
# Without positions, a layer adds up values with weights that depend on contents only. Shuffle the earlier words and
# the last one receives the same sum: a *bag* of words. So how could NoPE ever work? Put the words before the last
# one into another order, and measure how much the last output changes:

# %%
from physlm_lite.lessons.positions.figures import VARIANTS, order_effect
from physlm_lite.models import LanguageModel, ModelConfig

text, order = torch.tensor([2, 5, 3, 7, 1, 6, 4]), [3, 5, 0, 4, 2, 1]


def effect(layers, **options):
    config = ModelConfig(vocab=8, width=32, heads=4, layers=layers, **options)
    return order_effect(LanguageModel(config, seed=0), text, order)


print("layers", *(f"{name:>9}" for name in (*VARIANTS, "NoPE + Canon")))
for layers in (1, 2):
    options = [*VARIANTS.values(), {"rope_dim": 0, "canon": "ABCD"}]
    print(f"{layers:>6}", *(f"{effect(layers, **chosen):9.0e}" for chosen in options))

assert effect(1, rope_dim=0) < 1e-5 < 1e-2 < effect(2, rope_dim=0)

# %% [markdown]
# One NoPE layer sees a bag. Two do not! The reason is the **causal mask**: the first layer's output at a word is the
# bag of the words *up to it*, and these bags differ. If every token saw every other, no depth would help:

# %%
from physlm_lite.models import attend_naive


def stack(x, mask, layers=3):
    """Attention without projections or positions, with a residual."""
    for _ in range(layers):
        x = x + attend_naive(x[None, None], x[None, None], x[None, None], mask)[0][0, 0]
    return x


everyone = torch.ones(7, 7, dtype=torch.bool)
x = torch.randn(7, 16)
shuffled = torch.cat([x[:6][order], x[6:]])
for name, mask in {"causal": everyone.tril(), "everyone sees everyone": everyone}.items():
    change = (stack(x, mask) - stack(shuffled, mask))[-1].abs().max()
    print(f"{name:<23} change of the last output: {float(change):.0e}")

# %% [markdown]
# ### What kind of position is that, and what does Canon add?
#
# A head that looks everywhere alike gives the first token the weight 1/(t+1). So NoPE can *count*, but the count
# gets blurred: the step from t to t + 1 changes it by about 1/t². "The token just before me" is one voice among t.
# **Who hears the neighbour from the start?**

# %%
from physlm_lite.lessons.positions.figures import neighbour_figure

Picture(neighbour_figure(), "How NoPE counts, and the factor of the previous token before training, by position")

# %% [markdown]
# A Canon tap has the same size at every position. It is a *relative* position of at most three tokens, exact, and at
# four places of every layer. Further away it knows nothing, and a model without rotation has to count.
#
# ## See it: what the heads learn
#
# Small models learn to repeat 4 to 8 symbols (notebook 02): same data, same steps, same rate. First one layer, with
# and without Canon; then two layers without it. (Half a minute; one seed and *one rate*, so these are pictures, not
# a ranking.)

# %%
from physlm_lite.lab import Trained
from physlm_lite.lessons.positions.figures import copiers, look_table, maps_explorer, variant_runs

one, two = variant_runs(layers=1), variant_runs(layers=2, canon=("",))
small = Trained(*one.values(), *two.values())
small


# %%
@small.when_done
def explore(trained):
    groups = {"one layer": copiers(one, trained[: len(one)]), "two layers": copiers(two, trained[len(one) :])}
    return [maps_explorer(groups)]


# %% [markdown]
# Framed is the symbol that has to be copied next. **Two questions for the explorer.** Without Canon, which variants
# have a head in layer *one* of two that looks at the token just before? And with Canon, does any head still bother?
# The tables have the answers: the largest weight of any head, mean over places and sentences.


# %%
@small.when_done
def compare(trained):
    return [look_table(copiers(one, trained[: len(one)])), look_table(copiers(two, trained[len(one) :]))]


# %% [markdown]
# To copy, a model must find where the present symbol stood (global) and take the next one (local). Head 2 of H-ALiBi is
# *bound* to be local, and Canon layers are local without a head. Where a model copies well and no weight is large,
# several soft heads share the work: a map shows where a model looks, not all that it does with it.
#
# ## The experiment, live: no positions on Depo

# %%
from physlm_lite.lab import Live

live = Live(nope)
live

# %%
from statistics import fmean

from physlm_lite.lab import ledger_row, outcome_figure


@live.when_done
def report(outcome):
    one_hop = {side: fmean(r.score("accuracy_k.1") for r in runs) for side, runs in outcome.records.items()}
    gap = one_hop["NoPE + Canon"] - one_hop["RoPE + Canon"]
    truth = "within 0.1" if abs(gap) <= 0.1 else f"{'ahead' if gap > 0 else 'behind'} by more than 0.1"
    return [
        Picture(outcome_figure(outcome), "Accuracy of the live runs: NoPE, NoPE + Canon, RoPE + Canon"),
        prediction.score(truth, f"The difference is {gap:+.2f}."),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The recorded runs
#
# Every claim at each scale that has records: figure, then verdict. First the one that you have just run.

# %%
from physlm_lite.claims import recorded
from physlm_lite.lab import verdict_line


def show(claim):
    outcomes = [recorded(claim, scale) for scale in claim.experiments if scale != "smoke"]
    known = [outcome for outcome in outcomes if any(outcome.records.values())]
    for outcome in known:
        display(Picture(outcome_figure(outcome), f"{claim.id} at {outcome.scale} scale: final scores and curves"))
    display(verdict_line(*(known or outcomes[:1])))
    return known


shown = show(nope)

# %% [markdown]
# ### Canon layers or ALiBi?
#
# Both make the near tokens louder, one by a learnt mixture, the other by rule. **Guess:** does ALiBi catch up?

# %%
claim_card(alibi, folded=True)

# %%
shown += show(alibi)

# %% [markdown]
# ### A little rotation
#
# On Brevo (notebook 04): all coordinates, a quarter in two layouts, none. **Guess:** is a quarter enough, or even better?

# %%
claim_card(quarter, folded=True)

# %%
shown += show(quarter)

# %% [markdown]
# ### The exception
#
# Grammar (notebook 07) cares about distances beyond three tokens. The score is the KL divergence from the grammar: lower
# is better.

# %%
claim_card(structure, folded=True)

# %%
shown += show(structure)

# %% [markdown]
# ### Which rate?
#
# Each side is judged at its own best rate. A side whose best rate is at an end of the grid might do better outside.

# %%
from physlm_lite.lab import chosen_rates

chosen_rates(*shown)

# %% [markdown]
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(nope, alibi, quarter, structure)

# %% [markdown]
# **Should survive:** NoPE alone stays behind, Canon lifts it, and grammar is where rotation is missed. **Will not:** fine
# orders, such as NoPE + Canon against RoPE + Canon on the last rung, or a quarter against all, which wants large graphs
# and several model sizes.
#
# Two caveats about size. Our rows hold one short instance that begins at position 0, so NoPE can count from the start;
# in the paper's packed windows an instance begins anywhere. And the best reason for less rotation shows only in *long*
# texts. In the paper, 1.3B models trained on 4,096 tokens are asked for a fact within 5,000 (section 8, SlimPajama):
#
# | | RoPE | RoPE + Canon | 1/4 RoPE + Canon, two layouts | NoPE + Canon | NoPE |
# |---|---|---|---|---|---|
# | right answers, % | 4 to 15 (8 seeds) | 7 | 61, 81 | 89 | 67 |
# | HellaSwag, % | 55.8 to 56.7 | 56.5 | 56.5, 57.2 | 55.7 | 49.2 |
#
# One explanation: past the training length, slow coordinates reach angles never seen. What rests cannot turn too far.
#
# ## What if?
#
# Choose how many coordinates of how many heads turn. On the right: what is left of the score of a key that *equals* the
# query, far away. **Question:** you want every head to turn, yet to keep at least half of a match at any distance. How
# many coordinates may turn at most? (And does the layout of the pairs change anything but the picture?)

# %%
from physlm_lite.lessons.positions.figures import rotation_explorer

rotation_explorer()

# %% [markdown]
# ## Exercises
#
# **1 · ALiBi from its formula** (7 minutes, easy). What is added to the scores: a tensor [head, query, key], with
# −2<sup>−8h/H</sup> × distance for the heads h = 1, …, H, and −∞ for the future.
#
# <details><summary>Hint</summary>`place[:, None] - place` is the distance of every query from every key;
# `torch.where` puts −∞ where it is negative.</details>

# %%
from physlm_lite.lessons.positions import check


def my_bias(heads, length):
    # solution
    place = torch.arange(length)
    distance = place[:, None] - place
    slopes = 2 ** (-8 * torch.arange(1, heads + 1) / heads)
    return torch.where(distance >= 0, -slopes[:, None, None] * distance, float("-inf"))


check("alibi_bias", my_bias)

# %% [markdown]
# **2 · The hard mask** (7 minutes, medium). True where a head of H-ALiBi may look, as [head, query, key] (`heads` is
# even).
#
# <details><summary>Hint</summary>First how many tokens each head sees, then compare the distance with it.</details>


# %%
def my_mask(heads, length):
    # solution
    place, head = torch.arange(length), torch.arange(1, heads + 1)
    distance = place[:, None] - place
    reach = torch.where(head <= heads // 2, head, length)
    return (distance >= 0) & (distance < reach[:, None, None])


check("hard_alibi_mask", my_mask)

# %% [markdown]
# **3 · Rotate a part** (10 minutes, medium). `x` is one head, [position, head_width], positions from 0. Rotate its first
# R = `rope_dim` coordinates; pair *i* is (i, i + R/2) and turns by position × θ<sup>−2i/R</sup>.
#
# <details><summary>Hint</summary>Cut x at R/2 and at R. A pair (a, b) becomes (a cos − b sin, a sin + b cos).</details>


# %%
def my_rotation(x, rope_dim, theta):
    # solution
    half = rope_dim // 2
    frequency = theta ** (-2 * torch.arange(half) / rope_dim)
    angle = torch.arange(len(x))[:, None] * frequency
    a, b, rest = x[:, :half], x[:, half:rope_dim], x[:, rope_dim:]
    return torch.cat([a * angle.cos() - b * angle.sin(), a * angle.sin() + b * angle.cos(), rest], 1)


check("partial_rotation", my_rotation)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*shown)

# %% [markdown]
# Next: [09 · Ablations](09_ablations.ipynb): the parts of a Canon layer, taken away one by one. Or run `physlm ledger` for
# every claim at every scale.
