"""Makes configs/ part of the package, as df2s2_d2/configs; pyproject.toml says all else."""

from setuptools import find_packages, setup

setup(
    packages=[*find_packages(include=["df2s2_d2*"]), "df2s2_d2.configs"],
    package_dir={"df2s2_d2.configs": "configs"},
)
