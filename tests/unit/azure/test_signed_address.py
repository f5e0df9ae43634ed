"""Signed addresses of blob storage: over https only, and masked wherever they would be shown."""

from __future__ import annotations

import pytest

from azext_otelembed.azure.blob_storage import Blob
from azext_otelembed.errors import AzureFailed
from tests.unit.azure.test_arm_json import answered

SIGNATURE = "c2lnbmF0dXJlLW9mLWJsb2I%3D"
QUERY = f"/c/b?sv=1&sig={SIGNATURE}"


@pytest.mark.parametrize(
    "address",
    [
        f"http://a.blob.example{QUERY}",
        f"HTTP://a.blob.example{QUERY}",
        f"//a.blob.example{QUERY}",
        f"ftp://a.blob.example{QUERY}",
        f"https://{QUERY}",
        f"https://[{QUERY}",
        QUERY,
        f"file:///etc/passwd{QUERY}",
    ],
)
def test_a_signed_address_without_tls_is_refused_and_not_shown(address: str) -> None:
    with pytest.raises(AzureFailed, match="isn't https") as caught:
        Blob(answered({}), "The log", address)
    assert SIGNATURE not in str(caught.value)


def test_a_signed_address_is_masked_from_then_on() -> None:
    session = answered({})
    Blob(session, "The log", f"https://a.blob.example{QUERY}").close()
    for text in (SIGNATURE, "c2lnbmF0dXJlLW9mLWJsb2I=", f"a.blob.example{QUERY}"):
        assert "c2lnbmF0" not in session.secrets.mask(f"refused: {text}")
