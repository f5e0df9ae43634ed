"""What --source, --file and --build-arg mean."""

from __future__ import annotations

from pathlib import Path

import pytest

from azext_otelembed.builders.source import find_source
from azext_otelembed.errors import InvalidInput
from azext_otelembed.image.reference import Digest, Reference
from azext_otelembed.target.from_source import app_source

SHOP = Reference.parse("r.azurecr.io/team/shop:1.0")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "src" / "docker").mkdir(parents=True)
    (tmp_path / "src" / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "src" / "docker" / "prod.Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "other.Dockerfile").write_text("FROM scratch\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_dockerfile_of_the_folder_is_the_default(folder: Path) -> None:
    source = find_source("src", None, [], None)
    assert source.directory == folder / "src"
    assert source.dockerfile == folder / "src" / "Dockerfile"


def test_a_containerfile_serves_too(folder: Path) -> None:
    (folder / "src" / "Dockerfile").rename(folder / "src" / "Containerfile")
    assert find_source("src", None, [], None).dockerfile.name == "Containerfile"


def test_a_file_is_looked_for_in_the_source_first_then_here(folder: Path) -> None:
    inside = find_source("src", "docker/prod.Dockerfile", [], None)
    assert inside.dockerfile == folder / "src" / "docker" / "prod.Dockerfile"
    assert find_source("src", "other.Dockerfile", [], None).dockerfile.parent == folder


@pytest.mark.parametrize(
    ("source", "file", "build_args", "said"),
    [
        ("nowhere", None, [], "doesn't exist"),
        ("other.Dockerfile", None, [], "is not a directory"),
        ("src/docker", None, [], "holds no Dockerfile"),
        ("src", "Dockerfile.prod", [], "was found neither in 'src' nor"),
        ("src", None, ["=1"], "isn't NAME=value"),
        ("src", None, ["A B=1"], "isn't NAME=value"),
        ("src", None, ["--privileged"], "isn't NAME=value"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_what_cannot_be_built_is_named(
    source: str, file: str | None, build_args: list[str], said: str
) -> None:
    with pytest.raises(InvalidInput, match=said):
        find_source(source, file, build_args, None)


@pytest.mark.usefixtures("folder")
def test_build_arguments_may_hold_anything_and_may_be_left_to_the_environment() -> None:
    given = [["A=1", "B=two words = here"], ["NPM_TOKEN"]]
    found = app_source("src", None, given, "final", None, None)
    assert found is not None
    assert found.source.build_args == ("A=1", "B=two words = here", "NPM_TOKEN")
    assert found.source.target == "final"


def test_options_of_source_are_refused_without_it() -> None:
    assert app_source(None, None, None, None, None, "1.0") is None
    for file, build_args, target, builder in (
        ("f", None, None, None),
        (None, [["A=1"]], None, None),
        (None, None, "t", None),
        (None, None, None, "docker"),
    ):
        with pytest.raises(InvalidInput, match="requires --source"):
            app_source(None, file, build_args, target, builder, None)


@pytest.mark.parametrize(
    ("image", "tag", "expected"),
    [
        (None, "2.0", "r.azurecr.io/team/shop:2.0"),
        ("shop:3.0", None, "r.azurecr.io/team/shop:3.0"),
        ("shop:3.0", "3.0", "r.azurecr.io/team/shop:3.0"),
        ("shop", "4.0", "r.azurecr.io/team/shop:4.0"),
    ],
)
@pytest.mark.usefixtures("folder")
def test_the_app_image_is_named_by_image_and_tag(
    image: str | None, tag: str | None, expected: str
) -> None:
    found = app_source("src", None, None, None, None, tag)
    assert found is not None
    name = SHOP if image is None else Reference.parse(f"r.azurecr.io/team/{image}")
    assert str(found.name(name, running=image is None)) == expected


@pytest.mark.usefixtures("folder")
def test_two_tags_and_a_digest_are_refused() -> None:
    found = app_source("src", None, None, None, None, "2.0")
    assert found is not None
    with pytest.raises(InvalidInput, match="two tags"):
        found.name(SHOP.with_tag("1.0"), running=False)
    with pytest.raises(InvalidInput, match="by its digest"):
        found.name(SHOP.with_digest(Digest.of(b"")), running=False)
