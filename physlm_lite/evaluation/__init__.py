"""What was learnt: decoding, scores of each task, and probes of real text."""

from .birth_years import BirthYears
from .decoding import generate, writer
from .filler import Filler, python_documentation
from .needles import Needle
from .probe import Probe, ProbeSource, evaluate_probes
from .scores import evaluate, validity
from .stories import Story

__all__ = [
    "BirthYears",
    "Filler",
    "Needle",
    "Probe",
    "ProbeSource",
    "Story",
    "evaluate",
    "evaluate_probes",
    "generate",
    "python_documentation",
    "validity",
    "writer",
]
