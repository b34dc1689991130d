"""`channel.sh` runs this in the tools' venv, under its lock."""

import argparse
import os
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import bash, cpython, debs, evcxr, geo, index, inputs, julia, languages, octave, products, programs
from . import python, r, refresh, rust, steps, tiny, wheels, zsh
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
    own, newer = plan(cache)
    made = {"conda-forge": own, "pythons": newer, "tiny": [Product("tiny", tiny.build, (), ())]}
    remaining = iter(
        products.build([product for some in made.values() for product in some], cache / "products")
    )
    folders = {channel: [next(remaining) for _ in some] for channel, some in made.items()}
    # One channel has both Pythons: by strict priority a second one would hide the other's packages.
    both = folders.pop("pythons")
    if both:
        folders["pythons"] = folders["conda-forge"] + both
    with steps.appearing(world / "channels") as part:
        for channel, some in folders.items():
            assemble(part / channel, some)
        (part / ".stamp").write_text(stamp)
    steps.used(cache / "products")
    steps.expire(cache)
    report(world / "channels")


def plan(cache):
    """Every product of the channel `conda-forge`, and those that `pythons` has beyond them."""
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
    newest, older = (list(map(wheels.read, paths)) for paths in inputs.wheels(cache, distribution.python))
    newer = inputs.newer_python(cache, distribution.python)
    # Both at once: while one configures, which takes one core, the other compiles.
    with ThreadPoolExecutor() as pool:
        first = pool.submit(cpython.compiled, distribution.source, "-O2", cache)
        # Nobody measures with the second: it is the sooner there.
        second = newer and pool.submit(cpython.compiled, newer, "-O1", cache)
    planned += plan_python(distribution, *first.result(), newest, older, known)
    planned += plan_r(distribution.debs, known)
    planned += plan_julia(cache, known)
    if "programs" in found:
        planned += plan_programs(cache, found["programs"], known)
    planned += plan_rust(cache, known)
    if second is None:
        return planned, []
    return planned, plan_newer_python(cache, distribution, newer, *second.result(), newest, known)


def plan_python(distribution, folder, key, newest, older, known):
    version, minor, tzdata = distribution.source.version, distribution.python, distribution.debs["tzdata"]
    planned = plan_cpython(folder, key, version, minor, known)
    planned.append(Product("tzdata", python.build_tzdata, (tzdata,), (tzdata.sha256,)))
    by_name, markers = by_names(newest), wheels.environment(version)
    for wheel in newest + older:
        planned.append(from_wheel(wheel, wheels.depends(wheel, by_name, markers), minor, known))
    return planned


def plan_newer_python(cache, distribution, source, folder, key, shared, known):
    """The second CPython and its compiled wheels. The pure ones are `shared` with the first."""
    minor = inputs.NEWER_PYTHON
    planned = plan_cpython(folder, key, source.version, minor, known)
    first, second = wheels.environment(distribution.source.version), wheels.environment(source.version)
    by_name = by_names(shared)
    for wheel in shared:
        # conda has no markers: what the first Python needs must be enough for the second.
        more = set(wheels.depends(wheel, by_name, second)) - set(wheels.depends(wheel, by_name, first))
        if wheel.pure and more:
            raise inputs.InputError(f"{wheel.path.name} needs on Python {minor} alone: {sorted(more)}")
    compiled = [wheel.name for wheel in shared if not wheel.pure and wheel.name not in wheels.PROGRAMS]
    for wheel in map(wheels.read, inputs.some_wheels(cache, minor, compiled)):
        planned.append(from_wheel(wheel, wheels.depends(wheel, by_name, second), minor, known))
    return planned


def plan_cpython(folder, key, version, minor, known):
    return [
        Product(f"python-{minor}", python.build, (folder, version, known), (key, version, known.key)),
        Product(f"python_abi-{minor}", python.build_abi, (minor,), (minor,)),
    ]


def by_names(newest):
    return {wheel.name: wheel for wheel in newest}


def from_wheel(wheel, specs, minor, known):
    inputs_of = (steps.file_digest(wheel.path), minor, known.key, *specs)
    name = f"wheel-{wheel.name}-{wheel.version}"
    return Product(name, wheels.build, (wheel, specs, minor, known), inputs_of)


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


def plan_rust(cache, known):
    toolchain = rust.toolchain()
    if toolchain is None:
        return []
    folder, key = evcxr.compiled(toolchain, cache)
    return [
        Product("rust", rust.build, (toolchain, known), (toolchain.described, known.key)),
        Product("evcxr", evcxr.build, (folder, key, known), (key, known.key)),
    ]


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
