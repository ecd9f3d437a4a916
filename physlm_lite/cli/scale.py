"""The verbs of large runs: recipes, what they take, training, jobs."""

from __future__ import annotations

import argparse
import json
import logging
import os
from typing import Any

from ..base.printable import on_one_line
from ..base.strict import unknown
from .parser import Verb, a_folder
from .streams import KIT, complain


def add_verbs(verb: Verb) -> None:
    recipes = verb(_recipes, "the recipes of large runs: all, one of them, or what differs", otherwise="text")
    recipes.add_argument(
        "words", nargs="*", metavar="WORD", help="show NAME, or diff A B; a name is a recipe's or a YAML file's"
    )
    recipes.epilog = "example: physlm recipes diff Llama-8B-Nemo-1T-lr0.003 LlamaCanon-8B-Nemo-1T-lr0.003"
    plan = verb(_plan, "what a recipe takes on given GPUs: memory, traffic, hours, money", otherwise="text")
    plan.add_argument("recipe", nargs="?", metavar="RECIPE", help="its name (see `physlm recipes`), or a YAML file")
    plan.add_argument("--gpus", type=int, metavar="N", help="how many (default: as in the original run)")
    plan.add_argument("--gpu", metavar="KIND", help="such as h200, h100, a100 (default: as in the original run)")
    plan.add_argument("--rows", type=int, metavar="N", help="on each GPU at a time (default: as many as fit)")
    plan.add_argument("--checkpointing", metavar="KIND", help="none, selective or full (default: the first that fits)")
    plan.add_argument(
        "--mfu", type=float, metavar="X", help="share of the peak that is reached (default: as published)"
    )
    plan.add_argument("--price", type=float, metavar="X", help="of a GPU for an hour")
    plan.add_argument(
        "--dry-run", action="store_true", help="shard the model over N ranks that do not exist, and count"
    )
    plan.add_argument("--measured", action="store_true", help="what was predicted of memory, and what was measured")
    plan.epilog = "example: physlm plan LlamaCanon-8B-Nemo-1T-lr0.003 --gpus 64 --gpu h100 --price 2.5"
    train = verb(_train, "train a recipe, or a toy's run; started again, it goes on", otherwise="text")
    launch = verb(_launch, "write the job that trains a recipe on several GPUs, and start it")
    about = "a recipe's name (see `physlm recipes`), or a YAML file"
    train.add_argument("recipe", metavar="RECIPE", help=f"{about} with a recipe, or with a run that has a task")
    launch.add_argument("recipe", metavar="RECIPE", help=about)
    launch.add_argument("--nodes", type=int, metavar="N", default=1, help="machines (default: 1)")
    launch.add_argument("--gpus", type=int, metavar="N", help="ranks on each (default: 8; with --local: the GPUs here)")
    kinds = launch.add_mutually_exclusive_group(required=True)
    for kind, text in (("slurm", "sbatch's queue"), ("local", "this machine"), ("sky", "SkyPilot")):
        kinds.add_argument(f"--{kind}", dest="kind", action="store_const", const=kind, help=f"for {text}")
    launch.add_argument("--dry-run", action="store_true", help="print the job; nothing is written or started")
    launch.add_argument(
        "--time", default="24:00:00", help="of a Slurm job, after which it queues again (default: a day)"
    )
    launch.add_argument("--partition", metavar="NAME", help="of Slurm")
    launch.add_argument("--account", metavar="NAME", help="of Slurm")
    launch.add_argument("--gpu", metavar="KIND", default="h100", help="of SkyPilot (default: h100)")
    for added in (train, launch):
        added.add_argument(
            "--into", metavar="FOLDER", type=a_folder, help="of all its files (default: among your records)"
        )
        added.add_argument(
            "--rows", type=int, metavar="N", help="on each GPU at a time (default: as in the original run)"
        )
        added.add_argument(
            "--replicas", type=int, metavar="N", help="whole copies of the weights (default: 1, shared by all)"
        )
        added.add_argument("--checkpointing", metavar="KIND", help="none (default), selective or full")
        added.add_argument("--compile", action="store_true", help="compile each layer")
        added.add_argument("--tracker", metavar="NAME", help="tensorboard, trackio or wandb, beside metrics.jsonl")
    train.epilog = "example: physlm train tiny; torchrun --nproc-per-node 8 -m physlm_lite.cli train small"
    launch.epilog = "example: physlm launch LlamaCanon-8B-Nemo-1T-lr0.003 --nodes 64 --slurm --dry-run"


