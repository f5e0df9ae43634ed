"""The tag of an app image that was given none."""

from __future__ import annotations

import subprocess
from datetime import datetime, timezone
from pathlib import Path

import pytest

from azext_otelembed.builders.source import default_tag
from azext_otelembed.image.reference import Reference

NOW = datetime(2026, 11, 22, 21, 45, 3, tzinfo=timezone.utc)


def git(folder: Path, *arguments: str) -> str:
    identity = ("-c", "user.name=t", "-c", "user.email=t@example.com")
    done = subprocess.run(
        ["git", "-C", str(folder), *identity, *arguments],
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    git(tmp_path, "init", "-q")
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM scratch\n")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-q", "-m", "one")
    return tmp_path


def test_a_clean_checkout_is_named_by_its_commit(checkout: Path) -> None:
    tag = default_tag(checkout / "app", NOW)
    assert len(tag) == 12
    assert git(checkout, "rev-parse", "HEAD").startswith(tag)


@pytest.mark.parametrize("name", ["Dockerfile", "server.js"], ids=["changed", "unknown to git"])
def test_a_file_below_the_source_that_is_not_committed_means_the_time(
    checkout: Path, name: str
) -> None:
    (checkout / "app" / name).write_text("FROM scratch\nUSER 1\n")
    assert default_tag(checkout / "app", NOW) == "20261122-214503"


def test_a_change_elsewhere_in_the_checkout_does_not_count(checkout: Path) -> None:
    (checkout / "notes").write_text("")
    assert git(checkout, "rev-parse", "HEAD").startswith(default_tag(checkout / "app", NOW))


def test_a_folder_that_is_no_checkout_and_one_without_commits_mean_the_time(tmp_path: Path) -> None:
    assert default_tag(tmp_path, NOW) == "20261122-214503"
    git(tmp_path, "init", "-q")
    assert default_tag(tmp_path, NOW) == "20261122-214503"
    assert Reference("localhost", "shop", default_tag(tmp_path))  # a valid tag
