"""The server of `wordmask serve`: an image and sentences in, masks out, with a page to try it on."""

import secrets
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from hashlib import sha256
from importlib.metadata import version
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated, Any

from fastapi import FastAPI, File, Form, UploadFile
from fastapi.exceptions import RequestValidationError
from jinja2 import Environment, FileSystemLoader
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import HTMLResponse, JSONResponse, Response

from assets.data.images import Pixels
from assets.segmenters.answers import Answer
from ops.refusal import Refused
from pipelines.commands.answering import CHOICE, Answering
from pipelines.commands.guard import Guard
from pipelines.serving.answers_json import (
    AnswerJson,
    ErrorJson,
    Masks,
    SegmentJson,
    WhoJson,
    answer_json,
    image_json,
    zipped,
)
from pipelines.serving.batching import Answered, Batcher, Busy
from pipelines.serving.limits import BodyLimit, RequestLimits, too_large
from pipelines.serving.measures import Measured, Measures
from pipelines.serving.problems import FORM, NO_IMAGE, Problem
from resources.datasets import Limits
from resources.datasets.images import ImageProblem, inspect_image, load_image
from resources.datasets.reading import expression_problem
from storage.outputs import file_name

TEMPLATES = Path(__file__).parent / "templates"
PATHS = frozenset({"/", "/api", "/segment", "/health", "/metrics", "/openapi.json"})
ERRORS: dict[int | str, dict[str, Any]] = {
    status: {"model": ErrorJson, "description": what}
    for status, what in (
        (400, "the form or the image cannot be read"),
        (413, "more bytes or pixels than the server takes"),
        (422, "no sentence, or too many"),
        (503, "too many requests wait; try again"),
    )
}
ZIP: dict[str, Any] = {"application/zip": {"schema": {"type": "string", "format": "binary"}}}


class Server:
    """What the routes share."""

    def __init__(self, answering: Answering, *, limits: RequestLimits, wait_seconds: float) -> None:
        self.answering, self.limits, self.measures = answering, limits, Measures()
        self.batcher = Batcher(
            segment=answering.segment,
            together=answering.by != CHOICE,
            wait_seconds=wait_seconds,
            on_batch=self.measures.batch,
        )
        self.pages = Environment(loader=FileSystemLoader(TEMPLATES), autoescape=True, trim_blocks=True)

    async def segment(
        self,
        image: Annotated[UploadFile, File(description="JPEG, PNG, WebP, HEIC, AVIF, BMP, GIF or TIFF")],
        sentences: Annotated[list[str], Form(description="what to segment; repeat the field for each sentence")],
        masks: Annotated[Masks, Form(description="how masks are given")] = Masks.rle,
    ) -> Any:
        """The mask of each sentence; one that cannot be answered has a `problem`, and the others have their masks."""
        if len(sentences) > self.limits.sentences:
            raise Problem(
                422,
                "too_many_sentences",
                f"{len(sentences)} sentences are more than {self.limits.sentences}",
                "send several requests",
            )
        content = await image.read()
        pixels = await run_in_threadpool(self._decoded, content, image.filename or "image")
        digest = sha256(content).hexdigest()
        answers = await self._answers(digest, sentences, pixels)
        return await run_in_threadpool(self._response, sentences, answers, pixels, digest, masks)

    async def _answers(self, digest: str, sentences: Sequence[str], pixels: Pixels) -> Answered:
        """One for each sentence; what is no sentence does not reach the models."""
        reasons = [expression_problem(text, Limits()) for text in sentences]
        usable = [text for text, reason in zip(sentences, reasons, strict=True) if reason is None]
        try:
            found = iter(await self.batcher.ask(digest, usable, pixels) if usable else ())
        except Busy as problem:
            raise Problem(503, "busy", "too many requests wait", "try again in a second") from problem
        return [next(found) if reason is None else Refused(reason) for reason in reasons]

    def _response(
        self, sentences: Sequence[str], answers: Answered, pixels: Pixels, digest: str, masks: Masks
    ) -> Response:
        said: list[AnswerJson] = []
        for text, answer in zip(sentences, answers, strict=True):
            said.append(answer_json(text, answer, masks))
            outcome = "refused" if said[-1].problem else "found" if said[-1].found else "nothing"
            self.measures.sentences.labels(outcome).inc()
        found = SegmentJson(image=image_json(pixels, digest), answered_by=WhoJson.of(self.answering), answers=said)
        if masks == Masks.zip:
            drawn = [answer.mask if isinstance(answer, Answer) else None for answer in answers]
            headers = {"Content-Disposition": 'attachment; filename="masks.zip"'}
            return Response(zipped(found, drawn), media_type="application/zip", headers=headers)
        return Response(found.model_dump_json(), media_type="application/json")

    def _decoded(self, content: bytes, name: str) -> Pixels:
        """The image, upright; through the one reader of images, which takes files."""
        with TemporaryDirectory(prefix="wordmask-") as folder:
            path = Path(folder) / file_name(Path(name).name)
            path.write_bytes(content)
            try:
                header = inspect_image(path, max_pixels=2**62)
                if header.width * header.height > self.limits.pixels:
                    raise too_large(f"the image has more than {self.limits.pixels:,} pixels")
                return load_image(path, max_pixels=self.limits.pixels)
            except ImageProblem as problem:
                raise Problem(400, "unreadable_image", str(problem), NO_IMAGE) from problem

    async def health(self) -> dict[str, Any]:
        """Whether the server answers, with what, and how many requests wait."""
        who = WhoJson.of(self.answering).model_dump()
        return {"status": "ok", "version": version("wordmask"), **who, "waiting": self.batcher.waiting}

    async def metrics(self) -> Response:
        """Counters in the text format of Prometheus."""
        self.measures.waiting.set(self.batcher.waiting)
        return Response(self.measures.text(), media_type=CONTENT_TYPE_LATEST)

    async def page(self) -> HTMLResponse:
        """A page to drop an image on and type a sentence."""
        return self.rendered("page.html.j2", answering=self.answering, limits=self.limits)

    def rendered(self, template: str, **parts: Any) -> HTMLResponse:
        """A page that loads nothing from elsewhere, and runs no script but its own."""
        nonce = secrets.token_urlsafe(16)
        policy = (
            f"default-src 'none'; img-src 'self' data: blob:; style-src 'nonce-{nonce}'; script-src 'nonce-{nonce}'; "
            "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
        )
        text = self.pages.get_template(template).render(nonce=nonce, version=version("wordmask"), **parts)
        return HTMLResponse(text, headers={"Content-Security-Policy": policy, "Referrer-Policy": "no-referrer"})


