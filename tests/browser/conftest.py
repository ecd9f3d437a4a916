"""A private JupyterLab and a headless Chromium, for the one test that looks at a notebook as a reader does."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import pytest
import skip_reasons

from physlm_lite.bench import reaction

TOKEN = "browser-test"
# No sandbox: CI runs as root, where Chromium's sandbox does not start, and the page is our own. The others keep
# Chromium from looking for updates, from the GPU, and from the small /dev/shm of containers.
CHROMIUM_OPTIONS = [
    "--no-sandbox",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-quic",
    "--disable-gpu",
    "--disable-dev-shm-usage",
]
# No question about news and no look-up of a newer version; and every cell is in the page, not only those in view.
LAB_SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {"fetchNews": "false", "checkForUpdates": False},
    "@jupyterlab/notebook-extension:tracker": {"windowingMode": "none"},
}


class Lab:
    """A JupyterLab server on a free loopback port, with all its configuration in a folder of its own.

    root: what it serves; home: where it and its kernels keep everything else; scale: PHYSLM_SCALE of the kernels.
    """

    def __init__(self, root: Path, home: Path, scale: str) -> None:
        settings = home / "config" / "labconfig" / "default_setting_overrides.json"
        settings.parent.mkdir(parents=True)
        settings.write_text(json.dumps(LAB_SETTINGS))
        folders = {
            "HOME": "",
            "XDG_CACHE_HOME": "cache",
            "XDG_DATA_HOME": "share",
            "IPYTHONDIR": "ipython",
            "JUPYTERLAB_SETTINGS_DIR": "settings",
            "JUPYTERLAB_WORKSPACES_DIR": "workspaces",
            "JUPYTER_CONFIG_DIR": "config",
            "JUPYTER_DATA_DIR": "data",
            "JUPYTER_RUNTIME_DIR": "runtime",
            "MPLCONFIGDIR": "matplotlib",
        }
        environment = {**os.environ, **{name: str(home / folder) for name, folder in folders.items()}}
        environment |= {"PHYSLM_SCALE": scale, "PHYSLM_RUNS": str(home / "runs")}
        environment.pop("MPLBACKEND", None)  # the kernel chooses the one that shows pictures in the page
        self.environment, self.runs = environment, home / "runs"
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = probe.getsockname()[1]
        self.address = f"http://127.0.0.1:{port}"
        self.log = home / "server.log"
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root"]
        command += [f"--ServerApp.port={port}", "--ServerApp.port_retries=0", "--ServerApp.ip=127.0.0.1"]
        command += [f"--ServerApp.root_dir={root}", f"--IdentityProvider.token={TOKEN}"]
        with self.log.open("w") as log:
            # In the process group of the tests, so that whoever ends these from outside ends the server too.
            self.process = subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def call(self, path: str, body: dict | None = None) -> dict:
        """Ask the server's REST interface: GET, or POST when there is a body."""
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(self.address + path, data, {"Authorization": f"token {TOKEN}"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def wait_until_up(self, seconds: float = 120) -> None:
        """Wait until the server answers."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            if self.process.poll() is not None:
                break
            try:
                self.call("/api/status")
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                time.sleep(0.2)
        raise AssertionError(f"JupyterLab did not come up; the end of its log:\n{self.log.read_text()[-3000:]}")

    def start_kernel(self, notebook: str) -> str:
        """Start the notebook's kernel before any page is open; returns its id.

        A page that starts its own kernel calls it idle a moment before it is attached, and loses what is run just then.
        """
        body = {"path": notebook, "name": notebook, "type": "notebook", "kernel": {"name": "python3"}}
        return self.call("/api/sessions", body)["kernel"]["id"]

    def wait_until_idle(self, kernel: str, seconds: float) -> None:
        """Wait until a page is attached to the kernel and the kernel has nothing to do."""
        deadline = time.monotonic() + seconds
        state = {}
        while time.monotonic() < deadline:
            state = self.call(f"/api/kernels/{kernel}")
            if state["connections"] and state["execution_state"] == "idle":
                return
            time.sleep(0.2)
        raise AssertionError(f"the kernel is not attached and idle after {seconds:.0f} s: {state}")

    def page_address(self, notebook: str) -> str:
        """Return the address of the notebook's page."""
        return f"{self.address}/lab/tree/{notebook}?token={TOKEN}&reset"

    def stop(self) -> None:
        """Stop the server, which stops its kernels."""
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait(30)


@pytest.fixture
def lab(tmp_path):
    """A running JupyterLab at the smoke scale; it serves `tmp_path / "notebooks"`."""
    root, home = tmp_path / "notebooks", tmp_path / "home"
    root.mkdir()
    home.mkdir()
    server = Lab(root, home, scale="smoke")
    try:
        server.wait_until_up()
        yield server
    finally:
        server.stop()


@pytest.fixture(scope="session")
def chromium() -> str:
    """The path of a Chromium; without one CI fails, and a reader's own test run skips."""
    found = reaction.chromium()
    if found is None:
        if "CI" in os.environ:
            pytest.fail(skip_reasons.NO_CHROMIUM, pytrace=False)
        pytest.skip(skip_reasons.NO_CHROMIUM)
    return found


@pytest.fixture(scope="session")
def browser(chromium):
    """A running Chromium."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        running = playwright.chromium.launch(executable_path=chromium, args=CHROMIUM_OPTIONS)
        yield running
        running.close()


@pytest.fixture
def page(browser):
    """An empty page in a window of ordinary size."""
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    yield page
    page.context.close()
