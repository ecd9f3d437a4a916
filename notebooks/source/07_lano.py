# %% [markdown]
# # 07 · Lano: hierarchical language structure
#
# *Part 4.1, section 5.1, appendix A.5, figure 7; the grammars of Part 1* · you need: notebook 00
#
# Language is built in levels: sounds, words, phrases, sentences. Lano is a language made of nothing but levels. Its
# rules are known exactly, so we know exactly what a perfect model would say at every place, and can measure how far
# a trained one is from it.

# %%
from physlm_lite.claims import claim
from physlm_lite.lab import claim_card, scale_table

structure = claim("R2-structure")
scale_table(structure)

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.lab import Prediction

prediction = Prediction(
    "Two small Transformers learn the language. RoPE knows where every token stands, but has no Canon layers. "
    "NoPE + Canon has no positions, only its three nearest neighbours in every layer. Nearer to the truth will be ...",
    options=("RoPE", "about equal (within 10 %)", "NoPE + Canon"),
)
prediction

# %%
claim_card(structure, folded=True)

# %% [markdown]
# ## The language
#
# A symbol is replaced by two or three symbols of the next level, down to the tokens 1, 2 and 3. All alternatives of
# a symbol are equally likely. No rule leads back up, so every tree has the same depth, and lengths differ only
# through the choice between two and three.
#
# Here is the part of the published grammar *cfg3f* below its symbol 14. The whole has three more levels above it.

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.lano.figures import rules_figure
from physlm_lite.tasks import Lano

small = Lano("cfg3f", root=14, context=None)
Picture(rules_figure(small.language), "The rules of cfg3f below symbol 14")

# %% [markdown]
# ### A sentence, level by level
#
# `lano_derivation` is the slow twin of the generator and reads like the definition: replace every symbol of a level
# by one of its rules, and go on with the level that results.

# %%
from physlm_lite.tasks import lano_derivation

tree = lano_derivation(small.language, key=3)
for level, symbols in enumerate(tree.symbols):
    print(f"level {level}:", *symbols)

# %% [markdown]
# The fast twin expands *all* sentences of a batch at once, one level at a time. Both make the same sentences from
# the same address:

# %%
import time

import numpy as np

from physlm_lite.tasks.draws import address

cfg3f = Lano("cfg3f", context=None)
begin = time.perf_counter()
sentences = cfg3f.sentences(seed=0, step=0, rows=2000)
fast = (time.perf_counter() - begin) / len(sentences)
begin = time.perf_counter()
for row in range(5):
    key = int(address(address(0, 0, 0, row), 0)[0])  # seed 0, training split, step 0, this row; its only sentence
    assert lano_derivation(cfg3f.language, key).sentence == tuple(sentences[row])
slow = (time.perf_counter() - begin) / 5
print(f"equal; the fast twin is about {10 ** round(np.log10(slow / fast)):,} times as fast")

# %% [markdown]
# What a model reads is the stream `<bos>` sentence `<bos>` sentence ... Every token is a target. There are no
# prompts and no answers, and nobody ever shows a tree:

# %%
from physlm_lite.tasks import text_view

stream = Lano("cfg3f", root=14, context=26)
print(text_view(stream, stream.batch(seed=0, step=0, rows=1)))

# %% [markdown]
# ### Walk along a sentence
#
# The model moves from left to right. Some symbols are finished, some are open, and a good model has to know which. Drag
# along the sentence. The strip below the tree shows what the grammar itself says about the next symbol, at every place.
# (The tree is drawn because we know it; the strip knows nothing but what stands before.)
#
# **A question for the walk:** find a place where only one symbol can come next, and one where all four can. Which finished
# and open symbols make the difference?

# %%
from physlm_lite.lessons.lano.figures import lano_walk

lano_walk(small)

# %% [markdown]
# ## Two kinds of ambiguity
#
# **Local.** Which symbol stands above a token? We let the best possible guesser see the token and some neighbours on
# both sides. (It counts over many sentences with known trees; no network.)

# %%
from physlm_lite.lessons.lano.figures import neighbours_figure

Picture(neighbours_figure(small), "Right guesses of the symbols above a token, for 0 to 4 neighbours on each side")

# %% [markdown]
# One level up the nearest neighbours nearly suffice. Two levels up they do not: the same run of tokens stands under
# different symbols, and only the rest of the sentence decides. A model needs help from near *and* from far.
#
# **Global.** Sometimes the whole sentence does not decide either. This one, from *cfg3g*, has two trees (red: the
# symbols they do not share). Its probability is the sum of theirs.

# %%
from physlm_lite.lessons.lano.figures import ambiguity_figure
from physlm_lite.tasks import Grammar

ambiguous = (2, 2, 1, 1, 2, 2, 1, 1, 2, 2)
Picture(ambiguity_figure(Grammar.published("cfg3g").rooted_at(14), ambiguous), "The two parse trees of one sentence")

