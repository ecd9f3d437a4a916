"""The verbs of saved models: scored, asked, converted."""

from __future__ import annotations

import argparse
import json

from ..base.printable import on_one_line
from .parser import Verb, a_folder, some_names


def add_verbs(verb: Verb) -> None:
    evaluate = verb(_eval, "score a saved model: benchmarks, probes of retrieval, held-out loss", otherwise="a table")
    generate = verb(_generate, "let a saved model go on with a text", otherwise="text")
    for added in (evaluate, generate):
        added.add_argument("folder", metavar="FOLDER", type=a_folder, help="the folder of a model, in any form")
        added.add_argument(
            "--tokenizer", metavar="T", help="as in prepare, or the folder of a corpus (default: the one in FOLDER)"
        )
        added.add_argument("--device", metavar="D", help="such as cuda (default: the best there is)")
        added.add_argument("--seed", type=int, default=0, metavar="S", help="of what is drawn (default: 0)")
    for name, about in (
        ("tasks", "of the lm-evaluation-harness, such as arc_easy,mmlu"),
        ("probes", "such as 1-hop-2k,2-hop-1k,niah-S3-4k,babilong-qa1-0k, or files of questions (.jsonl)"),
        ("held-out", "prepared corpora, for the loss on their test part"),
    ):
        evaluate.add_argument(f"--{name}", metavar="A,B", type=some_names, default=[], help=about)
    evaluate.add_argument("--beside", metavar="RUN", help="print the published row of this run beside ours")
    evaluate.add_argument("--include", metavar="FOLDER", help="your own tasks of the harness, as YAML")
    evaluate.add_argument(
        "--filler", metavar="TEXT", help="a text to hide the probes' facts in (default: Python's help)"
    )
    evaluate.add_argument(
        "--context",
        type=int,
        default=2048,
        metavar="N",
        help="tokens of a held-out window, and of a task's prompt (default: 2048)",
    )
    evaluate.add_argument(
        "--count",
        type=int,
        default=100,
        metavar="N",
        help="questions of each probe, and held-out windows (default: 100)",
    )
    evaluate.add_argument("--limit", type=int, metavar="N", help="questions of each task (default: all)")
    evaluate.epilog = (
        "example: physlm eval my-model --held-out corpora/kjv --probes 1-hop-0k,niah-S1-0.5k --context 512"
    )
    generate.add_argument("--prompt", metavar="TEXT", default="", help="how the text begins")
    generate.add_argument("--tokens", type=int, default=100, metavar="N", help="how many more (default: 100)")
    generate.add_argument(
        "--temperature",
        type=float,
        default=0.0,
        metavar="X",
        help="0: the likeliest token; 1: as the model says (default: 0)",
    )
    generate.epilog = 'example: physlm generate my-model --prompt "In the beginning" --tokens 50 --temperature 0.8'
    convert = verb(_convert, "write a saved model in the form that another program reads")
    convert.add_argument("folder", metavar="FOLDER", type=a_folder, help="the folder of a model, in any form")
    convert.add_argument("into", metavar="NEW", type=a_folder, help="a new folder")
    convert.add_argument(
        "--to", metavar="FORM", default="transformers", help="transformers, lingua or sharded (default: transformers)"
    )
    convert.epilog = "example: physlm convert my-model my-model-lingua --to lingua"


def _eval(options: argparse.Namespace) -> None:
    from ..base.machine import device_of
    from ..scale.convert import open_model, open_tokenizer, refuse_vocabulary
    from ..scale.evaluate import evaluate_model, score_table

    names = ("tasks", "probes", "held_out", "beside", "context", "count", "seed", "limit", "include", "filler")
    asked = {name: getattr(options, name) for name in names}
    if not (options.tasks or options.probes or options.held_out):
        raise ValueError("physlm eval needs --held-out, --probes or --tasks; see `physlm eval --help`")
    tokenizer = open_tokenizer(options.folder, options.tokenizer)
    model = open_model(options.folder, device=str(device_of(options.device)))
    refuse_vocabulary(model, tokenizer)
    scores = evaluate_model(model, tokenizer, **asked)
    print(
        json.dumps([vars(score) for score in scores], indent=2) if options.json else score_table(scores, options.beside)
    )


def _generate(options: argparse.Namespace) -> None:
    from ..base.machine import device_of
    from ..evaluation import generate
    from ..scale.convert import open_model, open_tokenizer, refuse_vocabulary

    tokenizer = open_tokenizer(options.folder, options.tokenizer)
    model = open_model(options.folder, device=str(device_of(options.device)))
    refuse_vocabulary(model, tokenizer)
    prompt = [*([] if tokenizer.begin is None else [tokenizer.begin]), *map(int, tokenizer.encode([options.prompt])[0])]
    if not prompt:
        raise ValueError("this tokenizer has no mark to begin with, so the text must be begun; say --prompt TEXT")
    (answer,) = generate(model, [prompt], options.tokens, tokenizer.end, options.temperature, options.seed)
    text = tokenizer.decode(answer)
    if options.json:
        print(json.dumps({"prompt": options.prompt, "text": text, "tokens": answer}, ensure_ascii=False))
    else:
        print(options.prompt + text)


def _convert(options: argparse.Namespace) -> None:
    from ..scale.convert import convert

    print(f"written: {on_one_line(convert(options.folder, options.into, options.to), 5000)}")
