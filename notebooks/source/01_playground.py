# %% [markdown]
# # 01 · Why a synthetic playground
#
# *Part 4.1, sections 1 to 3 and 8, result 0, figures 1 to 4, 16 and 21* · you need: notebook 00
#
# Train two architectures on real text, compare their benchmark scores, and the better one wins. Or the luckier one?
# This notebook measures how much luck is in such a contest, and what a clean task does about it.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

noise, clean = claim("R0-text"), claim("R0-playground")
scale_table(noise, clean)

# %% [markdown]
# ## Predict first
#
# Three architectures, three seeds of each. Take one seed of each architecture: that is one *contest*, and it ends in
# one of six orders. There are 3 · 3 · 3 = 27 contests. If only luck counts, the most common order gets a share not
# far above 1/6; if only the architecture counts, it gets all of them.

# %%
from physlm_lite.lab import Prediction

on_text = Prediction("On real text: what share of the 27 contests ends in the most common order?", low=0.15, start=0.5)
on_text

# %%
on_clean = Prediction("And on a clean task, with about the same budget?", low=0.15, start=0.5)
on_clean

# %%
claim_card(noise, folded=True)

# %%
claim_card(clean, folded=True)

# %% [markdown]
# ## Three obstacles
#
# **1 · The loss is a poor proxy.** It averages over all tokens, and few tokens need the skill that you care about.
# Is the model that predicts text best also the one that finds a fact in it? The paper's own models:

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.playground.figures import proxy_figure

Picture(proxy_figure(), "Published models: WikiText perplexity against the share of facts found")

# %% [markdown]
# If the loss could stand in for the skill, the dots would climb to the right. Now compare the best perplexity with
# the worst Transformer's.
#
# **2 · Skills below their threshold.** At academic size (1.3B parameters, 100B tokens) the interesting skill may not
# be there at all, in *any* architecture; then there is nothing to compare. The paper's probe: find a birth year that
# is stated, or one that is a single step away.

# %%
from physlm_lite.evaluation import BirthYears, evaluate_probes

one_hop, two_hops = BirthYears(people=5, hops=1), BirthYears(people=3, hops=2)
for source in (one_hop, two_hops):
    probe = source.sample(seed=0, index=0)
    print(
        probe.context.replace(". ", ".\n"), f"{probe.question.strip()} ...  [{probe.answer}]", sep="\n\n", end="\n\n\n"
    )

# %% [markdown]
# Without any filler text around the sentences, the paper's Transformers with RoPE answer 97 to 99 % of the 1-hop
# questions. At 2 hops **every** model, with Canon or without, scores 29 to 36 %. What is that worth? Let a "model"
# that cannot read answer, too: it always names the first year in the text.

# %%
import re


def first_year(prompts):
    return [re.search(r"\d{4}", prompt)[0] for prompt in prompts]


for title, source in {
    "2 hops": two_hops,
    "1 hop, anybody asked": BirthYears(people=5, hops=1, random_asked=True),
    "1 hop, as published": one_hop,
}.items():
    scores = evaluate_probes(source, first_year, count=100)
    print(f"{title:22} right: {scores['accuracy']:.2f} ± {scores['standard_error']:.2f}")

# %% [markdown]
# One in three is guessing. (And the last line shows a trap of the published 1-hop question: the person asked about is
# always the first one of the text.)
#
# **3 · Luck.** Text holds few examples of middling difficulty, so a skill has no ladder to climb. It appears late and
# suddenly, on some seeds and not on others. Eight seeds of one and the same architecture spread over 4 points on
# LAMBADA and 9 on FDA (figure 21); architectures differ by 1 or 2.
#
# ## Our real text
#
# We need no download: Python brings its documentation along. The model reads it character by character, with loss
# on every character.

# %%
from physlm_lite.lessons.playground.figures import readable
from physlm_lite.tasks.text import Text

text = Text(context=128)
print(f"{len(text.stream['train']):,} characters for training, {len(text.stream['test']):,} held out\n")
print(readable(text.batch(seed=0, step=0, rows=1).tokens[0].tolist()))

# %% [markdown]
# The benchmark is multiple choice, as usual: some held-out text, and four continuations, one of them true. The model
# chooses the one whose probability gains most from the text before it.

# %%
from physlm_lite.lessons.playground.figures import question_card

question_card(text, row=7)

# %% [markdown]
# ## How noisy is a benchmark?
#
# A model that knows 60 % of all possible questions is asked n of them. Its score is a mean of n yes/no answers, so it
# is off by about √(p (1 − p) / n), the **standard error**. How many questions do you need, then, to tell 60 % from
# 61 %?

# %%
from physlm_lite.lessons.playground.figures import error_figure

Picture(error_figure(), "Error bars of the scores of two models against the number of questions")

