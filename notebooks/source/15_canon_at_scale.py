# %% [markdown]
# # 15 · Canon at scale: 1B, 3B, 8B
#
# *Part 4.2: recipes, result tables and curves of its release* · you need: notebook 02 (the Canon layer); 11 and 12 for
# the linear models
#
# The other notebooks train toys. Here are 64 runs that nobody trains in class: 16 Transformers and 48 linear models, up
# to 8 billion parameters, each on a trillion tokens or two. **None of these runs is ours.** Every score below is a
# published one, and every verdict follows from published ones. What this machine can do with such a run: read it, price
# it, rehearse it, and open its checkpoint.

# %%
from physlm_lite.lessons.canon_at_scale.figures import runs_table

runs_table()

# %% [markdown]
# ## Predict first

# %%
from physlm_lite.lab import Prediction

pairs = Prediction(
    "Eight pairs of Transformers, 1B to 8B. The two of a pair share data, tokens and learning rate, and one has Canon "
    "layers. In the average of 13 benchmarks, in how many pairs is the one with Canon ahead?",
    options=("in 4 or fewer", "in 5 or 6", "in 7", "in all 8"),
)
pairs

# %%
moves = Prediction(
    "Which of these scores do Canon layers move most, in points?",
    options=(
        "MMLU: school and college exams",
        "average of 13 benchmarks",
        "1-hop-4k: a birth year, hidden in 4,000 tokens of Wikipedia",
    ),
)
moves

# %%
hours = Prediction(
    "8 billion parameters read a trillion tokens. How many hours of one H200 GPU is that?",
    options=("about 400", "about 4,000", "about 40,000", "about 400,000"),
)
hours

# %% [markdown]
# ## The claims
#
# Guessed? Then open them. The first three are about Transformers.

# %%
from physlm_lite.claims import published_claim
from physlm_lite.lab import claim_card
from physlm_lite.lab.show import Page

wins, mmlu = published_claim("P42-wins"), published_claim("P42-MMLU")
window = published_claim("P42-window")
Page([claim_card(c, folded=True) for c in (wins, mmlu, window)])

# %% [markdown]
# ## Eight pairs
#
# A line is a pair; at its ends stand two runs that differ in the Canon layers (and in how many coordinates rotate: see
# below). **Read it:** are the lines as long as the distance between two learning rates of one size? Does a larger model
# gain less?

# %%
from physlm_lite.lab import Picture
from physlm_lite.lessons.canon_at_scale.figures import pairs_figure

Picture(pairs_figure(), "Eight pairs of Transformers: average of 13, MMLU, 1-hop at 4k")

# %% jupyter={"source_hidden": true}
from statistics import fmean

from physlm_lite.claims.published import cells
from physlm_lite.scale.published.results import tables


def gains(score):
    return [run["LlamaCanon"] - run["Llama"] for _, run in cells(tables(), score, "LlamaCanon", "Llama")]


ahead = sum(gain > 0 for gain in gains("average of 13"))
said = "in all 8" if ahead == 8 else "in 7" if ahead == 7 else "in 5 or 6" if ahead > 4 else "in 4 or fewer"
display(pairs.score(said, f"By {fmean(gains('average of 13')):.1f} points in the mean."))
names = {"MMLU": "MMLU", "average of 13": "average", "1-hop-4k": "1-hop"}
most = max(names, key=lambda score: fmean(gains(score)))
truth = next(option for option in moves.control.options if option.startswith(names[most]))
moves.score(truth, "; ".join(f"{score} {fmean(gains(score)):+.1f}" for score in names))

# %% [markdown]
# ### What one run a cell can show
#
# Nobody repeated a seed here; such runs are dear. Two things stand in for it. The *learning rates*: two runs that differ
# in nothing else. And part 4.1, section 8, which trained one Transformer of 1.3B eight times.

# %%
from physlm_lite.lessons.canon_at_scale.figures import noise_table

noise_table()

# %% [markdown]
# On a single benchmark such as FDA, eight seeds lie farther apart than Canon moves it: **a single line of a leaderboard
# decides nothing.** Eight lines of eight in one direction are another matter: a coin does that once in 256. Even so, the
# pairs of one size share their data, so they are no eight independent throws; counted as four settings, the coin's chance
# is 1 in 16. Our rules use the sign test over pairs. They were written down when these numbers were known, so they say how
# clear the numbers are; they were no prediction.

