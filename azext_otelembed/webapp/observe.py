"""What a site is now: kind, image, startup command, settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from functools import partial

from azext_otelembed.az_commands import Verbatim, option, placeholder
from azext_otelembed.azure.arm_json import (
    AGAIN,
    Json,
    flag_at,
    object_at,
    objects_at,
    required_object_at,
    string_at,
    text_at,
)
from azext_otelembed.azure.sites import SiteClient, SiteId
from azext_otelembed.errors import AzureFailed, NotFound, OtelembedError, Refused
from azext_otelembed.parallel import run_concurrently
from azext_otelembed.redaction import Secrets

SETTING = "APPLICATIONINSIGHTS_CONNECTION_STRING"
"""The app setting that the collector's azuremonitor exporter reads."""
SITECONTAINERS = "SITECONTAINERS"
"""The linuxFxVersion of a site whose containers are resources of their own."""


@dataclass(frozen=True, slots=True)
class Observed:
    """A site as read from config/web, the site itself and its app settings (secrets: no repr).

    `resource` and `configuration` are ARM's answers, for what is asked of them now and then.
    `began` is when the reading began.
    """

    id: SiteId
    state: str
    host: str
    linux_fx_version: str
    windows: bool
    startup_command: str
    tags: Mapping[str, str] = field(repr=False)
    settings: Mapping[str, str] = field(repr=False)
    resource: Json = field(repr=False, default_factory=dict)
    configuration: Json = field(repr=False, default_factory=dict)
    container: str | None = None
    """Name of the main container of a SITECONTAINERS site."""
    container_properties: Json = field(repr=False, default_factory=dict)
    began: datetime = field(default_factory=lambda: datetime.now(timezone.utc))

    @property
    def setting(self) -> str | None:
        """The connection string that the site has now, if any."""
        return self.settings.get(SETTING) or None

    def mask(self, text: str) -> str:
        """The text with the secrets in the app settings masked."""
        secrets = Secrets()
        secrets.add_settings(self.settings)
        return secrets.mask(text)

    def startup_word(self, command: str) -> str:
        """A startup command as a word of a printed command; a placeholder if it holds a secret."""
        if self.mask(command) == command:
            return command
        return placeholder("its startup command, which holds a secret")

    @property
    def image(self) -> str:
        """The image reference that the app runs, as App Service spells it."""
        if self.container is not None:
            return str(self.container_properties.get("image") or "")
        return self.linux_fx_version.partition("|")[2].lstrip("/")


def observe(client: SiteClient) -> Observed:
    """Reads the site with three parallel requests.

    The site's own GET leaves siteConfig almost empty, so the image and the startup command come
    from config/web. Raises `NotFound` naming the site, slot or group that isn't there, and
    `AzureFailed` for an answer that lacks a part which is relied on.
    """
    began = datetime.now(timezone.utc)
    try:
        site, configuration, settings = run_concurrently(
            partial(read_site, client), client.configuration, client.settings
        )
    except OtelembedError as error:
        # The settings may have been read after Azure's message was masked.
        error.message = client.mask(error.message)
        raise
    what = str(client.id)
    properties = required_object_at(what, site, "properties")
    windows = not flag_at(what, properties, "reserved") or bool(
        configuration.get("windowsFxVersion")
    )
    version = (
        "" if windows else string_at(f"Configuration of {what}", configuration, "linuxFxVersion")
    )
    tags = object_at(what, site, "tags")
    main = main_container(client) if version.upper() == SITECONTAINERS else None
    return Observed(
        id=client.id,
        state=text_at(what, properties, "state"),
        host=text_at(what, properties, "defaultHostName"),
        linux_fx_version=version,
        windows=windows,
        startup_command=str(configuration.get("appCommandLine") or ""),
        tags={str(name): str(value) for name, value in tags.items()},
        settings=settings,
        resource=site,
        configuration=configuration,
        container=main[0] if main else None,
        container_properties=main[1] if main else {},
        began=began,
    )


def observe_host(client: SiteClient) -> str:
    """The site's own host name alone. Raises as `observe` does."""
    what = str(client.id)
    properties = required_object_at(what, read_site(client), "properties")
    return text_at(what, properties, "defaultHostName")


def main_container(client: SiteClient) -> tuple[str, Json] | None:
    """`(name, properties)` of the main one among a site's containers, if it has one."""
    return next((one for one in client.containers() if one[1].get("isMain")), None)


