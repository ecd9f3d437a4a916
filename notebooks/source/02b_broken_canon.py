# %% [markdown]
# # 02b · Broken on purpose: nine layers, one is right
#
# *Part 4.1, section 4* · you need: notebook 02
#
# A layer that is wrong rarely crashes. It returns the right shape, its loss falls, and weeks later somebody wonders why a
# result cannot be repeated. Here are nine Canon layers. Eight have one thing wrong. You may not read them: find out by
# **experiments**, as one does with a model that somebody else has written.

# %%
import torch

from physlm_lite.lessons.broken_canon.layers import mystery

layers = mystery()
x, taps = (
    torch.randn(2, 8, 3),
    torch.rand(3, 1, 4) - 0.5,
)  # [batch, position, width]; [channel, 1, lag], the last tap is lag 0
for letter, layer in layers.items():
    y = layer(x, taps)
    print(f"{letter}: shape {tuple(y.shape)}, finite {bool(y.isfinite().all())}, mean size {float(y.abs().mean()):.2f}")

# %% [markdown]
# Nothing to see. (A test of shapes is worth little.)
#
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "You compare each layer with the formula of notebook 02, on random numbers, values only. How many of the eight wrong ones "
    "does that find?",
    options=("all eight", "seven", "six or fewer"),
)
prediction

# %% [markdown]
# ## What the right one does
#
# The cleanest question to a layer is a single **one**. Put it at each position in turn, and write down what arrives where.
# Columns: where the one stands. Rows: which output is looked at. The taps of channel 0 are .4, .3, .2, .1 from lag 0 on,
# those of channel 1 have alternating signs.
#
# **Read it:** where is the identity term? Where would a look into the future be? Why are all columns alike?

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.broken_canon.figures import right_figure

Picture(
    right_figure(),
    "The response of the right layer to a one at each position, in two channels: a band below the diagonal",
)

# %% [markdown]
# ## The nine
#
# **Before you start:** which of the three experiments will show a leak between texts that share a batch? Which one shows a
# layer that never learns?

# %%
from physlm_lite.lessons.broken_canon.figures import detective

detective()

# %% [markdown]
# Now the comparison with the formula, and your guess:

# %%
from physlm_lite.models import canon_naive

found = [
    letter for letter, layer in layers.items() if not torch.allclose(layer(x, taps), canon_naive(x, taps), atol=1e-5)
]
truth = {8: "all eight", 7: "seven"}.get(len(found), "six or fewer")
prediction.score(
    truth, "The values of one wrong layer are right, every time. It also says that something is wrong, not what."
)

# %% [markdown]
# Four experiments are enough to give each mistake its name: a one in the middle, a one at both edges, a second row, and the
# gradient. Each is a few lines, and each belongs into the tests of whoever writes such a layer. (The kit's own:
# `tests/models/test_canon.py`.)
#
# ## Exercises
#
# **1 · No look into the future** (8 minutes, medium). `layer(x, weight)` takes x [batch, position, width] and weight
# [width, 1, 4]. Return True if no output depends on a later token.
#
# <details><summary>Hint</summary>Change everything from place t on and look at the outputs before t. For which t?</details>

# %%
from physlm_lite.lessons.broken_canon import check


def my_causal(layer):
    # solution
    x, weight = torch.randn(1, 10, 4), torch.randn(4, 1, 4)
    before = layer(x, weight)
    for t in range(1, 10):
        other = x.clone()
        other[:, t:] += 1
        if not torch.allclose(layer(other, weight)[:, :t], before[:, :t], atol=1e-5):
            return False
    return True


check("is_causal", my_causal)

# %% [markdown]
# **2 · Rows keep to themselves** (5 minutes, easy). Return True if no row of a batch depends on another row.
#
# <details><summary>Hint</summary>Two rows; change one, look at the other. Then the other way round.</details>


# %%
def my_rows(layer):
    # solution
    x, weight = torch.randn(2, 10, 4), torch.randn(4, 1, 4)
    before = layer(x, weight)
    for row in (0, 1):
        other = x.clone()
        other[row] += 1
        if not torch.allclose(layer(other, weight)[1 - row], before[1 - row], atol=1e-5):
            return False
    return True


check("rows_apart", my_rows)

# %% [markdown]
# **3 · Measure the taps** (8 minutes, medium). Put a one into every channel at position 8 of 20, and return what arrives there
# and at the next three places, as [width, 4].
#
# <details><summary>Hint</summary>A batch of one row of zeros. The output there is [4, width]: turn it.</details>


# %%
def my_taps(layer, weight):
    # solution
    x = torch.zeros(1, 20, weight.shape[0])
    x[0, 8] = 1
    return layer(x, weight)[0, 8:12].T


check("measured_taps", my_taps)

# %% [markdown]
# **4 · The diagnosis** (20 minutes, hard). Return the name of what is wrong with a layer: `"right"`, `"no identity"`,
# `"taps reversed"`, `"looks ahead"`, `"wraps around"`, `"one set of taps"`, `"rows leak"`, `"scaled at the start"` or
# `"taps never learn"`. Use your three experiments, and one on the gradient.
#
# <details><summary>Hint</summary>Begin with the gradient and the rows. A circle and a look ahead are both not causal: what
# does a one in the middle do? What remains differs in the measured taps, in the middle or at position 0.</details>


# %%
def my_diagnosis(layer):
    # solution
    weight = torch.tensor([[[0.1, 0.2, 0.3, 0.4]], [[0.5, 0.6, 0.7, 0.8]]], requires_grad=True)  # all different

    def at(place, rows=1):
        x = torch.zeros(rows, 12, 2)
        x[0, place] = 1
        return layer(x, weight).detach()

    layer(torch.ones(1, 12, 2, requires_grad=True), weight).sum().backward()
    if weight.grad is None:
        return "taps never learn"
    if at(11, rows=2)[1].any():
        return "rows leak"
    if at(11)[0, :8].any():
        return "wraps around"
    if at(6)[0, :6].any():
        return "looks ahead"
    middle, taps = at(6)[0, 6:10].T, weight.detach()[:, 0].flip(1)
    own = torch.tensor([1.0, 0, 0, 0])
    for name, expected in {
        "no identity": taps,
        "taps reversed": taps.flip(1) + own,
        "one set of taps": taps[:1].expand(2, 4) + own,
    }.items():
        if torch.allclose(middle, expected):
            return name
    return "right" if torch.allclose(at(0)[0, :4].T, middle) else "scaled at the start"


check("diagnose", my_diagnosis)

# %% [markdown]
# If your function passes, try it on the letters: `{letter: my_diagnosis(layer) for letter, layer in layers.items()}`. Then shuffle
# them: `mystery(seed=1)`.
