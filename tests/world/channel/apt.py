"""A private apt: downloads packages as if for an empty machine, without root and without a trace.

Its sources are the machine's own, so mirrors, proxies and signatures are those its administrator chose.
"""

import os
import platform
import shutil
import subprocess
from pathlib import Path

#: Only the distribution's own suites: a third party's repository would make the channel differ by machine.
SUITES = ("", "-updates", "-security")

#: apt reads these after the machine's configuration. Images for containers hook `apt-get update` to
#: delete caches, desktops to call a daemon; neither may happen for a private one.
CONFIGURATION = """\
Dir::State "{home}/state";
Dir::State::lists "{home}/state/lists";
Dir::State::status "{home}/state/status";
Dir::Cache "{home}/cache";
Dir::Cache::archives "{home}/cache/archives";
Dir::Etc::sourcelist "{home}/sources.list";
Dir::Etc::sourceparts "/dev/null";
Dir::Etc::preferences "{home}/preferences";
Dir::Etc::preferencesparts "/dev/null";
APT::Architecture "amd64";
APT::Install-Recommends "false";
APT::Sandbox::User "root";
Acquire::Languages "none";
Acquire::Retries "3";
#clear APT::Update::Pre-Invoke;
#clear APT::Update::Post-Invoke;
#clear APT::Update::Post-Invoke-Success;
#clear DPkg::Post-Invoke;
#clear Acquire::IndexTargets::deb::DEP-11;
"""


#: Proxies may be set in the environment; output is parsed, so its language may not.
ENVIRONMENT = dict(os.environ, LC_ALL="C.UTF-8")


class AptError(Exception):
    pass


class Apt:
    """One configuration below `home`, for one release."""

    def __init__(self, home, sources, origin):
        self.home = Path(home)
        for folder in ("state/lists/partial", "cache/archives/partial"):
            (self.home / folder).mkdir(parents=True, exist_ok=True)
        (self.home / "state/status").write_text("")  # nothing is installed: closures come out whole
        (self.home / "sources.list").write_text("".join(line + "\n" for line in sources))
        (self.home / "preferences").write_text(f"Package: *\nPin: release o={origin}\nPin-Priority: 990\n")
        self.configuration = self.home / "apt.conf"
        self.configuration.write_text(CONFIGURATION.format(home=self.home))

    def update(self):
        self._run("apt-get", "update", "-q", "--error-on=any")

    def depends(self, package):
        """The packages named by the direct dependencies of a package."""
        lines = self._run("apt-cache", "depends", package).splitlines()
        return [line.split(":", 1)[1].strip() for line in lines if line.strip().startswith("Depends:")]

    def download(self, roots, folder):
        """Downloads the closure of `roots` into `folder`; apt checks every hash against the signed index."""
        self._run("apt-get", "install", "-y", "-q", "--download-only", *roots)
        folder.mkdir(parents=True, exist_ok=True)
        for archive in sorted((self.home / "cache/archives").glob("*.deb")):
            shutil.move(archive, folder / archive.name)

    def fetch(self, packages, folder):
        """Downloads these packages and nothing that they depend on."""
        folder.mkdir(parents=True, exist_ok=True)
        self._run("apt-get", "download", "-q", *packages, folder=folder)

    def original_source(self, source, folder):
        """Downloads upstream's tarball of a source package; the distribution's patches stay behind."""
        for line in self._run("apt-get", "source", "--print-uris", "-qq", source).splitlines():
            uri, name, _, checksum = line.split()
            if ".orig.tar." in name and not name.endswith(".asc"):
                folder.mkdir(parents=True, exist_ok=True)
                target = folder / name
                fetch = ("download-file", uri.strip("'"), target, checksum)
                self._run("/usr/lib/apt/apt-helper", *fetch)
                return target
        raise AptError(f"the archive has no .orig.tar of {source}")

    def _run(self, program, *arguments, folder=None):
        command = [program, "-c", str(self.configuration), *map(str, arguments)]
        done = subprocess.run(command, capture_output=True, text=True, env=ENVIRONMENT, cwd=folder)
        if done.returncode:
            raise AptError(f"{' '.join(command)}\n{done.stdout[-2000:]}{done.stderr[-4000:]}")
        return done.stdout


def release():
    """ID, VERSION_ID and codename of the machine, from os-release(5)."""
    values = platform.freedesktop_os_release()
    try:
        return values["ID"], values["VERSION_ID"], values["VERSION_CODENAME"]
    except KeyError as missing:
        raise AptError(
            f"os-release has no {missing}: only releases of Debian and Ubuntu are supported"
        ) from None


def sources_of(codename):
    """The machine's own deb and deb-src lines for its release."""
    wanted = {codename + suffix for suffix in SUITES}
    lines = []
    for options, uri, suite, components in machine_sources():
        if suite in wanted and "main" in components:
            lines += [f"{kind} {options}{uri} {suite} {' '.join(components)}" for kind in ("deb", "deb-src")]
    if not lines:
        raise AptError(f"no source for {' or '.join(sorted(wanted))} in /etc/apt/sources.list*")
    return sorted(set(lines))


def mirrors(codename):
    """(archive, security archive) of the machine's release, to ask them for another one."""
    uris = {suite: uri for _, uri, suite, _ in machine_sources()}
    if codename not in uris:
        raise AptError(f"no source for {codename} in /etc/apt/sources.list*")
    return uris[codename], uris.get(codename + "-security")


def machine_sources(etc=Path("/etc/apt")):
    """(options, uri, suite, components) of every enabled binary source, both formats of sources.list(5)."""
    one_line = [etc / "sources.list", *sorted((etc / "sources.list.d").glob("*.list"))]
    for path in one_line:
        if path.is_file():
            yield from _one_line(path.read_text())
    for path in sorted((etc / "sources.list.d").glob("*.sources")):
        yield from _deb822(path.read_text())


def _one_line(text):
    for line in text.splitlines():
        line = line.split("#", 1)[0].strip()
        if not line.startswith(("deb ", "deb\t")):
            continue
        rest, options = line[3:].strip(), ""
        if rest.startswith("["):
            inside, rest = rest[1:].split("]", 1)
            options = _options(dict(option.split("=", 1) for option in inside.split()))
        uri, suite, *components = rest.split()
        yield options, uri.rstrip("/"), suite, components


def _deb822(text):
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    for stanza in "\n".join(lines).split("\n\n"):
        fields, name = {}, None
        for line in stanza.splitlines():
            if line[:1].isspace() and name:
                fields[name] += "\n" + line.strip()
            elif ":" in line:
                name, value = line.split(":", 1)
                name = name.strip().lower()
                fields[name] = value.strip()
        if "deb" not in fields.get("types", "").split() or fields.get("enabled", "yes").lower() == "no":
            continue
        options = _options(fields)
        for uri in fields["uris"].split():
            for suite in fields["suites"].split():
                yield options, uri.rstrip("/"), suite, fields.get("components", "").split()


def _options(fields):
    """Of a source's options only the key matters to a private apt; an embedded key is left to the default."""
    key = {name.lower(): value for name, value in fields.items()}.get("signed-by", "")
    return f"[signed-by={key}] " if key.startswith("/") and "\n" not in key else ""
