# %% [markdown]
# # 05 · Capo: knowledge capacity, bits per parameter
#
# *Part 4.1, section 5.1 and appendix A.3; Part 3.3, definition 2.2 and results 1 and 4 to 7* · you need:
# notebook 00, and what a logarithm is
#
# How much does a model *know*? Not "how many questions does it answer", but: how many bits about the world are in
# its weights? Invented people make that exact. Whatever a model says about them, it can only have from its training.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

capacity = claim("R2-capacity")
scale_table(capacity)

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "Same people, same number of exposures, each side at its best learning rate. With Canon layers, a tiny model "
    "will hold ...",
    options=("more bits per parameter", "about as many (within 5 %)", "fewer bits per parameter"),
)
prediction

# %%
claim_card(capacity, folded=True)

# %% [markdown]
# ## The task
#
# A person has a full name and six facts, and is known by nothing but biographies: six sentences, from templates.
# Blue and yellow is what there is to know; the words around carry no knowledge about the person. One *exposure* is
# one biography read in training.

# %%
from physlm_lite.lessons.capo.figures import capo_inspector

capo_inspector()

# %% [markdown]
# **Questions for the inspector:** leave the person alone and move the exposure. What changes, what stays? Which of
# the data sets shows a person in one text only, and why might a model that learnt *that* text by heart be unable to
# answer a question about the person? (That is Part 3.1.) Capo uses bioS(N): new wording at every exposure.
#
# The generator writes whole batches at once. Its slow twin, `capo_biography`, reads like the recipe: choose the
# person, the templates, the order; fill in. Both write the same text from the same address:

# %%
from textwrap import fill

import numpy as np

from physlm_lite.tasks.capo import Capo, capo_biography
from physlm_lite.tasks.draws import address

bios = Capo(people=100_000)
row = bios.batch(seed=0, step=0, rows=1)
text, tokens = capo_biography(bios, key=int(address(address(0, 0, 0, np.arange(1)), 0)[0]))
assert row.tokens[0, : len(tokens)].tolist() == tokens
print(fill(text.strip(), 90))

# %% [markdown]
# ## What a bit is
#
# A bit is one yes/no question, if it is a good one: it halves what is possible. So the bits of a fact are the number
# of times that its pool can be halved, log₂ of its size. For an employer:

# %%
from math import exp, log, log2

possible, line = 263.0, "263"
for _ in range(8):
    possible /= 2
    line += f" → {possible:.0f}"
print(line)
print(f"Eight questions, and a little is left: log2(263) = {log2(263):.2f} bits")

# %% [markdown]
# How much is there to know about *one* person? (And why does the company's city count for nothing?)

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.capo.figures import bits_figure

Picture(bits_figure(bios), "Bits of the name and of each fact about one of 100,000 people")

# %% [markdown]
# The values make 47.6 bits. The names are special: nobody has to know who comes first, second, third, ... so they are
# a *set*, N names out of N₀ possible ones. That is log₂(N₀ / N) bits a name, fewer if there are more people.
#
# ## From a loss to bits
#
# Training reports losses: −log p of what came next, in nats. A model that gives the true employer probability p has
# saved us log₂(263 · p) of the 8.04 questions:

# %%
for p in (1.0, 0.5, 0.1, 1 / 263, 0.0001):
    loss = log(1 / p)
    print(f"p = {p:<7.4f} loss {loss:5.2f} nats   knowledge {log2(263) - loss / log(2):6.2f} bits")

# %% [markdown]
# Half sure is nearly everything: 7 of 8 bits. A guess is 0. Being sure of something wrong costs: less than nothing.
#
# Now all people at once. Let p₁ be the loss *summed* over the tokens of a name, and p₂ the sum over all value
# tokens, both averaged over people (Part 3.3, definition 2.2):
#
#     bits = N · (log₂ N₀ − p₁ / ln 2) + N · (log₂ S₀ − p₂ / ln 2)
#
# S₀ is the number of possible combinations of values. The slow twin says the same in probabilities, person by
# person:

# %%
import torch

small = Capo(people=200, format="pairs", names=(24, 24, 24), values=32)  # every name and value is one token
measure = small.measure_batch(range(200))


def bits_by_hand(nats):
    bits = 0.0
    for losses, parts in zip(nats.tolist(), measure.part.tolist(), strict=True):
        p_name = p_values = 1.0
        for loss, part in zip(losses, parts, strict=True):
            if part == 1:
                p_name *= exp(-loss)
            if part > 1:
                p_values *= exp(-loss)
        bits += log2(small.N0 * p_name) + log2(small.S0 * p_values)
    return bits


# %% [markdown]
# Five made-up models to try it on. (How a name's loss is spread over its three tokens does not matter, only the sum.)
# **Before you run it:** which of the two that know half holds more bits?

