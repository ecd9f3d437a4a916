"""Our models in the lm-evaluation-harness, against its own adapter of transformers; and what is said without it."""

import json
import sys
from importlib.util import find_spec

import pytest
import skip_reasons
import torch
from data.test_tokenizer import byte_pairs

from physlm_lite.cli import main
from physlm_lite.data.tokenizer import Characters, load_tokenizer
from physlm_lite.evaluation.harness import evaluate_harness, harness_model, log_likelihoods
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import save_pretrained

ROWS = [
    {"question": "In the beginning was the", "choices": [" word", " word and the word", " x"], "answer": 0},
    {"question": "and the word was", "choices": [" here", " q", " in the beginning"], "answer": 0},
]
COMMON = """
dataset_path: json
dataset_kwargs:
  data_files:
    test: {file}
test_split: test
"""
TASKS = {
    "choice": """
task: choice
output_type: multiple_choice
doc_to_text: "{{question}}"
doc_to_choice: "{{choices}}"
doc_to_target: answer
target_delimiter: ""
metric_list:
  - {metric: acc, aggregation: mean, higher_is_better: true}
  - {metric: acc_norm, aggregation: mean, higher_is_better: true}
""",
    "rolling": """
task: rolling
output_type: loglikelihood_rolling
doc_to_text: ""
doc_to_target: "{{question}} {{question}} {{question}} {{question}}"
metric_list:
  - {metric: word_perplexity, aggregation: weighted_perplexity, higher_is_better: false}
""",
    "writing": """
task: writing
output_type: generate_until
doc_to_text: "{{question}}"
doc_to_target: "{{choices[0]}}"
generation_kwargs: {until: ["e"], max_gen_toks: 9}
metric_list:
  - {metric: exact_match, aggregation: mean, higher_is_better: true}
""",
}


@pytest.fixture
def tasks(tmp_path, monkeypatch):
    """A folder of tasks that need no network."""
    if find_spec("lm_eval") is None:
        pytest.skip(skip_reasons.NO_HARNESS)
    monkeypatch.setenv("HF_DATASETS_OFFLINE", "1")
    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    monkeypatch.setenv("HF_DATASETS_CACHE", str(tmp_path / "cache"))
    folder = tmp_path / "tasks"
    folder.mkdir()
    (folder / "rows.jsonl").write_text("".join(json.dumps(row) + "\n" for row in ROWS))
    for name, text in TASKS.items():
        (folder / f"{name}.yaml").write_text(text + COMMON.format(file=folder / "rows.jsonl"))
    return folder


@pytest.fixture
def saved(tmp_path):
    """A model that was never trained, with a tokenizer, in a folder."""
    byte_pairs(tmp_path / "tokenizer.json")
    tokenizer = load_tokenizer(tmp_path)
    model = LanguageModel(ModelConfig(vocab=len(tokenizer.vocabulary), width=32, canon="ABCD"), seed=1)
    save_pretrained(model, tmp_path / "model")
    tokenizer.save(tmp_path / "model")
    return model, tokenizer, tmp_path / "model"


def one_by_one(model, before, after, context):
    """A continuation's score, a token at a time."""
    total, best = 0.0, True
    for i in range(len(after)):
        text = [*before, *after][-(context + 1) :]
        shown = text[: len(text) - len(after) + i]
        log_p = model(torch.tensor([shown]))[0, -1].detach().log_softmax(-1)
        total, best = total + float(log_p[after[i]]), best and int(log_p.argmax()) == after[i]
    return total, best


