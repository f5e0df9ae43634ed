"""Sites with thousands of releases on record, and `az otelembed prune` in a process of its own.

`python -m tests.release.many_releases FOLDER COMMAND SITE…` measures a command in a running double.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import sys
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime, timedelta, timezone
from functools import partial
from pathlib import Path
from typing import Any

from azext_otelembed.azure import registries
from azext_otelembed.azure.arm import Arm
from azext_otelembed.azure.session import Session
from azext_otelembed.azure.sites import SiteId
from azext_otelembed.console import Console
from azext_otelembed.image.reference import Digest
from azext_otelembed.prune.prune import Findings, Pruner
from azext_otelembed.records import record
from azext_otelembed.records.record import Release
from azext_otelembed.release.recorded_site import open_site
from azext_otelembed.release.rollback import plan_rollback
from azext_otelembed.release.status import status
from localazure.client import LocalAzure
from tests.memory import peak_megabytes
from tests.release.support import request_of, session_of

LONG_AGO = datetime(2026, 1, 5, tzinfo=timezone.utc)


def releases_of(
    site: str,
    count: int,
    image: Callable[[int], str],
    change: Callable[[int], Mapping[str, Any]] = lambda _: {},
) -> list[Release]:
    """Releases of a site (an ARM id) that succeeded, an hour apart, the oldest first."""
    made = []
    for number in range(count):
        started = LONG_AGO + timedelta(hours=number)
        made.append(
            Release(
                **{
                    "id": f"{number:012x}",
                    "site": site,
                    "state": record.SUCCEEDED,
                    "started": started,
                    "expires": started + timedelta(minutes=10),
                    "finished": started + timedelta(minutes=1),
                    "image": image(number),
                    "digest": f"sha256:{hashlib.sha256(image(number).encode()).hexdigest()}",
                    "previous_image": image(max(number - 1, 0)),
                    "setting_existed": number > 0,
                    "setting_changed": number == 0,
                    "recipe": f"sha256:{'0' * 64}",
                    "base": f"{image(number).partition('-otelembed-')[0]}@sha256:{'1' * 64}",
                    **change(number),
                }
            )
        )
    return made


def put_releases(local: LocalAzure, registry: str, releases: Iterable[Release]) -> None:
    """Puts the records of releases of one site into a registry: a pending one, and the last."""
    manifests: list[dict[str, Any]] = []
    for one in releases:
        if not manifests:
            anchor = record.anchor(one.site).decode()
            manifests.append({"data": anchor, "tag": record.anchor_tag(one.site)})
        pending = replace(one, state=record.PENDING, finished=None, reason="")
        manifests += [{"data": record.to_manifest(each).decode()} for each in (pending, one)]
    local.put_manifests(registry, record.REPOSITORY, manifests)


def list_in_fall_back(local: LocalAzure, registry: str, releases: Iterable[Release]) -> None:
    """Writes the index of a registry without the referrers API, for the same records."""
    entries = []
    site = ""
    for one in releases:
        site = one.site
        for each in (replace(one, state=record.PENDING, finished=None, reason=""), one):
            data = record.to_manifest(each)
            document = json.loads(data)
            entries.append(
                {
                    "mediaType": document["mediaType"],
                    "size": len(data),
                    "digest": str(Digest.of(data)),
                    "artifactType": document["artifactType"],
                    "annotations": document["annotations"],
                }
            )
    kind = "application/vnd.oci.image.index.v1+json"
    index = {"schemaVersion": 2, "mediaType": kind, "manifests": entries}
    tag = str(Digest.of(record.anchor(site))).replace(":", "-")
    manifest = {"data": json.dumps(index, separators=(",", ":")), "tag": tag}
    local.put_manifests(registry, record.REPOSITORY, [manifest])


def pruner(session: Session, registry: str, look_again: float = 20) -> Pruner:
    """What `az otelembed prune` uses."""
    found = registries.find(Arm(session), session.subscription, registry)
    return Pruner(session, found, None, 3, look_again)


def prune(session: Session, registry: str) -> Findings:
    """`az otelembed prune --delete --yes`; returns what was deleted."""
    console = Console(quiet=True, stream=io.StringIO())
    mine = pruner(session, registry)
    findings = mine.find(console)
    mine.delete(findings, console)
    return findings


def prune_in_child(local: LocalAzure, token: str, registry: str) -> None:
    """The same in a child process, which ends with it."""
    os.environ["NO_PROXY"] = "localhost,127.0.0.1"
    prune(session_of(local, token, client="prune"), registry)
    os._exit(0)


def _measure(folder: str, command: str, group: str, name: str, registry: str) -> dict[str, Any]:
    os.environ["NO_PROXY"] = "localhost,127.0.0.1"
    local = LocalAzure.attach(Path(folder))
    session = session_of(local)
    site = SiteId(local.subscription, group, name)
    console = Console(quiet=True, stream=io.StringIO())
    calls: dict[str, Callable[[], Any]] = {
        "history": lambda: len(open_site(session, site, console).history()),
        "rollback": lambda: plan_rollback(open_site(session, site, console), None).image.name,
        "status": lambda: status(
            session,
            site,
            options=request_of().embed,
            app_insights=None,
            health_path="/",
            console=console,
        )["notes"],
        "prune": lambda: len(pruner(session, registry).find(console).foldings),
        "prune --delete": partial(lambda: prune(session, registry).foldings[0].folding.releases),
    }
    base, mark, began = peak_megabytes(), local.mark(), time.monotonic()
    found = calls[command]()
    seconds = time.monotonic() - began
    asked = [r for r in local.requests(since=mark) if r["service"] in ("acr", "arm")]
    return {
        "found": found,
        "seconds": round(seconds, 2),
        "requests": len(asked),
        "megabytes": round(peak_megabytes() - base, 1),
    }


if __name__ == "__main__":
    print(json.dumps(_measure(*sys.argv[1:])))
