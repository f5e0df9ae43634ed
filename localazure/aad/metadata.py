"""Discovery documents: the addresses of a cloud's services."""

from __future__ import annotations

from typing import Any

ARM_AUDIENCE = "https://management.core.windows.net/"
SCM_AUDIENCE = "https://appservice.azure.com"


def endpoints(management: str, insights: str) -> dict[str, Any]:
    """The document for `az cloud register --endpoint-resource-manager`, api-version 2022-09-01.

    It is one object, not a list, with every endpoint that az needs later: az has no default for a
    missing endpoint of a custom cloud. A suffix can't contain a port, so the suffixes of
    registries, vaults and storage are names without a listener.
    """
    return {
        "portal": management,
        "authentication": {
            "loginEndpoint": f"{management}/",
            "audiences": [ARM_AUDIENCE, f"{management}/"],
            "tenant": "common",
            "identityProvider": "AAD",
        },
        "media": management,
        "graphAudience": f"{management}/",
        "graph": f"{management}/",
        "name": "localazure",
        "suffixes": {
            "acrLoginServer": "localhost",
            "keyVaultDns": "vault.localhost",
            "storage": "core.localhost",
            "sqlServerHostname": "database.localhost",
            "mhsmDns": "managedhsm.localhost",
            "mysqlServerEndpoint": "mysql.database.localhost",
            "postgresqlServerEndpoint": "postgres.database.localhost",
            "mariadbServerEndpoint": "mariadb.database.localhost",
            "azureFrontDoorEndpointSuffix": "azurefd.localhost",
            "storageSyncEndpointSuffix": "afs.localhost",
            "synapseAnalytics": "dev.azuresynapse.localhost",
            "attestationEndpoint": "attest.localhost",
            "azureDataLakeStoreFileSystem": "azuredatalakestore.localhost",
            "azureDataLakeAnalyticsCatalogAndJob": "azuredatalakeanalytics.localhost",
        },
        "batch": f"{management}/batch",
        "resourceManager": f"{management}/",
        "vmImageAliasDoc": f"{management}/aliases.json",
        "activeDirectoryDataLake": f"{management}/datalake",
        "sqlManagement": f"{management}/sql",
        "microsoftGraphResourceId": f"{management}/",
        "appServiceResourceId": SCM_AUDIENCE,
        "appInsightsResourceId": insights,
        "appInsightsTelemetryChannelResourceId": f"{insights}/v2/track",
        "logAnalyticsResourceId": insights,
        "attestationResourceId": "https://attest.localhost",
        "synapseAnalyticsResourceId": "https://dev.azuresynapse.localhost",
        "ossrdbmsResourceId": "https://ossrdbms-aad.database.localhost",
        "gallery": f"{management}/gallery",
    }


def openid(management: str, tenant: str) -> dict[str, Any]:
    """`/{tenant}/v2.0/.well-known/openid-configuration`."""
    at = f"{management}/{tenant}"
    return {
        "token_endpoint": f"{at}/oauth2/v2.0/token",
        "token_endpoint_auth_methods_supported": [
            "client_secret_post",
            "private_key_jwt",
            "client_secret_basic",
        ],
        "jwks_uri": f"{at}/discovery/v2.0/keys",
        "response_modes_supported": ["query", "fragment", "form_post"],
        "subject_types_supported": ["pairwise"],
        "id_token_signing_alg_values_supported": ["RS256"],
        "response_types_supported": ["code", "id_token", "code id_token", "id_token token"],
        "scopes_supported": ["openid", "profile", "email", "offline_access"],
        "issuer": f"{at}/v2.0",
        "request_uri_parameter_supported": False,
        "userinfo_endpoint": f"{management}/oidc/userinfo",
        "authorization_endpoint": f"{at}/oauth2/v2.0/authorize",
        "device_authorization_endpoint": f"{at}/oauth2/v2.0/devicecode",
        "http_logout_supported": True,
        "frontchannel_logout_supported": True,
        "end_session_endpoint": f"{at}/oauth2/v2.0/logout",
        "claims_supported": ["sub", "iss", "aud", "exp", "iat", "nonce", "name", "tid", "ver"],
        "kerberos_endpoint": f"{at}/kerberos",
        "tenant_region_scope": "WW",
        "cloud_instance_name": management.removeprefix("https://"),
        "cloud_graph_host_name": management.removeprefix("https://"),
        "msgraph_host": management.removeprefix("https://"),
        "rbac_url": f"{management}/pas",
    }


def issuer(at: str) -> dict[str, Any]:
    """The OpenID configuration of the issuer of workload tokens (build jobs, pods)."""
    return {
        "issuer": at,
        "jwks_uri": f"{at}/discovery/keys",
        "response_types_supported": ["id_token"],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["RS256"],
    }


def instances(management: str, tenant: str) -> dict[str, Any]:
    """`/common/discovery/instance`: the metadata of this cloud only."""
    host = management.removeprefix("https://")
    return {
        "tenant_discovery_endpoint": f"{management}/{tenant}/.well-known/openid-configuration",
        "api-version": "1.1",
        "metadata": [{"preferred_network": host, "preferred_cache": host, "aliases": [host]}],
    }
