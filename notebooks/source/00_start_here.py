# %% [markdown]
# # 00 · Start here: the Canon effect in one minute
#
# *Physics of Language Models, Part 4.1* · you need: a little Python, and to know that a Transformer predicts the
# next token
#
# Two tiny Transformers learn the same puzzle, for the same number of steps. They are equal in everything but one
# detail: the second one also mixes each token with its three predecessors. That detail is a **Canon layer**. Try the
# puzzle, lock a guess, and train both, right here in the browser:
#
# [![The page: a puzzle to try by hand, and two predictions](../docs/tab_question.png)](../docs/index.html)
#
# The picture is still. Run the next cell and it comes alive below; or open [the page](../docs/index.html) in a tab of
# its own, where it needs neither Python nor a network.

# %%
from physlm_lite.tab import Frame

Frame()

# %% [markdown]
# That was the smallest case, on one seed. The rest of this notebook does the same in PyTorch on this machine, with a
# harder puzzle, five seeds on each side and a rule that was fixed before the run. A Canon layer costs a few percent
# more parameters at this tiny size, and below half a percent at the paper's.
#
# ## The puzzle
#
# The task is called **Depo**. A ring of names is written down as shuffled pairs "x, then y". Then come questions:
# *who stands k steps after q?* The model must answer at once, in a single forward pass, without writing down
# steps in between. Here is one instance, exactly as the model reads it. Only the yellow tokens carry loss.

# %%
from IPython.display import HTML

from physlm_lite.claims import claim
from physlm_lite.tasks import html_view, text_view

depth = claim("R2-depth")
task = depth.experiment("toy").run("RoPE", 1e-3, seed=0).made_task
batch = task.batch(seed=0, step=0, rows=1)
HTML(html_view(task, batch))

# %%
print(text_view(task, batch))

# %% [markdown]
# `<1> 5 <ans>` asks for the direct successor of 5: find "5 x" among the pairs and answer x. With k = 1 that is
# *associative recall*: see a name, find its earlier occurrence, take what stood right after it.
#
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "After 400 steps, what share of the 1-hop questions will the plain Transformer answer? (guessing: 0.14)", start=0.5
)
prediction

# %%
from physlm_lite.lab import claim_card

claim_card(depth, folded=True)

# %% [markdown]
# ## The experiment, live
#
# One seed of each model trains now, each at the best learning rate of the same small grid: a lead, not a verdict. A
# second button then trains the other four seeds, two at a time; the picture stored here has all five.
# "Stop" ends the training after the current step and keeps what was learnt; "Go on" continues from there.

# %%
from physlm_lite.lab import Live

live = Live(depth)
live

# %%
from statistics import fmean

from physlm_lite.lab import Picture, ledger_row, outcome_figure


