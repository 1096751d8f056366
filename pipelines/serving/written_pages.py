"""Galleries, comparisons and reports as `wordmask ui` serves them, below the address of Dagster's pages.

They hold what people typed and stand on the origin that launches runs: their policy lets them run no script but their
own files, and ask this server nothing.
"""

from collections.abc import Callable
from pathlib import Path

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import BaseRoute, Mount, Route
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from pipelines.pages import COMPARISON, GALLERY, comparison_folder, comparison_pages, gallery_folder, served_address
from resources.paths import home
from resources.store import store_folder

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; "
    "img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-cache",
}


class WrittenFiles(StaticFiles):
    """Files below a folder, which need not be there yet; nothing that a link leads out to."""

    def __init__(self, folder: Path, advice: str, *, wanted: Callable[[str], bool] = lambda _: True) -> None:
        """Serve a folder.

        Args:
            folder: whose files.
            advice: what to do where there is no such page.
            wanted: of which paths.
        """
        super().__init__(directory=folder, html=True, check_dir=False)
        self.advice, self.wanted = advice, wanted

    async def check_config(self) -> None:
        """The folder may come later."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """The file, or what makes it."""
        try:
            if not self.wanted(path):
                raise HTTPException(404)
            response = await super().get_response(path, scope)
        except HTTPException as problem:
            response = PlainTextResponse(f"There is no such page. {self.advice}\n", problem.status_code)
        response.headers.update(HEADERS)
        return response


def written_pages() -> list[BaseRoute]:
    """The routes."""
    galleries = "The asset `gallery` of the data set, or `wordmask gallery -d DATA_SET`, writes its gallery."
    return [
        Mount(f"/{GALLERY}", WrittenFiles(gallery_folder(), galleries)),
        Route(f"/{COMPARISON}/{{dataset}}/", _newest),
        Mount(f"/{COMPARISON}", WrittenFiles(home() / COMPARISON, _COMPARE)),
        # reports lie in the store, where comparisons lead to them; nothing else of it is served
        Mount("/store/objects", WrittenFiles(store_folder() / "objects", "", wanted=_is_page)),
    ]


_COMPARE = "The asset `comparison` of the data set, or `wordmask compare -d DATA_SET`, writes one."


def _is_page(path: str) -> bool:
    return path.endswith(".html")


async def _newest(request: Request) -> Response:
    """To the comparison of a data set that was written last."""
    dataset = request.path_params["dataset"]
    known = dataset in {folder.name for folder in comparison_folder(dataset).parent.glob("*")}
    pages = comparison_pages(dataset) if known else []
    if not pages:
        return PlainTextResponse(f"There is no comparison yet. {_COMPARE}\n", 404, HEADERS)
    return RedirectResponse(served_address(max(pages, key=lambda page: page.stat().st_mtime)), headers=HEADERS)
