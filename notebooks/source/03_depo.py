# %% [markdown]
# # 03 · Depo: reasoning depth
#
# *Part 4.1, sections 2, 5.1 and 5.2, appendix A.1, figures 7 and 8* · you need: notebook 00
#
# How many steps can a Transformer think in one forward pass? Depo measures it: a hidden ring of names, and
# questions that are 1, 2, 4, ... steps deep, to be answered at once.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

depth, positions = claim("R2-depth"), claim("R3-NoPE")
scale_table(depth, positions)

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "A Transformer without any positional encoding (NoPE) gets Canon layers. "
    "On 1-hop questions after 400 steps it will be ...",
    options=("at chance, like NoPE alone", "about half-way", "about as good as RoPE + Canon"),
)
prediction

# %%
claim_card(depth, folded=True)

# %%
claim_card(positions, folded=True)

# %% [markdown]
# ## The task
#
# Draw a ring of n names. Write its n edges "x y" (y comes after x) in random order. Then ask up to ten questions
# `<k> q <ans> a`: the name k steps after q is a. The loss is on `<ans>` and the answer only.
#
# Drag the question round the ring, and change n and k. **Two questions:** for which k is the answer the asked name
# itself, and why does the paper keep such questions in the training data? And can the walk be followed while reading from
# left to right, or must it wait for the question?

# %%
from physlm_lite.lessons.depo.figures import depo_ring
from physlm_lite.tasks import Depo, preset, text_view

small = Depo(N=8, K=6, V=12, longest=1, queries=8, sizes="fixed", every_hop=True)
depo_ring(small)

# %% [markdown]
# Each hop needs one pair of the text, and the pairs stand anywhere. A pair is two tokens: whoever looks for the name 2
# finds it in one place and wants what stands in the *next* one. With Canon, the next place knows what stood before it
# (blue): name and successor meet in one token.
#
# The same instance as the model reads it, with the next-token labels and the loss mask below:

# %%
print(text_view(small, small.batch(seed=0, step=0, rows=1)))

# %% [markdown]
# The names of the published tasks have several tokens. In Depo1 they have one or two of 50 letters, in Depo2 five
# to seven of 3. A name's last token is marked (here with '), so that a run of tokens splits into names in one way
# only.

# %%
long_names = Depo(N=3, K=2, V=4, shortest=2, longest=3, queries=2)
print(text_view(long_names, long_names.batch(seed=3, step=0, rows=1)))

# %% [markdown]
# ### A batch is a pure function
#
# `task.batch(seed, step, rows)` depends on nothing else. Rows 2 and 3 of step 1,000 are the same whether you ask
# for them alone or together with others; no generator has to be wound forward.

# %%
import torch

depo1 = preset("depo1-n225")
together, alone = depo1.batch(seed=0, step=1000, rows=8), depo1.batch(seed=0, step=1000, rows=range(2, 4))
assert torch.equal(together.tokens[2:4], alone.tokens)
rows, window = alone.tokens.shape
print(f"{rows} windows of the published task, {window:,} tokens each: {int(alone.targets.sum())} tokens carry loss,")
print(f"{int(alone.document.max()) + 1} instances in the fuller row")

# %% [markdown]
# ### Slow twin, fast twin
#
# The generator works on whole batches at once and makes millions of tokens a second. Beside it stands
# `depo_instance`, which reads like the specification. Both make the same tokens from the same address:

# %%
import time

from physlm_lite.tasks import depo_instance
from physlm_lite.tasks.draws import address

names = Depo(N=40, K=8)
batch = names.batch(seed=0, step=0, rows=4)
for row in range(4):
    key = int(
        address(address(0, 0, 0, row), 0)[0]
    )  # seed 0, training split, step 0, this row; first instance of the row
    tokens, targets = depo_instance(names, key)
    assert batch.tokens[row, : len(tokens)].tolist() == tokens

begin = time.perf_counter()
count = depo1.batch(seed=0, step=1, rows=256).tokens.numel()
fast = count / (time.perf_counter() - begin)
begin = time.perf_counter()
slow = sum(len(depo_instance(depo1, key)[0]) for key in range(3)) / (time.perf_counter() - begin)
print(f"equal; the fast twin is about {10 ** round(float(torch.tensor(fast / slow).log10())):,} times as fast")