# %%
from physlm_lite.evaluation.scores import capacity_report

perfect, guesser = torch.zeros(measure.part.shape), torch.zeros(measure.part.shape)
perfect[measure.name] = log(200) / 3  # knows who there is, not who comes next
guesser[measure.name], guesser[measure.value] = log(24), log(32)
knows_names = torch.where(measure.name, perfect, guesser)
some_facts = torch.where((measure.part >= 2) & (measure.part <= 4), perfect, knows_names)
some_people = torch.cat([perfect[:100], knows_names[100:]])
wrong = torch.where(measure.value, torch.full_like(perfect, -log(0.001)), perfect)
models = {
    "knows everything": perfect,
    "guesses": guesser,
    "three facts of everybody": some_facts,
    "all facts of every other": some_people,
    "sure, and wrong": wrong,
}
for name, nats in models.items():
    report = capacity_report(small, measure, nats, right=nats < log(2), parameters=1)
    bits = report["bits_per_parameter"]  # of one parameter: all of them
    assert abs(bits - bits_by_hand(nats)) < 1e-2
    print(
        f"{name:<25} values known {report['accuracy']:4.0%}   p1 {report['name_loss']:5.2f}   "
        f"p2 {report['value_loss']:5.2f}   {round(bits / 200, 2) + 0.0:6.2f} bits a person"
    )
print(f"{'what there is to know':<25} {log2(small.N0 / 200) + log2(small.S0):53.2f}")

# %% [markdown]
# By hand and by library: equal. Partial knowledge counts, whatever form it has, and a perfect model cannot get more
# than the maximum: its p₁ is log N, because it cannot know *who* comes next.
#
# ## Bits per parameter
#
# Divide by the number of parameters P. Two different things can then limit the result: the model is full, or there
# is nothing more to know. The second limit, maximum / P, is a property of the *data*. So look at it first. For the
# models of this notebook:

# %%
from physlm_lite.tasks.capo import max_bits

experiment = capacity.experiment("toy")
for side in experiment.sides:
    run = experiment.run(side, experiment.grid[0], seed=0)
    task, P, training = run.made_task, run.model_config.parameters, run.training
    exposures = 1000 * training.steps / task.steps(1000, training.batch)
    most = max_bits(task.people, task.N0, task.S0)
    print(f"{side}: {P:,} parameters, {task.people:,} people seen {exposures:.0f} times;")
    print(f"  at most {most:,.0f} bits, {most / P:.2f} per parameter")

# %% [markdown]
# Canon's taps are parameters, too, and P counts them: compare the sizes of the two sides before anything else. Part
# 3.3 found about **2 bits per parameter** after 1,000 exposures, for every architecture tried, and about **1** after
# 100. Capo stops at 100 exposures, where architectures differ.
#
# ## The experiment, live

# %%
from physlm_lite.lab import Live

live = Live(capacity)
live

# %%
from statistics import fmean

from physlm_lite.lab import ledger_row, outcome_figure


def compared(outcome):
    """The prediction's option that came out."""
    plain, canon = (
        fmean(r.score("bits_per_parameter") for r in outcome.records[side]) for side in ("RoPE", "RoPE + Canon")
    )
    if abs(canon - plain) <= 0.05 * abs(plain):
        return "about as many (within 5 %)"
    return "more bits per parameter" if canon > plain else "fewer bits per parameter"


@live.when_done
def report(outcome):
    return [
        Picture(outcome_figure(outcome), "Bits per parameter and values known of the live runs"),
        prediction.score(compared(outcome)),
        ledger_row(outcome),
    ]


# %% [markdown]
# ## The recorded runs

# %%
from physlm_lite.claims import recorded

outcomes = [recorded(capacity, scale) for scale in capacity.experiments if scale != "smoke"]
outcomes = [outcome for outcome in outcomes if any(outcome.records.values())]
for outcome in outcomes:
    display(Picture(outcome_figure(outcome), f"The recorded runs at {outcome.scale} scale"))

# %%
from physlm_lite.lab import verdict_line

verdict_line(*outcomes)

# %% [markdown]
# ### A baseline at one rate lies
#
# These figures show each side at its *best* learning rate. The next one shows every rate of the grid. **Cover all
# rates but one with your hand:** what would you have concluded at each of them? And what moves the result more, the
# layer or the rate?

# %%
from physlm_lite.lab import grids, rate_figure, rate_table

for scales, setting in grids(capacity).items():
    figure = rate_figure(setting, scales, ceiling="most_bits_per_parameter")
    display(Picture(figure, f"Bits per parameter over the learning rate, both sides, {scales} scale"))
rate_table(capacity)

# %% [markdown]
# The last column is Canon against plain. The row before a scale's last is a side's best rate against its worst one.
#
# ### Which knowledge?
#
# The names and the values can be told apart. Which of the two does Canon learn more or less of?

