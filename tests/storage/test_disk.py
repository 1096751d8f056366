"""Full disks and missing rights: an error that names the path and the remedy, and nothing finished is lost."""

import errno
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from storage.artifact import Store, StoreError
from storage.files import explain, write_bytes
from tests.paths import ROOT
from tests.storage.filling import KEY, contents, make, numbers

LIMITED = textwrap.dedent(
    """
    import resource, sys
    from pathlib import Path
    from storage.artifact import Store, StoreError
    from tests.storage.filling import make, numbers, rows_of

    def heavy(payloads):
        for place, payload in enumerate(payloads):
            if payload == 40:
                resource.setrlimit(resource.RLIMIT_FSIZE, (1000, resource.RLIM_INFINITY))
            yield place, rows_of(payload)

    try:
        make(Store(Path(sys.argv[1])), numbers(60), work=heavy)
    except StoreError as error:
        sys.exit(f"StoreError: {error}")
    """
)


def test_a_disk_that_fills_up_in_the_middle_keeps_finished_shards_and_a_later_run_resumes(tmp_path: Path) -> None:
    store = Store(tmp_path / "store")
    run = subprocess.run(
        [sys.executable, "-c", LIMITED, str(store.root)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.returncode == 1
    assert run.stderr.startswith(f"StoreError: Cannot write {store.root}/partial/numbers/f1/scratch/numbers/000000040-")
    assert "resumes from what is finished" in run.stderr
    assert not list(store.root.rglob("*.writing"))
    artifact, tally = make(store, numbers(60))
    assert tally is not None
    assert tally.reused == 36
    assert contents(artifact) == contents(make(Store(tmp_path / "undisturbed"), numbers(60))[0])


def test_a_disk_that_is_full_for_the_final_table_keeps_all_shards(tmp_path: Path) -> None:
    program = LIMITED.replace("if payload == 40", "if False").replace(
        "try:", "import storage.rows\nresource.setrlimit(resource.RLIMIT_FSIZE, (6000, resource.RLIM_INFINITY))\ntry:"
    )
    program = program.replace("numbers(60)", "numbers(600)")
    store = Store(tmp_path / "store")
    run = subprocess.run(
        [sys.executable, "-c", program, str(store.root)], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert run.stderr.startswith(f"StoreError: Cannot write {store.root}/partial/numbers/f1/content/numbers.parquet")
    _, tally = make(store, numbers(600))
    assert tally is not None
    assert tally.computed == 0


def test_a_file_in_place_of_the_root_is_told_of(tmp_path: Path) -> None:
    root = tmp_path / "store"
    root.write_text("not a folder")
    with pytest.raises(StoreError, match=rf"Cannot write {root}.*A file stands where a folder is needed.*another root"):
        make(Store(root), numbers(3))


def test_a_root_where_nothing_can_be_made_is_told_of() -> None:
    with pytest.raises(StoreError, match=r"Cannot write /proc/nowhere.*choose another root"):
        make(Store(Path("/proc/nowhere")), numbers(3))


def test_a_root_that_is_not_there_reads_as_empty(tmp_path: Path) -> None:
    store = Store(tmp_path / "absent")
    assert (store.artifacts(), store.refs(), store.siblings("numbers", "own"), store.collect_garbage().size) == (
        [],
        {},
        [],
        0,
    )
    with pytest.raises(StoreError, match="Nothing is stored"):
        store.resolve(KEY)
    assert not store.root.exists()


@pytest.mark.parametrize(
    ("number", "advice"),
    [
        (errno.ENOSPC, "free space"),
        (errno.EDQUOT, "quota"),
        (errno.EFBIG, "size limit"),
        (errno.EACCES, "readable and writable"),
        (errno.EROFS, "read-only"),
        (errno.EIO, "Check the path and the disk"),
    ],
)
def test_each_kind_of_refusal_has_its_advice(number: int, advice: str) -> None:
    with pytest.raises(StoreError, match=rf"Cannot write /data/x: .*{advice}"), explain(Path("/data/x")):
        raise OSError(number, "refused")


def test_a_refused_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    write_bytes(path, b"old")

    def refuse(_: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("storage.files.os.fsync", refuse)
    with pytest.raises(StoreError, match="No space left on device"):
        write_bytes(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
