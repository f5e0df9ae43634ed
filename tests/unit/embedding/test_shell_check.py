from __future__ import annotations

import pytest

from azext_otelembed.embedding.shell_check import config_shows_shell
from azext_otelembed.image.image_config import ImageConfig


def config(words: list[str], steps: list[str]) -> ImageConfig:
    history = [{"created_by": step} for step in steps]
    return ImageConfig.of({"config": {"Cmd": words}, "history": history})


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        (["/bin/sh", "-c", "npm start"], []),
        (["sh", "/run"], []),
        (["/usr/local/bin/docker-entrypoint.sh", "node"], []),
        (["/app"], ["/bin/sh -c apt-get update"]),
        (["/app"], ["RUN /bin/sh -c pip install . # buildkit"]),
        (["/app"], ["RUN |1 VERSION=3 /bin/sh -c make # buildkit"]),
        (["/app"], ["|2 A=1 B=2 /bin/sh -c make"]),
        (["/app"], ['/bin/sh -c #(nop)  CMD ["/bin/sh"]', "COPY app /app # buildkit"]),
        (["/app"], ['CMD ["sh"]']),
    ],
)
def test_an_image_that_has_run_a_shell_tells_so(words: list[str], steps: list[str]) -> None:
    assert config_shows_shell(config(words, steps))


@pytest.mark.parametrize(
    ("words", "steps"),
    [
        *(([], []), (["/app"], []), (["/busybox/sh"], [])),
        (["/app"], ["/bin/sh -c #(nop) ADD file:1 in / ", '/bin/sh -c #(nop) CMD ["/app"]']),
        (["/app"], ["COPY app /app # buildkit", 'ENTRYPOINT ["/app"]', "bazel build ..."]),
    ],
)
def test_an_image_that_has_not_leaves_it_open(words: list[str], steps: list[str]) -> None:
    assert not config_shows_shell(config(words, steps))