# %%
from physlm_lite.lessons.capo.figures import parts_table

for outcome in outcomes:
    display(parts_table(outcome))

# %% [markdown]
# ## Pairs or sentences: what a kernel of four sees
#
# The paper's texts are sentences, and a value stands behind words that announce it. A toy can be shorter: a name,
# then six pairs of marker and value in random order. It looks like the same knowledge. Is it the same task for a
# Canon layer? In the frame: the four tokens that a first Canon layer mixes at the place where the value is predicted.

# %%
from physlm_lite.lessons.capo.figures import window_figure

toy = {"names": (24, 24, 24), "values": 32}
formats = {
    "pairs": Capo(1000, format="pairs", **toy),
    "short sentences": Capo(1000, format="short", **toy),
    "sentences": Capo(1000),
}
Picture(window_figure(formats), "The window of four tokens before a value, in three formats")

# %% [markdown]
# In pairs, the marker arrives mixed with other facts of the same person, different ones at every exposure, because
# their order is random. They say nothing about the value to predict: to the layer they are noise. In sentences the
# window holds words that announce the value. So a result about Canon in the pairs format may be one about the
# *format*. (A possible explanation, not a proof; exercise for an evening: measure it.) Which one is recorded here?

# %%
for scale, experiment in capacity.experiments.items():
    print(f"{scale}: format {experiment.run('RoPE', 1e-3, seed=0).made_task.format!r}")

# %% [markdown]
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(capacity)

# %% [markdown]
# **Should survive:** the arithmetic, exactly; that more exposures store more, up to the ceiling; that the learning
# rate must be searched for each side. **Will not:** the numbers of the paper, which trains millions of parameters for
# tens of thousands of updates and reads the best of many sizes; here it is tens of thousands of parameters and some
# thousand updates. Whether 10 to 15 % is much beside what the learning rate does, the table above tells.
#
# ## What if ...
#
# The rising line is what a model can hold (2 bits per parameter after 1,000 exposures, 1 after 100), the flat one
# what there is to know. **Find out:** how large must a model be for 100,000 people? How much larger if it sees each
# fact only 100 times? And how many parameters does Part 3.3 want for English Wikipedia and textbooks?

# %%
from physlm_lite.lessons.capo.figures import capacity_explorer

capacity_explorer()

# %% [markdown]
# ## Exercises
#
# **1 · Bits of the values** (5 minutes, easy). `pools` maps each attribute to the size of its pool, "company_city"
# and "gender" included. Return the bits of one person's values.
#
# <details><summary>Hint</summary>One attribute follows from another one. Bits of independent facts add up.</details>

# %%
from physlm_lite.lessons.capo import check


def my_value_bits(pools):
    # solution
    from math import log2

    return sum(log2(size) for attribute, size in pools.items() if attribute != "company_city")


check("value_bits", my_value_bits)

# %% [markdown]
# **2 · The loss of a guesser** (5 minutes, easy). A model knows the pools and nobody's facts. What are its p₁ and p₂?
# Return both, in nats. `N0` is the number of possible names, `pools` as before.
#
# <details><summary>Hint</summary>Guessing among n equally likely things costs log n.</details>


# %%
def my_guesser(N0, pools):
    # solution
    from math import log

    return log(N0), sum(log(size) for attribute, size in pools.items() if attribute != "company_city")


check("guesser_loss", my_guesser)

# %% [markdown]
# **3 · From losses to bits** (10 minutes, medium). You measured a sample of the people: `name_nats` and `value_nats`
# hold one list a person, with −log p of each token. Return the bits that the model holds about all `people`.
#
# <details><summary>Hint</summary>Sum over tokens, mean over people, then the formula.</details>


# %%
def my_capacity(name_nats, value_nats, people, N0, S0):
    # solution
    from math import log, log2

    p1 = sum(map(sum, name_nats)) / len(name_nats)
    p2 = sum(map(sum, value_nats)) / len(value_nats)
    return people * (log2(N0) - p1 / log(2) + log2(S0) - p2 / log(2))


check("capacity_of_losses", my_capacity)

# %% [markdown]
# **4 · The ceiling** (5 minutes, medium). Return the most bits per parameter that any training can reach.
#
# <details><summary>Hint</summary>Put p₁ = log N and p₂ = 0 into the formula.</details>


# %%
def my_ceiling(people, N0, S0, parameters):
    # solution
    from math import log2

    return people * (log2(N0 / people) + log2(S0)) / parameters


check("most_bits_per_parameter", my_ceiling)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*outcomes or [recorded(capacity, "toy")])

# %% [markdown]
# Facts are stored; can they be *worked with*? That is [06 · Mano](06_mano.ipynb). Or run `physlm replicate R2-capacity` in a terminal.