# %% [markdown]
# Bars that overlap leave room for a wrong ranking. How much? *Naive:* ask question by question, many times over, and
# count how often the worse model scores higher (a tie counts half).

# %%
import numpy as np

dice = np.random.default_rng(0)
questions, trials = 1000, 2000
better, worse = (np.array([(dice.random(questions) < p).mean() for _ in range(trials)]) for p in (0.61, 0.60))
counted = (better < worse).mean() + (better == worse).mean() / 2

# %% [markdown]
# *Fast:* the score is a single binomial draw. *Formula:* the difference of two scores is nearly normal, with the
# error √2 · standard error; the chance of a wrong ranking is its tail below zero.

# %%
from physlm_lite.lessons.playground.figures import simulated_gaps, wrong_probability, wrong_share

fast = wrong_share(simulated_gaps(gap=0.01, questions=1000, accuracy=0.605))
formula = wrong_probability(gap=0.01, questions=1000, accuracy=0.605)
assert abs(counted - fast) < 0.05 and abs(fast - formula) < 0.01
print(f"wrong ranking: counted {counted:.2f}, binomial {fast:.2f}, formula {formula:.2f}")

# %% [markdown]
# ### The other noise: seeds
#
# More questions cure only the noise of the *test*. The *training* has one of its own: with another seed, you get
# another model. Only more seeds help, and each costs a pretraining run.
#
# **Question for the widget:** two models are 1 point apart and seeds spread by 1 point (a standard deviation). Which
# is worth more: thirty times the questions, or three seeds instead of one? And with 30,000 questions, how many seeds
# until the worse model wins less than 1 contest in 20? (Every run gets fresh questions here.)

# %%
from physlm_lite.lessons.playground.figures import ranking_explorer

ranking_explorer()

# %% [markdown]
# ## Real text, recorded
#
# Three architectures on the Python documentation, each at its own best learning rate. Can you rank them from one dot
# each?

# %%
from physlm_lite.claims import recorded
from physlm_lite.lessons.playground.figures import contest_figure, contest_table

texts = [recorded(noise, scale) for scale in noise.experiments if scale != "smoke"]
Picture(contest_figure(texts[0]), "Multiple-choice accuracy of every seed of three architectures")

# %%
contest_table(*texts)

# %%
from physlm_lite.lessons.playground.figures import commonest_share

share = commonest_share(texts[0])
"no records yet" if share is None else on_text.score(share)

# %% [markdown]
# ## A clean task, live
#
# The same three architectures learn **Lano**: sentences of a small grammar. Score: how many of the sentences
# that a model writes freely does the grammar allow? One seed of each architecture trains now; a
# second button trains the others, two at a time.

# %%
from physlm_lite.lab import Live

live = Live(clean)
live

# %%
from physlm_lite.lab import ledger_row


