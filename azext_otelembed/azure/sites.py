"""A web app or one of its slots, through azure-mgmt-web."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from azext_otelembed.az_commands import DEFAULT, Caller, option, quote
from azext_otelembed.azure.arm import add_page, make_transport, pipeline_policies
from azext_otelembed.azure.arm_errors import sdk_errors
from azext_otelembed.azure.arm_json import (
    AGAIN,
    Json,
    object_at,
    parse_object,
    required_object_at,
    required_objects_at,
    string_at,
    text_at,
    texts_at,
)
from azext_otelembed.azure.session import Session
from azext_otelembed.errors import AzureFailed
from azext_otelembed.redaction import Secrets

API_VERSION = "2024-11-01"
"""The first with site containers. Set explicitly: the azure-mgmt-web in use is the one that az
bundles, and its default differs between releases of az."""
MOST_LOG = 64 << 20
"""Bytes of a container log that are kept: the newest ones."""
RESOURCE_ID = re.compile(
    r"/subscriptions/([^/\s]+)/resourceGroups/([^/\s]+)/providers/Microsoft\.Web/sites/([^/\s]+)"
    r"(?:/slots/([^/\s]+))?",
    re.I,
)


@dataclass(frozen=True, slots=True)
class SiteId:
    """A web app, or one of its slots: subscription, resource group, name and slot.

    `caller` is the account for which commands for the site are printed.
    """

    subscription: str
    group: str
    name: str
    slot: str | None = None
    caller: Caller = field(default=DEFAULT, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "caller", self.caller.within(self.subscription))

    @classmethod
    def parse(cls, resource_id: str) -> SiteId | None:
        """The site or slot with this ARM id; None for anything else."""
        match = RESOURCE_ID.fullmatch(resource_id)
        if match is None:
            return None
        subscription, group, name, slot = match.groups()
        return cls(subscription, group, name, slot)

    def __str__(self) -> str:
        slot = f" slot '{self.slot}'" if self.slot else ""
        return f"Web App '{self.name}'{slot}"

    @property
    def resource_id(self) -> str:
        """The site's ARM id."""
        site = (
            f"/subscriptions/{self.subscription}/resourceGroups/{self.group}"
            f"/providers/Microsoft.Web/sites/{self.name}"
        )
        return f"{site}/slots/{self.slot}" if self.slot else site

    @property
    def label(self) -> str:
        """Its short name: `site`, or `site/slot`."""
        return f"{self.name}/{self.slot}" if self.slot else self.name

    @property
    def arguments(self) -> str:
        """The arguments of an `az webapp` command for this site, quoted for a shell."""
        words = (*self._words, *self.caller.subscription_words(self.subscription))
        return " ".join(map(quote, words))

    def command(self, verb: str, *options: str) -> str:
        """The command `az VERB` for this site, as it is to be typed."""
        subscription = self.subscription
        return self.caller.command(verb, *self._words, subscription=subscription, options=options)

    @property
    def _words(self) -> tuple[str, ...]:
        slot = option("--slot", self.slot) if self.slot else ()
        return (*option("-g", self.group), *option("-n", self.name), *slot)


