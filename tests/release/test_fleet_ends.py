"""A fleet whose caller can't go on."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import Any

from knack.util import CLIError

from azext_otelembed.console import Console
from azext_otelembed.release.fleet import deploy_fleet
from tests.e2e.support import Site
from tests.release.support import Hand, id_of, request_of


class LoggedOut:
    """A credential that az can't renew."""

    def get_token(self, *_scopes: str, **_options: Any) -> Any:
        raise CLIError("AADSTS700082: log in with `az login`")


def test_an_unexpected_error_is_the_result_of_one_site(site: Site, hand: Hand) -> None:
    session = replace(hand.session, credential=LoggedOut())
    said = io.StringIO()
    outcome = deploy_fleet(session, [id_of(site)], request_of(), Console(stream=said), None)
    assert outcome.exit_status == 1
    (told,) = outcome.result["sites"]
    assert told["exitStatus"] == 1
    assert told["error"] == "AADSTS700082: log in with `az login`"
    assert "AADSTS700082" in said.getvalue()
