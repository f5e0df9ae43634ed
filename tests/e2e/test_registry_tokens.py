"""Which Azure token a registry gets, and how registries are named: the real az, and a registry of
its own for each kind."""

from __future__ import annotations

import itertools
import shlex
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from localazure.az import Az
from tests.e2e.support import EXTENSIONS, Answer, Cloud, Site
from tests.e2e.test_credential import SECRET, Caller, client_id, owner
from tests.warm import WarmAz

ACR = "https://containerregistry.azure.net"
OTHER = "https://acr.disconnected.example"
POLICY = "azureADAuthenticationAsArmPolicy"
MakeSite = Callable[..., Site]
NUMBERS = itertools.count(1)


def add_registry(cloud: Cloud, **fields: Any) -> str:
    """The name of a new registry."""
    name = f"tokens{next(NUMBERS)}"
    cloud.local.add_registry({"name": name, "group": "shop-rg", **fields})
    return name


def with_password(cloud: Cloud, registry: str) -> dict[str, Any]:
    """What a site needs that pulls as the registry's admin user."""
    cloud.local.change_registry(registry, admin_enabled=True, admin_password="not-a-secret")
    prefix = "DOCKER_REGISTRY_SERVER_"
    settings = {f"{prefix}USERNAME": registry, f"{prefix}PASSWORD": "not-a-secret"}
    config = {"acrUseManagedIdentityCreds": False}
    return {"registry": registry, "pulls": False, "settings": settings, "config": config}


def exchanges(answer: Answer) -> list[int]:
    """The statuses of the exchanges of Azure tokens."""
    return [r["status"] for r in answer.requests if r["path"] == "/oauth2/exchange"]


@pytest.fixture
def without_audience(cloud: Cloud) -> Iterator[None]:
    """Entra ID doesn't know the audience of registries."""
    cloud.local.unknown_resources(ACR)
    yield
    cloud.local.unknown_resources()


@pytest.fixture
def own_az(cloud: Cloud, tmp_path: Any) -> Iterator[Az]:
    """An az with a configuration and a token cache of its own."""
    with WarmAz(cloud.local, tmp_path / "azure", EXTENSIONS) as az:
        az.login()
        yield az


def environment(cloud: Cloud) -> dict[str, str]:
    """The variables of `--credential environment`, for a new service principal."""
    client = client_id()
    cloud.local.add_principal(client, SECRET, owner(cloud.local))
    return {
        "AZURE_TENANT_ID": cloud.local.tenant,
        "AZURE_CLIENT_ID": client,
        "AZURE_CLIENT_SECRET": SECRET,
    }


def test_a_registry_that_refuses_tokens_for_arm_is_deployed_to_and_pruned(
    cloud: Cloud, make_site: MakeSite
) -> None:
    registry = add_registry(cloud, arm_tokens=False)
    site = make_site(**with_password(cloud, registry))
    done = site.deploy()
    assert done.returncode == 0, done.show()
    assert done.json["release"]["state"] == "succeeded"
    assert set(exchanges(done)) == {200}
    pruned = cloud.otelembed("prune", "--registry", registry)
    assert pruned.returncode == 0, pruned.show()
    assert [one["digest"] for one in pruned.json] == [done.json["image"]["digest"]]
    assert set(exchanges(pruned)) == {200}


def test_a_site_whose_identity_needs_tokens_for_arm_is_refused_until_the_policy_allows_them(
    cloud: Cloud, make_site: MakeSite
) -> None:
    registry = add_registry(cloud, arm_tokens=False, label_scope="TenantReuse")
    site = make_site(registry=registry, wait=False)
    through = through_proxy(cloud)
    refused = site.deploy(env=through)
    assert refused.returncode == 1, refused.show()
    assert f"can't pull from registry '{registry}' with its managed identity" in refused.stderr
    assert f"{POLICY} is disabled" in refused.stderr
    assert refused.writes == []
    command = f"az acr config authentication-as-arm update -r {registry} --status enabled"
    assert f"`{command}`" in refused.stderr
    fixed = cloud.run(*shlex.split(command)[1:])
    assert fixed.returncode == 0, fixed.stderr
    assert site.deploy("--dry-run", env=through).returncode == 0


