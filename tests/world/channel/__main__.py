"""`channel.sh` runs this in the tools' venv, under its lock."""

import argparse
import os
import sys
from pathlib import Path

from . import bash, cpython, debs, geo, index, inputs, julia, languages, octave, products, programs, python, r
from . import refresh, steps, tiny, wheels, zsh
from .products import Product


def main():
    parser = argparse.ArgumentParser(prog="channel.sh", description=__doc__)
    parser.add_argument("command", choices=["build", "refresh"])
    parser.add_argument("--world", type=Path, required=True, help="folder of the world below target/")
    parser.add_argument("--stamp", default="", help="what the finished channels are marked with")
    arguments = parser.parse_args()
    try:
        if arguments.command == "refresh":
            refresh.refresh()
        else:
            build(arguments.world, arguments.stamp)
    except Exception as error:
        if os.environ.get("CHANNEL_TRACEBACK"):
            raise
        steps.say(f"FAILED: {error} (CHANNEL_TRACEBACK=1 shows where)")
        sys.exit(1)


def build(world, stamp):
    cache = world / "cache"
    for folder in (cache, cache / "products", world):
        steps.sweep(folder)
    made = {"conda-forge": plan(cache), "tiny": [Product("tiny", tiny.build, (), ())]}
    folders = products.build([product for some in made.values() for product in some], cache / "products")
    remaining = iter(folders)
    with steps.appearing(world / "channels") as part:
        for channel, some in made.items():
            assemble(part / channel, [next(remaining) for _ in some])
        (part / ".stamp").write_text(stamp)
    steps.used(cache / "products")
    steps.expire(cache)
    report(world / "channels")


def plan(cache):
    """Every product of the channel `conda-forge`."""
    distribution = inputs.distribution(cache)
    available, found = distribution.debs, {}
    for group in languages.GROUPS:
        if part := languages.find(group, cache, available):
            found[group.name], available = part, available | part.libraries
    packages, known = debs.libraries(available)
    planned = [
        Product(f"lib-{name}", debs.build_library, (name, deb, known), (name, deb.sha256, known.key))
        for name, deb in packages.items()
    ]
    planned += plan_python(cache, distribution, known)
    planned += plan_r(distribution.debs, known)
    planned += plan_julia(cache, known)
    if "programs" in found:
        planned += plan_programs(cache, found["programs"], known)
    return planned


def plan_python(cache, distribution, known):
    minor, tzdata = distribution.python, distribution.debs["tzdata"]
    version = distribution.source.version
    folder, key = cpython.compiled(distribution.source, cache)
    steps.used(folder)
    planned = [
        Product("python", python.build, (folder, version, known), (key, version, known.key)),
        Product("python_abi", python.build_abi, (minor,), (minor,)),
        Product("tzdata", python.build_tzdata, (tzdata,), (tzdata.sha256,)),
    ]
    newest, older = (list(map(wheels.read, paths)) for paths in inputs.wheels(cache, minor))
    by_name, markers = {wheel.name: wheel for wheel in newest}, wheels.environment(version)
    for wheel in newest + older:
        specs = wheels.depends(wheel, by_name, markers)
        inputs_of = (steps.file_digest(wheel.path), minor, known.key, *specs)
        planned.append(
            Product(
                f"wheel-{wheel.name}-{wheel.version}", wheels.build, (wheel, specs, minor, known), inputs_of
            )
        )
    return planned


def plan_r(available, known):
    base, shell, fonts = available["r-base-core"], available["bash"], available["fonts-dejavu-core"]
    version, others = r.version(base), tuple(sorted(name for name in available if name.startswith("r-cran-")))
    planned = [
        Product("bash", bash.build, (shell, known), (shell.sha256, known.key)),
        Product("fonts-dejavu", r.build_fonts, (fonts,), (fonts.sha256,)),
        Product("r-base", r.build_base, (base, known), (base.sha256, known.key)),
    ]
    for name in others:
        deb = available[name]
        planned.append(
            Product(
                r.conda_name(deb),
                r.build_package,
                (deb, others, version, known),
                (deb.sha256, version, known.key, *others),
            )
        )
    return planned


def plan_julia(cache, known):
    kernel = Product("julia-mini-kernel", julia.build_kernel, (), (julia.KERNEL.read_bytes(),))
    closure = inputs.julia(cache)
    if closure is None:
        return []
    checksums = sorted(deb.sha256 for deb in closure.values())
    return [Product("julia", julia.build, (closure, known), (known.key, *checksums)), kernel]


def plan_programs(cache, found, known):
    folder, key = zsh.compiled(found.sources["zsh"], cache)
    version = found.sources["zsh"].version
    planned = [Product("zsh", zsh.build, (folder, version, key, known), (key, known.key))]
    for name, function, members in (
        ("gnuplot", programs.build_gnuplot, ("gnuplot-nox", "gnuplot-data")),
        ("lua", programs.build_lua, ("lua5.4",)),
        ("octave", octave.build, ("octave", "octave-common")),
        ("libgdal-core", geo.build_gdal, ("gdal-bin", "gdal-data")),
        ("proj", geo.build_proj, ("proj-bin", "proj-data")),
    ):
        planned.append(from_debs(name, function, [found.programs[member] for member in members], known))
    return planned


def from_debs(name, function, parts, known):
    return Product(name, function, (*parts, known), (known.key, *(part.sha256 for part in parts)))


def assemble(channel, folders):
    """Hard links of the products' packages, and the index over them."""
    for folder in folders:
        for archive in (folder / "out").glob("*/*"):
            target = channel / archive.parent.name / archive.name
            target.parent.mkdir(parents=True, exist_ok=True)
            os.link(archive, target)
    index.write(channel)


def report(channels):
    for channel in sorted(channels.iterdir()):
        if channel.is_dir():
            archives = [path for path in channel.glob("*/*") if path.name.endswith((".conda", ".tar.bz2"))]
            size = sum(path.stat().st_size for path in archives)
            steps.say(f"channel {channel.name}: {len(archives)} packages, {size / 1e6:.0f} MB")


if __name__ == "__main__":
    main()
