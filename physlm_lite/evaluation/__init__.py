"""What was learnt: decoding, scores of each task, and probes of real text."""

from .birth_years import BirthYears
from .decoding import generate, writer
from .filler import Filler, python_documentation
from .given import Given
from .needles import Needle
from .ngrams import ngram_scores
from .probe import Probe, ProbeSource, evaluate_probes
from .scores import evaluate, validity
from .stories import Story

__all__ = [
    "BirthYears",
    "Filler",
    "Given",
    "Needle",
    "Probe",
    "ProbeSource",
    "Story",
    "evaluate",
    "evaluate_probes",
    "generate",
    "ngram_scores",
    "python_documentation",
    "validity",
    "writer",
]
