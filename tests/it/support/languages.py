"""Run by an environment's Python: asks Jupyter itself, as a server does, what its kernels do.

Reads from the first argument what is asked of each kernel, prints the name of each that does it all, and
fails with what the first of them did instead.
"""

import base64
import json
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from queue import Empty

from jupyter_client.manager import start_new_kernel

SECONDS = 120

#: More at once would only wait for one another.
AT_ONCE = 4

#: From what a cell has said to the loop that follows.
SETTLE = 0.2

#: How long the output of a cell is waited for that has ended.
LATE = 5

#: How long an interrupt may take.
INTERRUPT = 20


def run(client, cell, says=True):
    """(status, {stream: text}, images) of a cell; asked again while a kernel empties its queue."""
    for _ in range(100):
        asked = client.execute(cell)
        replied = reply_to(client, asked, SECONDS)
        assert replied, f"no reply to {cell!r} within {SECONDS} s"
        status = replied["status"]
        # Of a cell that it throws away, a kernel may say nothing more.
        if not status.startswith("abort"):
            break
        time.sleep(0.1)
    texts, images, idle = {"stdout": "", "stderr": ""}, [], False
    # Some kernels say that they are idle first, and then what the cell has printed.
    while not idle or (says and status == "ok" and not images and not any(texts.values())):
        try:
            message = client.get_iopub_msg(timeout=LATE if idle else SECONDS)
        except Empty:
            assert idle, "the kernel does not say that it is idle"
            break
        kind, content = message["msg_type"], message["content"]
        if message["parent_header"].get("msg_id") != asked:
            continue
        if kind == "stream":
            texts[content["name"]] += content["text"]
        elif kind == "execute_result":
            texts["stdout"] += content["data"]["text/plain"]
        elif kind == "display_data":
            images.append(content["data"].get("image/png", ""))
        idle = idle or (kind == "status" and content["execution_state"] == "idle")
    return status, texts, images


def reply_to(client, asked, seconds):
    """What a cell ended with, None if it has not within the time."""
    limit = time.monotonic() + seconds
    while (left := limit - time.monotonic()) > 0:
        try:
            message = client.get_shell_msg(timeout=left)
        except Empty:
            return None
        if message["parent_header"]["msg_id"] == asked:
            return message["content"]
    return None


def computes(client, asked, prefix):
    """Output is output, errors are errors, and the environment is the one of the kernel's prefix."""
    status, texts, _ = run(client, asked["prints"])
    assert (status, texts["stdout"].strip(), texts["stderr"]) == ("ok", "42", ""), (status, texts)
    status, texts, _ = run(client, asked["prefix"])
    assert (status, texts["stdout"].strip()) == ("ok", prefix), (status, texts)
    if "errs" in asked:
        status, texts, _ = run(client, asked["errs"])
        assert (status, texts["stdout"], texts["stderr"].strip()) == ("ok", "", "odd"), (status, texts)
    if "plots" in asked:
        status, texts, images = run(client, asked["plots"])
        assert base64.b64decode(images[0]).startswith(b"\x89PNG"), (status, texts)


def remembers(client, asked):
    """Whether a variable has the value that was set; one that is not set may be an error."""
    status, texts, _ = run(client, asked["shows"])
    return (status, texts["stdout"].strip()) == ("ok", asked["set"])


def interrupts(kernel, client, asked):
    """A loop without an end ends when it is interrupted, not by itself, and the kernel lives on."""
    cell = client.execute(asked["loops"])
    wait_for_loop(client, cell)
    ended = reply_to(client, cell, SETTLE)
    assert ended is None, f"the loop ended by itself: {ended}"
    kernel.interrupt_kernel()
    assert reply_to(client, cell, INTERRUPT), f"the loop goes on {INTERRUPT} s after the interrupt"
    status, texts, _ = run(client, asked["prints"])
    assert (status, texts["stdout"].strip()) == ("ok", "42"), f"after an interrupt: {status}, {texts}"


def wait_for_loop(client, cell):
    """Until a cell has said that it started."""
    limit = time.monotonic() + SECONDS
    while time.monotonic() < limit:
        message = client.get_iopub_msg(timeout=SECONDS)
        of_cell = message["parent_header"].get("msg_id") == cell
        if of_cell and message["msg_type"] == "stream" and "started" in message["content"]["text"]:
            return
    raise AssertionError("the loop has not started")


def check(name, asked, prefix):
    kernel, client = start_new_kernel(kernel_name=name, startup_timeout=SECONDS)
    try:
        computes(client, asked, prefix)
        if "loops" in asked:
            interrupts(kernel, client, asked)
        assert run(client, asked["sets"], says=False)[0] == "ok", "a variable can't be set"
        assert remembers(client, asked), "a variable that was set does not show"
        kernel.restart_kernel(now=False)
        client.wait_for_ready(timeout=SECONDS)
        assert not remembers(client, asked), "it remembers what was before the restart"
        kernel.shutdown_kernel()
        assert not kernel.is_alive(), "it lives on after it was shut down"
    finally:
        client.stop_channels()
        if kernel.is_alive():
            kernel.shutdown_kernel(now=True)


def main():
    wanted = json.loads(sys.argv[1])
    with ThreadPoolExecutor(AT_ONCE) as threads:
        checked = {name: threads.submit(check, name, asked, sys.prefix) for name, asked in wanted.items()}
    failed = False
    for name, done in checked.items():
        error = done.exception()
        print(name) if error is None else print(f"{name}: {type(error).__name__}: {error}", file=sys.stderr)
        failed = failed or error is not None
    sys.exit(failed)


if __name__ == "__main__":
    main()
