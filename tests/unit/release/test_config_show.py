"""`config show` prints no secret of a configuration that the checks would refuse."""

from __future__ import annotations

import pytest

from azext_otelembed.collector.config import default
from azext_otelembed.errors import Refused
from azext_otelembed.redaction import Secrets
from azext_otelembed.release.config_show import masked

SECRET = "hunter2-hunter2"
IMAGE = "shop.azurecr.io/shop:1"


def shown(text: str) -> str:
    return masked(Secrets(), text.encode(), IMAGE)


@pytest.mark.parametrize(
    "line",
    [
        "exporters: {x: {password: %s}}",
        "exporters: {x: {endpoint: 'https://shop:%s@example.org'}}",
        "exporters: {x: {headers: {authorization: Bearer %s}}}",
        "a: 1 # password: %s",
        "#   api_key: '%s'",
        "# - {name: x, token: %s}",
        "a: 1\n# endpoint: https://shop:%s@example.org",
        "processors: {x: {token: %s}}",
    ],
)
def test_a_secret_is_masked(line: str) -> None:
    assert SECRET not in shown(f"receivers:\n{line % SECRET}\n")


@pytest.mark.parametrize(
    "text",
    [
        f"password: {SECRET}\nreceivers: [}}",
        f"receivers:\n  x: {{password: {SECRET}}}\n" + "# more\n" * 8000,
        f"- password: {SECRET}",
    ],
    ids=["not YAML", "too long", "a list"],
)
def test_a_file_whose_secrets_are_not_found_is_not_printed(text: str) -> None:
    with pytest.raises(Refused) as refused:
        shown(text)
    assert IMAGE in refused.value.message
    assert SECRET not in str(refused.value)
    assert refused.value.recommendation


def test_other_text_stays_as_it_is() -> None:
    text = "a: 1 # the token: see the docs\n# password: ${env:PASSWORD}\n# port: 4317\n"
    assert shown(text) == text.replace("see the docs", "***")
    assert shown(default().decode()) == default().decode()
