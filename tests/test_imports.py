"""Which part may import which: the layout of the package, kept by tests."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGE = ROOT / "df2s2_d2"

FORMATS = sorted(PACKAGE.glob("formats/**/*.py"))
IMAGES = sorted(PACKAGE.glob("images/**/*.py"))
# Scored without torch: everything in evaluation/ but what plugs it into detectron2.
LIGHT_EVALUATION = sorted(
    set(PACKAGE.glob("evaluation/**/*.py")) - set(PACKAGE.glob("evaluation/evaluators/*.py"))
)


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


# Part of the package -> the others that it may import.
MAY_IMPORT = {
    "formats": set(),
    "images": {"formats"},
    "pages": set(),
    "evaluation": {"formats", "pages"},
    "data": {"config_checks", "formats", "images"},
    "modeling": {"config_checks"},
    "inference": {
        *("config", "data", "formats", "hardware", "images", "missing_packages"),
        *("modeling", "models", "test_protocols", "visualization"),
    },
    "models": {"formats"},
    "serving": {"images", "inference"},
    "analysis": {"data", "formats", "modeling"},
    "dataset_check": {"analysis", "data", "evaluation", "formats", "pages"},
    "visualization": {"analysis", "data", "evaluation", "formats", "modeling", "pages"},
    "tables": {"environment", "evaluation", "formats", "inference", "training"},
}


@pytest.mark.parametrize("folder", MAY_IMPORT)
def test_parts_do_not_know_each_other(folder):
    parts = {path.stem for path in PACKAGE.iterdir() if path.suffix in ("", ".py")}
    others = parts - MAY_IMPORT[folder] - {folder, "__init__", "__pycache__"}
    assert {"training", "config"} - MAY_IMPORT[folder] <= others
    assert violations(sources(folder), *(f"df2s2_d2.{name}" for name in sorted(others))) == {}


def test_only_the_program_knows_its_commands():
    program = {PACKAGE / "__main__.py", *sources("cli")}
    assert violations(sorted(set(sources(".")) - program), "df2s2_d2.cli") == {}


def test_package_knows_nothing_of_scripts_and_tests():
    scripts = [path.stem for path in (*ROOT.glob("*.py"), *ROOT.glob("tools/*.py"))]
    assert "train_net" in scripts
    assert violations(sources("."), "tools", "tests", "datasets", "sample_faces", *scripts) == {}


@pytest.mark.parametrize(
    ("files", "libraries", "own"),
    [
        (FORMATS, {"numpy", "scipy", "PIL", "yaml"}, ("df2s2_d2.formats.",)),
        (IMAGES, {"numpy", "PIL"}, ("df2s2_d2.formats.", "df2s2_d2.images.")),
        (
            LIGHT_EVALUATION,
            {"numpy", "scipy", "cv2", "matplotlib", "pycocotools"},
            ("df2s2_d2.formats.", "df2s2_d2.pages.", "df2s2_d2.evaluation."),
        ),
    ],
    ids=["formats", "images", "evaluation"],
)
def test_what_needs_no_torch_needs_numerical_libraries_only(files, libraries, own):
    assert len(files) > 2
    allowed = libraries | sys.stdlib_module_names
    for path in files:
        for name in imports_of(path):
            known = name.startswith(own) or name.split(".")[0] in allowed
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


@pytest.mark.parametrize(
    "files", [FORMATS, IMAGES, LIGHT_EVALUATION], ids=["formats", "images", "evaluation"]
)
def test_importing_what_needs_no_torch_leaves_it_and_detectron2_alone(files):
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in files]
    names = ", ".join(name.removesuffix(".__init__") for name in modules)
    heavy = ["torch", "torchvision", "detectron2", "fvcore"]
    code = f"import sys, {names}; print([m for m in {heavy} if m in sys.modules])"
    assert run_python(code) == "[]"


def test_finding_faces_by_onnx_leaves_torch_and_detectron2_alone():
    code = """
import sys
import df2s2_d2
from df2s2_d2 import Faces, FaceTracker, OnnxPredictor
assert set(df2s2_d2.__all__) <= set(dir(df2s2_d2)) and "Predictor" in df2s2_d2.__all__
heavy = ("torch", "torchvision", "detectron2", "fvcore", "iopath", "av")
print([m for m in heavy if m in sys.modules])
"""
    assert run_python(code) == "[]"


def test_commands_import_what_a_cluster_takes_only_when_they_use_one():
    code = """
import sys
from df2s2_d2.cli.commands import COMMANDS, load_command
from df2s2_d2.cli.program import build_parser
for name in COMMANDS:
    build_parser(load_command(name), name)
print([m for m in ("ray", "pyarrow", "pandas", "torch") if m in sys.modules])
"""
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
