"""The claims of Part 4.1, a file a result: sides, rules, and the paper's numbers."""

from . import r00, r01, r02, r03, r04, r05, r06, r07, r08, r09, r10, r12

CLAIMS = tuple(
    claim for result in (r00, r01, r02, r03, r04, r05, r06, r07, r08, r09, r10, r12) for claim in result.CLAIMS
)
