"""Makes configs/ part of the package, as df2s2_d2/configs; pyproject.toml says all else."""

from setuptools import find_namespace_packages, find_packages, setup

# Folders without __init__.py are packages to setuptools, which has to be told of all of them.
CONFIGS = [
    "df2s2_d2.configs",
    *(f"df2s2_d2.configs.{x}" for x in find_namespace_packages("configs")),
]

setup(
    packages=[*find_packages(include=["df2s2_d2*"]), *CONFIGS],
    package_dir={"df2s2_d2.configs": "configs"},
)
