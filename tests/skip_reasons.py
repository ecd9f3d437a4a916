"""The register of skips: every reason for which a test may be skipped, and nowhere else a text of its own.

A test says `pytest.skip(skip_reasons.NAME)`; tests/test_packaging.py makes sure of it.
"""

FIRST_PROTOCOL = (
    "Of this claim there are no records yet but those of the first protocol, whose weights were drawn in another way, so that "
    "they cannot be carried out again."
)

NO_CHROMIUM = (
    "No Chromium found. Install it with `sudo apt-get install --no-install-recommends chromium fonts-dejavu-core`, "
    "or name another Chromium or Chrome in PHYSLM_CHROMIUM."
)

NO_HARNESS = "The lm-evaluation-harness is not installed: `make env` brings it, with all else that the tests use."

NO_KERNEL = (
    "Needs an NVIDIA GPU, for some with flash-linear-attention, mamba-ssm or causal-conv1d installed, to compare their kernels "
    "with our own functions; without them, stand-ins check what the kernels are given."
)

NO_LANDLOCK = (
    "Needs Linux with Landlock and seccomp filters (kernel 5.13, and a container that allows them), to see what the kernel "
    "refuses; what Python refuses has been looked at."
)

NO_MAKE = "make is not installed; everything it does also goes by hand."

NO_SPHINX = "Sphinx, MyST-NB or Furo is not installed: `make env` brings them, with all else that the tests use."

NO_TRITON = (
    "Needs triton and fla-core, whose kernel of a convolution can be interpreted on a CPU (`pip install triton fla-core`); "
    "without them, a stand-in checks what it is given."
)

NOT_LINUX = "Only Linux lists which memory of a process is part of a file."

NOT_POSIX = "Needs POSIX (shell scripts, signals, file modes, resident memory): checked under Linux and macOS."

OTHER_CORPUS = (
    "The recorded text runs used the documentation of another Python version; their numbers belong to that corpus."
)