# %% [markdown]
# ### Easy and hard instances in one stream
#
# In training, n is drawn from 3 to N with weight 1 / (n + √N). Small rings are common, the largest rare; the test
# always uses n = N.

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.depo.figures import size_figure

Picture(size_figure((225, 300, 375)), "Distribution of the ring size n in training, for the three published N")

# %% [markdown]
# ### Grading
#
# A question counts as right only if *every* token of the answer is. The grader does not trust the generator: it
# reads the edges back from the text and walks. Per-token accuracy is reported beside it, and is always the more
# flattering number.

# %%
batch = names.batch(seed=0, step=0, rows=64, split="test")
guesses = batch.tokens.clone()
spoil = (torch.rand(guesses.shape, generator=torch.Generator().manual_seed(0)) < 0.2) & batch.targets
guesses[spoil] = 1  # a model that gets 80 % of the tokens right
scores = names.grade(batch, guesses)
for k, whole in scores["accuracy_k"].items():
    tokens = scores["token_accuracy_k"][k]
    print(f"k = {k}: whole answers {whole:.2f}, tokens {tokens:.2f}, {scores['count_k'][k]} questions")

# %% [markdown]
# ## The experiment, live: positions switched off
#
# Notebook 00 showed RoPE with and without Canon. Here the positions go, too. Without positional encoding and
# without Canon, the first layer sees a *bag* of the tokens so far: it cannot tell which name of a pair comes
# first. Can four taps replace the positions?

# %%
from physlm_lite.lab import Live

live = Live(positions)
live

# %%
from statistics import fmean

from physlm_lite.lab import ledger_row, outcome_figure


