"""What the server counts, in the text format of Prometheus."""

import time

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest

from pipelines.commands.guard import App, Message, Receive, Send

SECONDS = (0.01, 0.03, 0.1, 0.3, 1.0, 3.0, 10.0, 30.0, 100.0)
REQUESTS = (1, 2, 4, 8, 16, 32)


class Measures:
    """The counters of one server."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter(
            "wordmask_requests", "Requests by path and status", ("path", "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "wordmask_request_seconds", "From request to answer", ("path",), buckets=SECONDS, registry=self.registry
        )
        self.sentences = Counter(
            "wordmask_sentences", "Sentences by outcome: found, nothing, refused", ("outcome",), registry=self.registry
        )
        self.batches = Histogram(
            "wordmask_batch_requests", "Requests computed together", buckets=REQUESTS, registry=self.registry
        )
        self.computing = Histogram(
            "wordmask_batch_seconds", "Computing of a batch", buckets=SECONDS, registry=self.registry
        )
        self.waiting = Gauge("wordmask_waiting_requests", "Requests before the models", registry=self.registry)

    def batch(self, requests: int, seconds: float) -> None:
        """A batch was computed."""
        self.batches.observe(requests)
        self.computing.observe(seconds)

    def text(self) -> bytes:
        """All of them."""
        return generate_latest(self.registry)


class Measured:
    """ASGI middleware that counts requests; paths that do not exist share one name."""

    def __init__(self, app: App, *, measures: Measures, paths: frozenset[str]) -> None:
        """Stand before an application that serves `paths`."""
        self.app, self.measures, self.paths = app, measures, paths

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Pass a request on and count it."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), 500

        async def noted(message: Message) -> None:
            nonlocal status
            status = message.get("status", status)
            await send(message)

        path = scope["path"] if scope["path"] in self.paths else "other"
        try:
            await self.app(scope, receive, noted)
        finally:
            self.measures.requests.labels(path, str(status)).inc()
            self.measures.seconds.labels(path).observe(time.perf_counter() - started)
