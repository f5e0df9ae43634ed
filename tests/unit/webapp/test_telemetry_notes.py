"""Notes on settings that keep telemetry from the collector."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azext_otelembed.image.image_config import ImageConfig
from azext_otelembed.image.reference import Reference
from azext_otelembed.webapp.telemetry_notes import missing_variables, telemetry_notes
from tests.unit.samples import SITE

BASE = Reference.parse("r.azurecr.io/shop:1")
SECRET = "p4ss-7d1f"


def of_settings(**settings: str) -> list[str]:
    return telemetry_notes(replace(SITE, settings=settings), BASE, None)


def of_image(*variables: str, **settings: object) -> list[str]:
    document = {"config": {"Env": list(variables), **settings}}
    return telemetry_notes(SITE, BASE, ImageConfig.of(document))


@pytest.mark.parametrize("signal", ["", "TRACES_", "METRICS_", "LOGS_"])
@pytest.mark.parametrize(
    "value",
    [
        f"https://u:{SECRET}@otel.acme.io",
        "collector:4317",
        "http://[::2]:4318",
        "http://[",
        "http://localhost.acme.io",
    ],
)
def test_another_endpoint_than_localhost_is_noted_without_its_value(
    signal: str, value: str
) -> None:
    name = f"OTEL_EXPORTER_OTLP_{signal}ENDPOINT"
    (note,) = of_settings(**{name: value})
    assert f"az webapp config appsettings delete -g rg -n shop --setting-names {name}" in note
    assert SECRET not in note
    (note,) = of_image(f"{name}={value}")
    path = f"/v1/{signal.strip('_').lower()}" if signal else ""
    assert f"-g rg -n shop --settings {name}=http://localhost:4318{path}`" in note
    assert SECRET not in note


@pytest.mark.parametrize(
    "value",
    [
        *("", "http://localhost:4318", "localhost:4317", "http://127.0.0.1:4318/", "http://[::1]"),
        "@Microsoft.KeyVault(SecretUri=https://v.vault.azure.net/secrets/s)",
    ],
)
def test_localhost_is_not_noted(value: str) -> None:
    assert of_settings(OTEL_EXPORTER_OTLP_ENDPOINT=value) == []


def test_an_app_setting_replaces_the_images_variable() -> None:
    elsewhere = "OTEL_EXPORTER_OTLP_ENDPOINT=http://elsewhere"
    config = ImageConfig.of({"config": {"Env": [elsewhere]}})
    here = {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://localhost:4318"}
    assert telemetry_notes(replace(SITE, settings=here), BASE, config) == []
    (note,) = of_image(elsewhere, "OTEL_EXPORTER_OTLP_PROTOCOL=grpc")
    assert "=http://localhost:4317`" in note


@pytest.mark.parametrize(
    ("name", "value", "noted"),
    [
        ("OTEL_SDK_DISABLED", "True", True),
        ("OTEL_SDK_DISABLED", "false", False),
        ("OTEL_SDK_DISABLED", "1", False),
        ("OTEL_TRACES_EXPORTER", "none", True),
        ("OTEL_TRACES_EXPORTER", "console, otlp", False),
        ("OTEL_METRICS_EXPORTER", "none", False),
        ("WEBSITES_PORT", "4318", True),
        ("WEBSITES_PORT", "8080", False),
        ("PORT", "4318", True),
        ("PORT", "13133", True),
        ("PORT", "http", False),
        ("DOCKER_ENABLE_CI", "true", True),
        ("DOCKER_ENABLE_CI", "false", False),
    ],
)
def test_settings_that_turn_telemetry_off_are_noted(name: str, value: str, noted: bool) -> None:
    notes = of_settings(**{name: value})
    assert len(notes) == noted
    assert all(name in note and "`az webapp" in note for note in notes)


def test_a_push_of_the_base_changes_nothing_any_more() -> None:
    (note,) = of_settings(DOCKER_ENABLE_CI="true")
    assert "a push of r.azurecr.io/shop:1" in note
    assert "az webapp deployment container config -g rg -n shop --enable-cd false" in note


def test_exposed_ports_of_the_collector_are_noted() -> None:
    (note,) = of_image(ExposedPorts={"4318/tcp": {}, "80/tcp": {}})
    assert "exposes port 4318" in note
    assert "WEBSITES_PORT" in note
    assert of_image(ExposedPorts={"8080/tcp": {}}) == []
    config = ImageConfig.of({"config": {"ExposedPorts": {"4317/tcp": {}}}})
    assert telemetry_notes(replace(SITE, settings={"WEBSITES_PORT": "80"}), BASE, config) == []
    (note,) = telemetry_notes(None, BASE, config)
    assert "exposes port 4317" in note


def test_a_container_that_inherits_no_settings_is_judged_by_its_own_variables() -> None:
    settings = {"OTEL_SDK_DISABLED": "true", "OFF": "true"}
    properties = {"inheritAppSettingsAndConnectionStrings": False, "environmentVariables": []}
    site = replace(SITE, settings=settings, container="main", container_properties=properties)
    assert telemetry_notes(site, BASE, None) == []
    given = {**properties, "environmentVariables": [{"name": "OTEL_SDK_DISABLED", "value": "OFF"}]}
    (note,) = telemetry_notes(replace(site, container_properties=given), BASE, None)
    assert "main container 'main'" in note
    assert "az webapp sitecontainers show -g rg -n shop --container-name main" in note


def test_the_ports_are_those_of_the_configuration() -> None:
    ports = {8080: "zipkin"}
    site = replace(SITE, settings={"WEBSITES_PORT": "8080"})
    (note,) = telemetry_notes(site, BASE, None, ports)
    assert "a port of the embedded collector (zipkin)" in note
    assert "az webapp config appsettings set -g rg -n shop --settings WEBSITES_PORT=<port>" in note
    assert telemetry_notes(replace(SITE, settings={"PORT": "4318"}), BASE, None, ports) == []
    image = ImageConfig.of({"config": {"Env": ["PORT=8080"], "ExposedPorts": {"8080/tcp": {}}}})
    by_variable, by_expose = telemetry_notes(SITE, BASE, image, ports)
    assert by_variable.startswith("The variable PORT (ENV) of r.azurecr.io/shop:1 is a port")
    assert "exposes port 8080" in by_expose


def test_variables_that_nothing_sets_are_noted() -> None:
    site = replace(SITE, settings={"A": "1", "my.key": "2"})
    names = ["A", "my_key", "APPSETTING_A", "WEBSITE_SITE_NAME", "CUSTOMCONNSTR_DB", "C_STRING"]
    assert missing_variables(site, None, names, "C_STRING") == []
    (note,) = missing_variables(site, None, [*names, "B", "D", "B"], "C_STRING")
    assert "reads ${env:B}, ${env:D}, which is no app setting of" in note
    assert "Unless the app image sets it (ENV)" in note
    assert "`az webapp config appsettings set -g rg -n shop --settings B=<value>`" in note
    assert "${env:B:-value}" in note
    image = ImageConfig.of({"config": {"Env": ["B=x"]}})
    assert missing_variables(site, image, ["B"], "C_STRING") == []
