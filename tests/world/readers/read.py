"""Says in JSON what others read in files: read.py files FILE… | pip < LINES | matching < TABLE.

files:    for each, what conda and, for three platforms, conda-lock make of it, or their objection
pip:      for each line of stdin what pip's reader of requirements files makes of it
matching: for each `requirement<TAB>record` of stdin whether conda's MatchSpec matches
"""

import contextlib
import json
import os
import sys
import tempfile
from pathlib import Path

from conda_lock._vendor.conda.env import env
from conda_lock._vendor.conda.models.channel import Channel
from conda_lock._vendor.conda.models.match_spec import MatchSpec
from conda_lock._vendor.conda.models.records import PackageRecord
from conda_lock.src_parser.environment_yaml import parse_environment_file
from packaging.utils import canonicalize_name

PLATFORMS = ["linux-64", "osx-arm64", "win-64"]


def conda(path):
    """conda's Environment: channels, requirements in canonical form, those of pip, variables."""
    read = env.from_yaml(path.read_text(), filename=str(path))
    return {
        "channels": read.channels,
        "conda": [str(MatchSpec(spec)) for spec in read.dependencies.get("conda", [])],
        "pip": read.dependencies.get("pip", []),
        "variables": len(read.variables or {}),
    }


def conda_lock(path):
    """The names of packages by platform, as conda-lock would lock them."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as names:
        # conda-lock asks the network how PyPI's names are called on conda-forge.
        names.write("{}")
        names.flush()
        spec = parse_environment_file(path, PLATFORMS, mapping_url=f"file://{names.name}")
    return {
        platform: {
            manager: sorted({it.name for it in dependencies if it.manager == manager})
            for manager in ("conda", "pip")
        }
        for platform, dependencies in spec.dependencies.items()
    }


def or_objection(read, *arguments):
    """What a reader says; it may print what it likes, and fail as it likes."""
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return read(*arguments)
    except Exception as error:  # noqa: BLE001 any failure is a refusal
        return {"refused": f"{type(error).__name__}: {error}"}


def pip_line(line):
    """The kind of a line in a requirements file, in the words of envspec's model."""
    from pip._internal.network.session import PipSession
    from pip._internal.req.constructors import install_req_from_parsed_requirement
    from pip._internal.req.req_file import parse_requirements

    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        # What pip looks at while it reads.
        for name in ("requirements.txt", "constraints.txt"):
            Path(name).touch()
        for name in (".", "tools/here"):
            Path(name).mkdir(parents=True, exist_ok=True)
            Path(name, "pyproject.toml").touch()
        Path("line.txt").write_text(line + "\n")
        parsed = list(parse_requirements("line.txt", session=PipSession()))
        for one in parsed:
            requirement = install_req_from_parsed_requirement(one)
            if requirement.editable:
                return {"kind": "editable"}
            named = requirement.link is None or (
                requirement.req is not None and requirement.req.url is not None
            )
            if named:
                return {"kind": "named", "name": canonicalize_name(requirement.name)}
            return {"kind": "path" if requirement.link.scheme == "file" else "url"}
        # An empty file of requirements or constraints, or nothing but options.
        return {"kind": "none"}


def record(text):
    """A record from channel/subdir::name-version-build."""
    place, _, file = text.rpartition("::")
    channel, _, subdir = (place or "conda-forge/linux-64").rpartition("/")
    name, version, build = file.rsplit("-", 2)
    number = build.rpartition("_")[2]
    return PackageRecord(
        name=name,
        version=version,
        build=build,
        build_number=int(number) if number.isdigit() else 0,
        channel=Channel(f"{channel}/{subdir}"),
        subdir=subdir,
        fn=f"{file}.tar.bz2",
        md5="0123456789abcdef0123456789abcdef",
        url=f"https://conda.anaconda.org/{channel}/{subdir}/{file}.tar.bz2",
    )


def matches(requirement, package):
    return "yes" if MatchSpec(requirement).match(record(package)) else "no"


def main():
    match sys.argv[1]:
        case "files":
            answer = {
                name: {
                    "conda": or_objection(conda, Path(name)),
                    "conda_lock": or_objection(conda_lock, Path(name)),
                }
                for name in sys.argv[2:]
            }
        case "pip":
            answer = [or_objection(pip_line, line.rstrip("\n")) for line in sys.stdin]
        case "matching":
            rows = [line.rstrip("\n").split("\t") for line in sys.stdin]
            answer = [or_objection(matches, *row[:2]) for row in rows]
    json.dump(answer, sys.stdout)


main()
