"""Train and test the rows of a paper's table, and print it beside the paper's figures.

  df2s2 table
  df2s2 table df2s2-2 --seeds 1 2 3 --num-gpus 4
  df2s2 table dsfd-2 --scale 0.01 --rows fem fem-pal --data DIR --output tables/
  df2s2 table df2s2-3 --opts SOLVER.AMP.ENABLED True
  df2s2 table df2s2-2 --show

Without a name it lists the tables and their rows. Whatever ends the command, the same command goes
on where it was; what is finished is not done again. Any number of commands on one --output, such as
the tasks of a job array, share the rows among them. Results are OUTPUT/TABLE/results/*.json and
OUTPUT/TABLE/table.md.
"""

from __future__ import annotations

import argparse
import os
import shlex
from pathlib import Path

from df2s2_d2.inference.argument_types import positive_integer, whole_number


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="of the table, such as df2s2-2")
    parser.add_argument(
        "--rows",
        nargs="+",
        action="extend",
        default=[],
        metavar="ROW",
        help="those to train; default all",
    )
    parser.add_argument(
        "--seeds",
        nargs="+",
        action="extend",
        type=whole_number,
        metavar="N",
        help="of each row; default 1",
    )
    parser.add_argument(
        "--data",
        type=Path,
        metavar="FOLDER",
        help="root of the data sets; default $DETECTRON2_DATASETS, or datasets",
    )
    parser.add_argument(
        "--output", type=Path, default=Path("tables"), metavar="FOLDER", help="default tables"
    )
    parser.add_argument(
        "--weights",
        type=Path,
        metavar="FOLDER",
        help="of the ImageNet weights, under the names that the configs have; default theirs",
    )
    parser.add_argument(
        "--num-gpus",
        type=positive_integer,
        default=1,
        metavar="N",
        help="GPUs of each run, or processes without GPUs; default 1",
    )
    scale = parser.add_argument_group("smaller trainings, with the same keys for all rows")
    scale.add_argument(
        "--scale",
        type=float,
        default=1.0,
        metavar="SHARE",
        help="share of the pixels that the paper trains on: steps, batch (its third root) and "
        "sides of images (its sixth root, in training and test) shrink, and the learning rate with "
        "the batch; default 1",
    )
    scale.add_argument(
        "--batch-scale", type=float, metavar="FACTOR", help="on the batch, instead of the root"
    )
    scale.add_argument(
        "--image-scale", type=float, metavar="FACTOR", help="on sides, instead of the root"
    )
    mode = parser.add_mutually_exclusive_group()
    mode.add_argument("--show", action="store_true", help="print the table as it is, train nothing")
    mode.add_argument("--dry-run", action="store_true", help="print the commands of all runs")
    parser.add_argument(
        "--opts",
        nargs=argparse.REMAINDER,
        default=[],
        help="KEY VALUE pairs over the configs of all rows, and over the scale, last",
    )


def run(args: argparse.Namespace) -> int:
    from df2s2_d2.tables.index import find_table, read_tables

    if args.name is None:
        if args.rows or args.seeds or args.opts or args.show or args.dry_run or args.scale != 1:
            raise ValueError(
                "Which table? Its name comes first, as in: df2s2 table df2s2-2 --rows fus; df2s2 "
                "table alone lists them"
            )
        print("\n\n".join(_listed(table) for table in read_tables().values()))
        return 0
    table = find_table(args.name)
    table.choose(args.rows)
    if args.show:
        _write(args, table)
        return 0
    from df2s2_d2.tables.runner import do_runs
    from df2s2_d2.tables.runs import Choices, plan_runs
    from df2s2_d2.tables.scale import Scale

    choices = Choices(
        output=args.output,
        data=args.data or Path(os.environ.get("DETECTRON2_DATASETS", "datasets")),
        scale=Scale(args.scale, args.image_scale, args.batch_scale),
        weights=args.weights,
        overrides=tuple(args.opts),
        processes=args.num_gpus,
    )
    runs = plan_runs(table, args.rows, args.seeds or [1], choices)
    if args.dry_run:
        for run in runs:
            data = shlex.quote(str(choices.data))
            print(f"DETECTRON2_DATASETS={data} df2s2 {shlex.join(run.arguments)}")
        return 0
    code = do_runs(runs, tell=lambda line: print(line, flush=True))
    _write(args, table)
    return code


def _listed(table) -> str:
    width = max(len(row.name) for row in table.rows)
    rows = (f"  {row.name:<{width}}  {row.config or 'no config'}" for row in table.rows)
    return "\n".join([f"{table.name}: {table.title}", *rows])


def _write(args: argparse.Namespace, table) -> None:
    """Print the table, and write it beside its results if there are any.

    Other processes may do so at the same time: the last one to write sees what all have added.
    """
    from df2s2_d2.formats.whole_outputs import write_whole
    from df2s2_d2.tables.markdown import table_to_markdown
    from df2s2_d2.tables.results import read_results, results_folder

    folder = results_folder(args.output, table.name)
    results, written = read_results(folder), None
    while results and results != written:
        text = table_to_markdown(table, results)
        write_whole(folder.parent / "table.md", text.encode(), durable=False)
        written, results = results, read_results(folder)
    print(table_to_markdown(table, results), end="")
