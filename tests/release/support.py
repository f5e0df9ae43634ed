"""Releases run inside of the test's own process: a deploy costs a second less than with az."""

from __future__ import annotations

import io
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import Any, NamedTuple

import httpx

from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.collector.config import load
from azext_otelembed.console import Console
from azext_otelembed.http_session import PlainSession
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.image.reference import Digest
from azext_otelembed.inputs import embed_options
from azext_otelembed.records import record
from azext_otelembed.registry.auth import Basic
from azext_otelembed.release.deploy import DeployRequest, deploy
from azext_otelembed.release.deploy_result import Outcome
from azext_otelembed.release.recorded_site import RecordedSite, open_site
from azext_otelembed.release.release_context import ReleaseOptions, TelemetryWait
from azext_otelembed.release.rollback import plan_removal, plan_rollback
from azext_otelembed.release.wait import wait as wait_for_release
from azext_otelembed.verification.verdict_tracker import Pace
from azext_otelembed.webapp.setting import SettingOptions
from localazure.client import LocalAzure
from tests.e2e.support import COLLECTOR, Cloud, Site

SCOPE = "https://management.core.windows.net//.default"
OLD = "InstrumentationKey=0f0e0d0c-0b0a-4909-8807-060504030201"
NEW = "InstrumentationKey=00000000-0b0a-4909-8807-060504030201"
MakeSite = Callable[..., Site]
"""The fixture `make_site`."""
Push = Callable[[Site, str, str], str]
"""The fixture `push`."""
PUT_RECORD: dict[str, Any] = {
    "service": "acr",
    "method": "PUT",
    "path": "/v2/otelembed/releases/manifests/sha256",
}
QUICK = Pace(
    interval=0.25, settled=0.5, old_stops=4, abandoned=3, idle=2, pull_allowance=2, swap_settles=0.7
)
"""For tests whose containers tell at once what they are."""
CLIENT = "x-localazure-client"


class Token(NamedTuple):
    """As azure-core's AccessToken."""

    token: str
    expires_on: int


@dataclass(frozen=True)
class Fixed:
    """A credential that has its token already."""

    token: str

    def get_token(self, *_scopes: str, **_options: Any) -> Token:
        """The token."""
        return Token(self.token, int(time.time()) + 3000)


def session_of(
    local: LocalAzure, token: str | None = None, client: str = "", subscription: str = ""
) -> Session:
    """A session of the owner, or of the one with `token`.

    `client` marks its calls to ARM and registries for the double, so that a fault can choose them.
    """
    transport: dict[str, Any] = {"connection_verify": local.ca}
    if client:
        marked = PlainSession()
        marked.headers[CLIENT] = client
        marked.trust_env = False
        transport |= {"session": marked, "session_owner": False}
    return Session(
        credential=Fixed(token or local.token()),  # type: ignore[arg-type]  # all that is used
        subscription=subscription or local.subscription,
        tenant=local.tenant,
        arm_endpoint=local.management,
        arm_scope=SCOPE,
        acr_suffix="localhost",
        transport=transport,
    )


def request_of(
    *,
    pace: Pace = QUICK,
    timeout: int | None = 60,
    health_path: str = "/",
    rollback: bool = True,
    wait: bool = True,
    accept_unproven: bool = False,
    telemetry: TelemetryWait | None = None,
    connection_string: str | None = None,
    app_insights: str | None = None,
    secret_uri: str | None = None,
    collector_image: str = COLLECTOR,
    collector_config: bytes | None = None,
    launcher: Launcher | None = None,
    tag: str | None = None,
    shell_image: str | None = None,
    unwrap: bool = False,
    login: Basic | None = None,
    **given: Any,
) -> DeployRequest:
    """The request of a deploy without arguments, and with those that are given."""
    embed = embed_options(
        collector_image,
        load(collector_config),
        launcher,
        tag=tag,
        shell_image=shell_image,
        unwrap=unwrap,
        login=login,
    )
    options = ReleaseOptions(timeout, health_path, rollback, wait, pace, accept_unproven, telemetry)
    setting = SettingOptions(connection_string, app_insights, secret_uri)
    return DeployRequest(embed, options, setting, **given)


