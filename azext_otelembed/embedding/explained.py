"""What is wrong with an image, as an error of ours."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from azext_otelembed.errors import Refused
from azext_otelembed.image.problem import ImageProblem


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Turns an `ImageProblem` into `Refused`, naming the image `what`."""
    problem: ImageProblem | None = None
    try:
        yield
    except ImageProblem as found:
        problem = found
    if problem is not None:
        named = problem.message if what in problem.message else f"{what}: {problem.message}"
        raise Refused(named, problem.recommendation)
