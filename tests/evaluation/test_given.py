"""Questions from a file."""

import json

import pytest

from physlm_lite.evaluation import evaluate_probes
from physlm_lite.evaluation.given import Given


def written(path, *rows):
    path.write_text("\n".join(row if isinstance(row, str) else json.dumps(row) for row in rows))
    return Given(str(path))


def test_each_line_is_a_question_with_its_rule(tmp_path):
    source = written(
        tmp_path / "years.jsonl",
        {"prompt": "Ann was born in", "answer": "1963"},
        "",
        {"prompt": "Bob was born in", "answer": "1971", "rule": "begins"},
    )
    said = {"Ann was born in": " the year 1963.", "Bob was born in": " 1970 or 1971"}
    found = evaluate_probes(source, lambda prompts: [said[prompt] for prompt in prompts], count=2)
    assert (source.name, found["accuracy"], found["count"]) == ("years", 0.5, 2)
    said["Bob was born in"] = "\n1971"
    assert evaluate_probes(source, lambda prompts: [said[p] for p in prompts], count=2)["accuracy"] == 1


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ('{"prompt": "a"', "line 2: Expecting"),
        ({"prompt": "a"}, 'line 2: expected {"prompt": ..., "answer": ...}, not'),
        ({"prompt": "a", "answer": "b", "rule": "beginns"}, "line 2: unknown rule 'beginns'; did you mean 'begins'?"),
    ],
)
def test_what_is_no_question_is_named_with_its_line(tmp_path, line, message):
    source = written(tmp_path / "a.jsonl", {"prompt": "a", "answer": "b"}, line)
    with pytest.raises(ValueError) as error:
        source.sample(0, 0)
    assert message in str(error.value)


def test_an_empty_file(tmp_path):
    with pytest.raises(ValueError, match="holds no questions; write one a line"):
        written(tmp_path / "a.jsonl", "").sample(0, 0)
