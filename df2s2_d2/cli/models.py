"""List the trained models that have a name, or tell all of one.

  df2s2 models
  df2s2 models faces-small

Names are taken wherever weights are. Rows of your own are read from the file that the environment
variable DF2S2_MODEL_INDEX names; `df2s2 models publish` writes them.
"""

from __future__ import annotations

import argparse

from df2s2_d2.models import ModelEntry, find_model, list_models


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", nargs="?", help="a model to tell all of")


def run(args: argparse.Namespace) -> None:
    if args.name is not None:
        print(_described(find_model(args.name)))
        return
    models = list_models()
    width = max(map(len, models))
    for name, model in models.items():
        print(f"{name:<{width}}  {model.description}")


def _described(model: ModelEntry) -> str:
    rows = {
        "name": model.name,
        "description": model.description,
        "license": model.license,
        "config": model.config,
        "AP": ", ".join(f"{setting} {value:.3f}" for setting, value in model.ap.items()),
        "protocol": model.protocol,
    }
    for kind, file in model.files.items():
        place = "here" if file.path.is_file() else "not on this machine"
        rows[kind] = f"{file.location}, {file.size / 1e6:.1f} MB, {place}"
        rows[f"{kind} SHA-256"] = file.sha256
    width = max(map(len, rows)) + 2
    return "\n".join(f"{key:<{width}}{value}" for key, value in rows.items() if value)
