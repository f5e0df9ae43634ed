"""Embedding a collector in an image."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from azext_otelembed.errors import InvalidImage
from azext_otelembed.image import labels as names
from azext_otelembed.image.descriptor import Family
from azext_otelembed.image.embed import Base, Embedded, embed, make_recipe, original
from azext_otelembed.image.image_config import ImageConfig, parse_config
from azext_otelembed.image.launcher import LOGS, LONGEST_GRACE, Launcher
from azext_otelembed.image.manifest import Manifest, parse_manifest
from azext_otelembed.image.prepared_shell import PreparedShell
from azext_otelembed.image.provenance import read_provenance, restore_base
from azext_otelembed.image.reference import Digest
from tests.unit.image.image_support import (
    CONFIG,
    absent,
    as_base,
    base,
    bases,
    collector,
    config_document,
    digest,
    manifest_document,
    shell,
)

COLLECTOR = collector()
LAUNCHER = Launcher()
launchers = st.builds(Launcher, collector_logs=st.sampled_from(LOGS)) | st.builds(
    Launcher, st.just("drain"), grace=st.integers(0, LONGEST_GRACE)
)
shells = st.none() | st.just(shell())


def _document(**changes: Any) -> dict[str, Any]:
    return config_document(2, Cmd=["x"]) | changes


slow = settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])


def embedded_in(image: Base, launcher: Launcher = LAUNCHER, **options: Any) -> Embedded:
    return embed(image, COLLECTOR, CONFIG, launcher, **options)


@pytest.mark.parametrize(
    "start",
    [{"Entrypoint": ["/entry", "x"], "Cmd": ["serve"]}, {"Cmd": ["/bin/sh", "-c", "npm start"]}],
)
def test_the_entrypoint_is_wrapped_and_the_cmd_stays(start: dict[str, Any]) -> None:
    embedded = embedded_in(base(**start))
    config = embedded.config
    script = LAUNCHER.script(recipe=embedded.recipe.digest)
    wrapped = ("/bin/sh", "-c", script, "otelembed", *start.get("Entrypoint", ()))
    assert (config.entrypoint, config.cmd) == (wrapped, tuple(start["Cmd"]))


@pytest.mark.parametrize("family", list(Family))
def test_the_added_layers_come_on_top_in_the_bases_family(family: Family) -> None:
    original_image = base(family)
    embedded = embedded_in(original_image)
    manifest = as_base(embedded).manifest
    assert manifest.family is family
    assert manifest.layers[:2] == original_image.manifest.layers
    assert [layer.digest for layer in manifest.layers[2:]] == [
        *embedded.mounts,
        embedded.uploads[0].digest,
    ]
    assert {layer.media_type for layer in manifest.layers} == {family.layer_type("gzip")}
    assert all(not layer.extra for layer in manifest.layers)
    assert embedded.mounts == tuple(layer.descriptor.digest for layer in COLLECTOR.layers)
    assert embedded.digest == Digest.of(embedded.manifest.data) == embedded.reference.digest


@pytest.mark.parametrize(
    ("family", "expected"),
    [
        (Family.DOCKER, "b9286160301adca98ba4b81f580032cf1936048bd105d3b002091a88b8f2b5a1"),
        (Family.OCI, "8b3a8f8fc4103fe84df5d68eea384f2583abb1ce706cdf17dd541e3dd19e608c"),
    ],
)
def test_an_embedded_image_is_the_same_byte_for_byte_everywhere(
    family: Family, expected: str
) -> None:
    # A change here needs a new recipe.FORMAT, or a new version of the launcher if only its script
    # differs: the same recipe must give the same image.
    assert embedded_in(base(family)).digest.hex == expected


def test_the_uploads_are_the_configuration_layer_and_the_configuration_and_small() -> None:
    embedded = embedded_in(base())
    assert [upload.digest for upload in embedded.uploads] == [
        Digest.of(upload.data) for upload in embedded.uploads
    ]
    uploaded = sum(len(upload.data) for upload in embedded.uploads)
    assert uploaded + len(embedded.manifest.data) < 9 << 10


def test_labels_tell_what_the_image_was_made_of() -> None:
    image = base(Cmd=["x"], Labels={"team": "shop"})
    embedded = embedded_in(image)
    labels = embedded.config.labels
    assert labels["team"] == "shop"
    assert labels[names.BASE_NAME] == "shopregistry.azurecr.io/shop:1.0"
    assert labels[names.BASE_DIGEST] == str(image.digest)
    assert labels[names.RECIPE] == str(embedded.recipe.digest)
    assert labels[names.COLLECTOR] == str(COLLECTOR.upstream)
    assert labels[names.CONFIG] == str(Digest.of(CONFIG))
    assert labels[names.LAUNCHER] == "exec/3"
    assert labels[names.VERSION] == "1"


def test_annotations_are_added_in_the_oci_family_only() -> None:
    docker, oci = (as_base(embedded_in(base(family))).manifest for family in Family)
    assert "annotations" not in docker.document
    assert set(oci.annotations) == set(names.PROVENANCE)


@pytest.mark.parametrize("family", list(Family))
def test_an_embedded_image_is_no_referrer_though_its_base_is_one(family: Family) -> None:
    image = base(family)
    plain = image.manifest.document
    referrer = {
        "schemaVersion": 2,
        "artifactType": "application/vnd.acme.app",
        **plain,
        "subject": {**plain["config"], "digest": str(digest("source"))},
        "x-unknown": {"kept": [1]},
    }
    if family is Family.OCI:
        referrer["annotations"] = {
            "com.acme.team": "shop",
            "org.opencontainers.image.ref.name": "1.0",
            "io.containerd.image.name": "shop:1.0",
        }
    manifest = Manifest.of(family, referrer)
    embedded = as_base(embedded_in(replace(image, manifest=manifest, digest=manifest.digest)))
    made = embedded.manifest.document
    assert not {"subject", "artifactType"} & set(made)
    assert made["x-unknown"] == {"kept": [1]}
    if family is Family.OCI:
        assert set(made["annotations"]) == {"com.acme.team", *names.PROVENANCE}
    restored, _ = restore_base(embedded.manifest, embedded.config)
    assert restored.data == manifest.data


@pytest.mark.parametrize("place", [10**60, -1, 10**60 * -1])
def test_a_place_that_no_manifest_has_makes_the_label_malformed(place: int) -> None:
    embedded = as_base(embedded_in(base()))
    document = json.loads(embedded.config.data)
    labels = document["config"]["Labels"]
    undo = json.loads(labels[names.RESTORE])
    undo["notes"] = {"subject": {"was": {}, "at": place}}
    labels[names.RESTORE] = json.dumps(undo)
    with pytest.raises(InvalidImage, match="is malformed"):
        restore_base(embedded.manifest, parse_config(json.dumps(document).encode()))


def test_the_tag_follows_from_the_recipe_unless_one_is_given() -> None:
    image = base()
    recipe = make_recipe(image.digest, COLLECTOR, CONFIG, LAUNCHER)
    embedded = embedded_in(image)
    assert embedded.recipe == recipe
    assert embedded.reference.tag == f"1.0-otelembed-{recipe.digest.short}"
    named = embedded_in(image, tag="blue")
    assert named.reference.tag == "blue"
    assert named.digest == embedded.digest


def test_every_ingredient_changes_the_recipe() -> None:
    image = base()
    recipes = {
        embedded_in(image).recipe.digest,
        embedded_in(base(Cmd=["other"])).recipe.digest,
        embed(image, collector(bundle=b"other"), CONFIG, LAUNCHER).recipe.digest,
        embed(image, COLLECTOR, b"other", LAUNCHER).recipe.digest,
        embed(image, COLLECTOR, CONFIG, Launcher(collector_logs="stderr")).recipe.digest,
        embed(image, COLLECTOR, CONFIG, Launcher(memory_mib=None)).recipe.digest,
        embed(image, COLLECTOR, CONFIG, Launcher("drain")).recipe.digest,
        embed(image, COLLECTOR, CONFIG, Launcher("drain", grace=3)).recipe.digest,
        embedded_in(image, shell=shell()).recipe.digest,
        embedded_in(image, shell=shell(b"other")).recipe.digest,
    }
    assert len(recipes) == 10


def test_a_shell_that_is_brought_starts_the_launcher_and_is_mounted() -> None:
    embedded = embedded_in(base(Entrypoint=["/app"]), shell=shell())
    script = LAUNCHER.script(recipe=embedded.recipe.digest, shell_path="/otelembed/sh")
    assert embedded.config.entrypoint == ("/otelembed/sh", "-c", script, "otelembed", "/app")
    assert embedded.mounts[-1] == shell().layer.digest
    assert len(as_base(embedded).manifest.layers) == 2 + 4
    assert embedded.config.labels[names.SHELL] == str(shell().upstream)
    found = read_provenance(embedded.config)
    assert found is not None
    assert found.shell == str(shell().upstream)


def test_the_drain_launcher_knows_the_bases_stop_signal() -> None:
    drain = Launcher("drain")
    embedded = embed(base(Cmd=["nginx"], StopSignal="SIGPWR"), COLLECTOR, CONFIG, drain)
    recipe = embedded.recipe.digest
    script = drain.script(recipe=recipe, stop_signal="SIGPWR")
    assert embedded.config.entrypoint[2] == script != drain.script(recipe=recipe)
    assert embedded.config.settings["StopSignal"] == "SIGPWR"


def test_history_gains_an_entry_a_layer_dated_as_the_base() -> None:
    image = base()
    history = embedded_in(image).config.history
    assert history[:3] == image.config.history
    assert len([entry for entry in history if not entry.get("empty_layer")]) == 5
    assert {entry["created"] for entry in history[3:]} == {"2026-01-02T03:04:05Z"}


@pytest.mark.parametrize("history", [absent, None, [], [{"created_by": "x"}], [{}, {}, {}]])
def test_a_history_that_does_not_match_the_layers_is_left_alone(history: object) -> None:
    document = _document(history=history)
    if history is absent:
        del document["history"]
    embedded = embedded_in(base(document=document))
    assert embedded.config.document.get("history", absent) == history


def pointing(**changes: Any) -> Base:
    """An image whose manifest refers to its configuration with other fields."""
    image = base(Family.OCI)
    document = image.manifest.document
    manifest = Manifest.of(Family.OCI, document | {"config": document["config"] | changes})
    return replace(image, digest=manifest.digest, manifest=manifest)


def test_another_way_to_the_bases_configuration_is_not_kept() -> None:
    embedded = as_base(embedded_in(pointing(data="e30=", annotations={"a": "b"}))).manifest
    assert "data" not in embedded.document["config"]
    assert embedded.config.annotations == {"a": "b"}


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (base(User="app"), "neither an ENTRYPOINT nor a CMD"),
        (base(Entrypoint=[], Cmd=None, User="1"), "neither an ENTRYPOINT nor a CMD"),
        (base(document=_document(architecture="arm64")), "built for linux/arm64"),
        (base(document=_document(os="windows")), "Windows image"),
        (base(document=_document(os="")), "built for unknown/amd64"),
        (base(document=config_document(3, Cmd=["x"])), "lists 2 layers, its configuration 3"),
        (pointing(mediaType="application/vnd.helm.config+json"), "not an image"),
        (base(layers=0), "no layers"),
        (base(layers=123), "more than the 125"),
    ],
)
def test_what_cannot_be_embedded_in_is_named(image: Base, message: str) -> None:
    with pytest.raises(InvalidImage, match=message) as caught:
        embedded_in(image)
    assert "shopregistry.azurecr.io/shop:1.0" in caught.value.message


def test_a_zstd_collector_fits_an_oci_base_and_no_docker_one() -> None:
    zstd = collector("zstd")
    oci = as_base(embed(base(Family.OCI), zstd, CONFIG, LAUNCHER)).manifest
    assert oci.layers[2].media_type.endswith("+zstd")
    with pytest.raises(InvalidImage, match="zstd"):
        embed(base(Family.DOCKER), zstd, CONFIG, LAUNCHER)


def test_the_bases_own_zstd_layers_pass_through() -> None:
    config = base(Family.OCI).config
    document = manifest_document(Family.OCI, config.data)
    document["layers"][0]["mediaType"] = Family.OCI.layer_type("zstd")
    manifest = Manifest.of(Family.OCI, document)
    image = Base(base().reference, manifest.digest, manifest, config)
    assert manifest.layers[0].compression == "zstd"
    embedded = as_base(embedded_in(image)).manifest
    assert embedded.document["layers"][:2] == document["layers"]


def test_an_image_built_on_an_embedded_one_is_refused() -> None:
    embedded = as_base(embedded_in(base()))
    rootfs = embedded.config.document["rootfs"]
    rootfs = {**rootfs, "diff_ids": [*rootfs["diff_ids"], str(digest("more"))]}
    config = ImageConfig.of({**embedded.config.document, "rootfs": rootfs})
    derived = replace(embedded, config=config)
    with pytest.raises(InvalidImage, match="built FROM an embedded image"):
        embedded_in(derived)


@pytest.mark.parametrize(
    ("change", "derived"),
    [
        *(({"Env": ["A=1"]}, True), ({"Cmd": ["other"]}, True), ({"Entrypoint": ["/other"]}, True)),
        *(({"User": "app"}, True), ({"User": "", "Volumes": None}, False)),
    ],
)
def test_changed_settings_are_noticed_but_not_another_order_or_empty_ones(
    change: dict[str, Any], derived: bool
) -> None:
    config = embedded_in(base()).config
    rewritten = dict(reversed(list(config.settings.items()))) | change
    found = read_provenance(ImageConfig.of({**config.document, "config": rewritten}))
    assert found is not None
    assert found.derived is derived


@slow
@given(bases())
def test_embedding_keeps_every_field_it_does_not_own(image: Base) -> None:
    embedded = as_base(embedded_in(image))
    before, after = image.manifest.document, embedded.manifest.document
    assert after["layers"][: len(before["layers"])] == before["layers"]
    assert _other(after, "config", "layers", "annotations") == _other(
        before, "config", "layers", "annotations"
    )
    kept, now = image.config.document, embedded.config.document
    assert _other(now, "config", "rootfs", "history") == _other(kept, "config", "rootfs", "history")
    assert now["rootfs"]["type"] == kept["rootfs"]["type"]
    assert len(now["rootfs"]["diff_ids"]) == len(after["layers"])
    assert _other(now["config"], "Entrypoint", "Labels") == _other(
        kept["config"], "Entrypoint", "Labels"
    )
    ours = (*names.PROVENANCE, names.RESTORE)
    assert _other(embedded.config.labels, *ours) == _other(image.config.labels, *ours)
    assert embedded.config.entrypoint[4:] == image.config.entrypoint
    # The history has as many entries as there are layers, or is the base's.
    told = [entry for entry in embedded.config.history if not entry.get("empty_layer")]
    before_told = [entry for entry in image.config.history if not entry.get("empty_layer")]
    if len(before_told) == len(image.config.diff_ids):
        assert len(told) == len(embedded.config.diff_ids)
    else:
        assert told == before_told


@slow
@given(bases())
def test_the_same_recipe_gives_the_same_bytes_for_a_base_of_the_same_name(image: Base) -> None:
    again = parse_manifest(bytes(bytearray(image.manifest.data)), None)
    assert isinstance(again, Manifest)
    twin = Base(image.reference, image.digest, again, image.config)
    first = embedded_in(image)
    second = embed(twin, collector(), bytes(bytearray(CONFIG)), Launcher())
    assert first == second


@pytest.mark.parametrize("family", list(Family))
def test_another_name_of_the_base_is_written_down_and_changes_nothing_else(family: Family) -> None:
    image = base(family)
    renamed = replace(image, reference=image.reference.with_tag("latest"))
    first = embedded_in(image, tag="blue")
    second = embedded_in(renamed, tag="blue")
    assert first.recipe == second.recipe
    assert first.reference.tag == second.reference.tag == "blue"
    assert first.digest != second.digest
    assert _nameless(first) == _nameless(second)


def _nameless(embedded: Embedded) -> tuple[Any, Any]:
    """Manifest and configuration without the base's name, and without what is counted from it."""
    manifest = as_base(embedded).manifest.document
    annotations = {**manifest.get("annotations", {}), names.BASE_NAME: ""}
    kept = {key: value for key, value in manifest.items() if key not in ("annotations", "config")}
    config = embedded.config.document
    labels = {**config["config"]["Labels"], names.BASE_NAME: "", names.RESTORE: ""}
    settings = {**config["config"], "Labels": labels}
    return {**kept, "annotations": annotations}, {**config, "config": settings}


