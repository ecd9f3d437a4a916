# %% [markdown]
# # 90 · The what-if lab
#
# *Part 4.1, all sections; Part 4.2 for the cost* · you need: notebook 00, for how an experiment is judged, and
# notebook 02, for what a Canon layer is
#
# Every notebook before this one asks the paper's questions. This one is for yours. Take a task, change one thing about the
# model, guess what happens, and run it. The lab says beforehand what a run takes, draws the recorded runs that are nearest,
# and judges a difference by the rule of the ledger.

# %% [markdown]
# ## Predict first
#
# **A question about luck.** You have trained two models with three seeds each. All three seeds of the one are ahead of all
# three of the other.

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "The two models are equally good. How often does luck alone put all three seeds of the one that you named ahead?",
    options=("one time in 8", "one time in 20", "one time in 64", "one time in 252"),
)
prediction

# %% [markdown]
# Keep your guess in mind. The answer stands further down, with what it means for your own experiments.
#
# ## The lab
#
# 1. **Start from a question**, or turn the controls in the other tabs. What does not go together is grey, with the reason.
# 2. **Look at what it takes**: minutes, memory, parameters, operations.
# 3. **Guess, lock, run.** Runs go on in the background, two at a time. Stop them, close the page, restart the kernel: run this
#    cell again and they are found again.
# 4. **Tick two lines** of the table, first the one that should be ahead. The rule says whether the difference is real, and how
#    many seeds more it would take.

# %%
from physlm_lite.lessons.what_if_lab.dashboard import WhatIf

lab = WhatIf()
lab

# %% [markdown]
# Dashed and faint in the picture: the recorded runs that are nearest to what the controls say. They also stand in the table,
# with the options in which they differ. Tick one to compare yours with it, and to open the paper's numbers.
#
# ## What has been asked already
#
# Each question fills the controls with one click. **Before you open the table: which of these do you expect to make a
# difference?**

# %%
from physlm_lite.lab.page import behind, table
from physlm_lite.lessons.what_if_lab.cards import CARDS

rows = [(card.question, card.expect, card.stands().split(". ")[0]) for card in CARDS]
behind("The questions, and where the records stand", table(("what if", "what to look for", "the records"), rows))

# %% [markdown]
# The words come from the ledger, at this moment. *Not judged yet* is an invitation: nobody has run enough seeds.
#
# ## The same without a mouse
#
# The controls are one small value, a `Trial`: the name of a setting, and what is otherwise. Whatever the library does not
# take, it refuses in one sentence. That sentence is what you read beside a grey button.

# %%
from textwrap import fill

from physlm_lite.lessons.what_if_lab.trial import Trial

plain = Trial("depo, rings")
canon = plain.but("model.canon", "ABCD")
print(canon.name, "|", canon.runs[0].model_config.parameters, "parameters")
try:
    canon.but("model.mixer", "gla")
except ValueError as error:
    print(fill(f"refused: {error}", 100))

# %% [markdown]
# A trial is also a line of text. Send it to somebody: pasted into the field at the end of the lab, it sets all controls.

# %%
line = canon.to_text()
print(line)
assert Trial.from_text(line) == canon

# %% [markdown]
# ## What it takes, before anything is started
#
# Minutes are foreseen from runs that were recorded: of the same kind if there are any, else of the nearest kind, in proportion
# to the operations. No model is built for that.

# %%
from physlm_lite.lessons.what_if_lab.price import price

tried = {
    "plain": plain,
    "Canon-ABCD": canon,
    "twice as wide": plain.but("model.width", 128),
    "GLA": plain.but("model.mixer", "gla"),
}
found = {name: price(trial) for name, trial in tried.items()}
table(
    ("model", "a run takes", "memory", "parameters", "operations"),
    [
        (name, cost.minutes, f"{cost.memory / 1e6:,.0f} MB", f"{cost.parameters:,}", f"{cost.operations:.1e}")
        for name, cost in found.items()
    ],
)

# %% [markdown]
# ## Is this difference real?
#
# **The answer to the question above.** Six scores can be dealt out to two sides of three in 20 ways, and one of them puts the
# three best on the side that you named. So it is one time in 20: just what the ledger takes for evidence, with nothing to
# spare. With five seeds there are 252 ways.

# %%
prediction.score("one time in 20", "20 is the number of ways to choose 3 of 6.")

# %% [markdown]
# How many seeds you need depends on how large the difference is, measured in the spread between seeds. **Guess before you look:
# a difference as large as the spread itself, how many seeds of each side?**

