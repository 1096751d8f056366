"""What a request is told when it can not be served: a code for programs, a sentence, and what to do."""

import json


class Problem(Exception):  # noqa: N818  what happened, not a mistake in the code
    """An answer with an error status."""

    def __init__(self, status: int, code: str, message: str, advice: str) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.advice = status, code, message, advice

    def content(self) -> dict[str, dict[str, str]]:
        """As JSON."""
        return {"error": {"code": self.code, "message": self.message, "advice": self.advice}}

    def body(self) -> bytes:
        """The same as bytes."""
        return json.dumps(self.content(), ensure_ascii=False).encode()


NO_IMAGE = "send a JPEG, PNG, WebP, HEIC, AVIF, BMP, GIF or TIFF file as the form field `image`"
FORM = "send multipart/form-data with the file `image` and the text `sentences`, once for each sentence"