@live.when_done
def report(outcome):
    return [
        Picture(contest_figure(outcome), "Valid sentences of every seed of three architectures, trained live"),
        contest_table(outcome),
        on_clean.score(commonest_share(outcome)),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## Side by side
#
# The recorded runs of both, one line a scale. The axes differ: compare the distance between the columns with the spread
# inside a column.

# %%
cleans = [recorded(clean, scale) for scale in clean.experiments if scale != "smoke"]
for pair in zip(texts, cleans, strict=True):
    if any(runs for outcome in pair for runs in outcome.records.values()):
        display(Picture(contest_figure(*pair), f"Every seed on text and on the clean task, {pair[0].scale} scale"))

# %%
contest_table(*cleans)

# %% [markdown]
# The rule looks at whole orders, so one undecided pair is enough to unsettle it, even if the third side always comes
# last. Which pairs does luck decide, and which not?

# %%
from physlm_lite.lessons.playground.figures import pair_table

pair_table(*texts, *cleans)

# %% [markdown]
# And for every score that was recorded, how wide the widest gap is beside the spread of the seeds. A gap of three spreads is safe with one seed; a gap of one
# spread is not quite safe with three.

# %%
from physlm_lite.lessons.playground.figures import noise_table

noise_table(*texts, *cleans)

# %% [markdown]
# Look at the held-out *loss*, too. It may well be steadier than the accuracy, because it averages over thousands of
# characters. But obstacle 1 stands: it says how well the next character is guessed.
#
# ## What makes a good task
#
# The paper asks for four things (section 2):
#
# | criterion | because otherwise | here |
# |---|---|---|
# | **not shallow** | a model of two layers solves it, and depth cannot be compared | k hops, long expressions, nested rules |
# | **mental** | written steps do the work that the architecture should do | the answer comes at once, in one pass |
# | **no length generalisation** | tests beyond the trained length are decided by the seed | test at the largest *trained* size, in dense windows of up to 4,096 tokens |
# | **a skill that matters** | adding ten-digit numbers is a calculator's job | to follow, to sort out, to store, to use, to parse |
#
# And a fifth habit: read **grids, not cells**. Near its threshold a skill is a matter of luck on clean tasks, too, so
# the paper reports three difficulties times four model sizes. Its own result 0, in percent, four sizes a cell:

# %%
from physlm_lite.lessons.playground.figures import base_table

base_table()

# %% [markdown]
# Gaps of tens of points; and a single cell that would have misled you: find the 3 behind a 96. (The comparison is not
# fair yet: Mamba2 and GDN have a convolution built in, the other two have none. That is what Canon layers are about.)
#
# ## The five tasks
#
# One row of each, as a model reads it, at sizes for the eye. Yellow tokens carry loss.

# %%
from physlm_lite.lessons.playground.figures import task_gallery

task_gallery()

# %%
from physlm_lite.lessons.playground.figures import task_table

task_table()

# %% [markdown]
# Each has its notebook: [03 · Depo](03_depo.ipynb), [04 · Brevo](04_brevo.ipynb), [05 · Capo](05_capo.ipynb),
# [06 · Mano](06_mano.ipynb), [07 · Lano](07_lano.ipynb).
#
# ## Simplified or full
#
# What our settings change against the paper, and the rule that judges them:

# %%
from physlm_lite.lab import setting_table

setting_table(noise, clean)

# %% [markdown]
# **Should survive:** on the clean task, gaps that are wide beside the spread of the seeds. **Will not:** that *every* gap
# on text drowns. Our models are trained so briefly that the head start of a good layer can still show in a benchmark;
# the paper's gaps are down to 1 or 2 points. Nor *where* the noise comes from: our benchmark is as small as our models,
# so much of its noise is that of the test. LAMBADA has 5,153 questions: their error, 0.7 points, is well below the 4
# points between the paper's seeds.
#
# ## Exercises
#
# **1 · The error of a score** (3 minutes, easy). A model answers `questions` independent questions, each right with
# probability `accuracy`. Return the standard error of its score.
#
# <details><summary>Hint</summary>A single answer has the variance p (1 − p). What does averaging do to a variance?
# And what is the error, in terms of it?</details>

# %%
from physlm_lite.lessons.playground import check


def my_error(accuracy, questions):
    # solution
    return (accuracy * (1 - accuracy) / questions) ** 0.5


check("standard_error", my_error)

# %% [markdown]
# **2 · The wrong ranking** (8 minutes, medium). The true accuracies of two models are `gap` apart. Each is measured
# once, with the standard error `error`. How likely does the worse one score higher? (Normal approximation.)
#
# <details><summary>Hint</summary>What is the standard error of the *difference*? Then
# `statistics.NormalDist().cdf`.</details>


# %%
def my_wrong_ranking(gap, error):
    # solution
    from statistics import NormalDist

    return NormalDist(gap, 2**0.5 * error).cdf(0)


check("wrong_ranking", my_wrong_ranking)

# %% [markdown]
# **3 · The bill** (8 minutes, medium). Now each model is trained with m seeds, and the means are compared; `error` is
# that of a single run. Return the smallest m for which the ranking is wrong with a chance of at most `most`.
#
# <details><summary>Hint</summary>The mean of m seeds has the error error / √m. `NormalDist().inv_cdf(1 - most)` says
# how many errors of the difference the gap must be. Solve for m and round up.</details>


# %%
def my_seeds(gap, error, most):
    # solution
    from math import ceil
    from statistics import NormalDist

    return ceil(2 * (error * NormalDist().inv_cdf(1 - most) / gap) ** 2)


check("seeds_needed", my_seeds)

# %% [markdown]
# **4 · All contests** (10 minutes, medium). `scores` maps each side to the scores of its seeds, which need not be
# equally many. Return the share of all contests (one seed of each side) that end in the most common order. No two
# scores are equal.
#
# <details><summary>Hint</summary>`itertools.product(*scores.values())` lists the contests,
# `collections.Counter` counts orders.</details>


# %%
def my_order_share(scores):
    """{"A": [0.1, 0.3], "B": [0.2]} -> 0.5"""
    # solution
    from collections import Counter
    from itertools import product

    sides = list(scores)
    contests = list(product(*scores.values()))
    orders = Counter(tuple(sorted(sides, key=dict(zip(sides, contest)).get)) for contest in contests)
    return max(orders.values()) / len(contests)


check("order_share", my_order_share)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*texts, *cleans)

# %% [markdown]
# Next: [02 · the Canon layer](02_canon_layer.ipynb), built from scratch; then the tasks, one by one, from
# [03 · Depo](03_depo.ipynb) on. Or run `physlm ledger` for every claim at every scale.
