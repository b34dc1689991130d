"""A headless Chromium before JupyterLab, told what to do line by line. README.md has the words.

It reads one JSON object a line and answers each with one line. When its input ends, it ends with all
that it started.
"""

import argparse
import fcntl
import json
import os
import shutil
import signal
import sys
import tempfile
from pathlib import Path

from playwright.sync_api import Error, sync_playwright

from lab import Lab, Refused

CHROMIUM = "/usr/bin/chromium"

#: Beside what Playwright sets, which keeps Chromium from calling home: --disable-background-networking,
#: --disable-component-update, --disable-sync, --no-first-run and more.
OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-quic"]

FOLDERS = "envspec-browser-"


def main():
    arguments = argparse.ArgumentParser(prog="browser")
    arguments.add_argument("--patience", type=float, default=60, help="seconds that a step may take")
    patience = arguments.parse_args().patience
    # A signal ends this program at once: what it started then sees its pipes close, and ends as well.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    folder, lock = private_folder()
    try:
        with sync_playwright() as playwright:
            context = start(playwright, folder)
            try:
                serve(Lab(context.pages[0], patience), folder)
            finally:
                context.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        lock.close()


def private_folder():
    """Home, profile and temporary files of this browser alone, and the lock that says that it lives."""
    for left in Path(tempfile.gettempdir()).glob(FOLDERS + "*"):
        sweep(left)
    # It has its name once it is locked: others sweep what nobody has locked.
    unnamed = Path(tempfile.mkdtemp(prefix="." + FOLDERS))
    lock = open(unnamed / "lock", "w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    folder = unnamed.rename(unnamed.with_name(unnamed.name[1:]))
    for name in ("home", "profile", "tmp"):
        (folder / name).mkdir()
    os.environ["HOME"] = str(folder / "home")
    os.environ["TMPDIR"] = str(folder / "tmp")
    for name in [name for name in os.environ if name.startswith("XDG_")]:
        del os.environ[name]
    return folder, lock


def sweep(left):
    """Removes what a killed browser has left, if it is this user's."""
    try:
        with open(left / "lock") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(left, ignore_errors=True)
    except OSError:
        pass


def start(playwright, folder):
    return playwright.chromium.launch_persistent_context(
        folder / "profile",
        executable_path=CHROMIUM,
        headless=True,
        chromium_sandbox=False,
        args=OPTIONS,
        viewport={"width": 1400, "height": 900},
    )


def serve(lab, folder):
    words = {
        "open": lab.open,
        "launcher": lab.launcher,
        "notebook": lab.notebook,
        "run": lab.run,
        "reload": lab.reload,
        "console": lab.console,
        "screenshot": lab.screenshot,
    }
    say({"ready": str(folder)})
    for line in sys.stdin:
        request = json.loads(line)
        word = request.pop("do")
        try:
            say({"ok": words[word](**request)})
        except (Refused, Error) as error:
            say({"error": f"{word}: {error}", **lab.evidence()})


def say(answer):
    print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    main()
