"""Programs of more languages from the distribution's packages, and the libraries that they ask for.

By its dependencies Debian's octave would bring Qt. What is wanted here is named
file by file; of all else come only the packages whose libraries those files need, as the loader sees it.
"""

import shutil
from dataclasses import dataclass

from . import apt, debs, elf, geo, inputs, octave, programs, steps


@dataclass(frozen=True)
class Group:
    """What is pinned, downloaded and, where a release lacks some of it, left out together."""

    name: str
    #: {package: what of it, below /usr, the channel has}
    files: dict
    #: Source packages whose tarballs are compiled.
    sources: tuple = ()

    @property
    def pins(self):
        identity, version, _ = apt.release()
        return inputs.PINS / f"debs-{identity}-{version}-{self.name}.txt"


GROUPS = (Group("programs", octave.FILES | programs.FILES | geo.FILES, ("zsh",)),)


@dataclass(frozen=True)
class Found:
    """What a release has of a group; `programs` are the packages that it names itself."""

    programs: dict
    libraries: dict
    sources: dict


def find(group, cache, base):
    """A group, or None where the release has not all of it. `base` are the packages that are there already."""
    identity, _, codename = apt.release()
    key = steps.digest(identity, codename, inputs.text(group.pins), inputs.text(inputs.SOURCES), group)
    folder = cache / f"{group.name}-{key}"
    if not folder.exists():
        steps.say(f"Debian packages: {', '.join(group.files)} and their libraries")
        try:
            with steps.appearing(folder) as part:
                private = apt.Apt(part / "apt", apt.sources_of(codename), origin=identity.capitalize())
                private.update()
                download(group, private, part, base)
                steps.discard(part / "apt")
        except apt.AptError as error:
            steps.warn(f"left out, for this release has not all of {', '.join(group.files)}\n{error}")
            return None
    steps.used(folder)
    unpacked = debs.unpack((folder / "archives").glob("*.deb"), folder / "trees")
    tarballs = (inputs.source(next((folder / "source" / name).iterdir())) for name in group.sources)
    return Found(
        {name: deb for name, deb in unpacked.items() if name in group.files},
        {name: deb for name, deb in unpacked.items() if name not in group.files},
        dict(zip(group.sources, tarballs)),
    )


def download(group, private, part, base):
    """With pins what they name; without, the whole closure, of which most is thrown away again."""
    if group.pins.exists():
        private.fetch(inputs.read_deb_pins(group.pins), part / "archives")
    else:
        choose(group, private, part, base)
    inputs.check_debs(part / "archives", group.pins)
    for name in group.sources:
        inputs.check_source(private.original_source(name, part / "source" / name))


def choose(group, private, part, base):
    """Downloads the closure of a group and leaves in `archives` what the channel will need of it."""
    private.download(group.files, part / "archives")
    archives = {path.name.split("_")[0]: path for path in (part / "archives").glob("*.deb")}
    chosen = reach(group.files, debs.unpack(archives.values(), part / "trees"), base)
    for name, path in archives.items():
        if name not in chosen:
            path.unlink()
    shutil.rmtree(part / "trees")


def reach(files, available, base):
    """The packages of `files` and those whose libraries they need, directly or not."""
    held = {soname for deb in base.values() for soname in debs.sonames(deb)}
    holders = {soname: name for name in sorted(available) for soname in debs.sonames(available[name])}
    chosen, waiting = set(files), []
    for name, patterns in files.items():
        for path in debs.matching(available[name], patterns):
            held.add(path.name)
            waiting += elf.below(path) if path.is_dir() else [path]
    while waiting:
        for soname in elf.wants(waiting.pop()) - held:
            if soname not in holders:
                raise LookupError(f"no package of the closure holds {soname}")
            held.add(soname)
            if holders[soname] not in chosen:
                chosen.add(holders[soname])
                waiting += debs.sonames(available[holders[soname]]).values()
    return chosen
