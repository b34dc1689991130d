"""Builds the conda channels that the tests install from.

Everything in them is real software: wheels and Debian packages are taken apart and packed again the
way conda-forge lays them out, CPython is compiled for a prefix placeholder. See `../README.md`.
"""
