# %% [markdown]
# # 06 · Mano: knowledge manipulation
#
# *Part 4.1, sections 2 and 5.1, appendix A.4, figure 7* · you need: notebook 00
#
# Knowing 7 × 8 is one thing; using it inside a longer calculation, in the head, is another. Mano gives a
# Transformer arithmetic modulo 23, written operator first, and asks for the result **at once**. The tables must
# sit in the weights, and several look-ups must fit into one forward pass.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

manipulation = claim("R2-manipulation")
scale_table(manipulation)

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.claims import nearest_scale
from physlm_lite.lab import Prediction

experiment = manipulation.experiment(nearest_scale(manipulation))
label = experiment.metric(experiment.select).label
prediction = Prediction(
    f"Both sides train {experiment.training.steps:,} steps, each at its own best learning rate. Accuracy with {label}:",
    options=("every seed with Canon above every seed without", "the seeds overlap", "every seed with Canon below"),
)
prediction

# %%
claim_card(manipulation, folded=True)

# %% [markdown]
# ## The task
#
# An operator stands before its two operands, and an operand may itself be an expression. So no brackets are needed:
# `+ * 20 15 - 13 2` can only mean 20 · 15 + (13 − 2). By hand: find an operator with two numbers right behind it,
# replace the three by the result, repeat.

# %%
from physlm_lite.tasks.mano import Mano

task = Mano(L=3, markers="plain")
for calculation, rest in task.steps(["+", "*", 20, 15, "-", 13, 2]):
    print(f"{calculation:12}  leaves  {' '.join(map(str, rest))}")

# %% [markdown]
# To draw an expression of n operations: draw the operator, give l₁ ∈ {0, …, n − 1} operations to the left operand and
# the rest to the right one, all l₁ equally likely, and go on inside.
#
# **A question for the inspector:** the steps are done one after the other here. How many *rounds* would be enough
# if independent operations could be done at the same time, as a layer can? (Look at the depth of the tree.)

# %%
from physlm_lite.lessons.mano.figures import mano_inspector

mano_inspector(Mano(L=5, markers="plain"))

# %% [markdown]
# ### The stored facts
#
# What does a single operation need? One cell of one of three tables. Here they are modulo 7, where every fact can be
# read, and modulo 23, the paper's.

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.mano.figures import table_figure

Picture(table_figure(Mano(modulus=7)), "The tables of +, - and * modulo 7, zeros in red")

# %%
Picture(table_figure(Mano(modulus=23)), "The tables of +, - and * modulo 23, zeros in red")

# %% [markdown]
# ### What does doing nothing score?
#
# Look at the red cells. A sum is 0 once in m; a product is 0 as soon as *one* factor is. So 0 is the most likely
# answer, and a model that has learnt only this, and no table, beats 1/23 = 4.3 %.
#
# *Naive:* draw many test expressions, answer 0 to each, and let the grader count.

# %%
import torch

published = Mano(L=10, every_length=True)
batch = published.batch(seed=0, step=0, rows=100_000, split="test")
zeros = torch.full_like(batch.tokens, published.vocabulary.index("0"))
scores = published.grade(batch, zeros)

# %% [markdown]
# *Exact:* the distribution of a result follows from those of its two operands, and an operand of n operations is
# what an expression of n operations is. So start with uniform numbers (n = 0) and go up, over all splits and all
# cells of the tables.

# %%
for n in (1, 2, 4, 10):
    counted, count = scores["accuracy_length"][str(n)], scores["count_length"][str(n)]
    error = (counted * (1 - counted) / count) ** 0.5
    print(f"{n:2} operations: counted {counted:.3f} ± {error:.3f}, exact {published.floor(n):.4f}")
    assert abs(counted - published.floor(n)) < 5 * error

# %%
from physlm_lite.lessons.mano.figures import answer_figure

Picture(answer_figure(23), "Left: the exact distribution of the answer modulo 23. Right: the floor by length")

# %% [markdown]
# In the paper's figure 7, a model without positional encoding scores 7.1 % at L = 10. Read as "nearly nothing", that
# is right; read as "better than guessing", it would be wrong: it is this floor.
#
# ### Loss on all tokens
#
# The task has no mask: every token is to be predicted, also those of the expression, which are random. The answer is
# one token of many, the last.

