"""Passwords of ~/.netrc: no request has one, whatever host it is for."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from azext_otelembed.registry.client import RegistryClient
from azext_otelembed.verification.site_answer import ping
from tests.e2e import inprocess
from tests.e2e.support import Site


@pytest.fixture
def netrc(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file with a password for every host."""
    file = tmp_path / "netrc"
    file.write_text("default login robot password netrc-passw0rd\n")
    file.chmod(0o600)
    monkeypatch.setenv("NETRC", str(file))
    monkeypatch.delenv("HTTPS_PROXY", raising=False)


@pytest.mark.usefixtures("netrc")
def test_a_deploy_sends_its_own_tokens_and_no_password_of_netrc(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    caller = inprocess.session(site.cloud)
    # With a password in place of the token, Azure and the registry would answer 401.
    ended = inprocess.deploy(caller, site, dry_run=True)
    assert ended.exit_status == 0, ended.show()
    since = site.cloud.mark()
    assert ping(caller, site.url.removeprefix("https://"), "/").status == 200
    (request,) = [r for r in site.cloud.requests(since) if r["service"] == "site"]
    assert not request["authorization"]


@pytest.mark.usefixtures("netrc")
def test_no_password_of_netrc_goes_to_signed_addresses_and_token_servers(
    make_site: Callable[..., Site],
) -> None:
    site = make_site()
    with RegistryClient(
        site.cloud.local.registries["hub"], transport={"connection_verify": site.cloud.local.ca}
    ) as client:
        since = site.cloud.mark()
        client.head_manifest("otel/opentelemetry-collector-contrib", "0.150.0")
        tokens = [r for r in site.cloud.requests(since) if r["path"].endswith("/token")]
    assert tokens
    assert not any(request["authorization"] for request in tokens)
