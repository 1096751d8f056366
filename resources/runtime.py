"""Device, memory and threads of this machine: in no recipe, although results may differ by rounding (`accumulate`).

What a stage resolved on this machine stands in its artifact's manifest, with the versions of the libraries.
"""

import json
import platform
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr

from storage.files import write_bytes
from storage.manifest import Manifest

Engine = Literal["local", "ray"]
Precision = Literal["device", "float32"]
"""What the device is fastest in, or full precision."""
MANY = {
    "accumulate": "forward passes per optimizer step",
    "images_at_once": "images a pass",
    "processes": "processes",
    "workers": "workers",
}
"""What a page names where there is more than one of it."""
LIBRARIES = ("torch", "numpy", "pyarrow", "spacy", "open_clip_torch", "segment-anything", "groundingdino-py")
"""Packages that compute, or that define a model."""


class Runtime(BaseModel):
    """Operational settings of a stage, which notes what it resolved for the stage on this machine."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    device: str = "auto"
    """`auto` takes CUDA or Apple's MPS where there is one."""
    shard: int = Field(default=16, ge=1)
    """Units (mostly images) committed together; a kill costs at most this many, or a thousandth of a large table."""
    threads: int = Field(default=0, ge=0)
    """Torch threads of a step, and of each of its workers; 0 leaves torch's own choice, or shares the cores."""
    checkpoint_every: int = Field(default=50, ge=1)
    """Optimizer steps between checkpoints."""
    accumulate: int = Field(default=1, ge=1)
    """Forward passes per optimizer step: the same batch in less memory. Batch norms then see a pass at a time. TRIS's
    Step 1, whose loss needs its batch whole, computes the blocks of its encoders twice instead."""
    processes: int = Field(default=1, ge=1)
    """Processes that share every batch of a training: one for each GPU."""
    workers: int = Field(default=0, ge=0)
    """Processes that compute the rows of a stage; 1: the step itself does; 0: on a CPU one for each core, up to four,
    where small models make many rows, which threads hardly speed up; elsewhere the step itself."""
    engine: Engine = "local"
    """Where they and the processes of a training run: on this machine, or on the Ray cluster of `RAY_ADDRESS`."""
    loader_workers: int = Field(default=4, ge=0)
    """Processes that load a training's batches ahead for each GPU; a training on a CPU loads its own."""
    images_at_once: int = Field(default=0, ge=0, le=1024)
    """Images that share a pass of published networks; 0: 8 on a GPU, 1 elsewhere. The embedded ones take 1."""
    compile: bool = False
    """Compile published networks by torch.compile: minutes before the first image, less time for each one after."""
    quarantine_limit: float = Field(default=0.05, ge=0, le=1)
    """Share of quarantined units above which a stage's `quarantine` check fails; above a half it stops the run."""
    force: bool = False
    """Compute again although an equal artifact exists."""

    _resolved: dict[str, str] = PrivateAttr(default_factory=dict)
    _file: Path | None = PrivateAttr(default=None)

    def unresolved(self) -> "Runtime":
        """The same settings for one stage, with nothing noted yet."""
        return Runtime(**{name: getattr(self, name) for name in Runtime.model_fields})

    @property
    def resolved(self) -> Mapping[str, str]:
        """`device`, `precision`, `batch` and `workers` as they came out; what the stage did not ask for is absent."""
        return dict(self._resolved)

    def note(self, resolved: Mapping[str, str]) -> None:
        """Take in what was resolved, here or in another process of the same stage."""
        if resolved.items() <= self._resolved.items():
            return
        self._resolved.update(resolved)
        if self._file:
            write_bytes(self._file, json.dumps(self._resolved).encode())

    def keep(self, file: Path) -> None:
        """Take over what an interrupted run of the same stage noted in a file, and note there what is resolved next.

        A run that finds all rows computed opens no model, and resolves nothing itself.
        """
        if file.exists():
            self.note(json.loads(file.read_bytes()))
        self._file = file

    def torch_device(self) -> str:
        """The device name for torch, with `auto` resolved and the thread limit applied."""
        import torch

        if self.threads:
            torch.set_num_threads(self.threads)
        device = self.device
        if device == "auto":
            device = "cuda" if torch.cuda.is_available() else "mps" if torch.backends.mps.is_available() else "cpu"
        self.note({"device": device})
        return device

    def loaders(self) -> int:
        """Processes that load batches ahead on this device."""
        return self.loader_workers if self.torch_device().startswith("cuda") else 0

    def batch(self) -> int:
        """Images that share a pass on this device."""
        return self.images_at_once or (8 if self.torch_device().startswith("cuda") else 1)

    def together(self) -> int:
        """Images that may share a pass where the stage runs; a cluster's devices are not known beforehand."""
        return self.batch() if self.engine == "local" else self.images_at_once or 8

    def bf16(self, precision: Precision = "device") -> bool:
        """Whether to compute in bfloat16, in which recent CUDA cards and CPUs with instructions for it are faster."""
        fast = precision == "device" and self._computes_in_bf16()
        self.note({"precision": "bfloat16" if fast else "float32"})
        return fast

    def _computes_in_bf16(self) -> bool:
        import torch

        if self.torch_device().startswith("cuda"):
            return torch.cuda.is_bf16_supported()
        if self.torch_device().startswith("mps"):
            return False
        return bool(torch.cpu._is_avx512_bf16_supported() or torch.cpu._is_amx_tile_supported())


def machine_of(runtime: Runtime) -> dict[str, Any]:
    """What a manifest says of the machine that made an artifact, beside the versions of libraries; plain JSON.

    `device` and `precision` are null where the stage asked for no device; `precision` is that of the forward passes.
    """
    device = runtime.resolved.get("device")
    return {
        "processor": processor_name(),
        "device": device,
        "gpu": _gpu_name(device) if device and device.startswith("cuda") else None,
        "precision": runtime.resolved.get("precision", "float32") if device else None,
        "images_at_once": int(runtime.resolved.get("batch", "1")),
        "accumulate": runtime.accumulate,
        "processes": runtime.processes,
        "workers": int(runtime.resolved.get("workers", "1")),
    }


def library_versions() -> dict[str, str]:
    """Python and the libraries that compute, for a manifest; none of them is imported."""
    return {"python": platform.python_version(), **{name: version(name) for name in LIBRARIES}}


def machine_line(manifest: Manifest) -> str:
    """One sentence on the machine and the versions that made an artifact, for the foot of a page."""
    versions = ", ".join(f"{name} {number}" for name, number in manifest.versions.items()) or "unknown versions"
    machine = manifest.extra.get("machine")
    if machine is None:
        return f"Made with {versions}."
    parts = [f"Made on {machine['gpu'] or machine['processor']}"]
    if machine["precision"]:
        parts.append(f"in {machine['precision']}")
    for name, unit in MANY.items():
        if machine.get(name, 1) > 1:
            parts.append(f"{machine[name]} {unit}")
    return f"{', '.join(parts)}, with {versions}."


def processor_name() -> str:
    """The model of the CPU, whose instruction set decides how sums are rounded."""
    information = Path("/proc/cpuinfo")
    lines = information.read_text(errors="replace").splitlines() if information.is_file() else []
    names = (line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    return next(names, "") or platform.processor() or platform.machine()


def _gpu_name(device: str) -> str:
    import torch

    return torch.cuda.get_device_name(device)