# %%
from physlm_lite.tasks import text_view

print(text_view(task, task.batch(seed=0, step=0, rows=1)))

# %% [markdown]
# How much of the mean loss can knowing *every* answer save? At most the entropy of the answer, spread over all tokens:

# %%
import numpy as np

p = published.answer_probabilities[1:]
entropy = -(p * np.log(p)).sum(1).mean()
length = np.mean([2 * n + 5 for n in range(1, published.L + 1)])
print(f"{entropy:.2f} nats an answer / {length:.0f} tokens an instance = {entropy / length:.2f} nats of mean loss")

# %% [markdown]
# So a loss curve hardly tells whether Mano is being learnt. Accuracy at the answer does.
#
# ### Slow twin, fast twin
#
# The fast generator grows all trees of a batch level by level. `mano_instance` recurses, as the specification reads.

# %%
from physlm_lite.tasks.draws import address
from physlm_lite.tasks.mano import mano_instance

batch = published.batch(seed=0, step=0, rows=50)
for row in range(50):
    tokens, targets = mano_instance(published, int(address(address(0, 0, 0, row), 0)[0]))
    assert batch.tokens[row, : len(tokens)].tolist() == tokens
print("50 instances, equal token by token")

# %% [markdown]
# ## The experiment, live: with and without Canon

# %%
from physlm_lite.lab import Live

live = Live(manipulation)
live

# %%
from physlm_lite.lab import ledger_row, outcome_figure
from physlm_lite.lessons.mano.figures import length_figure


