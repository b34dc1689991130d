"""Writes one conda package: `.conda` or the older `.tar.bz2`.

The bytes depend on the content alone: members are sorted, owners and times are fixed. Two builds from
the same inputs give the same SHA-256, so a lock file made on one machine holds on another.
"""

import bz2
import hashlib
import io
import json
import os
import tarfile
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import zstandard

#: Longest prefix a package can be linked into: conda-build pads its build prefix to 255 bytes, and a
#: binary placeholder can only be overwritten by something shorter.
PLACEHOLDER_LENGTH = 255
PLACEHOLDER = ("/opt/envspec_world/_h_env" + "_placehold" * 30)[:PLACEHOLDER_LENGTH]

#: The time of every file and record, in seconds: 2025-11-22. Solvers order equal builds by timestamp.
EPOCH = 1763800000

#: How much of a file decides whether it is text; conda-build looks for a NUL byte likewise.
TEXT_PROBE = 65536

ZSTD_LEVEL = 9


@dataclass
class Package:
    """What `info/index.json` says of a package; the names of its keys."""

    name: str
    version: str
    build: str
    depends: list[str] = field(default_factory=list)
    constrains: list[str] = field(default_factory=list)
    noarch: str | None = None
    entry_points: list[str] = field(default_factory=list)
    summary: str = ""
    license: str = "see the upstream project"
    timestamp: int = EPOCH
    old_format: bool = False
    #: Whether empty folders are content. paths.json has a type for them, but clients stumble over it.
    empty_folders: bool = False

    @property
    def subdir(self):
        return "noarch" if self.noarch else "linux-64"

    @property
    def stem(self):
        return f"{self.name}-{self.version}-{self.build}"

    @property
    def filename(self):
        return self.stem + (".tar.bz2" if self.old_format else ".conda")

    @property
    def build_number(self):
        """conda-forge's build strings carry the number last (`py_0`) or before a tag (`h12_0_cpython`)."""
        return next((int(part) for part in reversed(self.build.split("_")) if part.isdecimal()), 0)


def write(package, root, out):
    """Packs the files below `root` (relative to the prefix) into `out/<subdir>/`."""
    root, out = Path(root), Path(out)
    contents = sorted(
        (_entry(root, path) for path in _members(root, package.empty_folders)),
        key=lambda entry: entry["_path"],
    )
    metadata = _metadata(package, contents)
    folder = out / package.subdir
    folder.mkdir(parents=True, exist_ok=True)
    files = [(entry["_path"], root / entry["_path"]) for entry in contents]
    info = sorted(("info/" + name, text.encode()) for name, text in metadata.items())
    target = folder / package.filename
    if package.old_format:
        target.write_bytes(bz2.compress(_tar(info + files)))
    else:
        _write_conda(package, info, files, target)
    return target


def _members(root, empty_folders):
    """Files, symlinks and, if asked for, empty folders; a package has no others."""
    for folder, subfolders, names in os.walk(root):
        here = Path(folder)
        links = [name for name in subfolders if (here / name).is_symlink()]
        yield from (here / name for name in names + links)
        if empty_folders and not names and not subfolders and here != root:
            yield here


def _entry(root, path):
    """One entry of `info/paths.json`."""
    entry = {"_path": path.relative_to(root).as_posix()}
    if path.is_symlink():
        data = path.read_bytes() if path.is_file() else b""
        entry["path_type"] = "softlink"
    elif path.is_dir():
        return entry | {"path_type": "directory"}
    else:
        data = path.read_bytes()
        entry["path_type"] = "hardlink"
        if PLACEHOLDER.encode() in data:
            mode = "binary" if b"\0" in data[:TEXT_PROBE] else "text"
            entry |= {"file_mode": mode, "prefix_placeholder": PLACEHOLDER}
    return entry | {"sha256": hashlib.sha256(data).hexdigest(), "size_in_bytes": len(data)}


def _metadata(package, contents):
    index = {
        "arch": None if package.noarch else "x86_64",
        "build": package.build,
        "build_number": package.build_number,
        "constrains": package.constrains,
        "depends": package.depends,
        "license": package.license,
        "name": package.name,
        "platform": None if package.noarch else "linux",
        "subdir": package.subdir,
        "timestamp": package.timestamp * 1000,
        "version": package.version,
    }
    if package.noarch:
        index["noarch"] = package.noarch
    files = [entry for entry in contents if entry["path_type"] != "directory"]
    metadata = {
        "index.json": _json(index),
        "paths.json": _json({"paths": contents, "paths_version": 1}),
        "about.json": _json({"license": package.license, "summary": package.summary}),
        "files": "".join(entry["_path"] + "\n" for entry in files),
    }
    replaced = [entry for entry in files if "prefix_placeholder" in entry]
    if replaced:
        lines = ('"{prefix_placeholder}" {file_mode} "{_path}"\n'.format(**entry) for entry in replaced)
        metadata["has_prefix"] = "".join(lines)
    if package.noarch == "python":
        noarch = {"type": "python", "entry_points": package.entry_points}
        metadata["link.json"] = _json({"noarch": noarch, "package_metadata_version": 1})
    return metadata


def _json(value):
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def _tar(members):
    """A tar of (name, bytes or path of a file) in the order given."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, source in members:
            if isinstance(source, bytes):
                entry = tarfile.TarInfo(name)
                entry.size = len(source)
                archive.addfile(_timeless(entry), io.BytesIO(source))
            else:
                archive.add(source, name, recursive=False, filter=_timeless)
    return buffer.getvalue()


def _timeless(entry):
    entry.uid = entry.gid = 0
    entry.uname = entry.gname = "root"
    entry.mtime = EPOCH
    executable = entry.isdir() or entry.mode & 0o111
    entry.mode = 0o777 if entry.issym() else 0o755 if executable else 0o644
    return entry


def _write_conda(package, info, files, target):
    parts = [
        ("metadata.json", json.dumps({"conda_pkg_format_version": 2}).encode()),
        (f"pkg-{package.stem}.tar.zst", _zstd(_tar(files))),
        (f"info-{package.stem}.tar.zst", _zstd(_tar(info))),
    ]
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for name, data in parts:
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), data)


def _zstd(data):
    return zstandard.ZstdCompressor(level=ZSTD_LEVEL).compress(data)
