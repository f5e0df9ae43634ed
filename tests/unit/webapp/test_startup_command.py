"""A collector in the site's own startup command is refused, with the command that removes it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from azext_otelembed.errors import Refused
from azext_otelembed.image.launcher import Launcher
from azext_otelembed.webapp.preflight import check_init_command, check_startup_command
from tests.unit.samples import SITE


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (
            "sh -c 'otelcol --config /c.yml & exec node server.js'",
            "--startup-file 'node server.js'",
        ),
        ("bash -lc 'otelcol & exec app'", """--startup-file 'bash -lc '"'"'exec app'"'"''"""),
        ("-c 'otelcol & exec app \"$A\"'", "'--startup-file=-c "),
        ("'otelcol & exec app'", """--startup-file ''"'"'exec app'"'"''"""),
        ("otelcol & node server.js", "--startup-file '<the command that starts only the app>'"),
        ("sh -c 'otelcol && app'", "--startup-file '<the command that starts only the app>'"),
        ("sh -c 'otelcol", "--startup-file '<the command that starts only the app>'"),
    ],
)
def test_a_collector_in_the_startup_command_is_refused(text: str, advice: str) -> None:
    with pytest.raises(Refused) as refused:
        check_startup_command(replace(SITE, startup_command=text))
    assert "starts a collector already" in refused.value.message
    assert advice in str(refused.value.recommendation)
    assert "app_command_line" in str(refused.value.recommendation)


@pytest.mark.parametrize(
    ("text", "advice"),
    [
        (
            "sh -c 'otelcol --set=k=leaf-0f0e0d0c & exec app --token leaf-0f0e0d0c'",
            "--startup-file <its startup command, which holds a secret>",
        ),
        (
            "sh -c 'otelcol & cd /srv\nexec app leaf-0f0e0d0c'",
            "--startup-file <its startup command, which holds a secret>",
        ),
        (
            "sh -c 'otelcol & cd /srv\nexec app'",
            "--startup-file <a value that is not printable>",
        ),
    ],
)
@pytest.mark.parametrize("container", [None, "main"])
def test_the_startup_command_is_shown_without_secrets_and_only_as_it_is(
    text: str, advice: str, container: str | None
) -> None:
    if container:
        advice = advice.replace("--startup-file", "--startup-cmd")
    site = replace(
        SITE,
        settings={"TOKEN": "leaf-0f0e0d0c"},
        startup_command=text,
        container=container,
        container_properties={"startUpCommand": text},
    )
    with pytest.raises(Refused) as refused:
        check_startup_command(site)
    assert "leaf-0f0e0d0c" not in f"{refused.value.message}{refused.value.recommendation}"
    assert advice in str(refused.value.recommendation)


def test_a_collector_in_a_main_containers_startup_command_is_refused() -> None:
    properties = {"startUpCommand": "sh -c 'otelcol & exec app'"}
    site = replace(SITE, container="main", container_properties=properties)
    with pytest.raises(Refused) as refused:
        check_startup_command(site)
    assert "--container-name main --startup-cmd app" in str(refused.value.recommendation)


@pytest.mark.parametrize(
    "text", ["", "node server.js", "sh -c 'exec node otelcol'", "--flag 'two words' $HOME", "it's"]
)
def test_another_startup_command_is_left_alone(text: str) -> None:
    check_startup_command(replace(SITE, startup_command=text))
    site = replace(SITE, container="main", container_properties={"startUpCommand": text})
    check_startup_command(replace(site, startup_command="sh -c 'otelcol & app'"))


@pytest.mark.parametrize("text", ["/sbin/init", "busybox init", "sh -c 'exec /sbin/init'"])
def test_a_startup_command_that_needs_to_be_process_1_is_refused_with_drain_only(text: str) -> None:
    site = replace(SITE, startup_command=text)
    with pytest.raises(Refused, match=r"The startup command of .*shop.* starts `") as refused:
        check_init_command(site, Launcher("drain"))
    assert "Omit --launcher drain" in str(refused.value.recommendation)
    check_init_command(site, Launcher())
    properties = {"startUpCommand": text}
    site = replace(SITE, container="main", container_properties=properties)
    with pytest.raises(Refused, match="The startup command of the main container 'main' of"):
        check_init_command(site, Launcher("drain"))


@pytest.mark.parametrize("text", ["", "node init", "it's", "/init"])
def test_another_startup_command_is_left_alone_with_drain(text: str) -> None:
    check_init_command(replace(SITE, startup_command=text), Launcher("drain"))