@live.when_done
def report(outcome):
    metric = outcome.experiment.select
    canon = [record.score(metric) for record in outcome.records["RoPE + Canon"]]
    plain = [record.score(metric) for record in outcome.records["RoPE"]]
    truth = "the seeds overlap"
    if min(canon) > max(plain):
        truth = "every seed with Canon above every seed without"
    elif max(canon) < min(plain):
        truth = "every seed with Canon below"
    return [
        Picture(length_figure(outcome), "Accuracy of the live runs by the number of operations"),
        prediction.score(truth),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The recorded runs
#
# How long may an expression be before a model falls to the floor? One panel a scale with records, each side at its
# best rate.

# %%
from physlm_lite.claims import recorded

outcomes = [recorded(manipulation, scale) for scale in manipulation.experiments if scale != "smoke"]
known = [outcome for outcome in outcomes if any(outcome.records.values())] or outcomes[:1]
Picture(length_figure(*known), "Recorded accuracy by the number of operations, with and without Canon")

# %% [markdown]
# And over time, on both clocks:

# %%
for outcome in known:
    display(Picture(outcome_figure(outcome), f"Final scores and learning curves at {outcome.scale} scale"))

# %%
from physlm_lite.lab import verdict_line

verdict_line(*known)

# %% [markdown]
# ## What decides at this size: rate, budget, depth or format?
#
# A small run may land on either side of the claim for reasons that have nothing to do with the layer under test. Four
# suspects, each with what is recorded.
#
# **Rate.** Every dot below is one run. What would you have concluded from a single column?

# %%
from physlm_lite.lab import grids, rate_figure, rate_table

for scales, setting in grids(manipulation).items():
    display(Picture(rate_figure(setting, scales), f"Accuracy at every learning rate of the grid, {scales} scale"))

# %%
rate_table(manipulation)

# %% [markdown]
# **A baseline at one rate lies**: it mixes "does not learn it" with "does not learn it *at this rate*". Only the last
# line of each block compares the two models. That a model works at many rates is worth something, too, but it is
# another statement.
#
# **Budget.** "Cannot" or "not yet"? The first evaluation at which each seed has half of the answers right:

# %%
from physlm_lite.lab import reached_table

reached_table(*known, accuracy=0.5)

# %% [markdown]
# **Depth and format.** Look-ups that follow one another ask for layers that do. But a small model may also learn short
# expressions by heart, without calculating (see the last widget), and then depth hardly matters. And one instance a
# row starts at position 0, so that its places can be told apart by counting; packed into windows, as in the paper,
# they cannot.

# %%
from physlm_lite.lessons.mano.figures import settings_compared

settings_compared(manipulation)

# %% [markdown]
# Two lines that differ in more than one column say nothing about any single one. And a small setting is *searched
# for*: what was tried without an effect stands in the table below. To turn one column yourself, here the depth (it
# walks the whole grid, 2 sides × rates × seeds):
#
# ```python
# from dataclasses import replace
# from physlm_lite.claims import replicate
#
# toy = manipulation.experiment("toy")
# other = replace(toy, model={**toy.model, "layers": 2})
# print(replicate(replace(manipulation, experiments={"toy": other}), "toy", workers=2).verdict)
# ```
#
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(manipulation)

# %% [markdown]
# The paper tests at n = L only; we test every length, because a short training has something to tell about short
# expressions only.
#
# **Should survive:** short expressions come before long ones, and at equal steps Canon gets further. **Will not:** the
# lengths (10 to 16 in the paper). Nor need a model without positional encoding stay at the floor
# where each row holds one instance.
#
# ## What if?
#
# Could a model cheat and learn the *answers* by heart instead of the tables? Choose the modulus and a training.
# **Question:** at the paper's modulus and budget, from which length on is learning by heart hopeless? And in our
# smallest experiment, from which length on must a model really calculate?

# %%
from physlm_lite.lessons.mano.figures import Budget, floor_explorer, task_of

budgets = {"paper": Budget.of(Mano(L=10, context=1024), steps=80_000, rows=64)}
for scale, setting in manipulation.experiments.items():
    if scale != "smoke":
        budgets[scale] = Budget.of(task_of(setting), setting.training.steps, setting.training.batch)
floor_explorer(budgets)

# %% [markdown]
# ## Exercises
#
# **1 · Read from the end** (8 minutes, medium). Evaluate a prefix expression modulo m: a list of operators (strings)
# and numbers (integers).
#
# <details><summary>Hint</summary>Go through the text from its end; keep each number; an operator takes the last two
# kept. Which of the two is the left one?</details>

# %%
from physlm_lite.lessons.mano import check


def my_value(expression, modulus):
    """["+", "*", 20, 15, 3], 23 -> 4"""
    # solution
    kept = []
    for item in reversed(expression):
        if isinstance(item, str):
            a, b = kept.pop(), kept.pop()
            item = {"+": a + b, "-": a - b, "*": a * b}[item] % modulus
        kept.append(item)
    return kept[0]


check("prefix_value", my_value)

# %% [markdown]
# **2 · The score of doing nothing** (6 minutes, medium). One operation, drawn uniformly from `operators` (some of
# `"+-*"`), on two numbers drawn uniformly from 0 to m − 1. With what chance is the result 0? The modulus need not be
# a prime.
#
# <details><summary>Hint</summary>Count zeros in the tables, then take the mean over the operators.</details>


# %%
def my_zero_share(modulus, operators):
    # solution
    a, b = np.indices((modulus, modulus))
    results = {"+": a + b, "-": a - b, "*": a * b}
    return float(np.mean([results[operator] % modulus == 0 for operator in operators]))


check("zero_share", my_zero_share)

# %% [markdown]
# **3 · How likely is this tree?** (10 minutes, hard). Given an expression, return the chance that the task draws a
# tree of this shape among all of the same number of operations, whatever the operators and numbers.
#
# <details><summary>Hint</summary>At an operator with n operations in its subtree (itself included) there are n
# splits, all equally likely. Multiply over the operators.</details>


# %%
def my_shape_chance(expression):
    """["+", 1, "*", 2, 3] -> 0.5"""
    # solution
    chance, kept = 1.0, []
    for item in reversed(expression):
        size = 0
        if isinstance(item, str):
            size = 1 + kept.pop() + kept.pop()
            chance /= size
        kept.append(size)
    return chance


check("shape_chance", my_shape_chance)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*outcomes)

# %% [markdown]
# Mano stores a few hundred facts and *uses* them; its parts stand in a row. Next come parts within parts:
# [07 · Lano](07_lano.ipynb), a language with rules. Or run `physlm ledger` for every claim at every scale.