# %%
from physlm_lite.lab import published_rows, rule_table

rates, babilong = published_claim("P42-rates"), published_claim("P42-Babilong")
transformers = (wins, mmlu, rates, window, babilong)
rule_table(*transformers)

# %%
published_rows(*transformers)

# %% [markdown]
# ## Every curve
#
# First a still picture, of MMLU on the way. A question has four answers to choose from.

# %%
from physlm_lite.lessons.canon_at_scale.figures import growth_figure

Picture(growth_figure(), "MMLU against tokens for 1B, 3B and 8B, with and without Canon")

# %% [markdown]
# Now all 64 runs, 14 benchmarks, every checkpoint. Choose; it answers in your browser, without a kernel. Touch the name of a
# benchmark on the right to see its curve.
#
# **Questions.** When does MMLU leave the line of guessing, and who leaves it first? Slide back to 20 % of the tokens: how
# large is Canon's lead there? Choose *every mixer* at 1B: which family has the steepest start? Which benchmarks never
# tell the two sides apart?

# %%
from physlm_lite.lab import PublishedCurves

PublishedCurves()

# %% [markdown]
# How many tokens until a model passes 30 % of MMLU?

# %%
from physlm_lite.lessons.canon_at_scale.figures import awakening_table

display(awakening_table())
earlier = published_claim("P42-earlier")
published_rows(earlier)

# %% [markdown]
# <details><summary>Reading</summary>
#
# In all eight pairs Canon gets there first, on about half of the tokens. So in the middle of a run the two sides can lie
# ten points apart and still end two points apart: *when* a score is read decides how large an effect looks. (Among the
# linear models Mamba2 does it the other way round.) RACE and SIQA toss a coin: with Canon ahead in about half of all 32
# pairs. COPA has 100 questions: one of them is a point. At 1B the gated delta net with Canon starts most steeply.
# </details>
#
# ## The clearest effect: what stands far away
#
# A birth year is hidden in a text, and asked for at its end. The Transformers were trained on windows of 4,096 tokens.
# Two or three lines of one colour are learning rates.

# %%
from physlm_lite.lessons.canon_at_scale.figures import length_figure

Picture(length_figure(), "One hop against the length of the text, for 1B, 3B and 8B, with and without Canon")

# %%
beyond, two_hops = published_claim("P42-beyond"), published_claim("P42-two-hops")
published_rows(window, beyond, two_hops)

# %% [markdown]
# **Read it:** near the end of its own window the plain Transformer forgets; with Canon (and a quarter of the rotation, as
# in notebook 08) it does not. The linear models fade from the start, at every size. Beyond the window the gain ends soon:
# at 5,000 tokens Canon is far ahead, at 6,000 nobody is near one half, the bar of our rule. (A needle that repeats the
# question's very words, S-NIAH-1, is easier: at 1B it is found at 5,000 tokens, too, and sometimes at 6,000.)
#
# ## Linear models
#
# 48 runs: GLA, GDN and Mamba2, each with its own short convolution (the side "conv") or with Canon layers at A, B, C, D.

# %%
from physlm_lite.lab import Explorer

families = ("GLA", "GDN", "Mamba2", "level", "averages", "retrieval")
linear = [published_claim(f"P42-{name}") for name in families]
Explorer(*linear, view="ledger", height=900)

# %% [markdown]
# Compare the two ends of the list. On averages of benchmarks linear models keep up with Transformers; as soon as
# something must be *found*, they fall behind by tens of points. Both are the same models: a leaderboard of averages cannot
# see what the lesson on states (notebook 11) is about.
#
# ## The recipe
#
# What differs between the two sides at 8B, of everything that decides a run:

# %%
from physlm_lite.lab.page import table
from physlm_lite.scale.recipe import differences, load_recipe

plain, canon = load_recipe("Llama-8B-Nemo-1T-lr0.003"), load_recipe("LlamaCanon-8B-Nemo-1T-lr0.003")
rows = [(name, str(one), str(other)) for name, (one, other) in differences(plain, canon).items()]
table(("value", plain.name, canon.name), rows)

# %% [markdown]
# Two things, not one: Canon layers, and rotation of 32 of the 128 coordinates of a head. Part 4.1 tells them apart
# (notebook 08); these eight pairs cannot. Canon itself is a rounding error of the parameters:

# %%
more = canon.model.parameters / plain.model.parameters - 1
print(f"{canon.model.parameters:,} parameters, {more:.3%} more than without Canon")
print(f"{canon.tokens:,} tokens, {canon.tokens / canon.model.parameters:.0f} for each parameter")

# %% [markdown]
# ## The bill
#
# Parameters and operations follow from the recipe. How fast they are carried out is taken from the release: a note in a
# figure says 5,200 H200-hours for a billion parameters and a trillion tokens. With fewer GPUs the same rows are read in
# turns: never another experiment.

# %%
from physlm_lite.scale.plan import plan, published_hours

found = plan(canon, price=2.0)
note = published_hours(canon.model.parameters, canon.tokens)
print(f"{found['flops']['model']:.3e} operations")
print(f"planned {found['gpu_hours']:,.0f} GPU-hours, by the note {note:,.0f}")
days = found["hours"] / 24
hours.score("about 40,000", f"{days:.1f} days of {found['gpus']} GPUs, and at 2 an hour {found['cost']:,.0f}.")

# %% [markdown]
# **Questions.** What does one GPU of a kind that you know take? Which kind refuses the 8B model on 8 GPUs, and what is
# proposed? What becomes of the bill if you reach 50 % MFU? (Memory is counted from operation to operation on tensors without
# data: a recipe that is new to this kernel takes some seconds.)

# %%
from physlm_lite.lessons.canon_at_scale.figures import planner

planner()

# %% [markdown]
# ## The rehearsal
#
# PyTorch can shard a model over ranks that do not exist, on tensors without data. So this is the real 8B model, cut by the
# real engine for 512 GPUs, in one process here. What the first rank holds is read off its shards; what the ranks say to
# each other is counted from call to call.

# %%
from physlm_lite.lessons.canon_at_scale.figures import dry_run_elsewhere

print(dry_run_elsewhere("LlamaCanon-8B-Nemo-1T-lr0.003", gpus=512))

# %% [markdown]
# 251 MB a rank for weights, gradients and moments, of 129 GB in all. Compare with the bar above: sharding makes *these*
# small; activations and the gathered layers stay. 36 gathers: one for each of the 32 layers, the input table and the last
# norm, and two for the head, which is given back in between.
#
# ## The job
#
# A cluster's queue wants a file. Read it before you look at the answer: what happens when a day is over and the run is not?
# What if one of the 64 machines dies?

# %%
from physlm_lite.lessons.canon_at_scale.figures import slurm_job

slurm_job("LlamaCanon-8B-Nemo-1T-lr0.003", nodes=64)

# %% [markdown]
# <details><summary>Answer</summary>Five minutes before the end every rank gets the signal USR1, saves, and ends with 75: the
# file then queues itself again, and the next start goes on from the checkpoint. A machine that dies ends the others, too; its
# code is above 2 as well, so the same happens, from the last checkpoint that was whole. Only a run that diverged (1) or that
# somebody has to mend (2) stays away.</details>
#
# `physlm launch RECIPE --nodes 64 --slurm` writes and submits it (`--dry-run` only prints it); `--local` does the same with
# torchrun on this machine, `--sky` in a cloud. Fewer machines take more turns for the same step: try `nodes=8`.
#
# ## A checkpoint
#
# The released weights are behind a form, and 16 GB large. If you have one, write its folder below. If not, a small model
# of the same shape is made on the spot, written in the published layout and read back: the same lines open both.

# %%
import tempfile
from pathlib import Path

import torch

from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import load_pretrained, read_config, save_pretrained

folder = None  # such as "/data/PhysicsLM4.2__LlamaCanon-1B-Nemo-1T-lr0.003"
if folder is None:
    shape = ModelConfig(vocab=98, width=128, layers=4, heads=4, canon="ABCD", rope_dim=8)
    small = LanguageModel(shape, seed=0)
    folder = Path(tempfile.mkdtemp()) / "small"
    save_pretrained(small, folder)
config, model = read_config(folder), load_pretrained(folder)
tokens = torch.arange(1, 33)[None] % config.vocab
with torch.no_grad():
    logits = model(tokens)