@live.when_done
def report(outcome):
    plain = fmean(record.score("accuracy_k.1") for record in outcome.records["RoPE"])
    return [
        Picture(outcome_figure(outcome), "Accuracy of the live runs at each k, and their learning curves"),
        prediction.score(plain, "Guessing one of the seven other names gives 0.14."),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The recorded runs
#
# The same experiment, as it was recorded for this kit. Records ship with the package: each holds its full
# configuration, its seed, every evaluation, the seconds it took and the versions that made it. Your live dots
# above should lie close to these.

# %%
from physlm_lite.claims import recorded

Picture(outcome_figure(recorded(depth, "toy")), "The recorded runs of the same experiment")

# %% [markdown]
# And one rung higher on the dial, at `laptop` scale, the ladder of hops becomes visible. **Read it:** which rung is
# learnt first, and when does each side reach the next?

# %%
from physlm_lite.lessons.depo.figures import ladder_figure

Picture(ladder_figure(recorded(depth, "laptop")), "Learning curves for one to three hops, with and without Canon")

# %%
from physlm_lite.lab import verdict_line

verdict_line(recorded(depth, "toy"), recorded(depth, "laptop"))

# %% [markdown]
# ## Simplified or full
#
# | | the paper | here (`toy`) |
# |---|---|---|
# | ring | up to 375 names of one or two tokens | 8 names of one token |
# | hops | up to 8 | up to 2; one hop is asked twice as often as two |
# | model | 8 to 12 layers, width 512 to 768 | 2 layers, width 64 |
# | training | about 100,000 steps of 262,144 tokens | 400 steps of 1,568 tokens |
#
# **Should survive:** the order of the two models at equal steps and equal data, and that a rung is learnt far
# earlier with Canon. **Will not:** the absolute numbers, and "never". A plain Transformer *does* learn one hop
# when it gets more steps and a lower learning rate; the laptop figure shows exactly that. What Canon changes is
# how soon each rung is reached, and so how far up the ladder a given budget leads.
#
# ## The dial, and this machine
#
# The **dial** is the environment variable `PHYSLM_SCALE`. It turns every experiment of every notebook from
# `smoke` (seconds, proves nothing) over `toy` and `laptop` to `paper`. Set it before you start JupyterLab, or in
# the first cell with `%env PHYSLM_SCALE=laptop`.

# %%
from physlm_lite.lab import scale_table

scale_table(depth)

# %%
from physlm_lite.lab import passport_card

passport_card()

# %% [markdown]
# ## Exercises
#
# Each has a check that tells the usual mistakes apart. An exercise that you leave alone does not stop the
# notebook.
#
# **1 · A fair comparison** (3 minutes, easy). A baseline at one learning rate lies. Given the scores of each
# rate, one number a seed, return the rate that this side should be judged at.
#
# <details><summary>Hint</summary>More seeds, less luck: compare means.</details>

# %%
from physlm_lite.lessons.start_here import check


def best_rate(scores):
    """scores: {learning rate: [score of seed 0, seed 1, seed 2]}"""
    # solution
    return max(scores, key=lambda rate: sum(scores[rate]) / len(scores[rate]))


check("best_rate", best_rate)

# %% [markdown]
# **2 · A rule before the run** (5 minutes, easy). Write the verdict rule: `"holds"` if every seed with Canon
# reaches 0.75 *and* no seed without it exceeds 0.25; `"direction"` if a bar is missed but the seeds of the two
# sides do not overlap; otherwise `"not shown"`.
#
# <details><summary>Hint</summary><code>min</code> of one side, <code>max</code> of the other.</details>


# %%
def verdict(with_canon, without):
    """Two lists of scores, one number a seed."""
    # solution
    if min(with_canon) >= 0.75 and max(without) <= 0.25:
        return "holds"
    return "direction" if min(with_canon) > max(without) else "not shown"


check("verdict", verdict)

# %% [markdown]
# **3 · What does it cost?** (5 minutes, medium). Return Canon's share of all parameters in percent.
# `config.canon_widths` maps each place (A, B, C, D) to its channels; each channel has `config.canon_kernel`
# weights in each of `config.layers` layers; `config.parameters` counts everything.
#
# <details><summary>Hint</summary>layers × kernel × the sum of the channels, over all parameters, times 100.</details>


# %%
def extra_parameters(config):
    # solution
    canon = config.layers * config.canon_kernel * sum(config.canon_widths.values())
    return 100 * canon / config.parameters


check("extra_parameters", extra_parameters)

# %% [markdown]
# How far you have come, in all notebooks. Run this cell again whenever you like.

# %%
from physlm_lite.lab import progress

progress()

# %% [markdown]
# ## Where to go next
#
# * [01 · Why a synthetic playground](01_playground.ipynb): why nobody can rank two layers by one benchmark.
# * [02 · The Canon layer from scratch](02_canon_layer.ipynb): build it, take it apart, watch it copy.
# * [03 · Depo: reasoning depth](03_depo.ipynb): the ladder of hops, with the positions switched off, too.
# * In a terminal: `physlm ledger` lists every claim with its verdict; `physlm replicate R2-depth` runs this one
#   without a notebook.
