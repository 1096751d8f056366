"""A trained segmenter as an ONNX graph, with what a program must know to feed it."""

import json
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING

from rich.table import Table

from assets.framework.stage import resolved
from assets.stages import SEGMENTERS
from ops.refusal import Refused
from pipelines.commands.answering import MODELS, not_finished
from pipelines.commands.terminal import folding
from pipelines.graph.load import planned, require_stage
from pipelines.graph.state import ready
from storage.artifact import Artifact
from storage.digest import digest
from storage.outputs import outputs

if TYPE_CHECKING:
    from assets.segmenters.onnx_networks import OnnxNetwork  # brings torch


def export_onnx(dataset: str, experiment: str, file: Path, *, model: str | None = None) -> Table:
    """Write `file` (the graph and its weights) and a JSON of the same name; what was written, for the terminal.

    The graph is compared with torch before it is written.

    Raises:
        Refused: the packages are not installed, no such model is finished, or the graph computes something else.
        StoreError: the disk refuses.
    """
    lacking = [name for name in ("onnx", "onnxscript", "onnxruntime") if find_spec(name) is None]
    if lacking:
        raise Refused(f"{', '.join(lacking)} not installed: pip install 'wordmask[onnx]' brings it")
    name, trained, network = _network(dataset, experiment, model)
    from assets.segmenters.onnx_networks import TOLERANCE, difference, onnx_bytes

    graph = onnx_bytes(network)
    apart = difference(network, graph, network.example())
    if not apart <= TOLERANCE:
        raise Refused(f"onnxruntime gives logits that differ by {apart:.2g} from torch's; nothing was written")
    source = {"dataset": dataset, "experiment": experiment, "model": name, "made": trained.manifest.fingerprint}
    card = json.dumps({**network.card(), "source": source}, indent=1, ensure_ascii=False)
    summary = folding("file", "MB", "sentences", "differs from torch by", title=f"{name} of {experiment} on {dataset}")
    of, stem = digest(list(source.values())), file.name.removesuffix(".onnx")
    with outputs(file.parent, stem, [".onnx", ".json"], of=of) as out:
        path = out.write(".onnx", graph)
        summary.add_row(str(path), f"{len(graph) / 1e6:.1f}", "any number", f"{apart:.1g}")
        summary.add_row(str(out.write(".json", card.encode())), "", "", "")
    return summary


def _network(dataset: str, experiment: str, model: str | None) -> "tuple[str, Artifact, OnnxNetwork]":
    used = planned(dataset, experiment)
    artifacts = ready(used)
    trained = {one.trained.name: one for one in SEGMENTERS if one.trained.name in artifacts}
    name = model or next(iter(trained), "")
    if name:
        require_stage(name, MODELS)
    if name not in trained:
        raise Refused(not_finished(dataset, experiment, name or "model", used, finished=trained))
    network: Callable[[Artifact], OnnxNetwork] = resolved(trained[name].network)
    return name, artifacts[name], network(artifacts[name])