@slow
@given(bases(), st.binary(max_size=20), launchers, shells, launchers, shells)
def test_embed_of_embed_equals_embed_of_the_base(
    image: Base,
    config: bytes,
    launcher: Launcher,
    brought: PreparedShell | None,
    older: Launcher,
    older_shell: PreparedShell | None,
) -> None:
    once = embed(image, COLLECTOR, config, launcher, shell=brought)
    before = embed(image, collector(version="0.149.0"), CONFIG, older, shell=older_shell)
    assert embed(as_base(before), COLLECTOR, config, launcher, shell=brought) == once
    assert embed(as_base(once), COLLECTOR, config, launcher, shell=brought) == once


@slow
@given(bases(), launchers, shells)
def test_origin_tells_what_went_in_and_restoring_gives_the_very_bytes_of_the_base_back(
    image: Base, launcher: Launcher, brought: PreparedShell | None
) -> None:
    assert read_provenance(image.config) is None
    embedded = embedded_in(image, launcher, shell=brought)
    pushed = as_base(embedded)
    assert restore_base(pushed.manifest, pushed.config) == (image.manifest, image.config)
    back = original(pushed)
    assert back.digest == image.digest
    assert (back.reference.name, back.reference.tag) == (image.reference.name, image.reference.tag)
    found = read_provenance(embedded.config)
    assert found is not None
    assert found.base_digest == found.base.digest == image.digest
    assert found.recipe == embedded.recipe.digest
    assert (found.collector, found.config) == (str(COLLECTOR.upstream), Digest.of(CONFIG))
    assert Launcher.parse(found.launcher) == launcher
    assert found.shell == (str(brought.upstream) if brought else None)
    assert not found.derived


def _other(document: dict[str, Any], *owned: str) -> dict[str, Any]:
    return {key: value for key, value in document.items() if key not in owned}
