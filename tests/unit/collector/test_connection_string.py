"""Connection strings: read, put in order, masked."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from azext_otelembed.collector.connection_string import is_key_vault_reference, mask, parse
from azext_otelembed.errors import InvalidConfig

KEY = "12345678-9abc-def0-1234-56789abcdef0"
INGESTION = "https://westeurope-5.in.applicationinsights.azure.com/"
FULL = (
    f"InstrumentationKey={KEY};IngestionEndpoint={INGESTION};"
    "LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/;"
    "ApplicationId=0a1b2c3d-1111-2222-3333-444455556666"
)


@pytest.mark.parametrize(
    "text",
    [
        FULL,
        f"{FULL};",
        f"  {FULL} ;\n",
        f";;{FULL};;",
        FULL.replace("InstrumentationKey", "instrumentationkey"),
        FULL.replace("IngestionEndpoint", "INGESTIONENDPOINT").replace("=", " = "),
        FULL.replace("ApplicationId", "applicationID"),
    ],
)
def test_what_the_exporter_trips_over_is_put_in_order(text: str) -> None:
    found = parse(text)
    assert (found.normalised, found.instrumentation_key) == (FULL, KEY)


@pytest.mark.parametrize(
    "rest", ["", ";FutureThing=a=b", ";IngestionEndpoint=https://localhost:8443/"]
)
def test_a_key_is_enough_and_unknown_keys_and_local_endpoints_are_kept(rest: str) -> None:
    text = f"InstrumentationKey={KEY}{rest}"
    assert parse(text).normalised == text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("  \n", "empty"),
        (KEY, "only an instrumentation key"),
        ("hello", "Part 1 .* not of the form"),
        (f"InstrumentationKey={KEY};IngestionEndpoint", "Part 2 .* not of the form"),
        (f"InstrumentationKey={KEY};=x", "Part 2 .* not of the form"),
        ("InstrumentationKey=", "Part 1 .* not of the form"),
        (f"IngestionEndpoint={INGESTION}", "no InstrumentationKey"),
        ("InstrumentationKey=s3cret-notaguid", "not a GUID"),
        (f"InstrumentationKey={KEY.replace('-', '')}", "not a GUID"),
        (f"InstrumentationKey={KEY};ApplicationId=s3cret", "ApplicationId .* not a GUID"),
        (f"InstrumentationKey={KEY};instrumentationkey={KEY}", "Part 2 .* repeats"),
        (f"InstrumentationKey={KEY};Xx=s3cret;xX=2", "Part 3 .* repeats"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=http://s3cret/", "not an https address"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=s3cret.example", "not an https address"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=https://", "not an https address"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=https://a:s3cret@x/", "not an https"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=https://x/?sig=s3cret", "not an https"),
        (f"InstrumentationKey={KEY};IngestionEndpoint=https://x:s3cret/", "not an https"),
        (f"InstrumentationKey={KEY};LiveEndpoint=https://[s3cret/", "LiveEndpoint .* not an https"),
        (f"InstrumentationKey={KEY};EndpointSuffix=https://s3cret", "EndpointSuffix"),
        (f"InstrumentationKey={KEY};Authorization=s3cret", "Authorization"),
        (f"InstrumentationKey={KEY}\nIngestionEndpoint={INGESTION}", "line breaks"),
        (f"InstrumentationKey={KEY};X=\x1bs3cret", "control characters"),
        (f"InstrumentationKey={KEY};X={'s3cret' * 1000}", "characters long"),
    ],
)
def test_what_is_wrong_is_said_without_repeating_any_of_it(text: str, message: str) -> None:
    with pytest.raises(InvalidConfig, match=message) as caught:
        parse(text)
    said = f"{caught.value.message} {caught.value.recommendation} {caught.value!r}"
    assert "s3cret" not in said
    assert KEY[:8] not in said
    assert "hello" not in said


def test_the_mask_shows_hosts_and_four_characters_of_the_key() -> None:
    assert parse(FULL).masked == (
        f"InstrumentationKey=1234****-…;IngestionEndpoint={INGESTION};"
        "LiveEndpoint=https://westeurope.livediagnostics.monitor.azure.com/;"
        "ApplicationId=0a1b****-…"
    )
    assert repr(parse(FULL)) == f"ConnectionString({parse(FULL).masked!r})"


def test_the_mask_hides_paths_and_unknown_values() -> None:
    text = f"InstrumentationKey={KEY};IngestionEndpoint=https://x/s3cret;Other=s3cret;AADAudience=s"
    assert mask(text) == (
        "InstrumentationKey=1234****-…;IngestionEndpoint=https://x/;Other=****;AADAudience=****"
    )


@pytest.mark.parametrize("text", ["", "s3cret", KEY, f"InstrumentationKey={KEY[:-1]}", "a=b;c=d"])
def test_what_cannot_be_read_is_masked_as_a_whole(text: str) -> None:
    assert mask(text) == "****"


def test_a_key_vault_reference_is_told_and_shown() -> None:
    text = "@Microsoft.KeyVault(SecretUri=https://shop.vault.azure.net/secrets/ai/)"
    assert is_key_vault_reference(text)
    assert is_key_vault_reference(text.lower())
    assert mask(text) == text
    assert not is_key_vault_reference(FULL)


@given(st.text(max_size=80) | st.text("InstrumentationKey=;-0123", max_size=80))
def test_any_text_is_a_connection_string_or_a_problem_and_masks(text: str) -> None:
    assert mask(text)
    try:
        found = parse(text)
    except InvalidConfig:
        return
    assert parse(found.normalised) == found


_values = st.text("abcXYZ0189._~/", min_size=1, max_size=12)


@given(
    st.uuids(),
    st.dictionaries(st.from_regex(r"[a-z]{3,10}", fullmatch=True), _values, max_size=3),
    st.sampled_from([";", "; ", ";;", " ;"]),
)
def test_a_normalised_string_reads_back_and_never_changes_again(
    key: object, others: dict[str, str], joint: str
) -> None:
    others = {name: value for name, value in others.items() if name != "location"}
    text = joint.join([f"instrumentationkey={key}", *(f"{k}={v}" for k, v in others.items()), ""])
    found = parse(text)
    assert parse(found.normalised) == found
    assert found.normalised == ";".join(
        [f"InstrumentationKey={key}", *(f"{k}={v}" for k, v in others.items())]
    )
    assert str(key)[4:] not in found.masked
    assert found.masked.split(";")[1:] == [f"{name}=****" for name in others]
