"""Chromium without a window, logged in to a server's admin, which forgives nothing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from axe_playwright_python.sync_playwright import Axe  # type: ignore[import-untyped]
from playwright.sync_api import BrowserContext, Page, sync_playwright

from tests.support import harness

PASSWORD = "for tests only"
POLICY = "default-src 'self'"
"""The Content-Security-Policy that each page is given."""


def create_users(tmp_path: Path) -> None:
    """Migrate, and make a superuser ``admin`` and ``staff``, who may do nothing."""
    code = (
        "import django; django.setup()\n"
        "from django.contrib.auth.models import User\n"
        "from django.core.management import call_command\n"
        "call_command('migrate', verbosity=0)\n"
        "call_command('collectstatic', interactive=False, verbosity=0)\n"
        f"User.objects.create_superuser('admin', password={PASSWORD!r})\n"
        f"User.objects.create_user('staff', password={PASSWORD!r}, is_staff=True)\n"
    )
    made = harness.run_python(tmp_path, code)
    assert made.returncode == 0, made.stderr


class Visitor:
    """A user's browser; what its console says, or a page refuses, is in ``faults``."""

    def __init__(self, context: BrowserContext, port: int) -> None:
        self.page: Page = context.new_page()
        self.origin = f"http://127.0.0.1:{port}"
        self.faults: list[str] = []
        self.page.on("console", self._note)
        self.page.on("pageerror", lambda error: self.faults.append(str(error)))
        self.page.route("**/*", self._answer)

    def _note(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.faults.append(message.text)

    def _answer(self, route: Any) -> None:
        if route.request.url.endswith("/favicon.ico"):  # which a browser asks for by itself
            route.fulfill(status=204)
            return
        if route.request.resource_type != "document":
            route.continue_()
            return
        answer = route.fetch(max_redirects=0)
        route.fulfill(
            response=answer, headers={**answer.headers, "content-security-policy": POLICY}
        )

    def go(self, path: str) -> None:
        """Open a page."""
        self.page.goto(self.origin + path)

    def log_in(self, name: str) -> None:
        """Log in to the admin."""
        self.go("/admin/login/")
        self.page.fill("#id_username", name)
        self.page.fill("#id_password", PASSWORD)
        self.page.click("input[type=submit]")

    def serious_findings(self) -> list[str]:
        """Return what axe finds serious or critical in the page's own part.

        Without the policy, which keeps out axe as it would any foreign script.
        """
        with contextlib.suppress(Exception):
            self.page.context.new_cdp_session(self.page).send(
                "Page.setBypassCSP", {"enabled": True}
            )
        found = Axe().run(self.page, context="#content").response["violations"]
        return [
            f"{one['id']}: {node['html']}"
            for one in found
            if one["impact"] in ("serious", "critical")
            for node in one["nodes"]
        ]


@contextlib.contextmanager
def visitor(
    port: int, name: str = "", *, width: int = 1280, scheme: str = "light"
) -> Iterator[Visitor]:
    """Open a browser; log in as ``name`` if it is given."""
    chromium = harness.require_program("chromium", "chromium")
    with sync_playwright() as playwright:
        # --no-sandbox: root has none; /dev/shm is small in containers.
        browser = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        context = browser.new_context(
            viewport={"width": width, "height": 900},
            color_scheme=scheme,  # type: ignore[arg-type]
        )
        try:
            found = Visitor(context, port)
            if name:
                found.log_in(name)
            yield found
        finally:
            browser.close()
