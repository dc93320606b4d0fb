"""How to install what an import has not found."""

from __future__ import annotations

_DETECTRON2 = (
    "it is not on the package index under its own name; run pip install 'df2s2_d2[detect]', then "
    "df2s2 install-detectron2"
)
# Package -> the extra of this one that installs it.
_EXTRAS = {
    **dict.fromkeys(("torch", "torchvision", "fvcore", "iopath", "PIL", "tqdm"), "detect"),
    "safetensors": "detect",
    **dict.fromkeys(("onnx", "onnxruntime"), "export"),
    **dict.fromkeys(("fastapi", "uvicorn", "prometheus_client"), "serve"),
    "openvino": "openvino",
    "mlflow": "mlflow",
    "optuna": "sweep",
    "av": "video",
    **dict.fromkeys(("ray", "pyarrow", "fsspec"), "ray"),
    "supervision": "supervision",
    "timm": "timm",
    "tensorboard": "train",
    "wandb": "wandb",
}


def with_remedy(error: ModuleNotFoundError) -> ModuleNotFoundError:
    """The error, saying how to install the package, if it is one that the installation may lack."""
    package = (error.name or "").partition(".")[0]
    if package == "detectron2":
        remedy = _DETECTRON2
    elif package in _EXTRAS:
        remedy = f"run pip install 'df2s2_d2[{_EXTRAS[package]}]'"
    else:
        return error
    return ModuleNotFoundError(
        f"The package {package} is not installed: {remedy}", name=error.name, path=error.path
    )
