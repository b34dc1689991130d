"""py-rattler doing what envspec does: run as a process of its own, prints its seconds.

    python -m measure.peer install LOCK PREFIX CACHE
    python -m measure.peer solve CHANNEL_URL GLIBC CACHE SPEC...
    python -m measure.peer nothing

The seconds are those of the work alone, without the start of Python and the import.
"""

from __future__ import annotations

import asyncio
import os
import sys
import time

from rattler import (
    BuildString,
    Channel,
    Gateway,
    GenericVirtualPackage,
    LockFile,
    PackageName,
    SourceConfig,
    Version,
    install,
    solve,
)


async def install_lock(lock: str, prefix: str, cache: str) -> None:
    """Installs what a lock holds; nothing is registered, captured or receipted."""
    read = LockFile.from_path(lock)
    platform = read.platforms()[0]
    records = read.default_environment().conda_repodata_records_for_platform(platform)
    await install(
        records,
        target_prefix=prefix,
        cache_dir=cache,
        installed_packages=[],
        show_progress=False,
        execute_link_scripts=False,
    )


async def solve_specs(channel: str, glibc: str, cache: str, *specs: str) -> None:
    """Solves in a channel that is read as one file, as envspec must there."""
    gateway = Gateway(cache_dir=cache, default_config=SourceConfig(sharded_enabled=False))
    virtual = [
        GenericVirtualPackage(PackageName(name), Version(version), BuildString(build))
        for name, version, build in (
            ("__unix", "0", "0"),
            ("__linux", "6.8", "0"),
            ("__glibc", glibc, "0"),
            ("__archspec", "1", "x86_64_v3"),
        )
    ]
    solved = await solve(
        [Channel(channel)],
        list(specs),
        gateway=gateway,
        platforms=["linux-64", "noarch"],
        virtual_packages=virtual,
    )
    print("packages", len(solved))


def main() -> None:
    verb, *words = sys.argv[1:]
    begin = time.perf_counter()
    if verb == "install":
        asyncio.run(install_lock(*words))
    elif verb == "solve":
        asyncio.run(solve_specs(*words))
    print("seconds", time.perf_counter() - begin, flush=True)
    # py-rattler's threads outlive the loop, and now and then one of them meets a Python
    # that is being taken down (a crash at exit, after the work): not waited for.
    os._exit(0)


main()
