"""The server of `wordmask review`: a page that shows candidates and a file that decisions are appended to.

It needs no more packages than Dagster's pages do. What a page of another site sends is refused
(`pipelines.commands.guard`).
"""

from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from pydantic import BaseModel, ConfigDict, ValidationError
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from assets.reports.html import render
from ops.refusal import Refused
from pipelines.commands.guard import Guard
from pipelines.serving.limits import BodyLimit
from pipelines.serving.problems import Problem
from pipelines.serving.reviewing import RELOAD, Review
from resources.datasets import ImageChangedError
from resources.reviews import Verdict
from storage.files import StoreError

ASSETS = {"shared.js": "text/javascript", "review.js": "text/javascript", "gallery.css": "text/css"} | {
    "review.css": "text/css"
}
MOST_BYTES = 4096
"""Of a request."""
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}
KEPT = {**HEADERS, "Cache-Control": "private, max-age=3600, immutable"}
T = TypeVar("T", bound=BaseModel)


class AboutReferent(BaseModel):
    """The body of `/undo`."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    referent: str


class AskedDecision(AboutReferent):
    """The body of `/decisions`."""

    decision: Verdict
    mask: str = ""


def build_review_app(review: Review, *, gallery: Path | None = None) -> Starlette:
    """The application; `gallery` is the folder of the data set's gallery, where there is one."""
    linked = gallery is not None and (gallery / "index.html").is_file()
    page = render("review.html.j2", review=review, linked=linked).encode()
    picture = review.pictures()
    packaged = {name: files("assets.reports").joinpath("gallery", name).read_bytes() for name in ASSETS}

    async def front(_: Request) -> Response:
        return Response(page, media_type="text/html", headers=HEADERS)

    async def asset(request: Request) -> Response:
        name = request.path_params["name"]
        if name not in packaged:
            raise Problem(404, "no_page", "there is nothing here", "open / instead")
        return Response(packaged[name], media_type=ASSETS[name], headers=HEADERS)

    async def overview(_: Request) -> Response:
        return _json(await run_in_threadpool(review.overview))

    async def question(request: Request) -> Response:
        return _json(await run_in_threadpool(review.question, request.path_params["key"]))

    async def image(request: Request) -> Response:
        content = await run_in_threadpool(picture, request.path_params["sha256"])
        return Response(content, media_type="image/jpeg", headers=KEPT)

    async def decide(request: Request) -> Response:
        asked = await _body(request, AskedDecision)
        return _json(await run_in_threadpool(review.decide, asked.referent, asked.decision, asked.mask))

    async def undo(request: Request) -> Response:
        asked = await _body(request, AboutReferent)
        return _json(await run_in_threadpool(review.undo, asked.referent))

    return Starlette(
        routes=[
            Route("/", front),
            Route("/referents", overview),
            Route("/referents/{key}", question),
            Route("/images/{sha256}.jpg", image),
            Route("/decisions", decide, methods=["POST"]),
            Route("/undo", undo, methods=["POST"]),
            *([Mount("/gallery", StaticFiles(directory=gallery, html=True))] if linked else []),
            Route("/{name}", asset),
        ],
        middleware=[Middleware(Guard), Middleware(BodyLimit, at_most=MOST_BYTES)],
        exception_handlers={
            Problem: _problem,
            ImageChangedError: _changed,
            StoreError: _refused,
            Refused: _refused,
        },
    )


def _json(content: Any) -> JSONResponse:
    return JSONResponse(content, headers=HEADERS)


async def _body(request: Request, kind: type[T]) -> T:
    """What a request brings; `Problem` where it is something else."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise Problem(415, "no_json", "the body is not application/json", RELOAD)
    try:
        return kind.model_validate_json(await request.body())
    except ValidationError as problem:
        first = problem.errors()[0]
        where = ".".join(map(str, first["loc"])) or "the body"
        raise Problem(422, "invalid_body", f"{where}: {first['msg']}", RELOAD) from problem


async def _problem(_: Request, problem: Problem) -> JSONResponse:
    return JSONResponse(problem.content(), problem.status, HEADERS)


async def _changed(_: Request, problem: ImageChangedError) -> JSONResponse:
    return await _problem(_, Problem(410, "image_changed", str(problem), "run the stages again"))


async def _refused(_: Request, problem: Exception) -> JSONResponse:
    return await _problem(_, Problem(507, "not_written", str(problem), "nothing was decided"))
