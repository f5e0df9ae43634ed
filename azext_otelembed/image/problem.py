"""What can be wrong with an image, a reference or a document that describes one."""

from __future__ import annotations


class ImageProblem(ValueError):
    """An image (or its name) that can't be worked with.

    `message` says what is wrong with which thing; `recommendation`, where there is one, what to do.
    """

    def __init__(self, message: str, recommendation: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.recommendation = recommendation
