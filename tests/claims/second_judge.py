"""A second judge, who has read the rules but not the code: every verdict worked out anew from the files of the records.

It knows the rules by their sentences alone, as `physlm ledger --json` prints them ("rule"), and by the prose about them: five
fresh seeds a side, chances counted over every way to deal out the scores, intervals over every sample that a bootstrap can draw.
It imports NumPy and nothing of the package (tests/claims/test_second_judge.py makes sure). Scores are turned so that more is
better before they are compared; a run that diverged has the worst score there is.
"""

from __future__ import annotations

import itertools
import json
import math
import re
from pathlib import Path

import numpy as np

HOLDS, DIRECTION, NOT_SHOWN = "holds", "holds in direction", "does not show at this scale"
CONTRADICTED, NOT_RUN = "contradicted", "not run"
WORDS = (HOLDS, DIRECTION, NOT_SHOWN, CONTRADICTED, NOT_RUN)  # a claim with several rules is as good as its weakest one
SEEDS = 5
LESS_IS_BETTER = ("kl", "loss", "cross_entropy", "name_loss", "value_loss", "loss_held_out")

NUMBER, NAME, SCORE = r"([\d.]+(?:e-?\d+)?)", r"(.+?)", r"([\w.]+)"
SENTENCES = {
    "ahead": rf"holds if the mean {SCORE} of {NAME} is (below|above) that of {NAME} by (a factor of )?{NUMBER} or more "
    "everywhere in its 95 % interval, and an exact permutation test gives p <= 0.05; ",
    "beats": rf"holds if {NAME} scores >= {NUMBER} and {NAME} <= {NUMBER} \({SCORE}\) on every seed; ",
    "stops": rf"holds if {NAME} scores >= {NUMBER} \({SCORE}\) and <= {NUMBER} \({SCORE}\) "
    "on every seed; in direction if its means ",
    "level": rf"holds if the 95 % interval of the difference in mean {SCORE} between {NAME} and {NAME} lies within {NUMBER} "
    "either way; ",
    "at least": rf"holds if in mean {SCORE} {NAME} falls behind {NAME} by less than {NUMBER} everywhere in the 95 % interval",
    "gains": rf"each seed makes a mark, {NUMBER}% of the way from the {SCORE} of {NAME} to that of {NAME}; holds if the mean of "
    rf"{NAME} is nowhere behind the marks in the 95 % interval, ",
    "shrinks": rf"each seed has two gaps in {SCORE}: how far {NAME} is ahead of {NAME}, and {NAME} of {NAME}; ",
    "climbs": rf"counted are the steps until (?:1 to )?(\d+) hops? (?:is|are) answered with accuracy >= {NUMBER}; holds if "
    rf"{NAME} gets there on more than half of the seeds, in the median {NUMBER} x sooner than {NAME} \(which may never\), ",
    "noise": r"one seed of each of two sides makes a contest; holds if in every pair of (.+) the better side would win "
    rf"(more|less) than (\d+)% of the contests \({SCORE}\) everywhere in the 95 % interval; ",
}


# -- what the records hold ---------------------------------------------------------------------------------------------


class Records:
    """The files of a folder, by the name that a row of the ledger calls them."""

    def __init__(self, folder: Path) -> None:
        self.files = {
            path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.rglob("*.json"))
        }

    def scores(self, names: list[str], score: str) -> list[float]:
        """The last evaluation of each run, turned so that more is better."""
        return [self.score(self.files[name], score) for name in names]

    @staticmethod
    def score(file: dict, score: str) -> float:
        if file["status"] == "diverged":
            return 0.0 if "accuracy" in score else -math.inf
        value = read(file["curve"][-1], score)
        return -value if score in LESS_IS_BETTER else value

    @staticmethod
    def climbed(file: dict, hops: int, accuracy: float) -> float:
        """Steps to the first evaluation that answers 1, ..., hops hops so well; infinite if there is none."""
        for point in file["curve"] if file["status"] != "diverged" else ():
            if all(point["accuracy_k"][str(k)] >= accuracy for k in range(1, hops + 1)):
                return point["step"]
        return math.inf


def read(point: dict, score: str) -> float:
    """ "accuracy_k.2" is the entry "2" of "accuracy_k"."""
    for part in score.split("."):
        point = point[part]
    return float(point)


