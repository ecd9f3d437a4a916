"""What was measured elsewhere: the original release's programs on another machine (one core of an AMD EPYC, CPU time).

These numbers stand beside ours for orientation. No ratio is taken with them: it would compare two machines.
"""

# Tokens/s of the generators. Capo: GPT-2 tokens of the text with its permutation routine, tokenizing not included.
GENERATORS = {
    "depo1-n375": 484_000,
    "depo1-n300": 574_000,
    "depo1-n225": 660_000,
    "depo2-n125": 2_330_000,
    "depo2-n100": 2_770_000,
    "depo2-n75": 3_080_000,
    "depo2-n125-v4": 2_490_000,
    "depo2-n100-v4": 2_720_000,
    "depo2-n75-v4": 2_930_000,
    "brevo1-n110": 656_000,
    "brevo1-n90": 688_000,
    "brevo1-n70": 721_000,
    "brevo2-n50": 1_520_000,
    "brevo2-n40": 1_530_000,
    "brevo2-n30": 1_500_000,
    "mano-l10": 898_000,
    "mano-l13": 867_000,
    "mano-l16": 915_000,
    "lano-cfg3b": 846_000,
    "lano-cfg3i": 851_000,
    "lano-cfg3h": 890_000,
    "lano-cfg3g": 852_000,
    "lano-cfg3f": 879_000,
    "lano-cfg3e1": 852_000,
    "lano-cfg3e2": 907_000,
    "lano-cfg3j": 836_000,
    "lano-cfg3k": 909_000,
    "capo-100k": 3_100_000,
}

# Seconds a sentence of about the mean length: recognition, true distribution.
GRAMMARS = {"cfg3f": (4.0, 3.0), "cfg3k": (20.7, 16.9)}
