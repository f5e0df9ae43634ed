"""Tokens of a session: which audience is asked for, and which refusals are kept."""

from __future__ import annotations

from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import pytest
from knack.config import CLIConfig

from azext_otelembed.azure import sign_in
from azext_otelembed.azure.session import ACR_AUDIENCE, CachedCredential, Session
from azext_otelembed.errors import Unauthorized
from tests.release.support import Token

ARM = "https://management.core.windows.net//.default"
ACR = f"{ACR_AUDIENCE}/.default"


@dataclass
class Entra:
    """A credential that has no token for the scopes in `refusals`, and counts."""

    refusals: dict[str, Exception] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    def get_token(self, scope: str, **_options: Any) -> Token:
        """A token that names its scope."""
        self.asked.append(scope)
        if scope in self.refusals:
            raise self.refusals[scope]
        return Token(f"token for {scope}", 2**40)


def session(entra: Entra, **given: Any) -> Session:
    return Session(
        credential=CachedCredential(entra),  # type: ignore[arg-type]  # all that is used
        subscription="s",
        tenant="t",
        arm_endpoint="https://arm",
        arm_scope=ARM,
        acr_suffix="azurecr.io",
        **given,
    )


def test_a_registry_gets_a_token_of_its_own_audience() -> None:
    credential = session(Entra()).registry_credential()
    assert credential.token() == f"token for {ACR}"
    assert credential.fallback is not None
    assert credential.fallback() == f"token for {ARM}"
    assert credential.tenant == "t"


def test_without_another_audience_there_is_no_fallback() -> None:
    assert session(Entra(), acr_scope=ARM).registry_credential().fallback is None


def test_a_refusal_is_kept_for_its_own_audience_only() -> None:
    entra = Entra({ACR: ValueError("AADSTS500011: not found\r\nTrace ID: 1")})
    told = session(entra)
    for _ in range(3):
        with pytest.raises(Unauthorized) as refusal:
            told.acr_token()
        assert told.arm_token() == f"token for {ARM}"
    assert entra.asked == [ACR, ARM]
    assert refusal.value.message == (
        f"There is no token for '{ACR_AUDIENCE}': AADSTS500011: not found"
    )
    assert f"`az login --scope {ACR}`" in (refusal.value.recommendation or "")


def test_a_failure_of_the_network_is_not_kept() -> None:
    entra = Entra({ACR: ConnectionError("reset")})
    told = session(entra)
    with pytest.raises(Unauthorized, match="reset"):
        told.acr_token()
    entra.refusals.clear()
    assert told.acr_token() == f"token for {ACR}"


@pytest.mark.parametrize(
    ("configured", "audience"),
    [
        (None, ACR_AUDIENCE),
        ("", ACR_AUDIENCE),
        ("https://acr.contoso.example", "https://acr.contoso.example"),
        ("https://acr.contoso.example/", "https://acr.contoso.example/"),
        ("containerregistry2", "https://containerregistry2.azure.net"),
    ],
)
def test_the_audience_is_that_of_az_acr(
    tmp_path: Any, configured: str | None, audience: str
) -> None:
    config = CLIConfig(config_dir=str(tmp_path), config_env_var_prefix="OTELEMBED_TEST")
    if configured is not None:
        config.set_value("acr", "audience_resource", configured)
    assert sign_in._acr_audience(SimpleNamespace(config=config)) == audience