def build_app(answering: Answering, *, limits: RequestLimits | None = None, wait_seconds: float = 0.005) -> FastAPI:
    """The application with open models.

    Args:
        answering: who answers.
        limits: of a request.
        wait_seconds: for how long requests are collected after the first one of a batch.
    """
    server = Server(answering, limits=limits or RequestLimits(), wait_seconds=wait_seconds)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        server.batcher.start()
        yield
        await server.batcher.stop()

    app = FastAPI(
        title="wordmask",
        description="Masks of what sentences say of an image.",
        version=version("wordmask"),
        docs_url=None,  # they load scripts from elsewhere; /api shows the same
        redoc_url=None,
        lifespan=lifespan,
        middleware=[
            Middleware(Measured, measures=server.measures, paths=PATHS),
            Middleware(Guard),
            Middleware(BodyLimit, at_most=server.limits.bytes),
        ],
        exception_handlers={
            Problem: _problem,
            RequestValidationError: _invalid,
            HTTPException: _http,
            Exception: _bug,
        },
    )
    app.add_api_route(
        "/segment",
        server.segment,
        methods=["POST"],
        response_model=SegmentJson,
        responses={200: {"content": ZIP}, **ERRORS},
    )
    app.add_api_route("/health", server.health, methods=["GET"])
    app.add_api_route("/metrics", server.metrics, methods=["GET"], response_class=Response)
    app.add_api_route("/", server.page, methods=["GET"], include_in_schema=False)

    async def api() -> HTMLResponse:
        return server.rendered("api.html.j2", schema=app.openapi(), forms=_forms(app.openapi()))

    app.add_api_route("/api", api, methods=["GET"], include_in_schema=False)
    return app


def _forms(schema: dict[str, Any]) -> dict[str, Any]:
    """Name -> schema, of everything that the paths point at."""
    known: dict[str, Any] = schema["components"]["schemas"]
    return known


async def _problem(_: Request, problem: Problem) -> JSONResponse:
    headers = {"Retry-After": "1"} if problem.status == 503 else None
    return JSONResponse(problem.content(), problem.status, headers)


async def _invalid(_: Request, error: RequestValidationError) -> JSONResponse:
    """The first field that is missing or wrong."""
    first = error.errors()[0]
    field = ".".join(str(part) for part in first["loc"] if part != "body") or "the form"
    return JSONResponse(Problem(422, "invalid_form", f"{field}: {first['msg']}", FORM).content(), 422)


async def _http(_: Request, error: HTTPException) -> JSONResponse:
    advice = FORM if error.status_code == 400 else "GET /api says what there is"
    return JSONResponse(Problem(error.status_code, "http", str(error.detail), advice).content(), error.status_code)


async def _bug(_: Request, __: Exception) -> JSONResponse:
    problem = Problem(500, "bug", "the server made a mistake", "its terminal shows the traceback; please report it")
    return JSONResponse(problem.content(), 500)