# %% [markdown]
# ## Is this a sentence?
#
# Never guess from the left; build up from the tokens. Write down every run of tokens that some symbol derives, short
# runs first. A rule joins runs that touch. The text is a sentence if the root derives the run of all tokens.
#
# Below is the table for 3 3 3 2 1 1 and the symbol 10 of our grammar. A symbol stands as high as its run is long;
# the grey 9 is true of its two tokens, and leads nowhere.

# %%
from physlm_lite.lessons.lano.figures import span_figure
from physlm_lite.tasks import parsing, parsing_naive

ten, text = small.language.rooted_at(10), (3, 3, 3, 2, 1, 1)
print("a sentence:", bool(parsing.recognise(ten, [text])[0]), "· probability", parsing_naive.probability(ten, text))
Picture(span_figure(ten, text), "The span table of the sentence 3 3 3 2 1 1 as a pyramid")

# %% [markdown]
# The same loop with numbers in place of yes and no counts trees, or adds up probabilities. `parsing_naive` does it in
# exact arithmetic. `parsing` keeps only the runs that exist, and handles many texts at once. They agree:

# %%
begin = time.perf_counter()
naive = [parsing_naive.parse_count(cfg3f.language, sentence.tolist()) for sentence in sentences[:3]]
slow = (time.perf_counter() - begin) / 3
begin = time.perf_counter()
counts = parsing.parse_counts(cfg3f.language, sentences[:100])
fast = (time.perf_counter() - begin) / 100
assert counts[:3] == naive
print(f"equal; the fast twin is about {10 ** round(np.log10(slow / fast)):,} times as fast")
several = sum(count > 1 for count in counts)
print(f"of 100 sentences of cfg3f, {several} have several parse trees, one of them has {max(counts)}")

# %% [markdown]
# ## What comes next?
#
# From the table follows the *exact* distribution of the next symbol: how likely is it that a sentence begins with
# this text and goes on with 1? Here for the symbol 9 alone, which derives 1 2 1, 3 3 or 1 1:

# %%
nine = Grammar.from_text("9: 1 2 1 | 3 3 | 1 1")
for prefix in ((), (1,), (1, 1), (1, 2), (1, 3)):
    end, one, two, three = parsing.next_symbol(nine, prefix)[-1]
    print(f"after {' '.join(map(str, prefix)) or 'nothing':8}: end {end:.3f}, 1 {one:.3f}, 2 {two:.3f}, 3 {three:.3f}")

# %% [markdown]
# (nan: no sentence begins with 1 3, so there is no truth to compare with.)
#
# ### Two scores
#
# **KL**: walk along fresh sentences and compare the model's next-symbol distribution with the true one at every
# place. **Validity**: let the model write from `<bos>` at temperature 1, and count the texts that are sentences; one
# wrong symbol makes a text wrong. What would a perfect model score? We have one: the grammar.

# %%
from physlm_lite.lessons.lano.figures import two_scores, write


def truth(texts):
    return parsing.next_symbols(small.language, texts)


kl, valid = two_scores(truth, small)
print(f"the grammar as a model: KL {kl:.3f}, valid {valid:.3f}")

# %% [markdown]
# Temperature 1 matters. Always taking the most likely symbol, even the perfect model writes one text again and again,
# and its validity could only be 0 or 1:

# %%
for greedy in (True, False):
    written = set(write(truth, count=50, longest=small.language.longest, greedy=greedy))
    print("greedy:       " if greedy else "temperature 1:", len(written), "different texts of 50")

# %% [markdown]
# And models that only count? P(next symbol | the last k tokens), counted over 20,000 sentences:

# %%
from physlm_lite.lessons.lano.figures import two_scores_figure

Picture(two_scores_figure(small), "KL and share of valid sentences of counting models, and of the grammar itself")

# %% [markdown]
# Validity stays near 0 while KL improves steadily: a text must be right at *every* place. So KL is the score that
# tells weak models apart, and validity the one that tells good ones apart.
#
# ### The loss that nobody can beat
#
# A sentence is random, so its next symbol cannot be known. The tree's entropy is exact: log₂(number of rules), summed
# over all choices. The *sentence* carries a little less where it is ambiguous. A model's loss is this floor plus
# its KL.

# %%
from physlm_lite.lessons.lano.figures import Counting

for name, task in (("below 14", small), ("cfg3f", cfg3f)):
    floor, error = task.loss_floor()
    tree = task.language.entropy_per_token
    print(f"{name:8}: tree {tree:.4f} nats per token, sentence {floor:.4f} (sampled, standard error {error:.4f})")