@live.when_done
def report(outcome):
    one_hop = {side: fmean(r.score("accuracy_k.1") for r in runs) for side, runs in outcome.records.items()}
    gap = one_hop["RoPE + Canon"] - one_hop["NoPE + Canon"]
    truth = "about as good as RoPE + Canon" if gap < 0.15 else "about half-way"
    if one_hop["NoPE + Canon"] < 0.25:
        truth = "at chance, like NoPE alone"
    return [
        Picture(outcome_figure(outcome), "Accuracy of the live runs: NoPE, NoPE + Canon, RoPE + Canon"),
        prediction.score(truth),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The ladder
#
# At `laptop` scale the questions go up to three hops, on rings of six names, and the budget is 1,500 steps. The
# rungs are learnt one after the other. Whoever learns the first one sooner has more of the budget left for the
# next: this is the paper's explanation of why a layer that saves *one* attention step can double the depth.

# %%
from physlm_lite.claims import recorded
from physlm_lite.lessons.depo.figures import ladder_figure

Picture(ladder_figure(recorded(depth, "laptop")), "Learning curves for one to three hops, with and without Canon")

# %%
Picture(outcome_figure(recorded(depth, "laptop")), "Final accuracy for each number of hops, and curves on both clocks")

# %%
from physlm_lite.lab import verdict_line

verdict_line(recorded(depth, "toy"), recorded(depth, "laptop"))

# %% [markdown]
# ### With budget to spare
#
# Are three hops something that a plain Transformer *cannot* do? Keep everything and double the budget. The rule
# that judges it is the same.

# %%
ladder = claim("R2-ladder")
Picture(
    ladder_figure(recorded(ladder, "laptop")),
    "Learning curves for one to three hops with twice the budget",
)

# %%
from physlm_lite.lab import reached_table

reached_table(recorded(ladder, "laptop"))

# %%
verdict_line(recorded(ladder, "laptop"))

# %% [markdown]
# The plain model climbs, too: later, and not on every seed to the top. So the statement to take home is about
# *speed*, and through speed about how far a given budget leads. It is also a warning about baselines: at the
# learning rate that suits Canon best, the plain model does not even leave chance, and at its own best rate it does.
#
# One rung further up: rings of eight names, four hops, 6,000 steps. (The title says how many seeds are recorded.)

# %%
four = claim("R2-four-hops")
Picture(ladder_figure(recorded(four, "laptop")), "Learning curves for one to four hops on rings of eight names")

# %%
reached_table(recorded(four, "laptop"))

# %%
verdict_line(recorded(four, "laptop"))

# %% [markdown]
# ### No positions, at laptop scale

# %%
Picture(outcome_figure(recorded(positions, "laptop")), "NoPE, NoPE + Canon and RoPE + Canon at laptop scale")

# %%
verdict_line(recorded(positions, "toy"), recorded(positions, "laptop"))

# %% [markdown]
# ## Look inside: the node on the way
#
# *Deeper.* Asked for two hops, a model has to pass the first node and may not write it down. Is it there to be read? A
# *probe* is a linear reader of what the stream holds at a depth, fitted on some texts and tried on others. It also reads the
# same model as it starts (dashed): what can be read there was not learnt.
#
# **Before you run it:** after which layer is the first node there? And the second?

# %%
from physlm_lite.claims import scale_of
from physlm_lite.lab import Trained
from physlm_lite.lab.inside import looking_inside
from physlm_lite.lab.plots import palette
from physlm_lite.lessons.depo.inside import after

rungs = claim("R2-rungs").experiment("smoke" if scale_of() == "smoke" else "toy")
inside = Trained(*(rungs.run(side, 2e-3, seed=0) for side in rungs.sides))
inside


# %%
@inside.when_done
def look(trained):
    models = {side: model for side, (model, _) in zip(rungs.sides, trained, strict=True)}
    task = rungs.made_task
    nodes = {"the first node": after(task, 1, asked=2), "the second node": after(task, 2, asked=2)}
    return looking_inside(models, task, nodes, "accuracy_k.2", palette(models))


# %% [markdown]
# One seed of each side.
#
# To be there is not to be used. So the last picture *intervenes*: one Canon layer is taken out of the trained model, and the
# task is graded anew. **Read it:** which of the eight could go? Which one carries both hops?
#
# ## Simplified or full
#
# What each of our settings changes against the paper, and the rule that judges it, as they are written in the
# claim:

# %%
from physlm_lite.lab import setting_table

setting_table(depth, ladder, four, positions)

# %% [markdown]
# **Should survive:** Canon ahead at each k, the rungs in order, NoPE lifted from chance by Canon. **Will not:**
# the number of hops (the paper's models learn 8 to 16 with a thousand times the tokens), and fine orders such as
# NoPE + Canon against RoPE + Canon. On so small a ring the last rung is half way round, so part of it may come
# from walking backwards or from elimination.
#
# ## Exercises
#
# **1 · Be the oracle** (5 minutes, easy). Given the shuffled edges, a node and k, return the answer.
#
# <details><summary>Hint</summary>A dictionary, then a loop.</details>

# %%
from physlm_lite.lessons.depo import check


def my_answer(edges, node, k):
    """edges: pairs (x, y), y comes right after x."""
    # solution
    successor = dict(edges)
    for _ in range(k):
        node = successor[node]
    return node


check("answer", my_answer)

# %% [markdown]
# **2 · The size distribution** (5 minutes, medium). Return P(n) for n = 3, ..., N as an array that sums to 1.
#
# <details><summary>Hint</summary>weight 1 / (n + √N), then divide by the sum.</details>

# %%
import numpy as np


def my_sizes(N):
    # solution
    weight = 1 / (np.arange(3, N + 1) + np.sqrt(N))
    return weight / weight.sum()


check("size_probabilities", my_sizes)

# %% [markdown]
# **3 · Grade whole names** (5 minutes, easy). `answers` and `guesses` are lists of names, each a list of tokens.
# Return the share of names that are entirely right. (Why would per-token accuracy never be as low as 1/N for
# Depo2's long names?)
#
# <details><summary>Hint</summary>Compare name with name, not token with token.</details>


# %%
def my_accuracy(answers, guesses):
    # solution: With 3 letters, even a blind guess gets a third of the tokens.
    return sum(a == g for a, g in zip(answers, guesses)) / len(answers)


check("whole_name_accuracy", my_accuracy)

# %% [markdown]
# ## The ledger

# %%
ledger_row(
    *(recorded(c, scale) for c in (depth, positions) for scale in ("toy", "laptop")),
    recorded(ladder, "laptop"),
    recorded(four, "laptop"),
)

# %% [markdown]
# Next: [04 · Brevo](04_brevo.ipynb), where one answer needs many names at once. Or run `physlm ledger` for every
# claim at every scale.
