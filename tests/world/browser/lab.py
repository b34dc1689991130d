"""JupyterLab as a person sees it: what is on the page, and what can be clicked and typed there."""

import re
import time
from urllib.parse import quote, unquote, urlsplit

from playwright.sync_api import Error

#: Where the login page asks for a password or a token; it has a second field, to set a password.
PASSWORD = "#password_input"
TAB = "#jp-main-dock-panel .lm-TabBar-tab"
LAUNCHER = ".jp-Launcher:visible"

#: Dialogs that a person would click away, and the button.
EXPECTED_DIALOGS = {"Rename file": "accept", "Server Connection Error": "reject"}

#: How many seconds a kernel must look ready by its indicator: for a moment a new notebook says `idle`
#: before it has a kernel. After a lost connection JupyterLab says `unknown` until a cell has run again.
STEADY = {"idle": 0.5, "unknown": 2}

#: How many seconds a page that was loaded must show the same document: JupyterLab opens what was open
#: last time, then what the address names.
SETTLED = 1

KERNELSPECS = """async patience => {
  const config = JSON.parse(document.getElementById('jupyter-config-data').textContent);
  const answer = await fetch(config.baseUrl + 'api/kernelspecs', {signal: AbortSignal.timeout(patience)});
  return answer.json();
}"""


class Refused(Exception):
    """The page does not do what it was asked for; the text says what it shows instead."""


