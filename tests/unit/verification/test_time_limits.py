"""How long a verification may take, by the site's start limit."""

from __future__ import annotations

import pytest

from azext_otelembed.verification.time_limits import START_LIMIT_SETTING, default_timeout


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("230", 600),
        ("600", 970),
        (" 600 ", 970),
        ("1800", 2170),
        ("60", 600),
        ("", 600),
        ("0", 600),
        ("-600", 600),
        ("600.5", 600),
        ("²", 600),
        ("٦٠٠", 600),
        ("9" * 5000, 600),
        ("@Microsoft.KeyVault(SecretUri=https://v/secrets/s)", 600),
    ],
)
def test_the_default_timeout_fits_the_pull_and_the_start(given: str, expected: int) -> None:
    assert default_timeout({START_LIMIT_SETTING: given}) == expected


def test_without_the_setting_it_is_600_seconds() -> None:
    assert default_timeout({}) == 600
