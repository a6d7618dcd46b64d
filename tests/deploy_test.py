"""What is deployed elsewhere agrees with the code: exit codes, grace, the share."""

import os
import re
import subprocess
from pathlib import Path

import yaml

from attn_research.commands import sweep
from attn_research.host import exits
from attn_research.studies import selection

DEPLOY = Path(__file__).parents[1] / "deploy"
JOB = yaml.safe_load((DEPLOY / "sweep.yaml").read_text())["spec"]
POD = JOB["template"]["spec"]


def test_every_pod_runs_a_share_and_together_they_run_all():
    container = POD["containers"][0]
    pods = int({one["name"]: one["value"] for one in container["env"]}["PODS"])
    assert JOB["completions"] == JOB["parallelism"] == pods
    line = container["args"][0]
    flags = [word for word in line.split() if word.startswith("--")]
    assert all(flag[2:].partition("=")[0] in vars(sweep.Options()) for flag in flags)
    seen = []
    for index in range(pods):
        said = subprocess.run(
            [*container["command"], line.replace("exec attn-research", "echo")],
            env={"JOB_COMPLETION_INDEX": str(index), "PODS": str(pods)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        share = re.search(r"--only=(\S+)", said)
        assert share is not None
        seen += list(range(3 * pods))[selection.share(share[1])]
    assert sorted(seen) == list(range(3 * pods))


def test_what_is_resumable_is_started_again_and_a_mistake_is_not():
    codes = {
        code: rule["action"]
        for rule in JOB["podFailurePolicy"]["rules"]
        for code in rule.get("onExitCodes", {}).get("values", [])
    }
    assert codes == {exits.REQUEUE: "Ignore", exits.BAD_INPUT: "FailIndex"}
    assert POD["terminationGracePeriodSeconds"] >= sweep.Options().grace + 30


def test_the_image_copies_what_there_is():
    root = Path(os.environ.get("CHECKOUT", DEPLOY.parent))
    for line in re.findall(
        r"^COPY (.+)$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE
    ):
        *sources, _ = line.split()
        assert all((root / source).exists() for source in sources)