print(f"{config.mixer}, Canon-{config.canon}, {config.layers} layers, {config.parameters:,} parameters")
print(f"logits {tuple(logits.shape)} from {', '.join(sorted(p.name for p in Path(folder).iterdir()))}")

# %% [markdown]
# The taps are the first thing to look at: how strongly does each layer listen to its neighbours? (The small model has
# learnt nothing: its taps are still the dice. In trained models look for layers that look farther back.)

# %%
from physlm_lite.lessons.canon_at_scale.figures import taps_figure

Picture(taps_figure(model), "The mean size of the taps of each Canon layer, by lag")

# %% [markdown]
# ## Simplified or full
#
# What in this notebook was measured, and by whom:

# %%
from physlm_lite.lessons.canon_at_scale.figures import measured_here

measured_here()

# %% [markdown]
# **Should survive** another seed: that Canon is ahead in averages, and the retrieval near the window's end, which are
# several times what rates and seeds do. **May not:** any single benchmark of any single pair, and the order of families
# that lie half a point apart. **Cannot be told here:** Canon from the quarter of the rotation.
#
# Others found (*their* numbers): a university's replication on small mixtures of tasks saw Canon's gain in loss shrink
# with size, .090 at 3 million parameters, .023 at 100 million; here, at 8 billion, it is still there. Production models of
# 2026 carry the same small convolutions at other places. For speed: 57.8 % MFU was reported for an 8B model on one
# H200, counted with all pairs of attention; the published runs stand at 35 % by that way of counting.
#
# ## Exercises
#
# The arithmetic of a large run, in four steps. All numbers of the 8B run come out of your own functions.
#
# **1 · A step** (5 minutes, easy). How many tokens are in a step of `gpus`, each of which reads `rows` windows of `window`
# tokens, `turns` times, before the optimiser moves?
#
# <details><summary>Hint</summary>512 GPUs × 3 rows × 1 turn is the original step. 64 GPUs need 8 turns for the same.</details>

# %%
from physlm_lite.lessons.canon_at_scale import check


def my_step_tokens(gpus, rows, turns, window):
    # solution
    return gpus * rows * turns * window


check("step_tokens", my_step_tokens)

# %% [markdown]
# **2 · Operations** (10 minutes, medium). How many operations does a token take in training? Count two for each weight
# that multiplies it forwards, twice as many backwards, the input table (`vocab` × `width`) not at all, and attention to
# *earlier* tokens.
#
# <details><summary>Hint</summary>All pairs: queries · keys and weights · values, 2 × 2 × window × width a layer forwards,
# three times that in training: 12. Earlier tokens are half of them.</details>


# %%
def my_flops(parameters, vocab, width, layers, window):
    # solution
    return 6 * (parameters - vocab * width) + 6 * layers * window * width


check("flops_per_token", my_flops)

# %% [markdown]
# **3 · Hours** (5 minutes, easy). A GPU could do `tflops` · 10¹² operations a second, and a share `mfu` of that is reached.
# How many GPU-hours take `tokens`, at `flops` each?
#
# <details><summary>Hint</summary>Operations in all, by operations a second, by seconds in an hour.</details>


# %%
def my_gpu_hours(flops, tokens, tflops, mfu):
    # solution
    return flops * tokens / (tflops * 1e12 * mfu) / 3600


check("gpu_hours", my_gpu_hours)

# %% [markdown]
# **4 · Memory of a rank** (10 minutes, medium). Weights, their gradient and AdamW's two moments are kept in float32 and
# sharded over `gpus`. To compute, every GPU gathers all layers in bfloat16. How many bytes is that on each, activations
# aside?
#
# <details><summary>Hint</summary>Four numbers of four bytes, shared. One of two bytes, not shared. Compare with the
# rehearsal.</details>


# %%
def my_bytes(parameters, gpus):
    # solution
    return 16 * parameters / gpus + 2 * parameters


check("bytes_per_gpu", my_bytes)

# %% [markdown]
# ## The ledger

# %%
published_rows(wins, mmlu, earlier, rates, window, beyond, babilong, two_hops, *linear)

# %% [markdown]
# Next: `physlm plan RECIPE --gpus 8 --gpu h100` for a run that you can pay, `physlm recipes show academic-1.3B` for one of
# a university's size, or back to [08 · Positions](08_positions.ipynb), which tells Canon from the rotation.