@dataclass(frozen=True)
class Ended:
    """How a command ended; `said` is what went to stderr."""

    exit_status: int
    result: dict[str, Any]
    said: str

    @property
    def release(self) -> str:
        """The state of the release."""
        return str(self.result["release"]["state"])

    @property
    def evidence(self) -> Mapping[str, str]:
        """What was seen."""
        return dict(self.result["evidence"])


@dataclass(frozen=True)
class Hand:
    """One caller who releases things, as `az otelembed` does."""

    session: Session
    pace: Pace = QUICK
    options: Mapping[str, Any] = field(default_factory=dict)

    def deploy(self, site: Site, **given: Any) -> Ended:
        """`az otelembed deploy`; raises its errors."""
        stream = io.StringIO()
        outcome: Outcome = deploy(
            self.session,
            id_of(site),
            request_of(**{"pace": self.pace, **self.options, **given}),
            Console(stream=stream),
        )
        return Ended(outcome.exit_status, outcome.result, stream.getvalue())

    def history(self, site: Site) -> list[dict[str, Any]]:
        """`az otelembed history`."""
        return open_site(self.session, id_of(site), Console(stream=io.StringIO())).history()

    def states(self, site: Site) -> list[str]:
        """The states of all releases, newest first."""
        return [str(one["state"]) for one in self.history(site)]

    def rollback(
        self,
        site: Site,
        to: str | None = None,
        timeout: int = 60,
        goes_back_from: str | None = None,
    ) -> Ended:
        """`az otelembed rollback --yes`."""
        return self._release(
            site,
            timeout,
            lambda opened, *how: plan_rollback(opened, to, goes_back_from).carry_out(*how),
        )

    def remove(self, site: Site, *, keep_setting: bool = False, timeout: int = 60) -> Ended:
        """`az otelembed remove --yes`."""
        plan = partial(plan_removal, keep_setting=keep_setting)
        return self._release(site, timeout, lambda opened, *how: plan(opened).carry_out(*how))

    def wait(
        self,
        site: Site,
        *,
        rollback: bool = True,
        timeout: int = 60,
        accept_unproven: bool = False,
        telemetry: TelemetryWait | None = None,
    ) -> Ended:
        """`az otelembed wait`."""
        return self._release(site, timeout, wait_for_release, rollback, accept_unproven, telemetry)

    def _release(
        self,
        site: Site,
        timeout: int,
        run: Callable[[RecordedSite, ReleaseOptions, Console], tuple[dict[str, Any], int]],
        rollback: bool = True,
        accept_unproven: bool = False,
        telemetry: TelemetryWait | None = None,
    ) -> Ended:
        stream = io.StringIO()
        console = Console(stream=stream)
        options = ReleaseOptions(
            timeout,
            "/",
            rollback,
            pace=self.pace,
            accept_unproven=accept_unproven,
            telemetry=telemetry,
        )
        opened = open_site(self.session, id_of(site), console, options.health_path)
        result, exit_status = run(opened, options, console)
        return Ended(exit_status, result, stream.getvalue())


def id_of(site: Site) -> SiteId:
    """The site's name in the extension's words."""
    return SiteId(site.cloud.local.subscription, site.group, site.name, site.slot)


def writes(records: Iterable[Mapping[str, Any]]) -> list[str]:
    """The requests among `records` that change a site."""
    return [
        f"{r['method']} {r['path']}"
        for r in records
        if r["service"] == "arm" and r["method"] in ("PUT", "PATCH", "DELETE")
    ]


