"""Error bodies that quote secrets, at every request of a command: none is shown or recorded."""

from __future__ import annotations

import base64
import html
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from azext_otelembed.errors import OtelembedError
from tests.e2e.support import Cloud, Site
from tests.release.support import Contents, Hand, session_of
from tests.selection import rest_is_thorough

PASSWORD = 'hunter2"/hunter2+é'
SETTINGS = {
    "DATABASE": f"Server=db.example;User Id=shop;Password={PASSWORD}",
    "LOGIN": "postgres://shopuser:url-pa55%2Fword@db.example/x",
    "DOCUMENT": json.dumps({"nested": {"secret": "leaf-0f0e0d0c"}}),
    "PEM": "-----BEGIN-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END-----",
}
KEY = "0f0e0d0c-0b0a-4909-8807-060504030201"
CONNECTION = f"InstrumentationKey={KEY};IngestionEndpoint=https://x.example/"
FORBIDDEN = (
    KEY,
    PASSWORD,
    json.dumps(PASSWORD)[1:-1],
    json.dumps(PASSWORD)[1:-1].replace("/", "\\/"),
    quote(PASSWORD, safe=""),
    html.escape(PASSWORD),
    base64.b64encode(PASSWORD.encode()).decode().rstrip("="),
    "url-pa55%2Fword",
    "url-pa55/word",
    "shopuser",
    "leaf-0f0e0d0c",
    "MIIEvQIBADANBg",
    "kqhkiG9w0BAQEF",
)
SHOWN = "these words of the server are shown"
SAID = f"{SHOWN}: {'; '.join(FORBIDDEN)}; {CONNECTION}"
BODY = {
    "error": {"code": "BadRequest", "message": SAID},
    "errors": [{"code": "DENIED", "message": SAID}],
}
"""An error in the form of ARM, and in that of registries."""
REQUESTS = [*(("arm", n) for n in range(1, 15)), *(("acr", n) for n in range(1, 41))]
"""Those of a deploy, and some more."""
SAMPLE = (("arm", 1), ("acr", 12))


def leaks(text: str) -> list[str]:
    """The secrets that a text holds."""
    return [one for one in FORBIDDEN if one in text]


def recorded(site: Site) -> str:
    """Everything that the registry holds about releases and embedded images, as text."""
    contents = Contents(site.cloud, site.host)
    found = [
        json.dumps(contents.document(repository, digest), ensure_ascii=False)
        for repository in contents.repositories()
        for digest in contents.manifests(repository)
    ]
    return "\n".join(found)


PLACES = {
    "the settings are written": {"service": "arm", "method": "PUT", "path": "/appsettings$"},
    "the image is set": {"service": "arm", "method": "PATCH", "path": "/config/web$"},
    "the collector is imported": {"service": "arm", "method": "POST", "path": "/importImage$"},
    "the image is put": {"service": "acr", "method": "PUT", "path": "/v2/apps/.*/manifests/"},
    "the release is recorded": {"service": "acr", "method": "PUT", "path": "/releases/manifests/"},
}


@pytest.mark.parametrize("place", PLACES)
def test_a_servers_words_are_shown_and_recorded_without_secrets(
    make_site: Callable[..., Site], cloud: Cloud, place: str
) -> None:
    said, known = hostile(make_site, cloud, place.replace(" ", "-"), **PLACES[place])
    assert SHOWN in said
    assert leaks(said) == []
    assert leaks(known) == []
    if place == "the image is set":
        assert SHOWN in known, "the record has the reason"


@pytest.mark.parametrize(("service", "nth"), rest_is_thorough(REQUESTS, SAMPLE.__contains__))
def test_a_deploy_that_gets_a_hostile_error_says_and_records_no_secret(
    make_site: Callable[..., Site], cloud: Cloud, service: str, nth: int
) -> None:
    # The settings of a site that can't be read are unknown, so they can't be recognised either.
    path = "^(?!.*appsettings/list)"
    client = f"hostile-{nth}"
    said, known = hostile(make_site, cloud, client, service=service, path=path, nth=nth)
    assert leaks(said) == []
    assert leaks(known) == []


def hostile(
    make_site: Callable[..., Site], cloud: Cloud, client: str, **fault: Any
) -> tuple[str, str]:
    """What a deploy says that meets `fault` with the hostile body, and what is then recorded."""
    site = make_site(registry=cloud.add_registry(), settings=SETTINGS, wait=False, state="Stopped")
    hand = Hand(session_of(cloud.local, client=client))
    mine = {"client": client} if fault["service"] == "arm" else {"host": site.host}
    cloud.local.fault(**{"times": 0, "status": 400, "body": BODY, **mine, **fault})
    try:
        ended = hand.deploy(site, wait=False, connection_string=CONNECTION)
        said = ended.said + json.dumps(ended.result, ensure_ascii=False)
    except OtelembedError as error:
        said = f"{error.message}\n{error.recommendation}"
    finally:
        cloud.local.clear_faults()
    return said, recorded(site)
