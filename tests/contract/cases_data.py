"""Recordings of data planes: Entra ID, the registry, Application Insights."""

from __future__ import annotations

import hashlib
import json
from dataclasses import replace

import httpx

from tests.contract.recordings import Sample
from tests.contract.stage import Case, Stage, data_plane

PULL = "repository:hello-world:pull"
PUSH = "repository:hello-world:pull,push"
READ = "repository:hello-world:metadata_read"
READ_WRONG = "repository:wrong-name:metadata_read"
MANIFEST = "/v2/hello-world/manifests/latest"
MISSING = "/v2/hello-world/manifests/wrong-tag"
UPLOADS = "/v2/hello-world/blobs/uploads/"
TAG = "/acr/v1/hello-world/_tags/latest"
WRONG = "/acr/v1/wrong-name/_tags"
UNKNOWN = "/acr/v1/hello-world/_streaming/sha256:" + "0" * 64


def openid(stage: Stage, _: Sample) -> httpx.Response:
    path = f"/{stage.azure.tenant}/v2.0/.well-known/openid-configuration"
    return stage.http.get(stage.azure.management + path)


def instances(stage: Stage, _: Sample) -> httpx.Response:
    query = {"api-version": "1.1", "authorization_endpoint": stage.azure.management}
    path = "/common/discovery/instance"
    return stage.http.get(stage.azure.management + path, params=query)


def token(stage: Stage, _: Sample) -> httpx.Response:
    form = {
        "client_id": stage.azure.client_id,
        "grant_type": "client_credentials",
        "client_info": "1",
        "client_secret": stage.azure.client_secret,
        "claims": json.dumps({"access_token": {"xms_cc": {"values": ["CP1"]}}}),
        "scope": "https://api.loganalytics.io/.default",
    }
    path = f"/{stage.azure.tenant}/oauth2/v2.0/token"
    return stage.http.post(stage.azure.management + path, data=form)


def _manifest(stage: Stage) -> httpx.Response:
    return stage.registry("GET", MANIFEST, PULL).raise_for_status()


def _layer(stage: Stage) -> str:
    return str(_manifest(stage).json()["layers"][0]["digest"])


def exchange(stage: Stage, _: Sample) -> httpx.Response:
    return stage.exchange()


def access(stage: Stage, _: Sample) -> httpx.Response:
    return stage.access(PULL)


def anonymous(stage: Stage, _: Sample) -> httpx.Response:
    host = stage.azure.registries["anonymous"]
    form = {"grant_type": "password", "refresh_token": "", "scope": PULL, "service": host}
    return stage.http.post(f"https://{host}/oauth2/token", data=form)


def blob_head(stage: Stage, _: Sample) -> httpx.Response:
    return stage.registry("HEAD", f"/v2/hello-world/blobs/{_layer(stage)}", PULL)


def blob_head_unauthorized(stage: Stage, _: Sample) -> httpx.Response:
    return stage.registry("HEAD", f"/v2/hello-world/blobs/{_layer(stage)}")


def blob_redirect(stage: Stage, _: Sample) -> httpx.Response:
    return stage.registry("GET", f"/v2/hello-world/blobs/{_layer(stage)}", PULL)


def blob_storage(stage: Stage, sample: Sample) -> httpx.Response:
    return stage.http.get(blob_redirect(stage, sample).headers["location"])


def blob_delete(stage: Stage, _: Sample) -> httpx.Response:
    upload = stage.registry("POST", "/v2/scratch/blobs/uploads/", "repository:scratch:pull,push")
    digest = "sha256:" + hashlib.sha256(b"scratch").hexdigest()
    address = f"{upload.headers['location']}&digest={digest}"
    scope = "repository:scratch:pull,push"
    stage.registry("PUT", address, scope, content=b"scratch").raise_for_status()
    return stage.registry("DELETE", f"/v2/scratch/blobs/{digest}", "repository:scratch:delete")


def manifest_put(stage: Stage, _: Sample) -> httpx.Response:
    found = _manifest(stage)
    headers = {"content-type": found.headers["content-type"]}
    path = "/v2/hello-world/manifests/test"
    return stage.registry("PUT", path, PUSH, content=found.content, headers=headers)


def manifests_page(stage: Stage, _: Sample) -> httpx.Response:
    found = _manifest(stage)
    scope = "repository:library/busybox:pull,push"
    layers = [*found.json()["layers"], found.json()["config"]]
    for blob in layers:
        path = f"/v2/library/busybox/blobs/uploads/?mount={blob['digest']}&from=hello-world"
        stage.registry("POST", path, f"{scope} {PULL}").raise_for_status()
    headers = {"content-type": found.headers["content-type"]}
    for space in ("", " ", "  "):
        content = found.content + space.encode()
        digest = "sha256:" + hashlib.sha256(content).hexdigest()
        path = f"/v2/library/busybox/manifests/{digest}"
        stage.registry("PUT", path, scope, content=content, headers=headers).raise_for_status()
    path = "/acr/v1/library%2Fbusybox/_manifests?n=2"
    return stage.registry("GET", path, "repository:library/busybox:metadata_read")