def current_image(client: SiteClient, observed: Observed) -> str:
    """The image that the site is configured to run now."""
    if observed.container is not None:
        return text_at(f"Site containers of {client.id}", _present_container(client), "image")
    return client.linux_fx_version().partition("|")[2].lstrip("/")


def set_image(client: SiteClient, observed: Observed, image: str) -> None:
    """Points the site at `image`: in config/web, or in its main container's own resource."""
    if observed.container is None:
        client.patch_configuration({"linuxFxVersion": f"DOCKER|{image}"})
        return
    # Read again just before: the resource is written as a whole.
    client.put_container(observed.container, {**_present_container(client), "image": image})


def _present_container(client: SiteClient) -> Json:
    """The properties of the main container of a site that had one before."""
    main = main_container(client)
    if main is None:
        raise AzureFailed(
            f"Site containers of {client.id}: Azure answers without the main one, which was there "
            "before.",
            AGAIN,
        )
    return main[1]


def read_site(client: SiteClient) -> Json:
    """The site itself. Raises `NotFound` that names the site, slot or group that isn't there."""
    try:
        return client.site()
    except NotFound as missing:
        raise _missing(client.id, missing) from None


def _missing(site: SiteId, missing: NotFound) -> NotFound:
    caller, within, table = site.caller, site.subscription, ("-o", "table")
    # As tables, az can show neither sites nor slots since 2.89 (Azure/azure-cli#33914).
    names = ("--query", Verbatim('"[].name"'), "-o", "tsv")
    group = option("-g", site.group)
    if "resource group" in missing.message.lower() and "could not be found" in missing.message:
        return NotFound(
            f"Resource group '{site.group}' was not found in subscription '{site.subscription}'.",
            f"List your groups with `{caller.command('group list', *table, subscription=within)}`, "
            "or choose another subscription with --subscription.",
        )
    if site.slot:
        app = replace(site, slot=None)
        return NotFound(
            f"Slot '{site.slot}' of Web App '{site.name}' was not found in resource group "
            f"'{site.group}'.",
            f"List its slots with `{app.command('webapp deployment slot list', *names)}`.",
        )
    listing = caller.command("webapp list", *group, subscription=within, options=names)
    return NotFound(
        f"Web App '{site.name}' was not found in resource group '{site.group}'.",
        f"List the group's apps with `{listing}`.",
    )


def check_kind(observed: Observed) -> None:
    """Raises `Refused` unless the site is a Linux Web App that runs one custom container."""
    site = observed.id
    show = f"`{site.command('webapp config container show')}`"
    if observed.windows:
        raise Refused(
            f"{site} runs on Windows. otelembed works on Linux Web Apps that run one custom "
            "container.",
            f"See `{site.command('webapp show', '--query', 'kind')}`.",
        )
    kind, _, rest = observed.linux_fx_version.partition("|")
    if kind.upper() == "COMPOSE":
        raise Refused(
            f"{site} runs a multi-container (COMPOSE) configuration. otelembed works on single "
            "containers.",
            f"See {show}.",
        )
    if kind.upper() == SITECONTAINERS:
        _check_container(observed)
        return
    if kind.upper() != "DOCKER" or not rest.strip("/"):
        runs = f"the built-in image {observed.linux_fx_version}" if kind else "no container image"
        raise Refused(
            f"{site} runs {runs}, not a custom container. otelembed works on Linux Web Apps that "
            "run one custom container.",
            f"See {show}.",
        )


def _check_container(observed: Observed) -> None:
    site = observed.id
    listing = f"See `{site.command('webapp sitecontainers list')}`."
    if observed.container is None:
        raise Refused(f"{site} runs site containers, but none of them is the main one.", listing)
    if not observed.image:
        raise Refused(f"The main container '{observed.container}' of {site} has no image.", listing)
    if observed.container_properties.get("inheritAppSettingsAndConnectionStrings") is False:
        names = {
            str(one.get("name"))
            for one in objects_at(str(site), observed.container_properties, "environmentVariables")
        }
        if SETTING not in names:
            raise Refused(
                f"The main container '{observed.container}' of {site} doesn't inherit app "
                f"settings and isn't given {SETTING}.",
                f"Give it to the container as an environment variable that refers to the app "
                f"setting {SETTING}, then run the same command again.",
            )
