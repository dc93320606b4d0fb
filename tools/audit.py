#!/usr/bin/env python3
"""Audit what the project needs: known vulnerabilities, and licences.

  python tools/audit.py --pip-audit .venv-audit/bin/pip-audit
  python tools/audit.py                       # the licences alone

Looked at is what the extra `dev` requires, directly or not, as installed in the environment that
runs this. The exit code is 1 if an advisory is about it, a licence is none of those allowed, or a
package could not be looked up: nothing that was not checked counts as sound.
"""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import re
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Iterable
from importlib.metadata import Distribution
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT, EXTRA = "df2s2-d2", "dev"

# Packages that no index of packages holds, so that no advisory can be about them.
UNPUBLISHED = {PROJECT, "detectron2"}

# Licences whose packages may be used and passed on by whoever keeps their notice. The last two are
# weak copyleft on the files of the package itself, and what PyTorch's builds for GPUs come with.
ALLOWED = {
    *("0BSD", "Apache-2.0", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0", "ISC", "MIT"),
    *("MIT-0", "MIT-CMU", "HPND", "PSF-2.0", "Unlicense", "Zlib", "Apache-2.0 WITH LLVM-exception"),
    *("MPL-2.0", "LicenseRef-NVIDIA-Proprietary"),
}

# What packages without an SPDX expression say in its place.
_SPDX = {
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "BSD License": "BSD-3-Clause",
    "BSD": "BSD-3-Clause",
    "3-Clause BSD License": "BSD-3-Clause",
    "FreeBSD": "BSD-2-Clause",
    "Historical Permission Notice and Disclaimer (HPND)": "HPND",
    "ISC License (ISCL)": "ISC",
    "MIT License": "MIT",
    "MIT licensed, as found in the LICENSE file": "MIT",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "NVIDIA Proprietary Software": "LicenseRef-NVIDIA-Proprietary",
    "Python Software Foundation License": "PSF-2.0",
}
# Whose metadata names no licence: what their files say.
_KNOWN = {"cuda-toolkit": "LicenseRef-NVIDIA-Proprietary"}


def required(project: str = PROJECT, extra: str = EXTRA) -> dict[str, Distribution]:
    """The installed packages that a project and its extra require, directly or not, by name.

    Raises:
        ModuleNotFoundError: if one is not installed; names it.
    """
    found: dict[str, Distribution] = {}
    # detectron2 is required, but is on no index under its own name.
    waiting = [(project, frozenset({extra})), ("detectron2", frozenset())]
    seen = set()
    while waiting:
        name, extras = waiting.pop()
        if (name, extras) in seen:
            continue
        seen.add((name, extras))
        try:
            found[name] = importlib.metadata.distribution(name)
        except importlib.metadata.PackageNotFoundError:
            raise ModuleNotFoundError(f"{name} is not installed: run `make venv`") from None
        for text in found[name].requires or ():
            requirement = Requirement(text)
            marker = requirement.marker
            if marker is None or any(marker.evaluate({"extra": x}) for x in ("", *extras)):
                wanted = canonicalize_name(requirement.name), frozenset(requirement.extras)
                waiting.append(wanted)
    return found


def licence_of(package: Distribution) -> str:
    """What a package names as its licence, as an SPDX expression where possible; "" if nothing."""
    metadata = package.metadata
    name = canonicalize_name(metadata["Name"])
    if name in _KNOWN:
        return _KNOWN[name]
    if expression := metadata.get("License-Expression"):
        return expression
    stated = (metadata.get("License") or "").strip()
    classifiers = [
        line.rpartition(" :: ")[2]
        for line in metadata.get_all("Classifier", [])
        if line.startswith("License :: ") and line != "License :: OSI Approved"
    ]
    # Some put the whole text of the licence there.
    if "\n" not in stated and (_SPDX.get(stated, stated) in ALLOWED or not classifiers):
        return _SPDX.get(stated, stated)
    return " AND ".join(_SPDX.get(name, name) for name in classifiers)


def is_allowed(expression: str) -> bool:
    """Whether an SPDX expression leaves a choice of allowed licences alone.

    "A AND B OR C" is read as A with a choice of B or C, which is never too generous.
    """
    terms = re.sub(r"[()]", " ", expression).split(" AND ")
    return all(
        any(" ".join(choice.split()) in ALLOWED for choice in term.split(" OR ")) for term in terms
    )


def advisories(report: dict, names: Iterable[str]) -> tuple[list[str], dict[str, str]]:
    """What pip-audit's report says of packages.

    Args:
        report: its JSON.
        names: of the packages that count, canonical.

    Returns:
        A line for each advisory, and why packages were not looked up, by name.
    """
    entries = {canonicalize_name(entry["name"]): entry for entry in report["dependencies"]}
    found, unchecked = [], {}
    for name in sorted(set(names) - UNPUBLISHED):
        entry = entries.get(name, {"skip_reason": "it is not in the report"})
        if "skip_reason" in entry:
            unchecked[name] = entry["skip_reason"]
        for advisory in entry.get("vulns", ()):
            mended = ", ".join(advisory["fix_versions"]) or "no version yet"
            found.append(f"{name} {entry['version']}: {advisory['id']}, mended in {mended}")
    return found, unchecked


def run_pip_audit(program: Path) -> dict:
    """The report of pip-audit on the environment that runs this.

    Raises:
        OSError: if it cannot be run, or its database cannot be reached.
    """
    with tempfile.TemporaryDirectory() as folder:
        report = Path(folder, "report.json")
        options = ["--path", sysconfig.get_path("purelib"), "--progress-spinner", "off"]
        result = subprocess.run(
            [str(program), *options, "--format", "json", "--output", str(report)],
            capture_output=True,
            text=True,
        )
        if not report.is_file():
            last = (result.stderr.strip().splitlines() or ["it says nothing of it"])[-1]
            raise OSError(f"pip-audit did not come to its end: {last}")
        return json.loads(report.read_text(encoding="utf-8"))


def main(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code is 0 if nothing is at fault."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--pip-audit", type=Path, metavar="FILE", help="the program pip-audit")
    args = parser.parse_args(arguments)
    licences = {name: licence_of(package) for name, package in sorted(required().items())}
    print(f"Licences of {len(licences)} packages:")
    for licence in sorted(set(licences.values())):
        names = [name for name in licences if licences[name] == licence]
        print(f"  {licence or 'none named'}: {', '.join(names)}")
    faults = [
        f"{name}: its licence, {licence or 'which it does not name'}, is none of those allowed"
        for name, licence in licences.items()
        if not is_allowed(licence)
    ]
    if args.pip_audit is None:
        print("Advisories were not looked for: --pip-audit names the program that does")
    else:
        try:
            found, unchecked = advisories(run_pip_audit(args.pip_audit), licences)
            print(f"Advisories: {len(found)}, on {len(licences) - len(unchecked)} packages")
            faults += found
            if unchecked:  # an index may hold packages and no advisories
                name, reason = next(iter(unchecked.items()))
                faults.append(
                    f"{len(unchecked)} packages could not be checked, the first {name} ({reason}): "
                    "run this where the database of advisories can be reached"
                )
        except OSError as error:
            faults.append(str(error))
    for fault in faults:
        print(fault, file=sys.stderr)
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
