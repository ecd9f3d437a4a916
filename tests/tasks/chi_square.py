"""Chi-square without SciPy: draws are fixed by their seeds, so these tests either always pass or always fail."""

import numpy as np


def looks_like(counts, probabilities, errors: float = 5.0) -> bool:
    """Is Pearson's chi-square within `errors` standard deviations of its mean? (Too good a fit is suspicious as well.)"""
    counts, probabilities = np.asarray(counts, float), np.asarray(probabilities, float)
    expected = counts.sum() * probabilities / probabilities.sum()
    assert expected.min() > 5, "too few draws for this test"
    free = len(counts) - 1
    chi_square = ((counts - expected) ** 2 / expected).sum()
    # below 10 degrees of freedom, the lower end of the interval would be negative: nothing to test there
    return free - errors * (2 * free) ** 0.5 < chi_square < free + errors * (2 * free) ** 0.5 + errors
