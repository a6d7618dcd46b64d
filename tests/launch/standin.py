"""SLURM's commands, played by one script: a queue in a file, tasks that a test runs.

`sbatch` reads the `#SBATCH` lines of a script, `squeue` prints the tasks in its queue,
`scontrol requeue` puts one back, `scancel` takes it out.
"""

import json
import os
import re
import stat
import subprocess
import sys
from pathlib import Path

COMMANDS = ("sbatch", "squeue", "scontrol", "scancel")


class Cluster:
    """The stand-in in a folder; `environment` has its commands on the PATH."""

    def __init__(self, folder):
        self.folder = Path(folder)
        self.folder.mkdir()
        for name in COMMANDS:
            path = self.folder / name
            path.write_text(
                f"#!{sys.executable}\nimport runpy\n"
                f"runpy.run_path({str(Path(__file__))!r}, run_name={name!r})\n"
            )
            path.chmod(path.stat().st_mode | stat.S_IXUSR)
        self.save({})
        self.environment = {
            "PATH": f"{self.folder}{os.pathsep}{os.environ['PATH']}",
            "STANDIN": str(self.folder),
        }

    def load(self):
        return json.loads((self.folder / "queue.json").read_text())

    def save(self, queue):
        (self.folder / "queue.json").write_text(json.dumps(queue))

    def start(self, job, **environment):
        """The process of a pending task, as slurmd would start it."""
        queue = self.load()
        task = queue[job]
        task["state"], task["reason"] = "RUNNING", "None"
        self.save(queue)
        array, index = job.split("_")
        return subprocess.Popen(
            ["bash", task["script"]],
            env={
                **os.environ, **self.environment,
                "SLURM_ARRAY_JOB_ID": array, "SLURM_ARRAY_TASK_ID": index,
                "SLURM_RESTART_COUNT": str(task["restarts"]), **environment,
            },
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip

    def end(self, job, process, timeout=240):
        """Waits for a task; it leaves the queue unless it has put itself back."""
        said, _ = process.communicate(timeout=timeout)
        queue = self.load()
        if queue.get(job, {}).get("state") == "RUNNING":
            del queue[job]
        self.save(queue)
        return process.returncode, said

    def run(self, job, **environment):
        return self.end(job, self.start(job, **environment))


def play(name, arguments):
    folder = Path(os.environ["STANDIN"])
    if (folder / "refuse").exists():
        sys.exit((folder / "refuse").read_text())
    queue = json.loads((folder / "queue.json").read_text())
    if name == "sbatch":
        text = Path(arguments[-1]).read_text()
        lines = re.findall(r"^#SBATCH --([a-z-]+)=?(.*)$", text, re.MULTILINE)
        given = {option: value.strip('"') for option, value in lines}
        last = given["array"].partition("%")[0].partition("-")[2]
        number = 1 + max((int(job.split("_")[0]) for job in queue), default=100)
        script = folder / f"{number}.sh"  # SLURM keeps a copy of its own
        script.write_text(text)
        for index in range(1, int(last) + 1):
            queue[f"{number}_{index}"] = {
                "state": "PENDING", "reason": "Resources", "restarts": 0,
                "comment": given["comment"], "script": str(script),
            }  # fmt: skip
        print(number)
    elif name == "squeue":
        queue["99_1"] = {"state": "RUNNING", "reason": "None", "comment": "(null)"}
        for job, task in queue.items():
            array, index = job.split("_")
            fields = array, index, task["state"], task["reason"], task["comment"]
            print("|".join(fields))
        return
    elif name == "scontrol":
        task = queue[arguments[1]]
        task |= {"state": "PENDING", "reason": "BeginTime"}
        task["restarts"] += 1
    else:
        for job in arguments:
            del queue[job]
    (folder / "queue.json").write_text(json.dumps(queue))


if __name__ in COMMANDS:
    play(__name__, sys.argv[1:])
