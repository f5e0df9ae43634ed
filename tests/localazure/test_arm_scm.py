"""Kudu; logs and instances in ARM."""

from __future__ import annotations

import io
import zipfile

import httpx
import pytest

from tests.localazure.arm_support import Arm, error
from tests.waiting import eventually


@pytest.fixture
def site(arm: Arm) -> str:
    """A running site whose image doesn't exist, which its log shows."""
    site = arm.site(state="Running")
    eventually(lambda: "Failed to pull image" in arm.log(site), 20)
    return site


def kudu(arm: Arm, site: str) -> str:
    states = arm.get(site)["properties"]["hostNameSslStates"]
    (name,) = [each["name"] for each in states if each["hostType"] == "Repository"]
    return f"https://{name}"


def credentials(arm: Arm, site: str) -> tuple[str, str]:
    path = f"{site}/config/publishingcredentials/list"
    properties = arm.call("POST", path).json()["properties"]
    return properties["publishingUserName"], properties["publishingPassword"]


def bearer(token: str) -> dict[str, str]:
    return {"authorization": f"Bearer {token}"}


def test_the_dump_is_a_zip_of_the_log_files(arm: Arm, site: str) -> None:
    answer = arm.http.get(f"{kudu(arm, site)}/dump", auth=credentials(arm, site))
    assert answer.headers["content-type"] == "application/zip"
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        logs = [name for name in archive.namelist() if name.startswith("LogFiles/")]
        text = b"".join(archive.read(name) for name in logs).decode()
    assert "Failed to pull image" in text


def test_kudu_accepts_a_token_for_app_service_of_a_principal_that_may_publish(
    arm: Arm, site: str
) -> None:
    address = f"{kudu(arm, site)}/dump"
    token = arm.azure.token("https://appservice.azure.com")
    assert arm.http.get(address, headers=bearer(token)).status_code == 200
    reader = arm.other("Reader", site)
    assert arm.http.get(address, headers=bearer(reader.token)).status_code == 403


def test_kudu_refuses_missing_and_wrong_credentials(arm: Arm, site: str) -> None:
    address, (user, password) = f"{kudu(arm, site)}/dump", credentials(arm, site)
    assert arm.http.get(address).status_code == 401
    assert arm.http.get(address, auth=(user, password + "x")).status_code == 401
    wrong = arm.azure.token("https://vault.azure.net")
    assert arm.http.get(address, headers=bearer(wrong)).status_code == 401


def test_a_policy_disables_passwords(arm: Arm, site: str) -> None:
    path = f"{site}/basicPublishingCredentialsPolicies/scm"
    assert arm.get(path)["properties"] == {"allow": True}
    assert arm.call("PUT", path, {"properties": {"allow": False}}).status_code == 200
    address = f"{kudu(arm, site)}/dump"
    assert arm.http.get(address, auth=credentials(arm, site)).status_code == 401
    assert arm.http.get(address, headers=bearer(arm.token)).status_code == 200


def test_the_docker_logs_are_listed_and_read_one_by_one(arm: Arm, site: str) -> None:
    auth = credentials(arm, site)
    listed = arm.http.get(f"{kudu(arm, site)}/api/logs/docker", auth=auth).json()
    (instance,) = arm.get(f"{site}/instances")["value"]
    assert {each["machineName"] for each in listed} == {instance["properties"]["machineName"]}
    texts = [arm.http.get(each["href"], auth=auth).text for each in listed]
    assert "Failed to pull image" in "".join(texts)
    missing = f"{kudu(arm, site)}/api/vfs/LogFiles/none.log"
    assert arm.http.get(missing, auth=auth).status_code == 404


def test_the_log_stream_begins_with_the_present_log(arm: Arm, site: str) -> None:
    request = arm.http.build_request(
        "GET", f"{kudu(arm, site)}/logstream", headers=bearer(arm.token)
    )
    seen = ""
    answer: httpx.Response = arm.http.send(request, stream=True)
    try:
        for chunk in answer.iter_text():
            seen += chunk
            if "Failed to pull image" in seen:
                break
    finally:
        answer.close()
    assert "Welcome, you are now connected to log-streaming service.\r\n" in seen


def test_arm_returns_the_containers_log_as_a_stream_of_bytes(arm: Arm, site: str) -> None:
    answer = arm.call("POST", f"{site}/containerlogs")
    assert answer.headers["content-type"].startswith("application/octet-stream")
    assert "Failed to pull image" in answer.text
    zipped = arm.call("POST", f"{site}/containerlogs/zip/download")
    assert zipfile.is_zipfile(io.BytesIO(zipped.content))


def test_a_site_that_never_ran_has_no_log(arm: Arm) -> None:
    answer = arm.call("POST", f"{arm.site()}/containerlogs")
    assert (answer.status_code, answer.content) == (204, b"")


def test_instances_are_listed_with_64_digits_and_read_one_by_one(arm: Arm, site: str) -> None:
    listed = arm.get(f"{site}/instances")
    (only,) = listed["value"]
    assert len(only["name"]) == 64
    assert only["properties"]["state"] in {"READY", "STOPPED", "UNKNOWN"}
    assert only["properties"]["containers"] is None
    one = arm.get(f"{site}/instances/{only['name']}")
    assert one["properties"]["containers"] is not None
    assert error(arm.call("GET", f"{site}/instances/{'0' * 64}")) == (404, "NotFound")
