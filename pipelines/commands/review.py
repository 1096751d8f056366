"""A review in the browser: shows the candidates of every referent and writes down which one a person takes."""

import webbrowser
from contextlib import suppress

import uvicorn

from pipelines.commands.serve import listening, shown
from pipelines.commands.terminal import console, say
from pipelines.pages import gallery_folder
from pipelines.serving.review_app import build_review_app
from pipelines.serving.reviewing import open_review
from resources.reviews import checked_who, read_reviews, reviews_file

ADDRESS = "127.0.0.1"
GRACE_SECONDS = 5


def review(dataset: str, experiment: str, *, who: str | None, port: int, show: bool) -> None:
    """Serve until Ctrl+C, on the loopback address alone; then say what came of it.

    Args:
        dataset: see `open_review`, also for what it raises.
        experiment: likewise.
        who: signs decisions; None: the login's name.
        port: 0 takes a free one.
        show: open a browser.

    Raises:
        Refused: the port is taken, or the name can not be one.
    """
    opened = open_review(dataset, experiment, checked_who(who))
    before = read_reviews(dataset)
    if before.damage:
        say("reviews:", before.damage, "yellow")
    with listening(ADDRESS, port) as listener:
        address = f"http://{shown(listener)}"
        known = len(before.counted.keys() & opened.questions.keys())
        console.print(
            f"{len(opened.questions)} referents of {dataset}, {known} of them decided; the candidates of {experiment}"
        )
        console.print(f"review as {opened.who} at {address}; Ctrl+C ends it", soft_wrap=True, markup=False)
        app = build_review_app(opened, gallery=gallery_folder() / dataset)
        if show:
            webbrowser.open(address)
        config = uvicorn.Config(app, log_level="warning", timeout_graceful_shutdown=GRACE_SECONDS)
        with suppress(KeyboardInterrupt):  # uvicorn raises it again once all is closed
            uvicorn.Server(config).run(sockets=[listener])
    new = len(read_reviews(dataset).lines) - len(before.lines)
    console.print(f"\n{new} lines were added to {reviews_file(dataset)}", soft_wrap=True, markup=False)
    console.print(
        f"stages take them by a knob: wordmask run -d {dataset} -e {experiment} --set mask_choices.reviews=on",
        soft_wrap=True,
        markup=False,
    )