# -- chance and intervals ----------------------------------------------------------------------------------------------


def chance(ours: list[float], theirs: list[float]) -> float:
    """The share of all ways to deal out the scores in which ours come out ahead by as much; by ranks where one is infinite."""
    values = np.array([*ours, *theirs], float)
    if np.isinf(values).any():
        values = np.array([np.mean(np.flatnonzero(np.sort(values) == v)) for v in values])
    deals = [values[list(deal)].sum() for deal in itertools.combinations(range(len(values)), len(ours))]
    reached = values[: len(ours)].sum()
    return sum(deal >= reached - 1e-9 * max(1, abs(reached)) for deal in deals) / len(deals)


def interval(ours: list[float], theirs: list[float], ratio: bool = False) -> tuple[float, float] | None:
    """From the 2.5th to the 97.5th hundredth of the difference of two means (or their ratio) over all bootstrap samples.

    The means are spread about their own by sqrt(n / (n - 1)), by which so few vary too little when they are drawn anew.
    """
    if not np.isfinite([*ours, *theirs]).all():
        return None
    (a, many), (b, more) = (_drawn(np.array(side, float)) for side in (ours, theirs))
    if ratio:
        with np.errstate(divide="ignore"):
            values = np.maximum(a[:, None], 0) / np.maximum(b[None, :], 1e-300)
    else:
        values = a[:, None] - b[None, :]
    values, weights = values.ravel(), (many[:, None] * more[None, :]).ravel()  # whole numbers: no rounding
    order = np.argsort(values, kind="stable")
    reached = np.cumsum(weights[order])
    low, high = (int(np.argmax(reached * 1000 >= part * reached[-1])) for part in (25, 975))
    return float(values[order][low]), float(values[order][high])