fresh = small.sentences(0, 0, 500, "test")
true, counted = truth(fresh), Counting(small, width=4)(fresh)
true, counted = np.concatenate(true), np.concatenate(counted)  # [places, end and 1 to 3]
came = np.concatenate([np.append(sentence, 0) for sentence in fresh])
own, loss = (-np.log(rows[np.arange(len(came)), came]).mean() for rows in (true, counted))
kl = parsing.kl_to_truth(true, counted)
print(f"counting, k = 4: loss {loss:.3f} ≈ {own + kl:.3f} = floor {own:.3f} + KL {kl:.3f} (500 sentences)")

# %% [markdown]
# ### Almost a sentence
#
# Replace one random token. How often is the text still valid, and how far is it from the nearest sentence?

# %%
from physlm_lite.lessons.lano.figures import corrupted

spoilt = corrupted(small.language, fresh)
print(f"{100 * small.valid(spoilt).mean():.0f} % of 500 sentences survive one random substitution")
first = int(np.argmin(small.valid(spoilt)))  # the first that does not
nearest = parsing.nearest_valid(small.language, spoilt[first])
print("sentence:", *fresh[first])
print("spoilt:  ", *spoilt[first])
print("nearest: ", *nearest.sentence)
print("substitutions:", nearest.substitutions, "· wrong symbols on each level, from the tokens up:", *nearest.wrong)

# %% [markdown]
# ## The experiment, live
#
# Four models, the same data: with and without positions, with and without Canon layers.

# %%
from physlm_lite.lab import Live

live = Live(structure)
live

# %%
from statistics import fmean

from physlm_lite.lab import ledger_row, outcome_figure


@live.when_done
def report(outcome):
    kl = {side: fmean(r.score("kl") for r in runs) for side, runs in outcome.records.items()}
    ratio = kl["NoPE + Canon"] / kl["RoPE"]
    answer = "NoPE + Canon" if ratio < 0.9 else "RoPE" if ratio > 1.1 else "about equal (within 10 %)"
    explanation = f"KL {kl['NoPE + Canon']:.3f} for NoPE + Canon, {kl['RoPE']:.3f} for RoPE"
    return [
        Picture(outcome_figure(outcome), "KL and validity of the live runs, and their learning curves"),
        Picture(two_scores_figure(outcome), "The live runs beside models that only count"),
        prediction.score(answer, explanation + (" (of a smoke run)." if outcome.scale == "smoke" else ".")),
        ledger_row(outcome),
    ]


# %% [markdown]
# **Read it:** next to which counting model does each Transformer stand? RoPE with Canon and RoPE without: at which
# step does the one reach where the other ends?
#
# ## The records
#
# The same at the scales that have been recorded, with all seeds, on the clock of steps and on that of seconds.

# %%
from physlm_lite.claims import recorded

outcomes = [recorded(structure, scale) for scale in structure.experiments if scale != "smoke"]
outcomes = [outcome for outcome in outcomes if all(outcome.records.values())]
for outcome in outcomes:
    display(Picture(outcome_figure(outcome), f"KL, validity and curves of the recorded runs at {outcome.scale} scale"))

# %%
from physlm_lite.lab import verdict_line

verdict_line(*outcomes)

# %%
for outcome in outcomes:
    display(Picture(two_scores_figure(outcome), f"The recorded runs at {outcome.scale} scale beside counting models"))

# %% [markdown]
# A Canon layer costs time. So the fair question is also: what has each model reached when the *fastest* one is done?

# %%
for outcome in outcomes:
    for side, values in outcome.equal_seconds("kl").items():
        print(f"{outcome.scale}, {side:12}: KL {fmean(values):.3f} at equal seconds, mean of {len(values)} seeds")

# %% [markdown]
# ## Look inside: the symbols above
#
# *Deeper.* The tree is nowhere in the text. Yet whoever knows which symbol stands above a token knows better what comes
# next. A *probe* is a linear reader of what the stream holds at a depth, fitted on some sentences and tried on others. It
# also reads the same model as it starts (dashed).
#
# **Before you run it:** the token alone already tells something. How much more do two layers make of it?

# %%
from physlm_lite.claims import scale_of
from physlm_lite.lab import Trained
from physlm_lite.lab.inside import looking_inside
from physlm_lite.lab.plots import palette
from physlm_lite.lessons.lano.inside import symbol_above

setting = structure.experiment("smoke" if scale_of() == "smoke" else "toy")
rates = {"RoPE": 2e-3, "RoPE + Canon": 1.6e-2}
inside = Trained(*(setting.run(side, rate, seed=0) for side, rate in rates.items()))
inside


# %%
@inside.when_done
def look(trained):
    models = {side: model for side, (model, _) in zip(rates, trained, strict=True)}
    task = setting.made_task
    levels = {"one level up": symbol_above(task, 1), "two levels up": symbol_above(task, 2)}
    return looking_inside(models, task, levels, "kl", palette(models))