def referrers(stage: Stage, _: Sample) -> httpx.Response:
    found = _manifest(stage)
    digest = found.headers["docker-content-digest"]
    path = f"/v2/hello-world/referrers/{digest}?artifactType=application%2Fvnd.example.v1"
    return stage.registry("GET", path, PULL)


def upload_chunk(stage: Stage, _: Sample) -> httpx.Response:
    address = stage.registry("POST", UPLOADS, PUSH).headers["location"]
    return stage.registry("PATCH", address, PUSH, content=b"x" * 256)


def upload_end(stage: Stage, sample: Sample) -> httpx.Response:
    digest = "sha256:" + hashlib.sha256(b"x" * 256).hexdigest()
    address = upload_chunk(stage, sample).headers["location"]
    return stage.registry("PUT", f"{address}&digest={digest}", PUSH)


def upload_bad_digest(stage: Stage, sample: Sample) -> httpx.Response:
    address = upload_chunk(stage, sample).headers["location"]
    return stage.registry("PUT", f"{address}&digest=sha256%3A00000000", PUSH)


def _component(stage: Stage, field: str) -> str:
    text = stage.azure.components["contract-insights"]
    return dict(part.split("=", 1) for part in text.split(";"))[field]


def track(stage: Stage, sample: Sample) -> httpx.Response:
    key = _component(stage, "InstrumentationKey")
    content = sample.request_body.replace("<guid>", key)
    headers = {"content-type": "application/x-json-stream"}
    address = f"{stage.azure.insights}/v2/track"
    return stage.http.post(address, content=content, headers=headers)


def _query(stage: Stage, app: str, query: str) -> httpx.Response:
    audience = "https://api.applicationinsights.io"
    headers = {"authorization": f"Bearer {stage.azure.token(audience)}"}
    address = f"{stage.azure.insights}/v1/apps/{app}/query"
    return stage.http.post(address, json={"query": query}, headers=headers)


def query_nothing(stage: Stage, _: Sample) -> httpx.Response:
    return _query(
        stage,
        _component(stage, "ApplicationId"),
        "requests | where name == 'nobody' | project name",
    )


def query_rows(stage: Stage, sample: Sample) -> httpx.Response:
    track(stage, replace(sample, request_body=TRACE))
    return _query(stage, _component(stage, "ApplicationId"), "traces | project message")


TRACE = json.dumps(
    {
        "name": "Message",
        "time": "2026-11-01T10:00:00Z",
        "iKey": "<guid>",
        "tags": {},
        "data": {"baseType": "MessageData", "baseData": {"message": "Hello", "ver": 2}},
    }
)


def query_unknown_table(stage: Stage, _: Sample) -> httpx.Response:
    return _query(
        stage, _component(stage, "ApplicationId"), "AppInsights | where TimeGenerated > ago(12h)"
    )


def query_unknown_app(stage: Stage, _: Sample) -> httpx.Response:
    return _query(stage, "bad_workspace_id", "requests")


CASES = (
    Case("aad-openid-configuration", openid),
    Case("aad-discovery-instance", instances),
    Case("aad-token-client-credentials", token),
    Case("acrdp-v2-401", data_plane("GET", "/v2/")),
    Case("acrdp-oauth2-exchange", exchange),
    Case("acrdp-oauth2-exchange-sdk", exchange),
    Case("acrdp-oauth2-token", access),
    Case("acrdp-oauth2-token-sdk", access),
    Case("acrdp-oauth2-token-anonymous", anonymous),
    Case("acrdp-blob-head-200", blob_head),
    Case("acrdp-blob-head-401", blob_head_unauthorized),
    Case("acrdp-blob-get-307", blob_redirect),
    Case("acrdp-blob-get-storage-200", blob_storage),
    Case("acrdp-blob-delete-202", blob_delete),
    Case("acrdp-manifest-get-200", data_plane("GET", MANIFEST, PULL)),
    Case("acrdp-manifest-get-404", data_plane("GET", MISSING, PULL)),
    Case("acrdp-manifest-put-201", manifest_put),
    Case("acrdp-manifests-page-link", manifests_page),
    Case("acrdp-referrers-empty", referrers),
    Case("acrdp-tag-get", data_plane("GET", TAG, READ)),
    Case("acrdp-tags-404-name", data_plane("GET", WRONG, READ_WRONG)),
    Case("acrdp-operation-unknown-404", data_plane("GET", UNKNOWN, READ)),
    Case("acrdp-upload-post-202", data_plane("POST", UPLOADS, PUSH)),
    Case("acrdp-upload-post-401", data_plane("POST", UPLOADS)),
    Case("acrdp-upload-patch-202", upload_chunk),
    Case("acrdp-upload-put-201", upload_end),
    Case("acrdp-upload-put-400-digest", upload_bad_digest),
    Case("ai-ingestion-track-200", track),
    Case("ai-query-200-empty", query_nothing),
    Case("ai-query-200-rows", query_rows),
    Case("la-query-400-semantic", query_unknown_table),
    Case("la-query-404-path", query_unknown_app),
)
