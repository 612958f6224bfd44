"""Jobs are seen from anywhere, can be stopped and resumed, and say so when their process died."""

import os
import signal
import subprocess
import sys
import time

import pytest

from curation import exclusions, jobs
from curation.errors import Cancelled, CurationError
from curation.ledger import Event
from curation.workspace import Workspace

# A job that works for a long time, as another process would run it.
SLOW = """
import sys, time
from curation import jobs
from curation.workspace import Workspace
workspace = Workspace(sys.argv[1])
with jobs.track(workspace, "slow", sys.argv[1:], int(sys.argv[2]) if len(sys.argv) > 2 else None) as job:
    for i in range(3000):
        job(i, 3000, "counting")
        time.sleep(0.02)
"""


@pytest.fixture
def workspace(tmp_path, picture_tree):
    return Workspace.create(tmp_path / "w", roots={"images": picture_tree})


def wait_for(workspace, state, seconds=30.0):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        job = next(iter(jobs.listing(workspace)), None)
        if job and job.state == state:
            return job
        time.sleep(0.1)
    raise AssertionError(f"job is {job}, not {state}\n{jobs.log_path(workspace, job.job_id).read_text()}")


def run_slow(workspace, *more):
    return subprocess.Popen(
        [sys.executable, "-c", SLOW, str(workspace.path), *more], env=os.environ | {"PYTHONPATH": "."}
    )


def test_a_finished_job(workspace):
    with jobs.track(workspace, "cluster", ["w"]) as job:
        job(3, 10, "clustering")
        assert jobs.get(workspace, job.job_id).live
        job.result["classes"] = 2
    (row,) = jobs.listing(workspace)
    assert (row.state, row.kind, row.argv, row.result) == ("done", "cluster", ["w"], {"classes": 2})
    assert (row.done, row.total) == (3, 10)


def test_a_failed_job_says_why(workspace):
    with pytest.raises(ValueError), jobs.track(workspace, "extract", []):
        raise ValueError("shard 3 is corrupted")
    assert (jobs.listing(workspace)[0].state, jobs.listing(workspace)[0].message) == ("failed", "shard 3 is corrupted")


def test_cancel_reaches_the_job_at_the_next_shard_edge(workspace):
    with pytest.raises(Cancelled, match="stopped at 1 of 5"), jobs.track(workspace, "extract", []) as job:
        job(0, 5, "extracting")
        jobs.cancel(workspace, job.job_id)
        time.sleep(0.3)
        job(1, 5, "extracting")
    assert jobs.listing(workspace)[0].state == "cancelled"


def test_killed_job_is_interrupted_and_can_run_again(workspace):
    process = run_slow(workspace)
    job = wait_for(workspace, "running")
    with pytest.raises(CurationError, match="still running"):
        jobs.resume(workspace, job.job_id)
    process.send_signal(signal.SIGKILL)
    process.wait()
    job = wait_for(workspace, "interrupted")
    again = run_slow(workspace, str(job.job_id))
    wait_for(workspace, "running")
    jobs.cancel(workspace, job.job_id)
    assert wait_for(workspace, "cancelled").job_id == job.job_id
    again.wait(10)


def test_one_job_does_not_run_twice(workspace):
    process = run_slow(workspace)
    job = wait_for(workspace, "running")
    try:
        with pytest.raises(CurationError, match="already running"), jobs.track(workspace, "slow", [], job.job_id):
            pass
        assert jobs.get(workspace, job.job_id).state == "running"
    finally:
        process.kill()
        process.wait()


def test_a_detached_job_from_start_to_result(workspace):
    argv = [str(workspace.path), "--images", str(workspace.roots["images"])]
    job_id = jobs.start(workspace, "init", argv)
    job = wait_for(workspace, "done")
    assert job.job_id == job_id
    assert job.result["images"] == 20
    assert workspace.images().num_rows == 20


def test_rate_and_time_left(workspace, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(jobs.time, "monotonic", lambda: now[0])
    with jobs.track(workspace, "extract", []) as job:
        job(1000, 2000, "extracting")  # resumed: the first thousand was there already
        now[0] += 10
        job(1200, 2000, "extracting")
        row = jobs.get(workspace, job.job_id)
    assert row.rate == pytest.approx(20)
    assert row.seconds_left == pytest.approx(40)


def test_a_job_of_another_workspace_is_not_run(workspace, tmp_path, picture_tree):
    other = Workspace.create(tmp_path / "other", roots={"images": picture_tree})
    job_id = jobs._insert(workspace, "init", [str(other.path), "--images", str(picture_tree)])
    jobs._update(workspace, job_id, state="failed")
    with pytest.raises(CurationError, match="start it anew"):
        jobs.resume(workspace, job_id)


def test_what_lies_in_the_working_directory_is_not_imported(workspace, tmp_path, monkeypatch):
    trap = tmp_path / "cwd"
    trap.mkdir()
    (trap / "typer.py").write_text(f"open({str(tmp_path / 'caught')!r}, 'w')")
    monkeypatch.chdir(trap)
    jobs.start(workspace, "init", [str(workspace.path), "--images", str(workspace.roots["images"])])
    wait_for(workspace, "done")
    assert not (tmp_path / "caught").exists()


def test_jobs_and_decisions_on_postgresql(tmp_path, picture_tree, postgres_url, monkeypatch):
    monkeypatch.setenv("CURATION_DATABASE_URL", postgres_url)
    one, two = (Workspace.create(tmp_path / n, roots={"images": picture_tree}) for n in ("one", "two"))
    job_id = jobs.start(one, "init", [str(one.path), "--images", str(picture_tree)])
    assert wait_for(one, "done").result["images"] == 20
    assert jobs.listing(two) == []
    with pytest.raises(CurationError, match="there is no job"):
        jobs.get(two, job_id)
    one.ledger.append([Event(reviewer="anna", kind="exclude", subject="3", verdict="exclude")])
    assert exclusions.exclusions(one)["image_id"].to_pylist() == [3]
    assert not (one.path / "ledger.db").exists()
