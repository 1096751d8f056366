"""Requests that wait for the models: what comes within a few milliseconds is collected and computed in one thread.

Sentences of several requests about one image go through a trained model together, which then sees the image once. S1
asks its detector for all sentences of a request at once, and answers each request by itself.
"""

import asyncio
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from assets.data.images import Pixels
from assets.segmenters.answers import Answer, Segment, each_answered
from ops.refusal import Refused

Answered = list[Answer | Refused]


class Busy(Exception):  # noqa: N818  a state, not a mistake
    """More requests wait than the server keeps."""


@dataclass(frozen=True, kw_only=True)
class _Request:
    image: str
    """Digest of the image's bytes."""
    sentences: Sequence[str]
    pixels: Pixels
    answers: "asyncio.Future[Answered]"


@dataclass(kw_only=True)
class Batcher:
    """The queue before the models."""

    segment: Segment
    together: bool
    """Whether requests about one image share a pass."""
    wait_seconds: float = 0.005
    """For how long requests are collected after the first one."""
    at_once: int = 32
    """Requests of a batch, at most."""
    waiting_at_most: int = 64
    on_batch: Callable[[int, float], None] = lambda requests, seconds: None
    """Told how many requests a batch had, and how long it was computed."""
    _queue: "asyncio.Queue[_Request | None]" = field(default_factory=asyncio.Queue)
    """None ends the worker."""
    _ending: bool = False
    _worker: "asyncio.Task[None] | None" = None
    _thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, thread_name_prefix="models"))

    @property
    def waiting(self) -> int:
        """Requests that no batch has taken yet."""
        return self._queue.qsize()

    async def ask(self, image: str, sentences: Sequence[str], pixels: Pixels) -> Answered:
        """The answers to a request, in the order of its sentences.

        Raises:
            Busy: too many wait already.
        """
        if self.waiting >= self.waiting_at_most:
            raise Busy
        answers: asyncio.Future[Answered] = asyncio.get_running_loop().create_future()
        self._queue.put_nowait(_Request(image=image, sentences=sentences, pixels=pixels, answers=answers))
        return await answers

    def start(self) -> None:
        """Begin to take requests; within a running event loop."""
        self._worker = asyncio.create_task(self._work())

    async def stop(self) -> None:
        """Finish the pass that is computed, and give up what waits."""
        self._ending = True
        self._queue.put_nowait(None)
        if self._worker is not None:
            await self._worker
        while not self._queue.empty():
            if (request := self._queue.get_nowait()) is not None:
                request.answers.cancel()
        self._thread.shutdown()

    async def _work(self) -> None:
        while not self._ending:
            batch = await self._collected()
            started = time.perf_counter()
            for group in self._groups(batch):
                await self._answer(group)
            if batch:
                self.on_batch(len(batch), time.perf_counter() - started)

    async def _collected(self) -> list[_Request]:
        batch: list[_Request] = []
        request = await self._queue.get()
        until = asyncio.get_running_loop().time() + self.wait_seconds
        while request is not None:
            batch.append(request)
            if len(batch) == self.at_once:
                break
            try:
                request = await asyncio.wait_for(self._queue.get(), max(until - asyncio.get_running_loop().time(), 0))
            except TimeoutError:
                break
        return batch

    def _groups(self, batch: Sequence[_Request]) -> list[list[_Request]]:
        """Requests that are computed in one pass."""
        wanted = [request for request in batch if not request.answers.done()]  # a reader may be gone by now
        if not self.together:
            return [[request] for request in wanted]
        groups: dict[str, list[_Request]] = {}
        for request in wanted:
            groups.setdefault(request.image, []).append(request)
        return list(groups.values())

    async def _answer(self, group: Sequence[_Request]) -> None:
        if self._ending:
            for request in group:
                request.answers.cancel()
            return
        sentences = [text for request in group for text in request.sentences]
        loop = asyncio.get_running_loop()
        try:
            found = iter(
                await loop.run_in_executor(self._thread, each_answered, self.segment, sentences, group[0].pixels)
            )
        except Exception as bug:  # the server goes on; each request gets it
            for request in group:
                if not request.answers.done():
                    request.answers.set_exception(bug)
            return
        for request in group:
            answers = [next(found) for _ in request.sentences]
            if not request.answers.done():
                request.answers.set_result(answers)