def _drawn(side: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The different means among all samples with replacement, and how many samples have each."""
    n = len(side)
    if n > 6:
        raise NotImplementedError(f"{n} seeds: every sample can be looked at up to six")
    picks = np.sort(np.array(list(itertools.product(range(n), repeat=n))), axis=1)
    picks, count = np.unique(picks, axis=0, return_counts=True)
    return side.mean() + math.sqrt(n / (n - 1)) * (side[picks].mean(1) - side.mean()), count


def effect(ours: list[float], theirs: list[float]) -> float:
    """The difference of the means in deviations between seeds."""
    return (np.mean(ours) - np.mean(theirs)) / math.sqrt((np.var(ours, ddof=1) + np.var(theirs, ddof=1)) / 2)


def share_won(ours: list[float], theirs: list[float]) -> tuple[float, float]:
    """The 95 % interval of the share of contests that ours would win, if scores vary normally (Hedges, 1981)."""
    if not np.isfinite([*ours, *theirs]).all():
        return 0.0, 1.0
    if np.ptp(ours) == 0 == np.ptp(theirs):
        won = float(ours[0] > theirs[0]) + float(ours[0] == theirs[0]) / 2
        return won, won
    n, m = len(ours), len(theirs)
    g = effect(ours, theirs) * (1 - 3 / (4 * (n + m) - 9))
    half = 1.96 * math.sqrt((n + m) / (n * m) + g**2 / (2 * (n + m - 2)))
    return tuple((1 + math.erf((g + side) / 2)) / 2 for side in (-half, half))  # the normal's at (g ± half) / sqrt 2


# -- the rules, one sentence each --------------------------------------------------------------------------------------


def kind_of(sentence: str) -> tuple[str, tuple[str, ...]]:
    """Which rule a sentence is, and what stands in its places."""
    for kind, pattern in SENTENCES.items():
        if found := re.match(pattern, sentence):
            return kind, found.groups()
    raise ValueError(f"a rule that the second judge has not read: {sentence}")


def sides_of(sentence: str) -> list[str]:
    kind, said = kind_of(sentence)
    if kind == "noise":
        return said[0].split(", ")
    places = {"ahead": (1, 3), "beats": (0, 2), "level": (1, 2), "at least": (1, 2), "climbs": (2, 4)}
    places |= {"gains": (4, 3, 2), "shrinks": (1, 2, 3, 4), "stops": (0,)}
    return [said[place] for place in places[kind]]


def score_of(sentence: str) -> str | None:
    """The score that a rule looks at; None for steps to a rung."""
    kind, said = kind_of(sentence)
    firsts = {"ahead": 0, "beats": -1, "level": 0, "at least": 0, "noise": -1, "gains": 1, "shrinks": 0, "stops": 4}
    return said[firsts[kind]] if kind in firsts else None


def by_chance(ours: list[float], theirs: list[float], otherwise: str = NOT_SHOWN) -> str:
    """ "In direction if an exact permutation test gives p <= 0.05; contradicted if it does so the other way round"."""
    if chance(ours, theirs) <= 0.05:
        return DIRECTION
    return CONTRADICTED if chance(theirs, ours) <= 0.05 else otherwise


def word(sentence: str, values: dict[str, list[float]]) -> str:
    """The verdict of one rule from its sides' values: scores, more being better, or steps to a rung."""
    kind, said = kind_of(sentence)
    if kind == "noise":
        return noisy(said[0].split(", "), said[1] == "more", int(said[2]) / 100, values)
    if kind in ("gains", "shrinks"):
        sides = [values[side] for side in sides_of(sentence)]
        if not np.isfinite(sides).all():
            return NOT_SHOWN
        if kind == "shrinks":
            gaps = [list(np.subtract(*sides[:2])), list(np.subtract(*sides[2:]))]
            known = interval(*gaps)
            return HOLDS if known and known[0] > 0 and chance(*gaps) <= 0.05 else by_chance(*gaps)
        part, whole, base = sides
        marks = [b + float(said[0]) / 100 * (w - b) for b, w in zip(base, whole, strict=True)]
        if chance(whole, base) > 0.05:
            return NOT_SHOWN
        if interval(part, marks)[0] >= 0 and chance(part, marks) <= 0.05:
            return HOLDS
        if chance(marks, part) <= 0.05:
            return CONTRADICTED
        return DIRECTION if chance(part, base) <= 0.05 else NOT_SHOWN
    ours, theirs = (values[side] for side in sides_of(sentence))
    if kind == "ahead":
        bar = float(said[5])
        if said[4]:
            # a ratio of means is read off the scores as they were measured, and only where all are above nothing
            more, less = (ours, theirs) if said[2] == "above" else ([-v for v in theirs], [-v for v in ours])
            known = interval(more, less, ratio=True) if min(*more, *less) > 0 else None
        else:
            known = interval(ours, theirs)
        return HOLDS if known and known[0] >= bar and chance(ours, theirs) <= 0.05 else by_chance(ours, theirs)
    if kind == "beats":
        return HOLDS if min(ours) >= float(said[1]) and max(theirs) <= float(said[3]) else by_chance(ours, theirs)
    if kind == "at least":
        margin, known = float(said[3]), interval(ours, theirs)
        if known is None:
            return NOT_SHOWN
        if known[0] > -margin:
            return HOLDS
        if known[1] <= -margin:
            return CONTRADICTED
        return DIRECTION if np.mean(ours) - np.mean(theirs) > -margin else NOT_SHOWN
    if kind == "level":
        margin, known = float(said[3]), interval(ours, theirs)
        if known is None:
            return NOT_SHOWN
        low, high = known
        if -margin <= low and high <= margin:
            return HOLDS
        if low > margin or high < -margin:
            return CONTRADICTED
        return DIRECTION if abs(np.mean(ours) - np.mean(theirs)) <= margin else NOT_SHOWN
    mine, other = np.median(ours), np.median(theirs)
    sooner = [-v for v in ours], [-v for v in theirs]
    reached = sum(math.isfinite(v) for v in ours) > len(ours) / 2
    return HOLDS if reached and other >= float(said[3]) * mine and chance(*sooner) <= 0.05 else by_chance(*sooner)


def stopped(said: tuple[str, ...], easy: list[float], hard: list[float]) -> str:
    least, most = float(said[1]), float(said[3])
    if min(easy) >= least and max(hard) <= most:
        return HOLDS
    if min(hard) >= least:
        return CONTRADICTED
    return DIRECTION if np.mean(easy) >= least and np.mean(hard) <= most else NOT_SHOWN


def noisy(sides: list[str], settled: bool, enough: float, values: dict[str, list[float]]) -> str:
    words = []
    for one, other in itertools.combinations(sides, 2):
        ours, theirs = values[one], values[other]
        won = np.mean([(a > b) + (a == b) / 2 for a in ours for b in theirs])
        low, high = share_won(ours, theirs) if won >= 0.5 else share_won(theirs, ours)
        less, more = high < enough, low > enough
        agrees, against = (more, less) if settled else (less, more)
        words.append(HOLDS if agrees else CONTRADICTED if against else NOT_SHOWN)
    return max(words, key=WORDS.index)


# -- a row of the ledger -----------------------------------------------------------------------------------------------


def judge(row: dict, records: Records) -> tuple[str, str]:
    """The verdicts of a row at equal steps and at equal seconds."""
    times = row["equal_seconds"]["step_times"]
    steps = {side: [run["record"] for run in told["runs"]] for side, told in row["sides"].items()}
    # at equal seconds, a slower side has as many fewer steps; the fastest one's runs are the same
    slow = {side: bool(times) and times[side] > min(times.values()) for side in steps}
    seconds = {s: [run["record"] for run in row["sides"][s]["runs_in_time"]] if slow[s] else steps[s] for s in steps}
    at_steps = weakest([_one(rule, steps, records) for rule in row["rule"]])
    if not times:
        return at_steps, NOT_RUN
    return at_steps, weakest([_one(rule, seconds, records, times, steps) for rule in row["rule"]])


def weakest(words: list[str]) -> str:
    return max(words, key=WORDS.index)


def _one(rule: str, names: dict, records: Records, times: dict | None = None, steps: dict | None = None) -> str:
    kind, said = kind_of(rule)
    sides = sides_of(rule)
    used = steps if kind == "climbs" and steps else names
    if min(len(used[side]) for side in sides) < SEEDS:
        return NOT_RUN
    files = {side: [records.files[name] for name in used[side]] for side in sides}
    if any(all(file["status"] == "diverged" for file in of) for of in files.values()):
        return NOT_SHOWN  # nothing to compare with
    if kind == "climbs":
        hops, accuracy = int(said[0]), float(said[1])
        pace = times or dict.fromkeys(sides, 1.0)
        climbed = {s: [records.climbed(file, hops, accuracy) * pace[s] for file in files[s]] for s in sides}
        return word(rule, climbed)
    if kind == "stops":
        return stopped(said, *(records.scores(used[said[0]], score) for score in (said[2], said[4])))
    return word(rule, {side: records.scores(used[side], score_of(rule)) for side in sides})


def best_rate(row: dict, side: str, records: Records) -> float | None:
    """The learning rate that the runs for tuning choose: the best mean of what the first rule looks at, then the lower loss.

    Those are all runs of the side's configuration at the row's budget on seeds 100 and 101. None where there are none.
    """
    example = records.files[row["sides"][side]["runs"][0]["record"]]
    rule = next(rule for rule in row["rule"])
    kind, said = kind_of(rule)

    def setting(file: dict) -> str:
        run = file["run"]
        training = {name: value for name, value in run["training"].items() if name != "learning_rate"}
        return json.dumps([run["task"], run["task_options"], run["model"], training], sort_keys=True)

    def merit(file: dict) -> float:
        if kind == "stops":
            return records.score(file, said[2]) + records.score(file, said[4])
        if kind != "climbs":
            return records.score(file, score_of(rule))
        return -min(records.climbed(file, int(said[0]), float(said[1])), 2 * row["budget"]["steps"])

    found: dict[float, dict[int, dict]] = {}
    for file in records.files.values():
        run = file["run"]
        if (
            file.get("format") == example.get("format")
            and run["seed"] in (100, 101)
            and setting(file) == setting(example)
        ):
            found.setdefault(run["training"]["learning_rate"], {})[run["seed"]] = file
    walked = {rate: list(of.values()) for rate, of in found.items() if len(of) == 2}

    def loss(file: dict) -> float:
        return file["curve"][-1]["loss"] if file["status"] == "finished" else math.inf

    def good(rate: float) -> tuple[float, float, float]:
        return np.mean([merit(f) for f in walked[rate]]), -np.mean([loss(f) for f in walked[rate]]), -rate

    return max(walked, key=good, default=None)
