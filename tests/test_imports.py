"""Which part may import which: the layout of the package, kept by tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "df2s2_d2"

# Scored without torch: everything in evaluation/ but what plugs it into detectron2.
LIGHT_EVALUATION = sorted(
    set(PACKAGE.glob("evaluation/**/*.py")) - set(PACKAGE.glob("evaluation/evaluators/*.py"))
)
LIGHT_LIBRARIES = {"numpy", "scipy", "cv2", "matplotlib", "pycocotools"}


def imported_modules(source: str, module: str, is_package: bool = False) -> set[str]:
    """All modules that `source` imports, wherever in it, relative ones made absolute.

    ``from a import b`` counts as ``a.b``: b may be a module.
    """
    package = module.split(".") if is_package else module.split(".")[:-1]
    found = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            prefix = ".".join([*base, *([node.module] if node.module else [])])
            found.update(f"{prefix}.{alias.name}" for alias in node.names)
    return found


def imports_of(path: Path) -> set[str]:
    parts = path.relative_to(ROOT).with_suffix("").parts
    is_package = parts[-1] == "__init__"
    return imported_modules(
        path.read_text(encoding="utf-8"), ".".join(parts[: len(parts) - is_package]), is_package
    )


def violations(files: list[Path], *forbidden: str) -> dict[str, list[str]]:
    """File -> forbidden modules, or parts of them, that it imports."""
    found = {}
    for path in files:
        wrong = sorted(
            name
            for name in imports_of(path)
            if any(name == other or name.startswith(other + ".") for other in forbidden)
        )
        if wrong:
            found[str(path.relative_to(ROOT))] = wrong
    return found


def sources(folder: str) -> list[Path]:
    files = sorted((PACKAGE / folder).rglob("*.py"))
    assert files
    return files


def test_imports_are_found_in_every_form():
    source = "import a.b\nfrom c import d\ndef f():\n    from . import g\n    from ..h import i\n"
    assert imported_modules(source, "p.q.r") == {"a.b", "c.d", "p.q.g", "p.h.i"}
    assert imported_modules("from .x import y", "p.q", is_package=True) == {"p.q.x.y"}


@pytest.mark.parametrize(
    ("folder", "forbidden"),
    [
        (
            "modeling",
            ("data", "evaluation", "inference", "training", "config", "visualization"),
        ),
        (
            "data",
            (
                "modeling",
                "evaluation.evaluators",
                "evaluation.wider_face",
                "inference",
                "training",
                "config",
                "visualization",
            ),
        ),
        (
            "evaluation",
            ("modeling", "data", "inference", "training", "config", "visualization"),
        ),
        ("inference", ("evaluation.evaluators", "training")),
    ],
)
def test_parts_do_not_know_each_other(folder, forbidden):
    assert violations(sources(folder), *(f"df2s2_d2.{name}" for name in forbidden)) == {}


def test_package_knows_nothing_of_scripts_and_tests():
    scripts = [path.stem for path in (*ROOT.glob("*.py"), *ROOT.glob("tools/*.py"))]
    assert "train_net" in scripts
    assert violations(sources("."), "tools", "tests", "datasets", *scripts) == {}


def test_light_evaluation_needs_numerical_libraries_only():
    assert len(LIGHT_EVALUATION) > 3
    allowed = LIGHT_LIBRARIES | sys.stdlib_module_names
    for path in LIGHT_EVALUATION:
        for name in imports_of(path):
            known = name.startswith("df2s2_d2.evaluation.") or name.split(".")[0] in allowed
            assert known, f"{path.name} imports {name}"


def test_nothing_imports_what_breaks_or_needs_a_compiler():
    files = [*sources("."), *ROOT.glob("*.py"), *ROOT.glob("tools/*.py")]
    # The first two need pkg_resources, which current setuptools lacks; the last is compiled.
    assert (
        violations(files, "detectron2.model_zoo", "detectron2.utils.testing", "detectron2._C") == {}
    )


def run_python(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def test_importing_evaluation_leaves_torch_and_detectron2_alone():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in LIGHT_EVALUATION]
    names = ", ".join(name.removesuffix(".__init__") for name in modules)
    heavy = ["torch", "torchvision", "detectron2", "fvcore"]
    code = f"import sys, {names}; print([m for m in {heavy} if m in sys.modules])"
    assert run_python(code) == "[]"


def test_importing_the_config_registers_models_and_data_sets():
    code = """
from df2s2_d2 import add_df2s2_config
from detectron2.data import DatasetCatalog
from detectron2.modeling import BACKBONE_REGISTRY, META_ARCH_REGISTRY
from df2s2_d2.modeling import HEAD_REGISTRY, NECK_REGISTRY
assert "FaceDetector" in META_ARCH_REGISTRY
assert "build_pyramid_backbone" in BACKBONE_REGISTRY
assert {"FFP", "FPN"} <= {name for name, _ in NECK_REGISTRY}
assert {"TowerHead", "RetinaNetHead"} <= {name for name, _ in HEAD_REGISTRY}
assert {f"wider_face_{split}" for split in ("train", "val", "test")} <= set(DatasetCatalog.list())
print("registered")
"""
    assert run_python(code) == "registered"


def test_package_has_only_the_names_it_lists():
    import df2s2_d2

    assert callable(df2s2_d2.load_config)
    with pytest.raises(AttributeError, match="'df2s2_d2' has no attribute 'nothing'"):
        _ = df2s2_d2.nothing
