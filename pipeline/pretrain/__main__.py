"""Train a backbone further on the competition's texts, before any label is looked at.

    python -m pipeline.pretrain --model minilm
    python -m pipeline.pretrain --model klue/roberta-base --with-test-texts --time-limit 2h
    python -m pipeline.pretrain --model minilm --new-vocabulary 8000

Writes runs/pretrained/KEY/, found again by backbone, texts and settings, and a recipe that starts
from it. The same command again goes on where the last one stopped. Labels are not read, but all
folds share the backbone: it has seen the texts of rows that are held out. Those of test are among
them with --with-test-texts only; not every competition's rules allow that.
"""

import json
import sys
from collections.abc import Sequence
from functools import cache
from pathlib import Path

from pipeline.base.command import run, seconds_of
from pipeline.base.parser import Parser


@cache
def parser() -> Parser:
    """The command's options; --help needs no heavy import."""
    options = Parser("pretrain", __doc__ or "")
    add = options.add_argument
    add("--model", metavar="NAME", required=True, help="a recipe, a Hugging Face id or a folder")
    add("--set", action="append", metavar="KEY=VALUE", help="change a setting of the recipe")
    add("--with-test-texts", action="store_true", help="train on the texts of test rows, too")
    add("--epochs", type=int, default=3, help="times that every text is read")
    add("--batch-size", type=int, default=32, help="texts of an optimiser step")
    add("--learning-rate", type=float, default=5e-5, help="the highest one")
    add("--mask", type=float, default=0.15, help="share of tokens that an encoder has to guess")
    add(
        "--new-vocabulary",
        type=int,
        metavar="TOKENS",
        help="learn a tokenizer from the texts, and start from random weights",
    )
    add("--seed", type=int, default=42, help="of order, masks and dropout")
    add(
        "--recipe",
        metavar="NAME",
        help="of the recipe that is written",
    )
    add("--time-limit", metavar="2h", help="save and end with status 75 before it is over")
    add("--checkpoint-every", default="10m", metavar="TIME", help="0s: after every step")
    options.add_competition()
    return options


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; return its exit code."""
    options = parser()
    args = options.read(argv)
    competition = options.competition(args)
    from pipeline.base import Paths
    from pipeline.base.command import STOP
    from pipeline.data import load
    from pipeline.models.recipes import find
    from pipeline.report.page import page
    from pipeline.training.options import FailurePolicy
    from pipeline.training.pretraining import (
        Pretraining,
        pretrain,
        recipe_name,
        texts_of,
        told,
        write_recipe,
    )
    from pipeline.training.progress import Preparing

    root = Path(args.root)
    asked = ("epochs", "batch_size", "learning_rate", "mask", "new_vocabulary", "seed")
    settings = Pretraining(**{name: args[name] for name in asked})
    recipe = find(args.model, root, args.set or [])
    texts = texts_of(load(competition, root), args.with_test_texts)
    if args.time_limit:
        STOP.set_limit(args.time_limit)
    policy = FailurePolicy(
        checkpoint_seconds=seconds_of(args.checkpoint_every, "--checkpoint-every")
    )
    console = page(sys.stderr if args.json else sys.stdout)
    whose = "train and test" if args.with_test_texts else "train, not of test"
    console.print(
        f"{recipe.name}: {len(texts):,} texts of {whose}; those of rows that folds hold out are "
        "among them, without their labels",
        soft_wrap=True,
    )
    paths = Paths(root, competition.name)
    watch = Preparing(f"pretraining {recipe.name}", page(sys.stderr))
    made = pretrain(recipe, texts, settings, paths, policy, watch)
    file = write_recipe(recipe, made, root, args.recipe or recipe_name(args.model, made))
    if args.json:
        print(json.dumps({"folder": str(made.folder), "recipe": str(file), **made.record}))
        return 0
    console.print(f"{'wrote' if made.new else 'was there:'} {made.folder}", soft_wrap=True)
    for line in told(made):
        console.print(line, soft_wrap=True)
    console.print(f"next: python -m pipeline.cv --model {file.stem}", soft_wrap=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(run(main))
