"""Error bodies that quote secrets, at every request of a command: none is shown or recorded."""

from __future__ import annotations

import base64
import html
import io
import json
from collections.abc import Callable
from typing import Any
from urllib.parse import quote

import pytest

from azext_otelembed.azure.sites import SiteClient
from azext_otelembed.console import Console
from azext_otelembed.errors import OtelembedError
from azext_otelembed.release.status import status
from tests.e2e.support import Cloud, Site
from tests.release.support import Contents, Ended, Hand, id_of, request_of, session_of
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


def deployed(hand: Hand, site: Site) -> str:
    """What a deploy says and returns."""
    return shown(hand.deploy(site, wait=False, connection_string=CONNECTION))


def shown(ended: Ended) -> str:
    """Everything that a command says and returns."""
    return ended.said + json.dumps(ended.result, ensure_ascii=False)


def looked(hand: Hand, site: Site) -> str:
    """What a status says and returns."""
    stream = io.StringIO()
    options = request_of().embed
    found = status(
        hand.session,
        id_of(site),
        options=options,
        app_insights=None,
        health_path="/",
        console=Console(stream=stream),
    )
    return stream.getvalue() + json.dumps(found, ensure_ascii=False)


COMMANDS: dict[str, Callable[[Hand, Site], str]] = {
    "history": lambda hand, site: str(hand.history(site)),
    "status": looked,
    "wait": lambda hand, site: shown(hand.wait(site, timeout=20)),
    "rollback": lambda hand, site: shown(hand.rollback(site, timeout=20)),
    "remove": lambda hand, site: shown(hand.remove(site, timeout=20)),
}
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


def test_a_startup_command_that_holds_the_value_of_a_setting_is_shown_without_it(
    make_site: Callable[..., Site], hand: Hand
) -> None:
    site = make_site(
        settings=SETTINGS,
        config={"appCommandLine": "node app.js --token leaf-0f0e0d0c"},
        wait=False,
        state="Stopped",
    )
    said = looked(hand, site)
    assert "node app.js --token ***" in said
    assert leaks(said) == []


@pytest.mark.parametrize("place", PLACES)
def test_a_servers_words_are_shown_and_recorded_without_secrets(
    make_site: Callable[..., Site], cloud: Cloud, place: str
) -> None:
    said, known = hostile(make_site, cloud, **PLACES[place])
    assert SHOWN in said
    assert leaks(said) == []
    assert leaks(known) == []
    if place == "the image is set":
        assert SHOWN in known, "the record has the reason"


@pytest.mark.parametrize("asked", rest_is_thorough(REQUESTS, SAMPLE.__contains__), ids=str)
def test_a_deploy_that_gets_a_hostile_error_says_and_records_no_secret(
    make_site: Callable[..., Site], cloud: Cloud, asked: tuple[str, int]
) -> None:
    service, nth = asked
    # The settings of a site that can't be read are unknown, so they can't be recognised either.
    path = "^(?!.*appsettings/list)"
    said, known = hostile(make_site, cloud, service=service, path=path, nth=nth)
    assert leaks(said) == []
    assert leaks(known) == []


@pytest.mark.thorough(minutes=3)
@pytest.mark.timeout(600)
@pytest.mark.parametrize("service", ["arm", "acr"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_that_gets_a_hostile_error_says_and_records_no_secret(
    make_site: Callable[..., Site], cloud: Cloud, command: str, service: str
) -> None:
    site = make_site(registry=cloud.add_registry(), settings=SETTINGS)
    Hand(session_of(cloud.local)).deploy(site, connection_string=CONNECTION)
    client = SiteClient(session_of(cloud.local), id_of(site))
    settings = client.settings()
    said: list[str] = []
    for nth in range(1, 60):
        # The next removal can't read, and so can't mask, a setting that the last one removed.
        if client.settings() != settings:
            client.put_settings(settings)
        hand = Hand(session_of(cloud.local))
        where = {"path": "^(?!.*appsettings/list)", "service": service, "nth": nth}
        text, was_hit = met(hand, site, COMMANDS[command], **where)
        assert leaks(text) == []
        if not was_hit:
            break
        said.append(text)
    assert SHOWN in "".join(said)
    assert leaks(recorded(site)) == []


def hostile(make_site: Callable[..., Site], cloud: Cloud, **fault: Any) -> tuple[str, str]:
    """What a deploy says that meets `fault` with the hostile body, and what is then recorded."""
    site = make_site(registry=cloud.add_registry(), settings=SETTINGS, wait=False, state="Stopped")
    text, _ = met(Hand(session_of(cloud.local)), site, deployed, **fault)
    return text, recorded(site)


def met(
    hand: Hand, site: Site, command: Callable[[Hand, Site], str], **fault: Any
) -> tuple[str, bool]:
    """What a command says that meets `fault` with the hostile body, and whether it met it."""
    local = site.cloud.local
    mine = {} if fault["service"] == "arm" else {"host": site.host}
    number = local.fault(**{"times": 0, "status": 400, "body": BODY, **mine, **fault})
    try:
        said = command(hand, site)
    except OtelembedError as error:
        said = f"{error.message}\n{error.recommendation}"
    finally:
        was_hit = any(one["fault"] == number for one in local.requests())
        local.clear_faults()
    return said, was_hit
