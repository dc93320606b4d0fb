"""The pages of the site hang together, and say of the code what is in it."""

from __future__ import annotations

import ast
import importlib
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import build_site
import pytest
import yaml

import df2s2_d2
from df2s2_d2 import load_config
from tests.document_snippets import DOCUMENTS, ROOT


def test_pages_are_linked_rightly_and_all_in_the_navigation(tmp_path):
    build_site.assemble(tmp_path / "site")
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    listed = set(re.findall(r": (\S+\.md)$", navigation, re.MULTILINE))
    assert listed == {
        path.relative_to(tmp_path / "site").as_posix() for path in tmp_path.glob("site/**/*.md")
    }


@pytest.mark.parametrize(
    ("link", "words"),
    [
        ("absent.md", "links absent.md, which does not exist"),
        ("install.md#absent", "has no such heading"),
        ("#absent", "has no such heading"),
    ],
)
def test_a_dead_link_ends_the_build(tmp_path, monkeypatch, link, words):
    shutil.copytree(ROOT / "docs", tmp_path / "docs")
    linked = {Path(name).parts[0] for name in build_site.ELSEWHERE} | {"configs"}
    for name in linked:
        (tmp_path / name).symlink_to(ROOT / name)
    monkeypatch.setattr(build_site, "ROOT", tmp_path)
    build_site.assemble(tmp_path / "build")
    page = tmp_path / "docs/design.md"
    page.write_text(page.read_text(encoding="utf-8") + f"[dead]({link})\n")
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        build_site.assemble(tmp_path / "build")
    assert "docs/design.md" in str(error.value)


def test_links_to_what_is_no_page_become_words(tmp_path):
    build_site.assemble(tmp_path / "site")
    zoo = (ROOT / "MODEL_ZOO.md").read_text(encoding="utf-8")
    assert "[`DF2S2_R50`](configs/DF2S2/DF2S2_R50.yaml)" in zoo
    page = (tmp_path / "site/model_zoo.md").read_text(encoding="utf-8")
    assert "| `DF2S2_R50` |" in page and "](configs/" not in page


def test_links_in_blocks_are_none():
    text = "[one](a.md#b) `[two](c.md)` [web](https://x.org)\n```\n[three](d.md)\n```\n"
    assert [(link["path"], link["anchor"]) for link in build_site.links(text)] == [("a.md", "#b")]


def test_names_of_the_api_are_public():
    names = re.findall(r"^::: (\S+)$", (ROOT / "docs/api.md").read_text("utf-8"), re.MULTILINE)
    assert len(names) == len(set(names)) > 20
    for full_name in names:
        place, _, name = full_name.rpartition(".")
        module = importlib.import_module(place)
        assert getattr(module, name).__doc__, full_name
        public = {*getattr(module, "__all__", ()), *df2s2_d2.__all__}
        assert name in public, f"{full_name} is in no __all__"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_keys_and_paths_that_are_named_exist(document):
    text = document.read_text(encoding="utf-8")
    keys = re.findall(r"\b(?:MODEL|INPUT|SOLVER|TEST|DATASETS|DATALOADER)(?:\.[A-Z\d_]+)+\b", text)
    for key in set(keys):
        node = load_config()
        for part in key.split("."):
            assert part in node, f"{key} is no key"
            node = node[part]
    folders = "df2s2_d2|tools|tests|configs|benchmarks|datasets|docs"
    for path in re.findall(rf"`((?:{folders})/[\w./-]+)`", text):
        assert (ROOT / path).exists(), path


def test_every_public_name_of_the_package_is_on_the_page():
    text = (ROOT / "docs/api.md").read_text("utf-8")
    listed = {name.rpartition(".")[2] for name in re.findall(r"^::: (\S+)$", text, re.MULTILINE)}
    assert set(df2s2_d2.__all__) <= listed


def test_versions_agree():
    version = df2s2_d2.__version__
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert citation["version"] == version
    changes = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert version in re.findall(r"^## \[(.+?)\]", changes, re.MULTILINE)[:2]
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    assert f'version = "{version}"' in project


def texts_of_the_code() -> Iterator[str]:
    """All texts in the package but its docstrings; "…" stands for what is filled in."""
    for path in ROOT.glob("df2s2_d2/**/*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        documents = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
        for node in ast.walk(tree):
            if isinstance(node, ast.JoinedStr):
                parts = (x.value if isinstance(x, ast.Constant) else "…" for x in node.values)
                yield "".join(parts)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                if id(node) not in documents:
                    yield node.value


def test_messages_are_those_of_the_code():
    page = (ROOT / "docs/messages.md").read_text(encoding="utf-8")
    rows = [line for line in page.splitlines() if re.match(r"\| `", line)]
    quoted = [re.match(r"\| (`+)(.+?)\1 \| \S", row)[2] for row in rows]
    assert len(quoted) > 50
    texts = list(texts_of_the_code())
    assert [x for x in quoted if not any(x in text for text in texts)] == []
    assert [x for x in quoted if len(re.findall(r"\w+", x)) < 3] == []