class SiteClient:
    """Reads and writes one site. Results are ARM's JSON.

    Methods raise `NotFound`, `Unauthorized` or `AzureFailed`. Threads may share it.
    """

    def __init__(self, session: Session, site: SiteId) -> None:
        from azure.core.pipeline.policies import ContentDecodePolicy
        from azure.mgmt.web import WebSiteManagementClient

        self.id = site
        self._secrets = session.secrets
        self.deadline = session.deadline
        self._settings: Mapping[str, str] = {}
        """The app settings as they were last read or written here."""
        self._client = WebSiteManagementClient(
            session.bounded_credential,
            site.subscription,
            api_version=API_VERSION,
            base_url=session.arm_endpoint,
            credential_scopes=[session.arm_scope],
            policies=[ContentDecodePolicy(), *pipeline_policies(session)],
            transport=make_transport(session),
        )

    def site(self) -> Json:
        """The site itself. Its `siteConfig` is almost all null: see `configuration`."""
        return self._json(str(self.id), "get")

    def configuration(self) -> Json:
        """The properties of config/web."""
        what = f"Configuration of {self.id}"
        return required_object_at(what, self._json(what, "get_configuration"), "properties")

    def linux_fx_version(self) -> str:
        """The linuxFxVersion of a Linux site, which may be empty."""
        return string_at(f"Configuration of {self.id}", self.configuration(), "linuxFxVersion")

    def settings(self) -> dict[str, str]:
        """The app settings, secrets included: they must not be shown.

        All settings are written back together: a set that is not true would delete some. An empty
        one is refused where there were some before; where one is missing or has another value, all
        are read again until two answers are the same.
        """
        read = self._read_settings()
        if any(read.get(name) != value for name, value in self._settings.items()):
            before, read = read, self._read_settings()
            if read != before and read != self._read_settings():
                raise AzureFailed(
                    f"App settings of {self.id}: Azure answers differently each time.", AGAIN
                )
        self._settings = read
        return read

    def _read_settings(self) -> dict[str, str]:
        what = f"App settings of {self.id}"
        listed = self._json(what, "list_application_settings")
        found = required_object_at(what, listed, "properties")
        if self._settings and not found:
            raise AzureFailed(
                f"{what}: Azure answers that there are none, though there were some before.",
                f"See `{self.id.command('webapp config appsettings list')}`, and run the same "
                "command again.",
            )
        settings = {
            name: "" if value is None else string_at(what, found, name)
            for name, value in found.items()
        }
        self._secrets.add_settings(settings)
        return settings

    def auth_settings(self) -> Json:
        """The settings of Easy Auth, in the form of its version 2, without secrets.

        Azure answers in this form for settings of version 1, too. Null, and then empty here, if
        none were ever made.
        """
        what = f"Authentication settings of {self.id}"
        settings = self._json(what, "get_auth_settings_v2_without_secrets")
        if "properties" not in settings:
            raise AzureFailed(f"{what}: Azure answered without them.", AGAIN)
        return object_at(what, settings, "properties")

    def reference_status(self, setting: str) -> tuple[str, str]:
        """How App Service resolved a setting that refers to a Key Vault: `(status, details)`.

        The status is `Resolved`, `Initialized` while it is in progress, or the name of an error.
        """
        what = f"Reference '{setting}' of {self.id}"
        operation = "get_app_setting_key_vault_reference"
        found = required_object_at(what, self._json(what, operation, setting), "properties")
        details = self._secrets.brief(str(found.get("details") or ""))
        return self._secrets.brief(str(found.get("status") or "")), details

    def put_settings(self, settings: Mapping[str, str]) -> dict[str, str]:
        """Replaces the whole set of app settings (ARM has no PATCH here) and restarts the site."""
        what = f"App settings of {self.id}"
        self._secrets.add_settings(settings)
        body = {"properties": dict(settings)}
        written = self._json(what, "update_application_settings", body)
        self._settings = dict(settings)
        return object_at(what, written, "properties")

    def patch_configuration(self, properties: Mapping[str, Any]) -> None:
        """PATCHes config/web with these properties only."""
        what = f"Configuration of {self.id}"
        self._json(what, "update_configuration", {"properties": dict(properties)})

    def containers(self) -> list[tuple[str, Json]]:
        """`(name, properties)` of each container of a site whose kind is SITECONTAINERS."""
        what = f"Site containers of {self.id}"
        return [
            # A container of a slot is named site/slot/container.
            (text_at(what, item, "name").rpartition("/")[2], _properties(what, item))
            for item in self._listed(what, "list_site_containers")
        ]

    def put_container(self, name: str, properties: Mapping[str, Any]) -> None:
        """Replaces a site container's properties, except those that are null."""
        what = f"Site container '{name}' of {self.id}"
        kept = {key: value for key, value in properties.items() if value is not None}
        self._json(what, "create_or_update_site_container", name, {"properties": kept})

    def restart(self) -> None:
        """Restarts the site; the answer comes before the containers have started.

        Without `softRestart` App Service always restarts it, and without `synchronous` it answers
        at once (learn.microsoft.com, "Web Apps - Restart").
        """
        with sdk_errors(f"Restart of {self.id}", self._secrets):
            self._call("restart")

    def sticky_settings(self) -> frozenset[str]:
        """Names of the slot settings: the app settings that a swap doesn't move."""
        what = f"Slot settings of Web App '{self.id.name}'"
        read = partial(
            self._client.web_apps.list_slot_configuration_names, self.id.group, self.id.name
        )
        properties = _properties(what, _documents(what, self._secrets, read)[0])
        # Null until the first one is set.
        if "appSettingNames" not in properties:
            raise AzureFailed(f"{what}: Azure answered without their names.", AGAIN)
        return frozenset(texts_at(what, properties, "appSettingNames"))

    def instances(self) -> tuple[str, ...]:
        """The state of each instance: READY, STOPPED or UNKNOWN."""
        what = f"Instances of {self.id}"
        items = self._listed(what, "list_instance_identifiers")
        states = [_properties(what, item).get("state") for item in items]
        return tuple(str(state or "UNKNOWN") for state in states)

    def container_log(self) -> str:
        """The newest container log, at most MOST_LOG bytes of it; empty when there is none."""
        what = f"Container log of {self.id}"
        headers = {"Accept": "application/octet-stream"}
        newest: deque[bytes] = deque()
        size = 0
        is_cut = False
        with sdk_errors(what, self._secrets):
            for chunk in self._call("get_web_site_container_logs", headers=headers) or ():
                newest.append(chunk)
                size += len(chunk)
                while size - len(newest[0]) >= MOST_LOG:
                    size -= len(newest.popleft())
                    is_cut = True
        log = b"".join(newest)
        # A line whose beginning is gone may contain a part of a secret, which isn't recognised.
        return (log.partition(b"\n")[2] if is_cut else log).decode("utf-8", "replace")

    def mask(self, text: str) -> str:
        """The text with the secrets masked that the command has read so far."""
        return self._secrets.mask(text)

    def _json(self, what: str, operation: str, *arguments: Any) -> Json:
        return _documents(what, self._secrets, partial(self._call, operation, *arguments))[0]

    def _listed(self, what: str, operation: str) -> list[Json]:
        pages = _documents(what, self._secrets, partial(self._call, operation), paged=True)
        return [item for page in pages for item in required_objects_at(what, page, "value")]

    def _call(self, operation: str, *arguments: Any, **options: Any) -> Any:
        if self.id.slot:
            operation, arguments = f"{operation}_slot", (self.id.slot, *arguments)
        method = getattr(self._client.web_apps, operation)
        return method(self.id.group, self.id.name, *arguments, **options)


def _documents(
    what: str, secrets: Secrets, call: Callable[..., Any], *, paged: bool = False
) -> list[Json]:
    """The documents that Azure answers an operation of azure-mgmt-web with: one, or each page.

    They are taken from the raw responses, before the SDK sees them: its models drop unknown
    properties, differ between versions, and take a missing list for an empty one.
    """
    found: list[Json] = []
    visited: set[str] = set()

    def keep(response: Any) -> None:
        if response.http_response.status_code >= 300:  # the SDK decides
            return
        document = parse_object(what, response.http_response.content)
        if paged:
            required_objects_at(what, document, "value")
            add_page(what, response.http_request.url, visited)
        found.append(document)

    with sdk_errors(what, secrets):
        result = call(raw_response_hook=keep)
        for _ in result if paged else ():
            pass
    return found


def _properties(what: str, resource: Json) -> Json:
    return required_object_at(what, resource, "properties")
