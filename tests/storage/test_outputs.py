"""Results in a person's own folder: what an earlier writing left is deleted, and nothing else."""

import json
from pathlib import Path

from storage.outputs import LIST, outputs


def test_only_what_this_input_wrote_and_nobody_changed_is_deleted(tmp_path: Path) -> None:
    folder, outside = tmp_path / "out", tmp_path / "outside.txt"
    outside.write_bytes(b"x")
    endings = ["/kept.txt", "/old.txt", "/changed.txt"]
    with outputs(folder, "page", endings, of="me") as out:
        for ending in endings:
            out.write(ending, b"x")
    with outputs(folder, "page", ["/other.txt"], of="somebody") as other:
        other.write("/other.txt", b"x")
    (folder / "page" / "changed.txt").write_text("mine")
    (folder / "page" / "linked").symlink_to(tmp_path)
    sum_of_x = json.loads((folder / LIST).read_bytes().splitlines()[-1])[2]
    with (folder / LIST).open("a") as file:  # a list that somebody else made up
        for name in ("page/../../outside.txt", "page/linked/outside.txt"):
            file.write(f"\n{json.dumps([name, 'me', sum_of_x])}")

    with outputs(folder, "page", ["/kept.txt"], of="me") as out:
        out.keep_only(["/kept.txt"])
    assert outside.exists()
    left = {path.name for path in (folder / "page").iterdir()}
    assert left == {"kept.txt", "changed.txt", "other.txt", "linked"}
