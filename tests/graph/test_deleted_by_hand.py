"""Files that no table lists and somebody deleted: what wrote them runs again, instead of counting as current."""

import shutil
from pathlib import Path

from graph_runs import copy_home, run_job, tiny_workspace

from pipelines.automation import EVERYTHING


def test_pixels_that_were_deleted_are_decoded_again(fresh_copy: Path) -> None:
    workspace = tiny_workspace(fresh_copy)
    assert run_job(workspace, only=["cxr_images"]).success
    before, store = workspace.lake.scan("cxr_images").collect(), workspace.image_store
    pixels = store.read(before["pixel_sha256"])
    shards = sorted((store.folder / "shards").glob("*.npy"))
    for delete in (shards[0].unlink, lambda: shutil.rmtree(store.folder.parent)):
        delete()
        assert run_job(workspace, only=["cxr_images"]).success
        assert workspace.lake.scan("cxr_images").collect().equals(before)
        assert (store.read(before["pixel_sha256"]) == pixels).all()


def test_deleted_pages_and_embeddings_are_written_again(finished_home: Path, tmp_path: Path) -> None:
    home = copy_home(finished_home, tmp_path / "home")
    workspace = tiny_workspace(home)
    manifest = workspace.lake.manifest("record_embeddings")
    assert manifest is not None
    vectors, pages = workspace.lake.run_folder("record_embeddings", manifest.fingerprint), home / "report"
    names = ["record_embeddings", "report"]
    before = files_of(vectors), files_of(pages)
    assert all(before)
    assert run_job(workspace, EVERYTHING, only=names).built == []
    shutil.rmtree(vectors)
    (pages / "retrieval.html").unlink()
    assert run_job(workspace, EVERYTHING, only=names).built == names
    assert (files_of(vectors), files_of(pages)) == before
    shutil.rmtree(pages)
    assert run_job(workspace, EVERYTHING, only=names).built == ["report"]
    assert files_of(pages) == before[1]


def files_of(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))
