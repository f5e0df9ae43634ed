"""Untrusted text in what the commands print, and in the history: a terminal and CI systems, which
execute some lines of their logs, get it as plain text.
"""

from __future__ import annotations

import io
import re
import shlex
from datetime import datetime, timedelta, timezone

import pytest

from azext_otelembed.console import Console
from azext_otelembed.records import record
from azext_otelembed.release.recorded_site import open_site
from tests.ci_commands import HOSTILE, executed
from tests.e2e.support import Cloud, Site
from tests.release.support import Hand, MakeSite, Push, id_of

pytestmark = pytest.mark.usefixtures("az")
# JSON of Azure holds no lone surrogates.
TEXT = " / ".join(each for each in HOSTILE if "\ud800" not in each)
CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028-\u202e\u2066-\u2069]")
SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def check(output: str) -> None:
    """Fails for an output that a terminal or a CI system executes in part."""
    assert not CONTROLS.search(output), ascii(output)
    assert executed(output) == []


@pytest.fixture
def hostile_site(make_site: MakeSite, hand: Hand) -> Site:
    """A site whose startup command and history hold text that would be executed."""
    site = make_site(wait=False)
    site.configure(appCommandLine=f"/usr/local/bin/shop {TEXT}")
    opened = open_site(hand.session, id_of(site), Console(stream=io.StringIO()))
    now = datetime.now(timezone.utc)
    release = record.Release(
        id="0123",
        site=opened.store.site,
        state=record.FAILED,  # as an earlier version wrote it
        started=now,
        expires=now + timedelta(minutes=1),
        image=f"DOCKER|{TEXT}",
        digest="",
        previous_image=opened.observed.image,
        setting_existed=False,
        setting_changed=False,
        reason=TEXT,
    )
    opened.store.create()
    opened.store.publish(release)
    return site


def test_az_prints_untrusted_text_in_no_form_that_is_executed(
    cloud: Cloud, hostile_site: Site
) -> None:
    for arguments in (
        ("history", "-o", "json"),
        ("history", "-o", "table"),
        ("history", "-o", "tsv", "--query", "[0].reason"),
        ("status", "-o", "yaml"),
        ("status", "--debug"),
    ):
        command, *options = arguments
        answer = cloud.otelembed(command, *hostile_site.arguments, *options)
        assert answer.returncode == 0, answer.show()
        assert "#\\#vso[task" in answer.stdout.replace("\\\\", "\\"), answer.show()
        check(answer.stdout)
        check(answer.stderr)


def test_an_error_of_azure_is_printed_as_text(cloud: Cloud, hostile_site: Site) -> None:
    body = {"error": {"code": "Odd", "message": TEXT}}
    with cloud.fault(service="arm", path=f"{hostile_site.id}/config/web", status=400, body=body):
        answer = cloud.otelembed("status", *hostile_site.arguments)
    assert answer.returncode == 1, answer.show()
    assert "#\\#vso[task.setvariable variable=PATH]/tmp/evil / fine" in answer.stderr
    check(answer.stderr)


def test_a_terminal_gets_the_control_sequences_of_rich_alone(
    cloud: Cloud, make_site: MakeSite, hostile_site: Site
) -> None:
    plain = make_site(wait=False)
    plain.configure(appCommandLine="/usr/local/bin/shop")
    expected, screen = (
        cloud.on_terminal("otelembed", "status", *site.arguments) for site in (plain, hostile_site)
    )
    assert (expected.returncode, screen.returncode) == (0, 0)
    assert set(SEQUENCE.findall(screen.raw)) <= set(SEQUENCE.findall(expected.raw))
    check(SEQUENCE.sub("", screen.raw).replace("\r\n", "\n").replace("\r", ""))
    assert "[bold]not bold[/bold]" in re.sub(r"\s*│\n│\s*", "", screen.text)


@pytest.mark.thorough
def test_the_log_of_a_container_is_shown_as_text(
    make_site: MakeSite, hand: Hand, push: Push
) -> None:
    site = make_site()
    prints = f"printf '%s\\n' {shlex.quote(TEXT.replace(chr(0), ''))} >&2; exit 3"
    ended = hand.deploy(site, image=push(site, "2.0", prints))
    assert ended.exit_status == 4
    assert "#\\#vso[task.setvariable variable=PATH]/tmp/evil" in ended.said
    check(ended.said)
    check(hand.history(site)[0]["reason"])
