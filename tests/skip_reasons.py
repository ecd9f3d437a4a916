"""The register of skips: every reason for which a test may be skipped, and nowhere else a text of its own.

A test says `pytest.skip(skip_reasons.NAME)`; tests/test_packaging.py makes sure of it.
"""

NO_CHROMIUM = (
    "No Chromium found. Install it with `sudo apt-get install --no-install-recommends chromium fonts-dejavu-core`, "
    "or name another Chromium or Chrome in PHYSLM_CHROMIUM."
)

NO_KERNEL = (
    "Needs an NVIDIA GPU with flash-linear-attention, mamba-ssm and causal-conv1d installed, to compare their kernels with "
    "our own functions; without them, stand-ins check what the kernels are given."
)

NO_MAKE = "make is not installed; everything it does also goes by hand."

NOT_LINUX = "Only Linux lists which memory of a process is part of a file."

NOT_POSIX = "Needs POSIX (shell scripts, signals, file modes, resident memory): checked under Linux and macOS."

OTHER_CORPUS = (
    "The recorded text runs used the documentation of another Python version; their numbers belong to that corpus."
)