class Lab:
    def __init__(self, page, patience):
        self._page = page
        self._patience = patience
        self._url = None
        self._token = None
        self._console = []
        self._cells = 0
        page.set_default_timeout(patience * 1000)
        page.on("console", lambda said: said.type == "error" and self._note("error", said.text))
        page.on("pageerror", lambda error: self._note("exception", str(error)))
        page.on("requestfailed", lambda request: self._note("request", f"{request.url}: {request.failure}"))

    # What can be asked for.

    def open(self, url, token, login="typed"):
        """Opens JupyterLab and logs in: `typed` into the login page, or in the `address`."""
        self._url, self._token = url.rstrip("/"), token
        if login == "address":
            self._page.goto(f"{self._url}/lab?token={quote(token, safe='')}")
        else:
            self._page.goto(f"{self._url}/lab")
            password = self._page.locator(PASSWORD)
            if not password.is_visible():
                raise Refused(f"no login page at {self._page.url}")
            password.press_sequentially(token)
            with self._page.expect_navigation():
                password.press("Enter")
        if self._page.locator(PASSWORD).is_visible():
            message = " ".join(self._page.locator(".message").all_inner_texts()).strip()
            raise Refused(f"the login page stays: {message or 'without a message'}")
        self._await_lab()

    def launcher(self):
        """The launcher's cards for notebooks in their order, and what the server says of its kernels."""
        specs = self._kernelspecs()
        self._show_launcher()
        return {
            "cards": [card for card, _ in self._cards(specs)],
            "default": specs["default"],
            "kernelspecs": [
                {"name": name, "label": label} for name, label in _display_names(specs).items()
            ],
        }

    def notebook(self, kernel):
        """Makes a notebook with the launcher's card of that kernel; its path."""
        specs = self._kernelspecs()
        self._show_launcher()
        cards = self._cards(specs)
        of_kernel = [locator for card, locator in cards if card["name"] == kernel]
        if len(of_kernel) != 1:
            shown = ", ".join(f"{card['label']} ({card['name']})" for card, _ in cards)
            raise Refused(f"{len(of_kernel)} cards for the kernel {kernel}; the launcher shows {shown}")
        of_kernel[0].click()
        path = self._await("a notebook", self._current_path)
        self._await_kernel(path, _display_names(specs)[kernel])
        return path

    def run(self, path, code):
        """Types code into an empty cell at the notebook's end and runs it; what is shown beneath."""
        notebook = self._await_kernel(path)
        cell = self._new_cell(notebook)
        cell.locator(".cm-content").click()
        self._page.keyboard.insert_text(code)
        self._page.keyboard.press("Shift+Enter")
        number = self._await(
            "the end of the cell", lambda: re.fullmatch(r"\[(\d+)\]:", self._prompt(cell))
        )
        outputs = [
            {"mime": output.get_attribute("data-mime-type"), "text": output.inner_text()}
            for output in cell.locator(".jp-OutputArea-output").all()
        ]
        return {"number": int(number[1]), "kernel": _kernel_label(notebook), "outputs": outputs}

    def reload(self):
        """Saves the notebook that is seen, as a person would, and loads the page again."""
        path = self._current_path()
        if path:
            self._save(path)
        self._page.reload()
        if self._page.locator(PASSWORD).is_visible():
            raise Refused("the login page instead of the page that was there")
        self._await_lab()

    def console(self):
        """What went wrong on the page since it was opened."""
        # Events are heard only during a call.
        self._page.wait_for_timeout(50)
        return self._console

    def screenshot(self):
        return self._page.screenshot(timeout=10_000).hex()

    def evidence(self):
        """For whoever looks into a failure; never one itself."""
        evidence = {"console": self._console}
        for name, look in (
            ("address", lambda: self._without_token(self._page.url)),
            ("page", lambda: self._page.locator("body").inner_text(timeout=5_000)[:2000]),
            ("screenshot", self.screenshot),
        ):
            try:
                evidence[name] = look()
            except Error as error:
                evidence[name + "_missing"] = str(error)
        return evidence

    # Waiting.

    def _await(self, what, look):
        """Looks until it sees something; dialogs that are in the way are clicked away."""
        end = time.monotonic() + self._patience
        while True:
            self._dialogs()
            seen = look()
            if seen:
                return seen
            if time.monotonic() > end:
                raise Refused(f"not seen within {self._patience:g} s: {what}")
            # Not `time.sleep`: the page's events are heard meanwhile.
            self._page.wait_for_timeout(50)

    def _dialogs(self):
        for dialog in self._page.locator(".jp-Dialog:visible").all():
            header = dialog.locator(".jp-Dialog-header").inner_text().strip()
            if header not in EXPECTED_DIALOGS:
                raise Refused(f"a dialog is in the way: {dialog.inner_text()!r}")
            self._note("dialog", header)
            dialog.locator(f".jp-mod-{EXPECTED_DIALOGS[header]}").click()
            dialog.wait_for(state="detached")

    def _await_lab(self):
        # Its launcher or what was open last time.
        self._await("JupyterLab", lambda: self._page.locator(TAB).count())
        self._page.locator("#jupyterlab-splash").wait_for(state="detached")
        self._page.wait_for_load_state("networkidle")
        self._await_steady("a page at rest", lambda: self._current_path() or "launcher", lambda _: SETTLED)

    def _await_steady(self, what, look, long_enough):
        """Until it sees the same thing for as many seconds as that thing needs (None: for ever)."""
        before, since = None, 0

        def steady():
            nonlocal before, since
            seen = look()
            if seen != before:
                before, since = seen, time.monotonic()
            seconds = long_enough(seen)
            return seconds is not None and time.monotonic() - since >= seconds

        self._await(what, steady)

    def _await_kernel(self, path, label=None):
        """Until the notebook is seen and its kernel can run a cell; the notebook's panel."""
        panel = self._show_notebook(path)

        def status():
            if not panel.is_visible():
                self._tab(path).click()
                return None
            return self._kernel_status(panel, label)

        self._await_steady(f"the kernel {label or _kernel_label(panel)} is ready", status, STEADY.get)
        return panel

    def _kernel_status(self, notebook, label):
        indicator = notebook.locator(".jp-Notebook-ExecutionIndicator")
        shown = _kernel_label(notebook)
        if indicator.count() != 1 or shown in (None, "No Kernel") or label not in (None, shown):
            return None
        return indicator.get_attribute("data-status")

    # The page's parts.

    def _kernelspecs(self):
        return self._page.evaluate(KERNELSPECS, self._patience * 1000)

    def _show_launcher(self):
        launcher = self._page.locator(LAUNCHER)
        if not launcher.count():
            self._page.locator("[data-command='launcher:create']:visible").first.click()
            launcher.wait_for()
        self._await("the launcher", lambda: self._current_path() is None)

    def _cards(self, specs):
        """Each card of a notebook as (what it shows, its locator). A kernel's name is known by its icon's
        address, else by a display name that no other kernel has."""
        labels = list(_display_names(specs).items())
        cards = []
        for locator in self._page.locator(f"{LAUNCHER} .jp-LauncherCard[data-category=Notebook]").all():
            label = locator.locator(".jp-LauncherCard-label").inner_text().strip()
            icon = locator.locator("img.jp-Launcher-kernelIcon")
            if icon.count():
                path = urlsplit(icon.get_attribute("src")).path
                name = unquote(re.search(r"/kernelspecs/([^/]+)/", path)[1])
            else:
                names = [name for name, shown in labels if shown == label]
                name = names[0] if len(names) == 1 else None
            cards.append(({"name": name, "label": label}, locator))
        return cards

    def _tabs(self):
        """Each open document as (path, its tab, whether it is the one that is seen)."""
        tabs = []
        for tab in self._page.locator(TAB).all():
            path = re.search(r"^Path: (.*)$", tab.get_attribute("title") or "", re.MULTILINE)
            if path:
                tabs.append((path[1], tab, "lm-mod-current" in tab.get_attribute("class")))
        return tabs

    def _current_path(self):
        return next((path for path, _, current in self._tabs() if current), None)

    def _tab(self, path):
        return next((tab for shown, tab, _ in self._tabs() if shown == path), None)

    def _show_notebook(self, path):
        """Clicks its tab, or opens it by its address where the page has lost it; its panel."""
        tab = self._tab(path)
        if tab is None:
            self._page.goto(f"{self._url}/lab/tree/{quote(path)}")
            self._await_lab()
            tab = self._await(f"the tab of {path}", lambda: self._tab(path))
        # Tab and panel are not changed at the same moment.
        panel = self._page.locator(f"[id='{tab.get_attribute('data-id')}']")
        if self._current_path() != path:
            tab.click()
        self._await(path, lambda: self._current_path() == path and panel.is_visible())
        panel.locator(".jp-Notebook-cell").first.wait_for()
        return panel

    def _new_cell(self, notebook):
        """An empty cell beneath the last one. A page that was just loaded goes on adding the notebook's
        cells, in whatever order: the new one is known by being the active one, and gets a mark."""
        active = notebook.locator(".jp-Notebook-cell.jp-mod-active")

        def empty():
            return (
                active.count() == 1
                and self._prompt(active) == "[ ]:"
                and not active.locator(".cm-content").inner_text().strip()
            )

        notebook.locator(".jp-Notebook-cell").last.locator(".jp-InputPrompt").click()
        if not empty():
            self._page.keyboard.press("b")
            self._await("an empty cell", empty)
        self._cells += 1
        active.evaluate("(cell, mark) => cell.setAttribute('data-driven', mark)", str(self._cells))
        return notebook.locator(f"[data-driven='{self._cells}']")

    def _prompt(self, cell):
        return cell.locator(".jp-InputPrompt").inner_text().strip()

    def _save(self, path):
        self._show_notebook(path).locator("[data-command='docmanager:save']").click()
        self._await(
            f"{path} is saved", lambda: "jp-mod-dirty" not in self._tab(path).get_attribute("class")
        )

    def _note(self, kind, text):
        self._console.append({"kind": kind, "text": self._without_token(text)})

    def _without_token(self, text):
        return text.replace(self._token, "…") if self._token else text


def _display_names(specs):
    return {name: spec["spec"]["display_name"] for name, spec in specs["kernelspecs"].items()}


def _kernel_label(notebook):
    name = notebook.locator(".jp-KernelName")
    return name.inner_text().strip() if name.count() == 1 else None
