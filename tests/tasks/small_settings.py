"""Small settings of the tasks with instances, drawn by Hypothesis: all options, tight vocabularies included."""

from hypothesis import strategies as st

from physlm_lite.tasks import Brevo, Depo, Mano


@st.composite
def settings_of_depo(draw, **fixed):
    """Small settings, all options, tight vocabularies included."""
    shortest = draw(st.integers(1, 3))
    longest = draw(st.integers(shortest, 4))
    V = draw(st.integers(2, 9))
    capacity = sum(V**r for r in range(shortest, longest + 1))
    if capacity < 3:
        V, capacity = 3, sum(3**r for r in range(shortest, longest + 1))
    options = {
        "N": draw(st.integers(3, min(capacity, 24))),
        "K": draw(st.integers(1, 9)),
        "V": V,
        "shortest": shortest,
        "longest": longest,
        "queries": draw(st.integers(1, 30)),
        "sizes": draw(st.sampled_from(["paper", "fixed"])),
        "hop_weight": draw(st.sampled_from([0.0, 0.5, 2.0])),
        "answer_token": draw(st.booleans()),
        "separator": draw(st.booleans()),
        "every_hop": draw(st.booleans()),
        **fixed,
    }
    if "context" not in options:
        options["context"] = draw(st.none() | st.integers(0, 200).map(lambda x: Depo(**options).longest_instance + x))
    return Depo(**options)


@st.composite
def settings_of_brevo(draw, **fixed):
    """Small settings, all options, tight vocabularies included."""
    longest = draw(st.integers(1, 4))
    shortest = draw(st.integers(1, longest))
    V = draw(st.none() | st.integers(3, 30)) if longest == 1 else draw(st.integers(2, 5))
    capacity = 99 if V is None else sum(V**r for r in range(shortest, longest + 1))
    N = draw(st.integers(3, min(capacity, 20)))
    options = {
        "N": N,
        "V": V,
        "shortest": shortest,
        "longest": longest,
        "sizes": draw(st.sampled_from(["paper", "fixed"])),
        "query": draw(st.sampled_from(["last", "last quarter"])),
        "leaves": draw(st.sampled_from(["floor", "ceil"])),
        "degree": draw(st.integers(1, 5)),
        "test_sizes": draw(st.none() | st.lists(st.integers(3, N), min_size=1, max_size=3).map(tuple)),
        **fixed,
    }
    if "context" not in options:
        options["context"] = draw(st.none() | st.integers(0, 200).map(lambda x: Brevo(**options).longest_instance + x))
    return Brevo(**options)


@st.composite
def settings_of_mano(draw, **fixed):
    operators = draw(st.sampled_from(["+-*", "+", "*-", "+-*/", "/+"]))
    options = {
        "L": draw(st.integers(1, 7)),
        "operators": operators,
        "modulus": draw(st.sampled_from([5, 7, 23] if "/" in operators else [2, 6, 7, 23])),
        "markers": draw(st.sampled_from(["plain", "script"])),
        "sizes": draw(st.sampled_from(["paper", "fixed"])),
        "every_length": draw(st.booleans()),
        **fixed,
    }
    if "context" not in options:
        options["context"] = draw(st.none() | st.integers(2 * options["L"] + 5, 120))
    return Mano(**options)
