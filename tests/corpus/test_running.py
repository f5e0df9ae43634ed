"""The corpus, embedded, on sites of the double: each container has a PID 1 and a localhost."""

from __future__ import annotations

import time

import httpx
import pytest

from localazure.client import LocalAzure
from tests.corpus.bases import Case
from tests.corpus.conftest import GROUP, REGISTRY, Corpus
from tests.corpus.facts import COLLECTOR, Facts, parse


def on_a_site(azure: LocalAzure, name: str, image: str, startup: str = "") -> Facts:
    """What the app says of itself when a site runs the image; the site is stopped then."""
    made = azure.add_site(
        {
            "name": f"corpus-{name}",
            "group": GROUP,
            "image": image,
            "app_settings": {"WEBSITES_PORT": "8080"},
            "config": {"appCommandLine": startup, "acrUseManagedIdentityCreds": True},
            "system_identity": True,
            "roles": [{"role": "AcrPull", "scope": f"{{{REGISTRY}.id}}"}],
        }
    )
    with azure.http() as http:
        deadline = time.monotonic() + 40
        while True:
            try:
                answer = http.get(f"{made['url']}/facts", timeout=20)
            except httpx.TransportError:
                answer = None
            if answer is not None and answer.status_code == 200:
                break
            assert time.monotonic() < deadline, answer.text if answer is not None else "silence"
            time.sleep(0.1)
        stop = f"{azure.management}{made['id']}/stop?api-version=2024-04-01"
        owner = {"authorization": f"Bearer {azure.token()}"}
        http.post(stop, headers=owner).raise_for_status()
    return parse(answer.text)


def test_the_app_runs_as_before_with_one_collector_beside_it(
    case: Case, azure: LocalAzure, corpus: Corpus
) -> None:
    facts = on_a_site(azure, case.id, corpus.name(case))
    facts.check(case)
    assert facts.collectors == [COLLECTOR]
    if case.id == "whiteouts":
        assert facts.paths["/lower"].endswith("b,")
        assert facts.paths["/hidden"].endswith("c,")
    # What is the collector's alone stays with it.
    assert not any(line.startswith(("GOMEMLIMIT=", "SSL_CERT_DIR=")) for line in facts.env)


@pytest.mark.parametrize(
    ("startup", "words", "prepared"),
    [
        ("./bin/rails server", ("rails", "server"), True),
        ("./bin/rails console --sandbox", ("rails", "console", "--sandbox"), False),
        ("/app/facts 'three four' five", ("three four", "five"), False),
    ],
)
def test_a_startup_command_reaches_the_entrypoint_as_it_is(
    startup: str, words: tuple[str, ...], prepared: bool, azure: LocalAzure, corpus: Corpus
) -> None:
    from tests.corpus.bases import CASES

    rails = next(case for case in CASES() if case.id == "rails")
    facts = on_a_site(azure, f"rails-{len(startup)}", corpus.name(rails), startup)
    assert facts.words == words
    assert facts.prepared is prepared
    assert facts.collectors == [COLLECTOR]
