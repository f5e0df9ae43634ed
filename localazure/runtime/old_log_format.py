"""App Service's platform log until 2025: lines with a level, most of which name their container.

Wording and order follow public logs of 2020 to 2025.
"""

from __future__ import annotations

import json
import secrets
from collections.abc import Mapping

from localazure.runtime.platform_messages import PlatformMessages, Start, slot_suffix
from localazure.runtime.pull import Pulled
from localazure.runtime.site_log import SiteLog
from localazure.state import Site

_MSI, _LOGIN = "msiProxy", "middleware"
_COMPANIONS = {
    _MSI: (8081, "appsvc/msitokenservice:2007200210"),
    _LOGIN: (8181, "mcr.microsoft.com/appsvc/middleware:stage5"),
}
"""The port and image of the platform's own containers."""


class OldLogFormat(PlatformMessages):
    """Writes the old format. The containers are `<site>_<n>_<8 hex>`, counted from 0.

    With a managed identity there is a companion `…_msiProxy`, with Easy Auth one `…_middleware`.
    The stop of a container that served is not logged.
    """

    is_old_format = True

    def __init__(self, site: Site, log: SiteLog) -> None:
        super().__init__(site, log)
        suffix = slot_suffix(site)
        self._name = f"{site.name}__{suffix}" if suffix else site.name
        self._starts = 0
        self._container = ""
        self._start = Start(site, "", {})

    def container_name(self, identifier: str) -> str:
        return self._container

    def pulling(self, start: Start) -> None:
        self._start = start
        self._container = f"{self._name}_{self._starts}_{secrets.token_hex(4)}"
        self._starts += 1
        if start.recycled:
            is_main = start.site.slot is None
            self._info(
                f"Recycling container because of {start.recycled} and isMainSite = {is_main}"
            )
        if self.has_identity:
            self._info("Starting container for site")
            self._run_companion(_MSI)
        self._info(f"Pulling image: {start.image}")

    def pulled(self, pulled: Pulled, seconds: float) -> None:
        image, reference = self._start.image, pulled.reference
        self._info(f"{reference.version} Pulling from {reference.repository}")
        for layer in pulled.layers:
            identifier = layer.removeprefix("sha256:")[:12]
            self._info(f"{identifier} Extracting 1KB / 1KB")
            self._info(f"{identifier} Pull complete")
        self._info(f" Digest: {pulled.digest}")
        status = "Downloaded newer image" if pulled.layers else "Image is up to date"
        self._info(f" Status: {status} for {image}")
        self._info(f"Pull Image successful, Time taken: {seconds:.0f} Seconds")

    def creating(self, container: str, pulled: Pulled, port: int) -> None:
        self._info("Starting container for site")
        self._docker_run(container, port, self._start.image, {"PORT": str(port)})
        if self.has_login:
            self._run_companion(_LOGIN)

    def _run_companion(self, name: str) -> None:
        port, image = _COMPANIONS[name]
        self._docker_run(f"{self._container}_{name}", port, image, {})

    def _docker_run(self, container: str, port: int, image: str, own: Mapping[str, str]) -> None:
        # The companions' environment names the app's image, too.
        name = {"DOCKER_CUSTOM_IMAGE_NAME": self._start.image}
        login = {"WEBSITE_AUTH_ENABLED": str(self.has_login)}
        shown = {**name, **own, **login, **self._start.environment}
        variables = " ".join(f"-e {name}={value}" for name, value in shown.items())
        self._info(f"docker run -d --expose={port} --name {container} {variables} {image}  ")
        self.log.unstamped("")

    def running(self, container: str, seconds: float) -> None:
        if self.has_identity:
            self._warm_up(f"{container}_{_MSI}")
            self._ready(f"{container}_{_MSI}")
        self._warm_up(container)

    def waiting(self, container: str, seconds: float) -> None:
        text = f"Waiting for response to warmup request for container {container}."
        self._info(f"{text} Elapsed time = {seconds:.7f} sec")

    def probe_succeeded(self, container: str, seconds: float) -> None:
        self._ready(container)
        self._finish_login(container)

    def _finish_login(self, container: str) -> None:
        """Easy Auth's companion gets ready after the app, even if the app has failed."""
        if self.has_login:
            self._warm_up(f"{container}_{_LOGIN}")
            self._ready(f"{container}_{_LOGIN}")

    def _warm_up(self, container: str) -> None:
        self._info(f"Initiating warmup request to container {container} for site {self._name}")

    def _ready(self, container: str) -> None:
        text = "initialized successfully and is ready to serve requests."
        self._info(f"Container {container} for site {self._name} {text}")

    def pull_failed(self, code: str, why: str) -> None:
        unauthorized = "Unauthorized" in code
        status = "InternalServerError" if unauthorized else "NotFound"
        reason = f"Get {self._start.image}: unauthorized" if unauthorized else why
        response = json.dumps({"message": reason}, separators=(",", ":"))
        failed = f"DockerApiException: Docker API responded with status code={status}, "
        self._error(f"{failed}response={response}")
        self._error("Pull image threw Exception: Input string was not in a correct format.")
        self._info(f"Pulling image from Docker hub: {self._start.image}")
        self._error(f"{failed}response={response}")
        self._write("WARN ", "Image pull failed. Defaulting to local copy if present.")
        self._error(
            "Image pull failed: Verify docker image configuration and credentials "
            "(if using private repository)"
        )
        self._give_up()

    def volume_failed(self, path: str) -> None:
        self.create_failed(self._container, f"{path} cannot be mounted")

    def create_failed(self, container: str, why: str) -> None:
        text = f"System.AggregateException, One or more errors occurred. ({why})"
        self._error(f"Container create failed for {container} with {text}")
        self._give_up()

    def exited_early(self, container: str, status: int, seconds: float, port: int) -> None:
        self._error(f"Container {container} for site {self._name} has exited, failing site start")
        self._no_answer(container, port)

    def timed_out(self, container: str, seconds: float, port: int) -> None:
        text = f"did not start within expected time limit. Elapsed time = {seconds:.7f} sec"
        self._error(f"Container {container} for site {self._name} {text}")
        self._no_answer(container, port)

    def _no_answer(self, container: str, port: int) -> None:
        self._error(
            f"Container {container} didn't respond to HTTP pings on port: {port}, "
            "failing site start. See container logs for debugging."
        )
        self._finish_login(container)
        self._give_up()

    def _give_up(self) -> None:
        self._info(f"Stopping site {self._name} because it failed during startup.")

    def _info(self, text: str) -> None:
        self._write("INFO ", text)

    def _error(self, text: str) -> None:
        self._write("ERROR", text)

    def _write(self, level: str, text: str) -> None:
        self.log.platform(f"{level} - {text}")
