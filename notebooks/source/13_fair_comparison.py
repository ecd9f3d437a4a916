# %% [markdown]
# # 13 · The fair comparison: what linear models lack
#
# *Part 4.1, section 7, results 9 to 11, figures 14, 15 and 20* · you need: notebooks 11 (gated linear attention) and 12
# (Mamba2 and the gated delta net)
#
# Most linear models come with a small convolution inside, and are compared with Transformers that have none. Who wins such a
# race? Here everyone gets the same: Canon layers at all four places, and a learning rate of its own. What is left between
# them is the mixer.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

robust = claim("R9-robust-recall")
scale_table(robust)

# %% [markdown]
# ## Predict first
#
# A row of 8 to 24 random symbols, then the same row again; one layer, width 32. Nothing has to be understood, it must only be
# kept. The linear models come twice: with the convolution that their authors built in (b), and with Canon layers all around it
# (AbCD).

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "After 500 steps, how many of the three linear models with Canon everywhere (GLA, Mamba2, GDN + AbCD) copy at least 95 % "
    "of the symbols?",
    options=("none", "one", "two", "all three"),
)
prediction

# %%
from physlm_lite.lab import Live

live = Live(robust)
live

# %%
from statistics import fmean

from physlm_lite.lab import Picture, ledger_row, rows_figure
from physlm_lite.lessons.fair_comparison.figures import MODELS

LINEAR = MODELS[3:]


@live.when_done
def report(outcome):
    copied = {side: fmean(record.score("accuracy") for record in runs) for side, runs in outcome.records.items()}
    many = sum(copied[side] >= 0.95 for side in LINEAR)
    said = ", ".join(f"{side} {copied[side]:.0%}" for side in copied)
    note = f"Copied: {said}" + (" (of a smoke run)." if outcome.scale == "smoke" else ".")
    order = ("RoPE", "RoPE + Canon")
    return [
        Picture(rows_figure(outcome, order=order), "Symbols copied with and without Canon layers, every seed a dot"),
        prediction.score(prediction.control.options[many], note),
        ledger_row(outcome),
    ]


# %%
claim_card(robust, folded=True)

# %% [markdown]
# Every dot is a seed. Look at the *width* of the rows before you rank their means: some sides find the trick on every seed,
# some on two of five. The Transformer with Canon never fails.

# %% [markdown]
# ## Is the memory too small?
#
# The first thing to suspect is room: a Transformer keeps every token, a linear model one matrix a head. Count. How many
# bits is the text worth, and how many numbers does each model hold after reading it?

# %%
from math import log2

from physlm_lite.lab.page import table
from physlm_lite.lessons.fair_comparison.figures import numbers_kept
from physlm_lite.models import LanguageModel

recall = claim("R11-recall")
experiment = recall.experiment("toy")
n = experiment.task_options["n"]
rows = []
for side in experiment.sides:
    model = LanguageModel(experiment.run(side, 1e-3, seed=0).model_config, seed=0)
    rows.append((side, *(f"{numbers_kept(model, tokens):,}" for tokens in (n, 10 * n))))
print(f"to copy: {n} symbols of {n}, {n * log2(n):.0f} bits")
table(("numbers held after reading", f"{n} tokens", f"{10 * n} tokens"), rows)

# %% [markdown]
# This is the longer task that result 11 is judged on. It is worth a few hundred bits, and even the smallest state has more than
# a thousand numbers of 32 bits each. The paper counts the same way: at most 1,700 bits have to be kept of its rings, and a
# Mamba2 of twelve layers holds 1.2 million numbers. **Room is not what is missing.** So what is?
#
# ## One matrix, many pairs
#
# A state is a matrix S that holds pairs: ask with a key, get a value. Three ways to fill it with the *same* pairs:
#
# * **adding** (gated linear attention, Mamba2): S ← S + k vᵀ, each pair once
# * **correcting** (the delta net): read first, then write what is still wrong
# * **the best matrix**: all pairs are known beforehand, and least squares finds S
#
# Row i asks with key i, column j is stored value j, dark red means "it resembles that value". Perfect is a red diagonal on
# white.
#
# **Question:** 24 pairs in a matrix of 16 × 16. Who finds most? And how few pairs must it be before *adding* is perfect?

# %%
from physlm_lite.lessons.fair_comparison.figures import pairs_explorer

pairs_explorer()

# %% [markdown]
# <details><summary>Reading</summary>
#
# As long as there are not more pairs than a key is wide, the best matrix makes no error at all: the room is there. Adding
# never looks at what stands there already, so every pair lies under the crowd of all others. Correcting keeps the newest pair
# exact and wipes out a part of the older ones each time: its lower right corner is clean, its upper left one nearly empty.
# So its error is smaller, and yet fewer keys find their value. (A smaller share written at each step is kinder: try .4.)
# </details>
#
# The same over many sets of pairs. **Look at the left end:** where does adding fall below 99 %?