@pytest.mark.usefixtures("without_audience")
@pytest.mark.parametrize("kind", ["cli", "environment"])
def test_without_a_token_for_registries_the_one_for_arm_is_exchanged(
    cloud: Cloud, site: Site, own_az: Az, kind: str
) -> None:
    call = Caller(cloud, own_az, kind, environment(cloud) if kind == "environment" else {})
    done = call("history", *site.arguments)
    assert (done.returncode, exchanges(done)) == (0, [200]), done.show()


def test_a_registry_that_refuses_its_audience_gets_the_token_for_arm(
    cloud: Cloud, make_site: MakeSite
) -> None:
    registry = add_registry(cloud, audience=OTHER)
    site = make_site(registry=registry, wait=False)
    done = site.cloud.otelembed("history", *site.arguments)
    assert (done.returncode, exchanges(done)) == (0, [401, 200]), done.show()
    pruned = cloud.otelembed("prune", "--registry", registry)
    assert (pruned.returncode, pruned.json) == (0, []), pruned.show()


@pytest.mark.usefixtures("without_audience")
def test_the_audience_of_azs_configuration_is_used(
    cloud: Cloud, make_site: MakeSite, own_az: Az
) -> None:
    registry = add_registry(cloud, audience=OTHER, arm_tokens=False)
    site = make_site(**with_password(cloud, registry), wait=False)
    arguments = ("history", *site.arguments)
    refused = cloud.otelembed(*arguments, az=own_az)
    assert refused.returncode == 1
    assert f"Registry '{site.host}' doesn't accept the Azure sign-in (HTTP 401" in refused.stderr
    assert f"There is no token for '{ACR}': AADSTS500011: " in refused.stderr
    assert "`az config set acr.audience_resource=<audience>`" in refused.stderr
    assert "eyJ" not in refused.stderr, "how any JSON Web Token begins"
    assert own_az.run("config", "set", f"acr.audience_resource={OTHER}").returncode == 0
    for kind in ("cli", "environment"):
        given = environment(cloud) if kind == "environment" else {}
        done = Caller(cloud, own_az, kind, given)(*arguments)
        assert (done.returncode, exchanges(done)) == (0, [200]), done.show()


def test_a_hint_names_the_resource_of_a_registry_with_a_hash_in_its_host(
    cloud: Cloud, make_site: MakeSite
) -> None:
    registry = add_registry(cloud, label_scope="TenantReuse")
    site = make_site(registry=registry, wait=False)
    assert site.host.startswith(f"{registry}-")
    missing = site.deploy("--image", f"{site.repository}:nosuch", env=through_proxy(cloud))
    assert missing.returncode == 3, missing.show()
    shown = f"az acr repository show-tags -n {registry} --repository {site.repository} -o table"
    assert f"`{shown}`" in missing.stderr
    listed = cloud.run(*shlex.split(shown)[1:], env=through_proxy(cloud))
    assert (listed.returncode, listed.stdout.split()) == (0, ["Result", "--------", "1.0"])
    # A caller who may use the registry and can't see it in ARM gets a hint without its name.
    lookup = f"-n $(az acr list --query \"[?loginServer=='{site.host}'].name\" -o tsv)"
    forbidden = {"service": "arm", "path": "/registries$", "status": 403, "times": 0}
    with cloud.fault(**forbidden):
        unseen = site.deploy("--image", f"{site.repository}:nosuch", env=through_proxy(cloud))
    assert f"`az acr repository show-tags {lookup} --repository" in unseen.stderr, unseen.show()


def through_proxy(cloud: Cloud) -> dict[str, str]:
    """For hosts below `localhost`, which few resolvers know."""
    return {"HTTPS_PROXY": cloud.local.proxy}
