"""What was measured elsewhere: the original release's programs on another machine (one core of an AMD EPYC, CPU time).

These numbers stand beside ours for orientation. No ratio is taken with them: it would compare two machines.
"""

# Tokens/s of the generators. Capo: GPT-2 tokens of the text with its permutation routine, tokenizing not included.
FAMILIES: dict[str, dict[int | str, int]] = {
    "depo1-n{}": {375: 484_000, 300: 574_000, 225: 660_000},
    "depo2-n{}": {125: 2_330_000, 100: 2_770_000, 75: 3_080_000},
    "depo2-n{}-v4": {125: 2_490_000, 100: 2_720_000, 75: 2_930_000},
    "brevo1-n{}": {110: 656_000, 90: 688_000, 70: 721_000},
    "brevo2-n{}": {50: 1_520_000, 40: 1_530_000, 30: 1_500_000},
    "mano-l{}": {10: 898_000, 13: 867_000, 16: 915_000},
    "lano-cfg3{}": {"b": 846_000, "i": 851_000, "h": 890_000, "g": 852_000, "f": 879_000},
    "lano-{}": {"cfg3e1": 852_000, "cfg3e2": 907_000, "cfg3j": 836_000, "cfg3k": 909_000},
    "capo-{}": {"100k": 3_100_000},
}
GENERATORS = {family.format(size): rate for family, rates in FAMILIES.items() for size, rate in rates.items()}

# Seconds a sentence of about the mean length: recognition, true distribution.
GRAMMARS = {"cfg3f": (4.0, 3.0), "cfg3k": (20.7, 16.9)}
