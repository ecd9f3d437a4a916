"""`physlm eval`: probes by their published names, held-out loss, and the published row beside them."""

import json

import numpy as np
import pytest
import torch
from data.small_corpus import small_corpus

from physlm_lite.cli import main
from physlm_lite.data.tokenizer import Characters
from physlm_lite.evaluation import BirthYears, Needle, Story
from physlm_lite.models import LanguageModel, ModelConfig
from physlm_lite.scale import save_pretrained
from physlm_lite.scale.evaluate import Score, evaluate_model, probe_of, published_score
from physlm_lite.scale.published.results import tables
from physlm_lite.tasks import Prepared

RUN = "LlamaCanon-8B-Nemo-1T-lr0.003"


@pytest.fixture(scope="module")
def model():
    return LanguageModel(ModelConfig(vocab=98, width=16, layers=1), seed=0).eval()


@pytest.fixture
def folder(model, tmp_path):
    save_pretrained(model, tmp_path / "model")
    Characters().save(tmp_path / "model")
    return str(tmp_path / "model")


def test_the_names_of_the_published_table():
    assert probe_of("1-hop-0.5k") == BirthYears(people=5, hops=1, filler_tokens=500)
    assert probe_of("2-hop-6k") == BirthYears(people=3, hops=2, filler_tokens=6000)
    assert probe_of("niah-S3-4k") == Needle(kind="S-NIAH-3", filler_tokens=4000)
    assert probe_of("babilong-qa4-0k") == Story("qa4", filler_tokens=0)
    columns = {name for name in next(iter(tables().values())) if "-hop-" in name or name.startswith(("niah", "babil"))}
    assert len(columns) > 50 and all(probe_of(name) for name in columns)  # every one of them can be asked
    with pytest.raises(ValueError, match=r"unknown probe '1-hops-2k'; did you mean '1-hop"):
        probe_of("1-hops-2k")


def test_the_published_number_of_the_same_thing():
    row = tables()[RUN]
    for name, metric, column in (
        ("mmlu", "acc, %", "MMLU"),
        ("hellaswag", "acc_norm, %", "Hella"),
        ("triviaqa", "exact_match, %", "TriviaQA"),
        ("wikitext", "word_perplexity", "WikiPPL"),
        ("lambada_openai", "perplexity", "LMBPPL"),
        ("1-hop-4k", "accuracy, %", "1-hop-4k"),
    ):
        assert published_score(row, Score(name, metric, 0.0)) == row[column]
    for name, metric in (
        ("hellaswag", "acc, %"),
        ("mmlu", "acc_norm, %"),
        ("wikitext", "byte_perplexity"),
        ("x", "acc, %"),
    ):
        assert published_score(row, Score(name, metric, 0.0)) is None
    assert row["MMLU"] == 62.1 and row["1-hop-4k"] == 92.8


def test_held_out_loss_is_that_of_the_test_windows(model):
    (score,) = evaluate_model(model, Characters(), held_out=[small_corpus()], context=32, count=20)
    task = Prepared({small_corpus(): 1.0}, window=32)
    batch = task.batch(0, 0, 20, "test")
    with torch.no_grad():
        log_p = model(batch.tokens[:, :-1]).log_softmax(-1)
    nats = -log_p.gather(-1, batch.tokens[:, 1:, None])[..., 0].double().mean(1).numpy()
    assert score.score == pytest.approx(nats.mean(), rel=1e-5)
    assert score.error == pytest.approx(np.std(nats, ddof=1) / 20**0.5, rel=1e-4)
    assert (score.name, score.metric, score.count) == ("held-out loss of corpus", "nats per token", 20)


def test_a_large_vocabulary_is_taken_in_parts(model, monkeypatch):
    whole = evaluate_model(model, Characters(), held_out=[small_corpus()], context=32, count=9)
    monkeypatch.setattr("physlm_lite.evaluation.scores.LOGITS", 1)
    assert evaluate_model(model, Characters(), held_out=[small_corpus()], context=32, count=9)[
        0
    ].score == pytest.approx(whole[0].score)


def test_probes_are_asked_and_judged(model, tmp_path):
    """Of a model that always says the same, only what fits is right."""
    (tmp_path / "own.jsonl").write_text(
        "\n".join(json.dumps({"prompt": f"Question {i}:", "answer": "a" if i % 2 else "b"}) for i in range(6))
    )

    class Says(Characters):
        def decode(self, tokens):
            return " A, of course"

    scores = evaluate_model(
        model, Says(), probes=["niah-S1-0.1k", str(tmp_path / "own.jsonl")], count=8, context=4096, beside=RUN
    )
    assert [(score.name, score.count) for score in scores] == [("niah-S1-0.1k", 8), ("own", 6)]
    assert scores[0].score == 0 and scores[1].score == 50 and scores[1].published is None


def test_the_command_prints_the_published_row_beside_ours(folder, capsys):
    command = ["eval", folder, "--held-out", small_corpus(), "--probes", "babilong-qa4-0k", "--count", "3"]
    command += ["--context", "2000", "--beside", RUN]
    command[command.index("2000")] = "1000"
    assert main([*command[:4], "--context", "64", "--beside", RUN]) == 0
    out = capsys.readouterr().out
    assert f"   {RUN}" in out and "held-out loss of corpus" in out and "not published" in out
    assert main(["eval", folder, "--probes", "babilong-qa4-0k", "--count", "3", "--beside", RUN, "--json"]) == 0
    (row,) = json.loads(capsys.readouterr().out)
    assert row["published"] == tables()[RUN]["babilong-qa4-0k"] and row["count"] == 3


def test_long_prompts_are_read_a_few_at_a_time(model, monkeypatch):
    whole = evaluate_model(model, Characters(), probes=["niah-S1-0.1k"], count=3)
    monkeypatch.setattr("physlm_lite.scale.evaluate.AT_A_TIME", 200)
    assert evaluate_model(model, Characters(), probes=["niah-S1-0.1k"], count=3) == whole


def test_a_text_of_ones_own_as_filler(model, tmp_path):
    (tmp_path / "book.txt").write_text("The sea was calm. " * 50)
    (score,) = evaluate_model(model, Characters(), probes=["1-hop-0.2k"], count=2, filler=str(tmp_path / "book.txt"))
    assert score.count == 2


def test_wrong_words(folder, tmp_path, capsys):
    (tmp_path / "plain").mkdir()
    for words, message in (
        ([], "physlm eval needs --held-out, --probes or --tasks"),
        (["--probes", "3-hop-1k"], "unknown probe '3-hop-1k'"),
        (["--probes", "1-hop-0k", "--beside", "Llama-9B"], "unknown published run 'Llama-9B'; did you mean"),
        (["--held-out", str(tmp_path / "plain")], "is no corpus, it has no manifest.json"),
        (["--held-out", small_corpus(), "--count", "0"], "count must be a whole number of at least 1, not 0"),
        (["--probes", "1-hop-0k", "--filler", str(tmp_path / "no.txt")], "there is no file or folder"),
    ):
        assert main(["eval", folder, *words]) == 2
        assert message in capsys.readouterr().err


def test_a_corpus_of_another_tokenizer(tmp_path):
    small = LanguageModel(ModelConfig(vocab=50, width=16, layers=1), seed=0)
    with pytest.raises(
        ValueError, match=r"was prepared with a tokenizer of 98 tokens, and the model knows 50; prepare"
    ):
        evaluate_model(small, Characters(), held_out=[small_corpus()])