@contextmanager
def meanwhile(
    cloud: Cloud, action: Callable[[], object], *, after: bool = False, **fault: Any
) -> Iterator[None]:
    """Does `action` while the request that `fault` selects waits, before it is handled or after.

    Fails when that request never came.
    """
    number = cloud.local.fault(**{"hold_after" if after else "hold": True}, **fault)
    done: list[object] = []

    def act() -> None:
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline and not stop.is_set():
            if any(r["fault"] == number and r["held"] for r in cloud.local.requests()):
                try:
                    action()
                    done.append(True)
                except Exception as error:  # noqa: BLE001  # told by the test's own thread
                    done.append(error)
                cloud.local.release(number)
                return
            stop.wait(0.05)

    stop = threading.Event()
    thread = threading.Thread(target=act, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join()
        cloud.local.clear_faults()
    assert done == [True], f"meanwhile: {done or 'the request never came'}"


@dataclass
class Contents:
    """What a registry holds, read as its owner past the extension."""

    cloud: Cloud
    host: str
    tokens: dict[str, str] = field(default_factory=dict)

    def repositories(self) -> list[str]:
        """The names of all repositories."""
        return [
            str(name) for name in self._all("/v2/_catalog", "registry:catalog:*", "repositories")
        ]

    def manifests(self, repository: str) -> dict[str, list[str]]:
        """The tags of each manifest of a repository, by digest."""
        path = f"/acr/v1/{repository}/_manifests"
        listed = self._all(path, scope(repository), "manifests")
        return {one["digest"]: sorted(one.get("tags") or []) for one in listed}

    def document(self, repository: str, reference: str) -> dict[str, Any]:
        """A manifest."""
        return dict(self._manifest("GET", repository, reference).json())

    def delete(self, repository: str, tag: str) -> None:
        """Delete a manifest with all of its tags."""
        found = self._manifest("GET", repository, tag)
        self._manifest("DELETE", repository, found.headers["docker-content-digest"])

    def referrers(self, repository: str, digest: str) -> list[dict[str, Any]]:
        """What the registry, or the fall-back tag, lists as referring to a manifest."""
        path = f"/v2/{repository}/referrers/{digest}"
        try:
            return self._all(path, scope(repository), "manifests")
        except httpx.HTTPStatusError:
            tag = digest.replace(":", "-")
            return list(self._manifest("GET", repository, tag).json()["manifests"])

    def releases(self, site: Site) -> list[record.Release]:
        """The site's releases on record, newest first."""
        anchor = Digest.of(record.anchor(site.id))
        found = self.referrers(record.REPOSITORY, str(anchor))
        read = (record.from_annotations(one["annotations"]) for one in found)
        return record.latest_states(one for one in read if one is not None)

    def _all(self, path: str, scope: str, name: str) -> list[Any]:
        """The entries of the list `name`, page by page."""
        found: list[Any] = []
        following: str | None = f"{path}?n=1000"
        while following:
            answer = self._call("GET", following, scope)
            found += answer.json()[name] or []
            following = answer.links.get("next", {}).get("url")
        return found

    def _manifest(self, method: str, repository: str, reference: str) -> httpx.Response:
        kind = "application/vnd.oci.image.manifest.v1+json"
        accept = f"{kind}, application/vnd.docker.distribution.manifest.v2+json, */*"
        path = f"/v2/{repository}/manifests/{reference}"
        return self._call(method, path, scope(repository), accept=accept)

    def _call(self, method: str, path: str, scope: str, **headers: str) -> httpx.Response:
        bearer = {"authorization": f"Bearer {self._token(self._http, scope)}", **headers}
        return self._http.request(method, path, headers=bearer).raise_for_status()

    @cached_property
    def _http(self) -> httpx.Client:
        return self.cloud.local.http(base_url=f"https://{self.host}")

    def _token(self, http: httpx.Client, scope: str) -> str:
        if "" not in self.tokens:
            arm = {"grant_type": "access_token", "access_token": self.cloud.local.token()}
            answer = http.post("/oauth2/exchange", data={**arm, "service": self.host})
            self.tokens[""] = answer.json()["refresh_token"]
        if scope not in self.tokens:
            form = {"grant_type": "refresh_token", "refresh_token": self.tokens[""]}
            answer = http.post("/oauth2/token", data={**form, "service": self.host, "scope": scope})
            self.tokens[scope] = answer.json()["access_token"]
        return self.tokens[scope]


def scope(repository: str) -> str:
    """Everything in a repository."""
    return f"repository:{repository}:pull,delete,metadata_read"