def _recipes(options: argparse.Namespace) -> None:
    from ..scale.plan import recipes_table
    from ..scale.recipe import differences, flat, load_recipe, recipes, shown_recipe

    known, (action, *names) = {"list": 0, "show": 1, "diff": 2}, options.words or ["list"]
    if action not in known:
        raise unknown("action of physlm recipes", action, known)
    if len(names) != known[action]:
        raise ValueError(f"physlm recipes {action} takes {known[action]} names, not {len(names)}")
    found = [load_recipe(name) for name in (names if action != "list" else recipes())]
    if action == "diff":
        values = differences(*found)
        if options.json:
            print(json.dumps(values, indent=2))
        else:
            print(
                "\n".join(f"{name:<32}{one!s:>24}{other!s:>24}" for name, (one, other) in values.items())
                or "no difference"
            )
    elif options.json:
        numbers = [{"parameters": recipe.model.parameters, "tokens": recipe.tokens, **flat(recipe)} for recipe in found]
        print(json.dumps(numbers if action == "list" else numbers[0], indent=2))
    else:
        print(recipes_table(found) if action == "list" else shown_recipe(found[0]))


def _plan(options: argparse.Namespace) -> None:
    from ..scale.plan import measured, measured_table, plan, plan_table
    from ..scale.recipe import load_recipe

    if options.measured or options.recipe is None:
        if not options.measured:
            raise ValueError("physlm plan needs the name of a recipe; see `physlm recipes`")
        print(json.dumps(measured(), indent=2) if options.json else measured_table(measured()))
        return
    recipe = load_recipe(options.recipe)
    if options.dry_run:
        from ..scale.dry_run import dry_run, dry_run_table

        tried = dry_run(recipe, options.gpus)
        print(json.dumps(tried, indent=2) if options.json else dry_run_table(tried))
        return
    names = ("gpus", "gpu", "rows", "checkpointing", "mfu", "price")
    found = plan(recipe, **{name: getattr(options, name) for name in names})
    print(json.dumps(found, indent=2) if options.json else plan_table(found))


def _train(options: argparse.Namespace) -> int:
    from ..scale.train import carry_out
    from ..training import OtherRank

    logging.getLogger(KIT).setLevel(logging.INFO)
    try:
        record = carry_out(options.recipe, options.into, **_placing(options))
    except OtherRank:  # which is heard of by the rank that says why
        return 2
    except ConnectionError as error:
        complain(error)
        return 75
    if os.environ.get("RANK", "0") == "0":
        final = ", ".join(f"{name} {value:.4g}" for name, value in record.final.items() if isinstance(value, float))
        print(json.dumps(record.to_dict(), indent=2) if options.json else f"{record.status}: {record.note or final}")
    return {"finished": 0, "diverged": 1, "stopped": 75}[record.status]


def _placing(options: argparse.Namespace) -> dict[str, Any]:
    """Those of the options that say how a recipe is placed, where they are given."""
    names = ("rows", "replicas", "checkpointing", "compile", "tracker")
    return {name: getattr(options, name) for name in names if getattr(options, name)}


def _launch(options: argparse.Namespace) -> int:
    from ..scale.launch import KINDS, Job, start_job, write_job
    from ..scale.recipe import load_recipe
    from ..training import runs_folder

    recipe, placing = load_recipe(options.recipe), _placing(options)
    words = [
        word for name, value in placing.items() for word in (f"--{name}", *([] if value is True else [str(value)]))
    ]
    names = ("nodes", "time", "partition", "account", "gpu")
    about = {name: getattr(options, name) for name in names}
    gpus = options.gpus
    if gpus is None:
        import torch

        gpus = 8 if options.kind != "local" else max(1, torch.cuda.device_count())
    job = Job(recipe, options.into or runs_folder() / recipe.name, gpus=gpus, options=tuple(words), **about)
    if options.dry_run:
        print(KINDS[options.kind](job), end="")
        return 0
    path = write_job(options.kind, job)
    print(f"written: {on_one_line(path, 5000)} ({job.about})", flush=True)
    return start_job(options.kind, path)