# %% [markdown]
# One seed of each side.
#
# To be there is not to be used. So the last picture *intervenes*: one Canon layer is taken out of the trained model, and the
# distance to the truth is measured anew. **Read it:** which layer lives on its neighbours, the first or the second? (What is
# two levels up often depends on tokens that are still to come: nobody can know it yet.)
#
# ## Simplified or full

# %%
from physlm_lite.lab import setting_table

setting_table(structure)

# %% [markdown]
# **Should survive:** Canon ahead of no Canon, with and without positions, and KL as the more patient of the two scores.
# **Will not:** the sizes of the gaps. The paper's models read billions of tokens of the whole cfg3f and write nine of ten
# sentences correctly even without Canon; and our part of the grammar is hardly ambiguous as a whole, theirs often is.
#
# ## What if: another grammar?
#
# **Question:** the paper finds cfg3k much harder than cfg3f. What makes it harder: is it longer, deeper, less
# certain, more ambiguous? Then draw new grammars, and turn one of these screws at a time.

# %%
from physlm_lite.lessons.lano.figures import grammar_explorer

grammar_explorer()

# %% [markdown]
# <details><summary>One answer</summary>
#
# All of it at once. One more level doubles the length, and with it the number of choices in a sentence, each of which
# must be right. There are more rules, hence more nats per token. And the places where only one symbol can follow
# are no more frequent: there is more to find out, from further away. Compare cfg3b: about as long as cfg3f, and far
# more certain. Ambiguity alone is not what is hard: cfg3i is ambiguous about as often as cfg3k, with half its entropy
# per token.
# </details>
#
# ## Exercises
#
# A grammar is a dictionary here: `rules[symbol]` is a list of tuples. What is not in it is a token.
#
# **1 · Count the trees** (15 minutes, medium). In how many ways does `symbol` derive the tuple `text`?
#
# <details><summary>Hint</summary>A token derives itself in one way. For a rule, cut the text into a first part and a rest, at
# every place. What do you do with the numbers of both sides?</details>

# %%
from physlm_lite.lessons.lano import check


def my_trees(rules, symbol, text):
    # solution: Adding instead of multiplying is a bug that hides well: sentences are still told from other texts.
    if symbol not in rules:
        return int(text == (symbol,))

    def ways(rule, text):
        if len(rule) == 1:
            return my_trees(rules, rule[0], text)
        cuts = range(1, len(text))
        return sum(my_trees(rules, rule[0], text[:k]) * ways(rule[1:], text[k:]) for k in cuts)

    return sum(ways(rule, text) for rule in rules[symbol])


check("parse_trees", my_trees)

# %% [markdown]
# **2 · Bits in a tree** (10 minutes, medium). The entropy, in bits, of the tree below a symbol.
#
# <details><summary>Hint</summary>Its own choice costs log₂(number of rules); then, for the rule that was chosen, all
# its symbols. Average over the rules.</details>


# %%
def my_bits(rules, symbol):
    # solution
    if symbol not in rules:
        return 0.0
    below = [sum(my_bits(rules, child) for child in rule) for rule in rules[symbol]]
    return float(np.log2(len(below)) + np.mean(below))


check("derivation_bits", my_bits)

# %% [markdown]
# **3 · What comes next** (10 minutes, easy). `language` maps every sentence (a tuple) to its probability. Return the
# array [P(end), P(1), ..., P(terminals)] after `prefix`, straight from the definition.
#
# <details><summary>Hint</summary>Add up the probabilities of the sentences that begin with the prefix, sorted by what they
# do next. Then divide.</details>


# %%
def my_next(language, prefix, terminals):
    # solution
    weight, n = np.zeros(terminals + 1), len(prefix)
    for sentence, p in language.items():
        if sentence[:n] == prefix:
            weight[sentence[n] if len(sentence) > n else 0] += p
    return weight / weight.sum()


check("next_symbol", my_next)

# %% [markdown]
# **4 · The distance** (10 minutes, medium). `p` (the truth) and `q` (a model) are arrays [rows, symbols]. Return the KL
# divergence of every row in nats. Inside the logarithms only, add `e` to both and make the rows sum to 1 again.
#
# <details><summary>Hint</summary>The sum over the symbols of p · (log p̃ − log q̃).</details>


# %%
def my_kl(p, q, e):
    # solution
    smooth_p, smooth_q = ((x + e) / (x + e).sum(1, keepdims=True) for x in (p, q))
    return (p * (np.log(smooth_p) - np.log(smooth_q))).sum(1)


check("kl_rows", my_kl)

# %% [markdown]
# ## The ledger

# %%
ledger_row(*(recorded(structure, scale) for scale in structure.experiments if scale != "smoke"))

# %% [markdown]
# Next: [08 · Positions](08_positions.ipynb): how much of RoPE do Canon layers make superfluous? This grammar is the
# exception. Or run `physlm ledger` for every claim at every scale.