@pytest.mark.parametrize("mixer", ["attention", "gla"])
def test_every_token_of_a_continuation_counts(mixer):
    model = LanguageModel(ModelConfig(vocab=11, width=32, layers=1, mixer=mixer, canon="AC"), seed=0).eval()
    dice = torch.Generator().manual_seed(0)
    pairs = [
        (torch.randint(11, (a,), generator=dice).tolist(), torch.randint(11, (b,), generator=dice).tolist())
        for a, b in ((1, 1), (3, 1), (9, 2), (2, 5), (30, 3), (1, 8))
    ]
    for context in (8, 64):
        found = log_likelihoods(model, pairs, context)
        for (total, best), (before, after) in zip(found, pairs, strict=True):
            slow, greedy = one_by_one(model, before, after, context)
            assert total == pytest.approx(slow, rel=1e-4) and best == greedy
    with pytest.raises(ValueError, match="a continuation of 8 tokens does not fit into a context of 7"):
        log_likelihoods(model, pairs, 7)
    with pytest.raises(ValueError, match="only if there is something before it and something in it"):
        log_likelihoods(model, [([], [1])], 7)


def test_in_small_batches_the_scores_are_the_same(monkeypatch):
    model = LanguageModel(ModelConfig(vocab=11, width=16, layers=1), seed=0)
    pairs = [([1, 2], [3]), ([4], [5, 6, 7]), ([8, 9, 1, 2], [3, 4])]
    whole = log_likelihoods(model, pairs, 64)
    monkeypatch.setattr("physlm_lite.evaluation.harness.TOKENS", 1)
    assert [total for total, _ in log_likelihoods(model, pairs, 64)] == pytest.approx([total for total, _ in whole])


@pytest.mark.filterwarnings("ignore")
def test_the_scores_are_those_of_its_own_adapter(tasks, saved):
    """A folder that we save opens there by the Auto classes, and our adapter gives the same numbers."""
    from lm_eval.evaluator import simple_evaluate
    from lm_eval.models.huggingface import HFLM
    from lm_eval.tasks import TaskManager

    model, tokenizer, folder = saved
    theirs = HFLM(pretrained=str(folder), device="cpu", max_length=24, batch_size=2, dtype="float32")
    options = {
        "tasks": list(TASKS),
        "task_manager": TaskManager(include_path=str(tasks), include_defaults=False),
        "bootstrap_iters": 0,
    }
    expected = simple_evaluate(theirs, **options)["samples"]
    found = simple_evaluate(harness_model(model, tokenizer, 24), **options)["samples"]
    for name in TASKS:
        for ours, other in zip(found[name], expected[name], strict=True):
            for one, two in zip(ours["filtered_resps"], other["filtered_resps"], strict=True):
                if name == "writing":
                    assert one == two
                else:
                    one, two = (one[0], two[0]) if name == "choice" else (one, two)
                    assert one == pytest.approx(two, rel=1e-4)


@pytest.mark.filterwarnings("ignore")
def test_the_command_scores_local_tasks_offline(tasks, saved, capsys):
    command = ["eval", str(saved[2]), "--include", str(tasks), "--context", "24", "--json", "--tasks"]
    assert main([*command, "choice,rolling,writing"]) == 0
    scores = {(row["name"], row["metric"]): row for row in json.loads(capsys.readouterr().out)}
    assert set(scores) == {
        ("choice", "acc, %"),
        ("choice", "acc_norm, %"),
        ("rolling", "word_perplexity"),
        ("writing", "exact_match, %"),
    }
    assert all(row["count"] == 2 for row in scores.values())
    assert main([*command, "chioce"]) == 2
    assert "unknown task of the harness 'chioce'; did you mean" in capsys.readouterr().err


@pytest.mark.filterwarnings("ignore")
def test_characters_need_no_tokenizer_of_hugging_face(tasks):
    model = LanguageModel(ModelConfig(vocab=98, width=16, layers=1), seed=0)
    found = evaluate_harness(model, Characters(), ["choice", "rolling"], include=tasks, context=64)
    assert 50 < found["rolling"]["word_perplexity"] and found["choice"]["count"] == 2


def test_without_the_harness_it_is_said_what_to_install(monkeypatch):
    for name in ("lm_eval", "lm_eval.api", "lm_eval.api.model"):
        monkeypatch.setitem(sys.modules, name, None)
    model = LanguageModel(ModelConfig(vocab=98, width=16, layers=1), seed=0)
    with pytest.raises(ValueError, match=r"need the package lm-eval: pip install 'physlm_lite\[eval\]'"):
        evaluate_harness(model, Characters(), ["arc_easy"])
