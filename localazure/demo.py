"""`make demo`: a deploy from end to end, on the double, with the real az.

A web app runs without telemetry; `az otelembed deploy` embeds the collector; then Application
Insights receives the app's requests.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

from rich.console import Console

from localazure import seed
from localazure.az import AZ, Az
from localazure.client import ROOT, LocalAzure
from localazure.runtime import sandbox

DIRECTORY = ROOT / ".local" / "demo"
EXTENSIONS = ROOT / ".local" / "extensions"
GROUP, SITE, COMPONENT = "shop-rg", "shop", "shop-insights"
ARRIVAL = 60.0
"""Seconds until the first telemetry must have arrived; on the double it takes about two."""
SHOWN = 15
"""Lines of the shop's log that are shown when a request to it fails."""


class Demo:
    """The steps of the demo: prints headings, runs az commands, ends when one fails."""

    def __init__(self, local: LocalAzure, az: Az) -> None:
        self.local = local
        self.az = az
        self.out = Console(highlight=False)

    def heading(self, text: str) -> None:
        """Print the heading of a step."""
        self.out.print(f"\n[bold]{text}[/]")

    def run(self, *arguments: str) -> None:
        """Show and run an az command on this terminal; ends the demo if it fails."""
        self.out.print(f"[cyan]$ az {shlex.join(arguments)}[/]", soft_wrap=True)
        sys.stdout.flush()
        done = subprocess.run(
            [str(AZ), *arguments], env=self.az.environment(), cwd=self.az.folder, check=False
        )
        if done.returncode:
            raise SystemExit(f"demo: the command ended with status {done.returncode}.")

    def ask(self, *arguments: str) -> str:
        """Run an az command and return its output."""
        done = self.az.run(*arguments)
        if done.returncode:
            raise SystemExit(f"demo: az {shlex.join(arguments)}\n{done.stderr}")
        return done.stdout

    def request_shop(self) -> None:
        """Send one request to the shop; ends the demo unless it answers 200."""
        url = self.local.sites[SITE]
        with self.local.http() as http:
            answer = http.get(url)
        self.out.print(f"[cyan]$ curl {url}/[/]")
        self.out.print(f"HTTP {answer.status_code}  {answer.text.strip().splitlines()[0]}")
        if answer.status_code != 200:
            raise self.failure(f"the shop answered with HTTP {answer.status_code}, not 200")

    def failure(self, what: str) -> SystemExit:
        """The end of the demo, with the last lines of the shop's log."""
        site = f"{self._group}/providers/Microsoft.Web/sites/{SITE}"
        with self.local.http() as http:
            answer = http.post(
                f"{self.local.management}{site}/containerlogs?api-version=2025-05-01",
                headers={"authorization": f"Bearer {self.local.token()}"},
            )
        lines = answer.text.splitlines()[-SHOWN:]
        return SystemExit("\n".join([f"demo: {what}. The last lines of the shop's log:", *lines]))

    def requests_seen(self) -> int:
        """The number of requests in Application Insights, by a Kusto query."""
        table = self._query("requests | count")
        return int(table[0][0])

    def last_request(self) -> str:
        """The newest request in Application Insights."""
        columns = "name, resultCode, cloud_RoleName"
        rows = self._query(f"requests | order by timestamp desc | project {columns} | take 1")
        return "  ".join(str(value) for value in rows[0])

    @property
    def _group(self) -> str:
        return f"/subscriptions/{self.local.subscription}/resourceGroups/{GROUP}"

    def _query(self, query: str) -> list[list[Any]]:
        component = f"{self._group}/providers/Microsoft.Insights/components/{COMPONENT}"
        answer = self.ask(
            *("rest", "--method", "post"),
            *("--url", f"{component}/query?api-version=2018-04-20"),
            *("--body", json.dumps({"query": query})),
        )
        rows: list[list[Any]] = json.loads(answer)["tables"][0]["rows"]
        return rows


def main() -> None:
    """Run the demo; the folder of its state can be given on the command line."""
    show(Path(sys.argv[1]) if len(sys.argv) > 1 else DIRECTORY)


def show(directory: Path) -> None:
    """Run the demo with its own double in `directory`."""
    try:
        found = sandbox.detect(directory)
    except sandbox.NoSandboxError as error:
        raise SystemExit(f"demo: {error}") from None
    if not found.root:
        print(found.summary, flush=True)
    with LocalAzure.start(directory, {**seed.demo(), "runtime": seed.QUICK}) as local:
        az = Az(local, directory / "azure", EXTENSIONS)
        az.login()
        _run_steps(Demo(local, az))


def _run_steps(demo: Demo) -> None:
    demo.heading("1  A web app runs as one container, without telemetry.")
    demo.run("webapp", "list", "-g", GROUP, "-o", "table", "--query", _COLUMNS)
    demo.request_shop()
    demo.out.print(f"Application Insights has received {demo.requests_seen()} requests.")

    demo.heading("2  Embed an OpenTelemetry Collector in its image, and release the image.")
    demo.run("otelembed", "deploy", "-g", GROUP, "-n", SITE, "-o", "yamlc", "--query", _RESULT)

    demo.heading("3  Send the same request again: now Application Insights receives it.")
    demo.request_shop()
    began = time.monotonic()
    while not (seen := demo.requests_seen()):
        if time.monotonic() - began > ARRIVAL:
            raise demo.failure(f"no request arrived in Application Insights within {ARRIVAL:.0f} s")
        time.sleep(0.5)
    demo.out.print(f"Application Insights has received {seen} requests, the newest:")
    demo.out.print(f"  [green]{demo.last_request()}[/]")

    demo.heading("4  Show the status of the web app.")
    demo.run("otelembed", "status", "-g", GROUP, "-n", SITE)
    demo.out.print("\nThe demo is complete. `make play` keeps the double running for your own az.")


_COLUMNS = "[].{name:name, state:state, image:siteConfig.linuxFxVersion}"
_RESULT = "{site:site, image:image.name, changed:changed, setting:setting.value, healthy:healthy}"

if __name__ == "__main__":
    main()