# %%
from physlm_lite.lessons.fair_comparison.figures import crowd_figure

Picture(
    crowd_figure(),
    "Share of keys that find their value, and error of what is read, against the number of pairs, for three ways to fill a matrix",
)

# %% [markdown]
# Long before the matrix is full, adding makes mistakes. They are not catastrophes; they are one in fifty. That is what result
# 11 says of linear models: *they are never quite exact*, in writing and in reading.
#
# (A trained model is not that helpless: it can choose keys that stand at right angles to each other, and let the gate forget
# what is not needed. Then a matrix holds as many pairs as its keys are wide. Let us see whether that is where it ends.)
#
# ### Trained: does the width of the key decide?
#
# Eight letters, each with a digit, then the letters again. One layer of GLA with Canon everywhere, once for each width of
# key. **Which widths will be enough for eight pairs?**

# %%
from physlm_lite.claims import scale_of
from physlm_lite.lab import Trained
from physlm_lite.lab.linear_states import recall_run

steps = 20 if scale_of() == "smoke" else 600
WIDTHS = (4, 8, 16, 32)
gla = [
    recall_run(steps, canon="ACD", mixer="gla", mixer_options={"canon_b": True, "expand_key": width / 32})
    for width in WIDTHS
]
attention = recall_run(steps, canon="ABCD")
wider = Trained(*(run.but(task_options={"pairs": 8}) for run in (*gla, attention)))
wider

# %%
NAMES = (*(f"GLA, keys of {width}" for width in WIDTHS), "attention, keys of 32")


@wider.when_done
def compare(trained):
    rows = [
        (name, f"{numbers_kept(model, 32):,}", f"{record.score('accuracy'):.1%}")
        for name, (model, record) in zip(NAMES, trained, strict=True)
    ]
    return [table(("model", "numbers held after 32 tokens", f"digits recalled after {steps} steps"), rows)]


# %% [markdown]
# One seed each, so do not trust the middle of the table. The ends are clear: with keys narrower than there are pairs it
# cannot be exact, with keys much wider it is. Attention needs no such count: each token keeps its own key, and the softmax
# silences the others.
#
# ## Mistakes along hops
#
# One mistake in fifty sounds harmless. Depo (notebook 03) asks for the eighth successor: eight look-ups, each with the answer
# of the one before. **Question:** what is left of 98 % after eight hops?

# %%
from physlm_lite.lessons.fair_comparison.figures import hops_explorer

hops_explorer()

# %% [markdown]
# Left, your guess as a curve. Right, the paper's own scores: each dot is a model of one size, its accuracy at four hops across
# and at eight hops up. If mistakes only multiplied, all dots would lie on the dashed line (eight hops are four and four).
#
# **Read it:** on which side of the line do they lie? What does that say about the hops five to eight?
#
# <details><summary>Reading</summary>
#
# All linear models lie *below* the line: the later hops are worse than the first four. So mistakes multiply, and on top of
# that the deeper hops are learnt less well. (Exercise 2 does it in numbers.) The Transformers sit in the upper right corner,
# where both readings agree.
# </details>
#
# ## The board
#
# Five skills, everyone with Canon layers. A place is shared as long as chance alone could have put the model behind (exact
# permutation test, five seeds against five). Grey means: not tried, or still being recorded.
#
# **Before you look:** for which of the five skills would you expect a linear model in front?

# %%
from physlm_lite.claims import recorded
from physlm_lite.lessons.fair_comparison.figures import PAPER, board_figure

skills = {skill: claim(f"R10-{skill}") for skill in PAPER}
board = {skill: recorded(c, "toy") for skill, c in skills.items()}
Picture(board_figure(board), "Places of six models in five skills: the paper's, and those of the records at toy scale")

# %%
from physlm_lite.lab import verdict_line

judged = [outcome for outcome in board.values() if all(outcome.records.values())]
verdict_line(*judged)

# %% [markdown]
# <details><summary>What the paper says about it</summary>
#
# **Depth:** Transformers, by a factor of two to four in hops; what you saw above is why. **Breadth:** the gated delta net, at
# least level with Transformers. **Capacity:** linear models hold about 40 % more bits a parameter. **Manipulation:** the
# delta net and Mamba2 with a quarter of RoPE. **Structure:** a quarter of RoPE.
#
# So neither family is "better". They fail at different things, and a hybrid of both is what this table suggests.
# </details>
#
# ## What Canon does to linear models (result 9)
#
# Three sentences of the paper, each put to two tasks of different kind: Lano (a language) and copying (recall).
#
# 1. *Universal:* outside the mixer, Canon does what the convolution inside does.
# 2. *Robust:* on top of whatever is there, it never hurts.
# 3. *Sufficient:* GLA with Canon has nearly all that Mamba2 and GDN add to it.
#
# **Guess for each: does it hold on both tasks?**