# %%
from physlm_lite.claims import claim, recorded
from physlm_lite.lab import Picture
from physlm_lite.lessons.what_if_lab.figures import seeds_figure

seen = {}
for known in (claim("R6-outside-recall"), claim("R5-gated"), claim("O-kernel-2"), claim("R6-single")):
    compared = recorded(known, "toy").verdict.comparisons
    if compared and compared[0].effect and 0.4 < compared[0].effect < 5:
        seen[known.id] = compared[0].effect
Picture(seeds_figure(seen), "How many seeds of each side it takes to find a difference, from half a deviation to five")

# %% [markdown]
# The dots are differences that the ledger has seen.
#
# **Read it:** differences of three deviations are clear with five seeds. A difference of one deviation takes fourteen, half of
# that nearly four times as many. A what-if that needs a hundred seeds has an answer, too: it does not matter much.
#
# ## Take it away
#
# The lab writes files beside this notebook: the curves as CSV, the picture, the exact Python, the exact command, and a *claim
# file*. That one holds your question as the ledger would ask it: a grid of learning rates for both sides, five fresh seeds, a
# rule that is fixed before the run. `physlm replicate FILE` judges it.

# %%
from physlm_lite.claims.own import claim_text
from physlm_lite.lessons.what_if_lab.compare import experiment_of

print(claim_text(experiment_of(canon, plain, "accuracy_k.2"), "Canon layers reach the second hop on rings"))

# %% [markdown]
# ## Simplified or full
#
# **What the paper did:** models of 8 to 12 layers and width 512 to 768, trained for 100,000 steps; every option on five tasks and
# four sizes. **What the lab does:** the settings of this kit's toy and laptop scales, which take seconds to minutes on two cores.
#
# **Should survive:** large effects, such as a mixer without any convolution. **May not:** fine orders between neighbouring
# options; effects that need depth, width or text to show. "At 1B" and "at 8B" tell what it would cost to know.
#
# **The usual traps.** Change one thing at a time. Give each side its own best learning rate before you believe a difference: the
# claim file does, a single run does not. Decide before the run who should be ahead: a test that may choose its side afterwards
# finds something twice as often.
#
# ## Exercises
#
# **1 · One thing at a time** (5 minutes, easy). Each run is given by the options that are said; what is not said is as in
# `defaults`. Return the names in which the two runs differ, in the order of the alphabet.
#
# <details><summary>Hint</summary>Fill in the defaults first, on both sides. Then compare over all names.</details>

# %%
from physlm_lite.lessons.what_if_lab import check


def my_differences(one, other, defaults):
    # solution
    first, second = {**defaults, **one}, {**defaults, **other}
    return sorted(name for name in {*first, *second} if first.get(name) != second.get(name))


check("what_differs", my_differences)

# %% [markdown]
# **2 · All the ways to deal** (15 minutes, medium). `ours` and `theirs` are scores, a number a seed; more is better. Deal out all
# of them anew, in every way that leaves as many on each side. Return the share of the ways in which ours sum up to at least what
# they did.
#
# <details><summary>Hint</summary>`itertools.combinations(scores, n)`. Sums of decimals need a little tolerance: 1e-9.</details>


# %%
def my_p(ours, theirs):
    # solution
    from itertools import combinations

    sums = [sum(chosen) for chosen in combinations([*ours, *theirs], len(ours))]
    return sum(s >= sum(ours) - 1e-9 for s in sums) / len(sums)


check("deals_ahead", my_p)

# %% [markdown]
# **3 · The fewest seeds** (10 minutes, medium). With n seeds a side, the clearest result there can be is one way among all ways to
# choose n of 2n. Return the smallest n with which that is at most `level`.
#
# <details><summary>Hint</summary>`math.comb(2 * n, n)` ways. Try 0.05: the answer stands in this notebook.</details>


# %%
def my_fewest(level):
    # solution
    import math

    n = 1
    while 1 / math.comb(2 * n, n) > level:
        n += 1
    return n


check("fewest_seeds", my_fewest)

# %% [markdown]
# ## Where next
#
# Write your own layer in [02b · Canon broken](02b_broken_canon.ipynb), where it is trained and judged in Canon's place. Save a
# claim file and let `physlm ledger FILE` show it among the others. What you find on toys is a lead: [15 · Canon at
# scale](15_canon_at_scale.ipynb) says what a verdict would take.
