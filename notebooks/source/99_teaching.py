# %% [markdown]
# # 99 · Teaching with the kit
#
# *Part 4.1, for a room* · you need: to have gone through notebook 00 yourself
#
# For whoever stands in front of the laptops: an experiment that a class makes together, plans for a lesson and for a
# course, the answers, what each cell should show, and what to say when something goes wrong. All minutes and answers
# here are read from the notebooks, so that they stay right when those change.

# %%
from physlm_lite.lab import progress

progress()

# %% [markdown]
# ## The experiment of a class
#
# One learner with one seed has an anecdote. Thirty learners with thirty seeds have a sample. Each trains the same two
# small models, one of them with Canon layers, on the same puzzle (notebook 00: who stands one hop after q?), with a
# **seed of their own**, and pastes one line into the chat. Before anybody presses a button:
#
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction("In what share of a class will the model with Canon layers be ahead?", start=0.5)
prediction

# %%
from physlm_lite.claims import claim, recorded
from physlm_lite.lab import claim_card

depth = claim("R2-depth")
claim_card(depth, folded=True)

# %% [markdown]
# Everybody writes their number on the class list here, and runs the three cells; the second says first what it
# takes. Below the line to paste stands the verdict on the five recorded seeds, for comparison.

# %%
from physlm_lite.lessons.teaching.class_page import class_figure, class_lines, for_learner, pasted

MY_NUMBER = 1
mine = for_learner(depth, MY_NUMBER)

# %%
from physlm_lite.lab import Live

live = Live(mine)
live

# %%
from physlm_lite.lab import ledger_row


@live.when_done
def report(outcome):
    print("paste this line:\n" + "\n".join(class_lines(outcome)))
    return [ledger_row(recorded(depth, "toy"))]


# %% [markdown]
# ## The class page
#
# Paste everybody's lines between the quotes, with whatever stands around them in the chat. Until you do, the recorded
# runs of this claim stand in for a class of five.
#
# **Before you run it:** will the dots of the two sides overlap? What would you say to the learner whose line points the
# other way?

# %%
from physlm_lite.lab import Picture

LINES = """
"""

lines = LINES.strip() or "\n".join(class_lines(recorded(depth, "toy")))
Picture(class_figure(lines), "Every learner's two scores, and the difference learner by learner, in order")

# %%
found = pasted(lines)
prediction.score(found.ahead / len(found.scores), found.sentence())

# %% [markdown]
# **Read it:** in this experiment some seeds with Canon reach the first rung within the 400 steps and some do not. Nobody did
# anything wrong. A single laptop could have shown either; the class shows how often. A coin is the yardstick for *whether*, the
# picture for *how much*, and neither says *why*.
#
# ## Simplified or full
#
# | | the paper | a class |
# |---|---|---|
# | seeds | a few a setting | one a learner |
# | learning rate | each side's best of a grid | the best rates of the kit's records, not walked again |
# | what varies | seeds alone | seeds; machines only in time, not in scores |
# | what is claimed | depth of reasoning | one rung, at a budget where it begins |
#
# **Should survive:** which side is ahead, for most. **Will not:** the share, when the steps are more or fewer.
#
# ## Plans
#
# The minutes are those of the notebooks' own headers, for somebody who reads with care; "read and run" leaves the
# exercises out. A part that you skip is best skipped whole.

# %%
from physlm_lite.lessons.teaching.plans import answers, course_table, notebooks, plan_table, shown_by, trouble_table

for minutes in (45, 90, 180):
    display(plan_table(minutes))

# %% [markdown]
# Four weeks, two meetings a week, the exercises at home:

# %%
course_table()

# %% [markdown]
# ## Answers
#
# The solutions stand in each notebook below its exercise, folded. Here they are together. `physlm check hand-ins/`
# looks through a folder of learners' notebooks and says who makes which of the usual mistakes.

# %%
from physlm_lite.lab.page import stacked

stacked(*(answers(number) for number in notebooks()))

# %% [markdown]
# ## What each cell should show
#
# From the stored notebooks. If a learner's screen differs in more than the live curves, the next table helps.

# %%
stacked(*(shown_by(number) for number in notebooks()))

# %% [markdown]
# ## What goes wrong

# %%
trouble_table()

# %% [markdown]
# `physlm doctor` in a terminal looks for most of these by itself. Let it run on every laptop **the day before**.
#
# ## Without a network, or with one strong machine
#
# `physlm classroom bundle` makes a folder to carry on a stick: everything to install, for Linux, macOS and Windows, a
# starter for each, and these pages. `physlm classroom serve learners --names ada,bob,eve` gives each learner a folder, a
# token and an address on one machine, and says first how many it can carry.
#
# ## What the budget does
#
# The same two sides at the larger `laptop` scale, with 1,500 steps. **Read it:** what would your class have said, had it
# waited so long?

# %%
from physlm_lite.lab import scale_table
from physlm_lite.lessons.depo.figures import ladder_figure

Picture(ladder_figure(recorded(depth, "laptop")), "Learning curves for one to three hops, with and without Canon")

# %%
scale_table(depth)

# %% [markdown]
# ## Exercises
#
# **1 · A coin for a class** (6 minutes, easy). In `ahead` of `learners` pairs the side with Canon won. If it were a coin,
# how likely is a result **at least** as good?
#
# <details><summary>Hint</summary><code>math.comb(n, k)</code> of the 2ⁿ ways have exactly k heads.</details>

# %%
from physlm_lite.lessons.teaching import check


def my_luck(learners, ahead):
    """The chance of `ahead` heads or more among `learners` fair coins."""
    # solution
    from math import comb

    ways = sum(comb(learners, heads) for heads in range(ahead, learners + 1))
    return ways / 2**learners


check("ahead_by_luck", my_luck)

# %% [markdown]
# **2 · How many browsers?** (5 minutes, easy). A machine has `memory` GB, of which `spare` is its own. Each learner has a
# `server`, and up to `kernels` notebooks that take `kernel` GB each. How many learners fit?
#
# <details><summary>Hint</summary>Whole learners only, and never fewer than none.</details>


# %%
def my_room(memory, spare, server, kernel, kernels):
    """All sizes in GB."""
    # solution
    each = server + kernels * kernel
    return max(0, int((memory - spare) // each))


check("learners_that_fit", my_room)

# %% [markdown]
# **3 · Pairs** (6 minutes, medium). Some laptops fell asleep: their score is `None`. Return how far Canon is ahead, on
# average over the learners who have **both** scores.
#
# <details><summary>Hint</summary><code>zip</code> the two lists; take the difference inside a pair.</details>


# %%
def my_difference(plain, canon):
    """Two lists, one score a learner, None where there is none."""
    # solution
    gains = [b - a for a, b in zip(plain, canon) if a is not None and b is not None]
    return sum(gains) / len(gains)


check("class_difference", my_difference)

# %% [markdown]
# ## Where to go next
#
# * Go through a notebook as a learner would, with the clock on the table, before you teach it.
# * A claim of your own for a class is a small file: `physlm replicate my_claim.yaml`, in the README.
# * In a terminal: `physlm classroom --help`, `physlm check --help`, `physlm doctor`.