# %%
names = ("universal", "robust", "sufficient")
on_lano, on_copying = ([recorded(claim(f"R9-{name}{task}"), "toy") for name in names] for task in ("", "-recall"))
Picture(rows_figure(*on_lano), "KL and valid sentences on Lano of every side of result 9, every seed a dot")

# %%
verdict_line(*on_lano)

# %% [markdown]
# **Now recall.** Which dots have moved apart?

# %%
Picture(rows_figure(*on_copying), "Symbols copied by every side of result 9, every seed a dot")

# %%
verdict_line(*on_copying)

# %% [markdown]
# <details><summary>Reading</summary>
#
# On Lano, where the last few tokens matter most, all sides with a convolution are close, wherever it stands. On copying
# they are not: look at the delta net, with its convolution inside and outside. Look also at how far the seeds of *one* side
# lie apart: a model that finds the trick copies nearly all, one that does not copies next to nothing. Five seeds see that a
# side is unreliable; they do not measure its mean well.
# </details>
#
# ## What if
#
# Everything that is recorded about copying, in one frame: choose a mixer, a Canon set, a width, a rate, and the curves answer
# at once. **Try:** which rate does the delta net want with Canon outside, and does a missing seed explain its mean?

# %%
from physlm_lite.lab import Explorer

Explorer(claim("R9-universal-recall"), claim("R9-robust-recall"))

# %% [markdown]
# `physlm ledger --html` writes the whole ledger as such a page.
#
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(recall, skills["depth"])

# %% [markdown]
# **Should survive:** Transformers exact where linear models are nearly exact, and depth as the skill that suffers. **Depends
# on the size:** who leads in breadth and structure, and everything about capacity, where our models hold a few hundred facts.
#
# **What others build:** hybrids. Jamba (2024), Qwen3-Next and Kimi Linear (2025) keep one layer of attention for every three
# to seven linear ones, and the latter two have a short convolution in each linear layer. The paper itself suggests
# sliding-window attention with Canon layers, and does not measure it.
#
# ## Exercises
#
# **1 · How exact must a hop be?** (5 minutes, easy). A chain of `hops` look-ups shall be right in a share `target` of the
# cases. How often must a single one be right?
#
# <details><summary>Hint</summary>Which number, multiplied `hops` times with itself, gives `target`?</details>

# %%
from physlm_lite.lessons.fair_comparison import check


def my_hop(target, hops):
    # solution
    return target ** (1 / hops)


check("hop_needed", my_hop)

# %% [markdown]
# **2 · Early and late hops** (5 minutes, easy). A model is right in a share `four` after four hops and `eight` after eight.
# Return how often one hop is right among the first four, and among hops five to eight. Then put in a dot of the picture.
#
# <details><summary>Hint</summary>What is right after eight was right after four, and then four times more.</details>


# %%
def my_halves(four, eight):
    # solution: Mamba2's largest size, 76 and 28 %: 93 % a hop at first, 78 % afterwards.
    return four**0.25, (eight / four) ** 0.25


check("halves", my_halves)

# %% [markdown]
# **3 · The crowd** (10 minutes, medium). `pairs` pairs are added to an empty matrix; keys have length 1, a `width`, and
# random directions; values have length 1. What is the expected *square* of the error when one key reads?
#
# <details><summary>Hint</summary>The key reads its own value exactly, and of every other value as much as the two keys have in
# common. The square of the product of two random keys of length 1 is 1/width on average; in random directions, squares add
# up.</details>


# %%
def my_crowd(pairs, width):
    # solution
    return (pairs - 1) / width


check("crowd", my_crowd)

# %% [markdown]
# **4 · The best matrix** (10 minutes, medium). `keys` [pair, K] and `values` [pair, V], not more pairs than K. Return the
# matrix [K, V] from which every key reads exactly its own value.
#
# <details><summary>Hint</summary>You want keys @ S = values. torch.linalg.pinv and torch.linalg.lstsq both solve that.</details>


# %%
def my_best_matrix(keys, values):
    # solution
    return torch.linalg.pinv(keys) @ values


import torch

check("best_matrix", my_best_matrix)

# %% [markdown]
# ## The ledger

# %%
rest = [recorded(c, "toy") for c in (recall, *map(claim, ("R11-memory", "R11-first-hop", "R10-brackets")))]
ledger_row(*on_lano, *on_copying, *board.values(), *rest)

# %% [markdown]
# Next: real text, where the paper asks the same questions of models with 1.3 billion parameters.
