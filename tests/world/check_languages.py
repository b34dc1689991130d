"""The kernels of more languages: each is brought into Jupyter as on conda-forge, and computes 42."""

import json
from dataclasses import dataclass

from checking import RUN_CELL, Environment


@dataclass(frozen=True)
class Kernel:
    packages: tuple
    cell: str
    #: argv[0] of the kernelspec that the package ships, `{prefix}` for the prefix; None if it ships none.
    shipped: str | None = None
    #: What brings the kernelspec if the package does not: a command of the activated environment.
    installer: tuple = ()
    printed: str = "42"


KERNELS = {
    "gnuplot": Kernel(
        ("gnuplot", "gnuplot_kernel"),
        "print 6*7",
        installer=("python", "-m", "gnuplot_kernel", "install", "--sys-prefix"),
    ),
    "lua": Kernel(("lua", "ilua"), "print(6*7)", "python"),
    "octave": Kernel(("octave", "octave_kernel"), "disp(6*7)", "python"),
    "rust": Kernel(
        ("evcxr",), 'println!("{}", 6*7);', installer=("sh", "{prefix}/bin/.evcxr-post-link.sh")
    ),
    "xonsh": Kernel(
        ("xonsh", "xontrib-jupyter"),
        "print(6*7)",
        installer=("xonsh", "-c", "xontrib load jupyter; xonfig jupyter-kernel --prefix {prefix}"),
    ),
    "xpython": Kernel(("xeus-python",), "print(6*7)", "{prefix}/bin/python"),
    "zsh": Kernel(
        ("zsh", "zsh-jupyter-kernel"),
        "echo $((6*7))",
        installer=("python", "-m", "zsh_jupyter_kernel.install", "--sys-prefix"),
    ),
}


def present(channel):
    """Those whose packages the channel has; a release without one of them builds it without all."""
    names = {path.name.rsplit("-", 2)[0] for path in channel.glob("*/*-*-*.*")}
    return {name: kernel for name, kernel in KERNELS.items() if names.issuperset(kernel.packages)}


def specs(kernels):
    wanted = {package for kernel in kernels.values() for package in kernel.packages}
    return ["python", "nbclient", "pip", "libgdal-core", "nodejs", *sorted(wanted)]


def run(checks, prefix, folder, kernels):
    environment = Environment(prefix, folder)
    # ilua makes a pipe there, and Jupyter's server would have made the folder.
    (folder / ".local/share/jupyter/runtime").mkdir(parents=True, exist_ok=True)
    checks.run("languages: pip check", environment.run, "pip", "check")
    checks.run("languages: kernelspecs", check_shipped, prefix, kernels)
    checks.run("languages: PROJ and GDAL", check_geo, environment)
    checks.run("languages: npm is node's", check_npm, environment)
    for name, kernel in kernels.items():
        if kernel.installer:
            checks.run(f"kernelspec: {name}", check_installer, environment, name, kernel.installer)
        checks.run(f"cell: {name}", check_cell, environment, name, kernel)


def check_shipped(prefix, kernels):
    first = {
        path.parent.name: json.loads(path.read_text())["argv"][0]
        for path in prefix.glob("share/jupyter/kernels/*/kernel.json")
    }
    for name, kernel in kernels.items():
        wanted = kernel.shipped and kernel.shipped.format(prefix=prefix)
        assert first.get(name) == wanted, f"{name}: {first.get(name)}, not {wanted}"
    return ", ".join(f"{name}: {first}" for name, first in sorted(first.items()))


def check_installer(environment, name, command):
    environment.run(*(part.format(prefix=environment.prefix) for part in command))
    path = environment.prefix / "share/jupyter/kernels" / name / "kernel.json"
    return json.loads(path.read_text())["argv"][0]


def check_cell(environment, name, kernel):
    """Above what a cell prints, some kernels warn: ilua that it cannot be interrupted, gnuplot of no plot."""
    printed = environment.python(RUN_CELL, name, kernel.cell).strip()
    assert printed.splitlines()[-1:] == [kernel.printed], f"printed {printed!r}, not {kernel.printed!r}"
    return kernel.printed


def check_geo(environment):
    """UTM's zone 33 is about 15 degrees east: its database is found, where activation says that it is."""
    for name in ("proj", "gdal"):
        assert environment.variables[f"{name.upper()}_DATA"] == f"{environment.prefix}/share/{name}"
    assert "GDAL_DRIVER_PATH" not in environment.variables
    seen = environment.run("sh", "-c", 'echo "0 15" | cs2cs EPSG:4326 EPSG:32633').split()
    assert [round(float(value)) for value in seen[:2]] == [500000, 0], seen
    assert "WGS 84 / UTM zone 33N" in environment.run("gdalsrsinfo", "-o", "wkt2", "EPSG:32633")
    return " ".join(seen)


def check_npm(environment):
    """What it installs for all goes into the prefix."""
    assert environment.run("npm", "prefix", "--global") == str(environment.prefix)
    return environment.run("npm", "--version")
