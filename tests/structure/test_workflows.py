"""The workflows run what a change must pass here, and a release can do no more than it needs to."""

import os
import re
import subprocess
import sys
import tomllib
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[2]
FILES = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
CI, RELEASE = (
    yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text()) for name in ("ci.yml", "release.yml")
)

WRITES = {
    "build": set[str](),
    "pypi": {"id-token"},
    "files": {"contents", "id-token", "attestations"},
    "site": {"pages", "id-token"},
    "image": {"packages", "id-token", "attestations"},
    "registry": {"id-token"},
}
"""What each job of a release may write."""


def _commands(workflow: dict[str, Any]) -> str:
    return "\n".join(step.get("run", "") for job in workflow["jobs"].values() for step in job["steps"])


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_each_action_is_pinned_by_its_commit_and_says_its_version(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    for action in used:
        assert re.fullmatch(r"[\w.-]+/[\w.-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action), action


def test_one_action_has_one_commit_everywhere() -> None:
    used = {line for file in FILES for line in re.findall(r"uses: (\S+)", file.read_text())}
    assert len(used) == len({action.partition("@")[0] for action in used})


def test_ci_runs_every_target_that_a_change_must_pass() -> None:
    must = set(re.findall(r"^make (\w+)", (ROOT / ".ci" / "run").read_text(), re.MULTILINE))
    assert must
    runs = {target for line in re.findall(r"make ([\w ]+)", _commands(CI)) for target in line.split()}
    assert must <= runs
    (check,) = re.findall(r"^check: ([\w ]+?) *##", (ROOT / "Makefile").read_text("utf-8"), re.MULTILINE)
    assert set(check.split()) == must


@pytest.mark.parametrize("target", ["test", "long"])
@pytest.mark.parametrize(("code", "tried_again"), [(0, False), (1, True), (2, False), (3, False), (5, False)])
def test_only_tests_that_ran_and_failed_are_tried_again(target: str, code: int, tried_again: bool) -> None:
    """A file that cannot be imported stops the run (2): to try that file alone would leave out all others."""
    there = [f"--old-file=.venv/{stamp}.stamp" for stamp in ("chain", "hosts", "browser", "chromium")]
    ours = ["VENV=.venv", f"TEST=sh -c 'exit {code}' all", "ALONE=echo alone"]
    outside = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    command = ["make", *there, target, *ours]
    done = subprocess.run(command, cwd=ROOT, env=outside, capture_output=True, text=True, check=False)
    assert ("alone\n" in done.stdout.replace(" -m long or hypothesis", "").splitlines(keepends=True)) == tried_again
    assert (done.returncode == 0) == (code == 0 or tried_again)


def test_ci_tries_three_systems_and_every_python_that_the_package_accepts() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    pythons = ["3.11", "3.12", "3.13", "3.14"]
    assert project["requires-python"] == f">={pythons[0]}"
    for job in ("linux", "elsewhere"):
        assert CI["jobs"][job]["strategy"]["matrix"]["python"] == pythons
    systems = {CI["jobs"]["linux"]["runs-on"], *CI["jobs"]["elsewhere"]["strategy"]["matrix"]["system"]}
    assert {system.partition("-")[0] for system in systems} == {"ubuntu", "macos", "windows"}


def test_only_what_is_said_to_may_fail() -> None:
    jobs = CI["jobs"]
    lenient = [step for job in jobs.values() for step in job["steps"] if step.get("continue-on-error")]
    assert [step["name"] for step in lenient] == ["Everything else, which may fail here"]
    assert not [job for job in jobs.values() if job.get("continue-on-error")]
    assert lenient[0] in jobs["elsewhere"]["steps"]


def test_the_tests_that_must_pass_elsewhere_are_there() -> None:
    named = re.findall(r"\btests/\S+", _commands({"jobs": {"elsewhere": CI["jobs"]["elsewhere"]}}))
    assert named
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("workflow", [CI, RELEASE], ids=["ci", "release"])
def test_nothing_is_allowed_that_a_job_does_not_ask_for(workflow: dict[str, Any]) -> None:
    assert workflow["permissions"] == {}
    for name, job in workflow["jobs"].items():
        writes = {what for what, access in job["permissions"].items() if access == "write"}
        assert writes == (WRITES[name] if workflow is RELEASE else set())


def test_a_release_holds_no_secret_and_builds_without_an_identity() -> None:
    assert all("secrets." not in file.read_text() for file in FILES)
    assert all("password" not in step.get("with", {}) for job in RELEASE["jobs"].values() for step in job["steps"])
    assert "id-token" not in RELEASE["jobs"]["build"]["permissions"]


def test_nothing_is_published_before_every_test_has_passed() -> None:
    jobs = RELEASE["jobs"]
    assert ".ci/run" in [step.get("run") for step in jobs["build"]["steps"]]
    assert {name: job.get("needs") for name, job in jobs.items()} == {
        "build": None, "pypi": "build", "files": "build", "site": "build", "image": "build", "registry": "pypi",
    }  # fmt: skip


@pytest.mark.parametrize(("tag", "code"), [("v" + metadata.version("claude-trader"), 0), ("v9.9.9", 1)])
def test_a_tag_that_is_not_the_packages_version_publishes_nothing(tag: str, code: int) -> None:
    (check,) = [step for step in RELEASE["jobs"]["build"]["steps"] if "The tag" in step.get("name", "")]
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "GITHUB_REF_NAME": tag}
    done = subprocess.run(["bash", "-c", check["run"]], cwd=ROOT, env=environment, check=False)
    assert done.returncode == code


def test_the_site_that_is_published_is_the_one_that_was_checked() -> None:
    (upload,) = [step for step in RELEASE["jobs"]["build"]["steps"] if "upload-pages-artifact@" in step.get("uses", "")]
    site = tomllib.loads((ROOT / "zensical.toml").read_text("utf-8"))["project"]["site_dir"]
    assert upload["with"]["path"] == site
    assert "make docs\n" in (ROOT / ".ci" / "run").read_text("utf-8")


def test_the_published_files_are_attested() -> None:
    jobs = RELEASE["jobs"]
    for name in ("files", "image"):
        assert any("attest-build-provenance@" in step.get("uses", "") for step in jobs[name]["steps"])
    assert jobs["pypi"]["steps"][-1]["with"]["attestations"] is True
