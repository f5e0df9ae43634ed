"""What keeps an app's telemetry from its collector, though the release itself succeeds. Pure.

Values are never part of a note: they may hold secrets.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping

from azext_otelembed.az_commands import DEFAULT, Verbatim, option, placeholder
from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.reference import Reference
from azext_otelembed.webapp.observe import Observed
from azext_otelembed.webapp.sdk_hints import sdk_hints
from azext_otelembed.webapp.sdk_variables import variable_problems
from azext_otelembed.whole_number import whole_number

DEFAULT_PORTS: Mapping[int, str] = {
    4317: "otlp/grpc",
    4318: "otlp/http",
    13133: "health_check",
}
"""The ports of the default configuration, each with the component that listens there."""
# App Service replaces what a variable's name can't have ("Environment variables and app settings in
# Azure App Service", learn.microsoft.com).
_AS_VARIABLE = {ord("."): "_", ord("-"): "_"}
# What App Service itself sets, connection strings included, and what a container always has.
_OF_APP_SERVICE = re.compile(
    r"WEBSITE_\w+|APPSETTING_WEBSITE_\w+|\w+CONNSTR_\w+|HTTP_LOGGING_ENABLED|REGION_NAME"
    r"|(?:IDENTITY|MSI)_(?:ENDPOINT|HEADER|SECRET)|DIAGNOSTIC_LOGS_MOUNT_PATH|PORT|HOME|HOSTNAME"
    r"|PATH|PWD|GOMEMLIMIT|SSL_CERT_\w+|OTELEMBED_RECIPE"
)
_CONTINUOUS_DEPLOYMENT = "DOCKER_ENABLE_CI"
_NEW_PORT = Verbatim("WEBSITES_PORT=<port>")


def telemetry_notes(
    observed: Observed | None,
    base: Reference,
    config: ImageConfig | None,
    ports: Mapping[int, str] = DEFAULT_PORTS,
) -> list[str]:
    """Notes on the app settings of a site and on the settings of its app image, `base`.

    `config` is None if the image wasn't read, `observed` if no site is concerned. An app setting
    replaces a variable of the image. `ports` are those on which the collector listens.
    """
    settings = _variables_of_site(observed) if observed else {}
    image = _variables_of_image(config) if config else {}
    notes = [f"{problem} {fix}" for problem, fix in variable_notes(observed, base, config)]
    notes += _port_setting_notes(observed, base, image, settings, ports)
    if config:
        notes += _exposed_port_notes(observed, base, config, settings, ports)
    if observed and observed.settings.get(_CONTINUOUS_DEPLOYMENT, "").strip().lower() == "true":
        deploy = observed.id.command("otelembed deploy")
        words = ("webapp deployment container config", "--enable-cd", "false")
        notes.append(
            f"{observed.id} has the app setting {_CONTINUOUS_DEPLOYMENT}=true: a push of {base} "
            "may restart the site, which then still runs the embedded image. A new app image goes "
            f"live only by another `{deploy}`. Turn the webhook off with "
            f"`{observed.id.command(*words)}`."
        )
    return notes


def variables_of_app(observed: Observed | None, config: ImageConfig | None) -> dict[str, str]:
    """The app's environment as far as it is known: the image's, and the app settings over it."""
    settings = _variables_of_site(observed) if observed else {}
    return {**(_variables_of_image(config) if config else {}), **settings}


def variable_notes(
    observed: Observed | None, base: Reference, config: ImageConfig | None
) -> Iterator[tuple[str, str]]:
    """For each variable that keeps telemetry from the collector: the problem, and how to fix it."""
    settings = _variables_of_site(observed) if observed else {}
    for found in variable_problems(variables_of_app(observed, config)):
        name = found.name
        if name in settings and observed:
            yield f"{_owner(observed, name)} {found.problem}.", _removal(observed, name)
            continue
        replace = _setting_command(observed, f"{name}={found.wanted}")
        yield (
            f"{base} sets {name} (ENV), which {found.problem}.",
            f"Remove it from the Dockerfile, or replace it with `{replace}`.",
        )


def missing_telemetry_notes(
    observed: Observed, app: Reference, config: ImageConfig | None
) -> list[str]:
    """What is likely the reason if no telemetry of the app `app` arrives, the likeliest first."""
    found = [f"{problem} {fix}" for problem, fix in variable_notes(observed, app, config)]
    return found or list(sdk_hints(config, variables_of_app(observed, config)))


def _setting_command(observed: Observed | None, setting: str) -> str:
    """The command that sets an app setting of the site; without one its name is a placeholder."""
    verb = "webapp config appsettings set"
    if observed:
        return observed.id.command(verb, "--settings", setting)
    site = ("-g", placeholder("group"), "-n", placeholder("name"))
    return DEFAULT.command(verb, *site, subscription=None, options=("--settings", setting))


def _owner(observed: Observed, name: str) -> str:
    if _inherits(observed):
        return f"The app setting {name} of {observed.id}"
    return f"The variable {name} of the main container '{observed.container}' of {observed.id}"


def _removal(observed: Observed, name: str) -> str:
    site = observed.id
    if _inherits(observed):
        delete = site.command("webapp config appsettings delete", "--setting-names", name)
        return f"Remove it with `{delete}`."
    words = option("--container-name", observed.container or "")
    show = site.command("webapp sitecontainers show", *words)
    return f"Remove it from the container's environment variables, which `{show}` shows."


def _inherits(observed: Observed) -> bool:
    properties = observed.container_properties
    return properties.get("inheritAppSettingsAndConnectionStrings") is not False


def _port_setting_notes(
    observed: Observed | None,
    base: Reference,
    image: Mapping[str, str],
    settings: Mapping[str, str],
    ports: Mapping[int, str],
) -> Iterator[str]:
    """WEBSITES_PORT, and PORT, by which many apps choose the port they listen on."""
    for name in ("WEBSITES_PORT", "PORT"):
        owner, value = f"The variable {name} (ENV) of {base}", image.get(name, "")
        if observed and name in settings:
            owner, value = f"The app setting {name} of {observed.id}", settings[name]
        elif name == "WEBSITES_PORT":
            continue
        port = whole_number(value.strip(), 65535)
        if port is not None and port in ports:
            change = _setting_command(observed, Verbatim(f"{name}=<port>"))
            yield (
                f"{owner} is a port of the embedded collector ({ports[port]}), which doesn't start "
                "if the app listens there. Let the app listen on another port, and name it with "
                f"`{change}`."
            )


def _exposed_port_notes(
    observed: Observed | None,
    base: Reference,
    config: ImageConfig,
    settings: Mapping[str, str],
    ports: Mapping[int, str],
) -> Iterator[str]:
    exposed = config.settings.get("ExposedPorts")
    found = [port for port in ports if isinstance(exposed, dict) and f"{port}/tcp" in exposed]
    if not found or "WEBSITES_PORT" in settings:
        return
    numbers = " and ".join(map(str, found))
    yield (
        f"{base} exposes port {numbers} (EXPOSE), on which the embedded collector listens, on "
        "localhost only. If the app itself listens there, the collector doesn't start. Name the "
        f"app's port with `{_setting_command(observed, _NEW_PORT)}`, and remove the "
        "EXPOSE from the Dockerfile."
    )


def missing_variables(
    observed: Observed, config: ImageConfig | None, names: Iterable[str], setting: str
) -> list[str]:
    """Notes on `${env:…}` of the configuration, without a default, that nothing sets.

    `names` are the variables that the configuration reads; `setting` is the app setting that a
    release sets. `config` is the app image's; None if it wasn't read: then it may set any.
    """
    given = {name.translate(_AS_VARIABLE) for name in _variables_of_site(observed)} | {setting}
    given |= set(_variables_of_image(config)) if config else set()
    missing = [
        name
        for name in dict.fromkeys(names)
        if name.removeprefix("APPSETTING_") not in given and not _OF_APP_SERVICE.fullmatch(name)
    ]
    if not missing:
        return []
    listed = ", ".join(f"${{env:{name}}}" for name in missing)
    unless = "" if config else " Unless the app image sets it (ENV), it"
    first = Verbatim(f"{missing[0]}=<value>")
    return [
        f"The collector's configuration reads {listed}, which is no app setting of {observed.id}."
        f"{unless or ' It'} is empty for the collector, which may end at start. Set it with "
        f"`{_setting_command(observed, first)}`, or write a default: "
        f"${{env:{missing[0]}:-value}}."
    ]


def _variables_of_image(config: ImageConfig) -> dict[str, str]:
    listed = config.settings.get("Env") or ()
    pairs = ([listed] if isinstance(listed, str) else listed) or ()
    return {name: value for name, _, value in (str(one).partition("=") for one in pairs)}


def _variables_of_site(observed: Observed) -> Mapping[str, str]:
    """The app settings that reach the app; a site container may be given some of them only."""
    if _inherits(observed):
        return observed.settings
    listed = observed.container_properties.get("environmentVariables")
    pairs = [one for one in listed if isinstance(one, dict)] if isinstance(listed, list) else []
    return {str(one.get("name")): observed.settings.get(str(one.get("value")), "") for one in pairs}
