"""Training of one population, from a config to its results: the one visible loop.

    members_P = init(hypers_P)
    members_P = advance(members_P, (arrays, count))     # many steps in one dispatch
    sums_P = evaluate(members_P, (arrays, testing))

`run` is the only function of a run that does IO. Validation chooses, the test split is
measured once, at the end. A run that was killed or asked to stop resumes at its newest
checkpoint and ends with the same bits as one that never stopped.
"""

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np

from attn_research import (
    decoding,
    environment,
    evaluate,
    flags,
    hypers,
    layout,
    memory,
    outcome,
    population,
    program,
    source,
    tasks,
)
from attn_research.checkpoint import Writer
from attn_research.compiled import (
    Compiled,
    items,
    marked,
    prepare,
    resumed,
    start,
    targets,
)
from attn_research.config import Config, Population
from attn_research.durable import Journal, atomic_write, check_name, write_json
from attn_research.interrupt import Interrupt
from attn_research.modules import pattern
from attn_research.options import BadInput, parse
from attn_research.population import RUNNING
from attn_research.progress import Progress

DISPATCH = 1.0  # seconds that one dispatch should take: a signal waits no longer
FLAGFILE = "flags.txt"


def run(
    config: Config,
    members: Population,
    directory: str | os.PathLike[str],
    *,
    allow_inexact_resume: bool = False,
) -> int:
    """Trains a population into `directory`, or resumes it there; returns an exit code.

    0 done, 3 every member diverged, 75 stopped by a signal after a checkpoint. Raises
    `BadInput` before any work where the config does not fit the task, another run holds
    the directory, or the memory predicted is not there.
    """
    directory = Path(directory)
    config = program.resolve(_as_begun(directory, config))
    train, hypers_P = config.train, hypers.grid(members)
    count = len(hypers_P.seed)
    environment.code()  # as it is now: a later change of the source is another code
    _claim(directory, config, members)
    checkpoints = Writer(directory / layout.CHECKPOINTS, train.keep)
    with checkpoints as writer, Interrupt() as interrupt:
        done = layout.read_result(directory)
        if done:
            print(f"{directory} is done already; nothing was run.", flush=True)
            return flags.DIVERGED if outcome.all_diverged(done["members"]) else 0
        task = tasks.make(config.task)
        _write_down(directory, config, members, program.sizes(task)._asdict())
        arrays = task.arrays()
        notes = task.notes(arrays) if tasks.noted(task) else []
        for note in notes:
            print(note, flush=True)
        compiled = prepare(config, count, arrays)
        memory.require(
            compiled.peak_bytes, memory.available(jax.local_devices()[0]), "The run"
        )
        spec, devices = task.spec, population.mesh()
        arrays = population.place(arrays, devices, shared=True)
        step, spent, inside, best, latest_P = 0, 0.0, 0.0, 0, []
        found = writer.restore(targets(compiled, count))
        if found is None:
            model = compiled.program.model
            trunk = source.trunk(config, model)
            for note in source.notes(config, model, task.spec.causal):
                print(note, flush=True)
            members_P = start(compiled, hypers_P, devices, trunk)
        else:
            step, kept, facts = found
            if not allow_inexact_resume:
                environment.require_same(facts["environment"], environment.facts())
            members_P = resumed(compiled, hypers_P, kept, devices)
            spent, inside = facts["seconds"], facts["advance_seconds"]
            best, latest_P = facts["best"], facts["latest"]
        clock, saved, pace, paces = time.monotonic() - spent, step, 0.0, []
        measured = step - step % train.eval_every

        def save() -> None:
            facts = {
                "environment": environment.facts(),
                "seconds": time.monotonic() - clock,
                "advance_seconds": inside,
                "best": best,
                "latest": latest_P,
            }
            writer.save(step, items(members_P, count), facts)

        name = f"{parse(config.task)[0]} {pattern.brief(config.model.pattern)}"
        with (
            Journal(directory / layout.METRICS, lambda r: r["step"] <= step) as journal,
            Progress(name, train.steps, step, spec.metrics[0], spec.goal) as progress,
        ):
            if found is None and config.init.path:
                save()  # a run that has begun asks nothing of its source
            status_P = np.asarray(members_P.status)
            while step < train.steps and RUNNING in status_P:
                boundary = (step // train.eval_every + 1) * train.eval_every
                boundary = min(boundary, train.steps)
                ahead = min(
                    boundary - step, max(1, int(DISPATCH / pace)) if pace else 4
                )
                began, running_P = time.monotonic(), status_P == RUNNING
                members_P = compiled.advance(members_P, (arrays, np.int32(ahead)))
                jax.block_until_ready(members_P.step)
                pace = (time.monotonic() - began) / ahead
                inside += pace * ahead
                paces.append(pace / np.sum(running_P))
                step += ahead
                progress.step(step)
                if step == boundary:
                    sums_P = jax.device_get(
                        compiled.evaluate(members_P, (arrays, np.bool_(False)))
                    )
                    latest_P = [
                        evaluate.metrics(one, spec.metrics, spec.target)
                        for one in outcome.each(sums_P, count)
                    ]
                    loss_P = np.asarray(members_P.loss_sum) / max(step - measured, 1)
                    measured = step
                    status_P = outcome.judged(
                        np.asarray(members_P.status), latest_P, spec, train.stop_at
                    )
                    members_P = marked(members_P, status_P, devices)
                    best = outcome.best(latest_P, status_P, spec)
                    for index, metrics in enumerate(latest_P):
                        record = {"step": step, "member": index, **metrics}
                        journal.append({**record, "train_loss": float(loss_P[index])})
                    journal.commit()
                    values = [metrics[spec.metrics[0]] for metrics in latest_P]
                    progress.evaluated(step, values, outcome.told(status_P[:count]))
                    if step - saved >= train.checkpoint_every:
                        save()
                        saved = step
                if interrupt.asked:
                    save()
                    writer.wait()
                    progress.note(
                        f"Stopped by {interrupt.asked} at step {step}; the same "
                        "command resumes."
                    )
                    return flags.REQUEUE
            test_P = jax.device_get(
                compiled.evaluate(members_P, (arrays, np.bool_(True)))
            )
        save()
        writer.wait()
        rows = outcome.records(
            hypers_P,
            np.asarray(members_P.status),
            np.asarray(members_P.step),
            latest_P,
            outcome.each(test_P, count),
            spec,
        )
        seconds = time.monotonic() - clock
        result = _result(directory, compiled, rows, seconds, inside, paces)
        result["notes"] = notes
        if not outcome.all_diverged(rows):
            params = jax.tree.map(lambda leaf: np.asarray(leaf)[best], members_P.params)
            result |= decoding.told(compiled.program, params, arrays)
        write_json(directory / layout.RESULT, result)
        (directory / layout.ERROR).unlink(missing_ok=True)
        return flags.DIVERGED if outcome.all_diverged(rows) else 0


def _as_begun(directory: Path, config: Config) -> Config:
    """The config with the checkpoint that the run in a directory has started from."""
    if not _begun(directory):
        return config
    there = layout.read_config(directory).config.init
    return dataclasses.replace(config, init=source.as_before(config.init, there))


def _begun(directory: Path) -> bool:
    """Whether a run was there; what was refused before its first step is none."""
    return all((directory / n).exists() for n in (layout.CONFIG, layout.METRICS))


def _claim(directory: Path, config: Config, members: Population) -> None:
    """Refuses a directory that holds another run."""
    check_name(directory.name or "run", "The name of the run")
    if (directory / layout.CONFIG).exists():
        there = layout.read_config(directory)
        same = (program.resolve(there.config), there.population) == (config, members)
        if _begun(directory) and not same:
            raise BadInput(
                f"{directory} holds another run; give an --out of its own, or the same "
                f"flags (--flagfile={directory / FLAGFILE})"
            )
    elif directory.exists() and any(directory.iterdir()):
        raise BadInput(f"{directory} is not empty and holds no run; give another --out")


def _write_down(
    directory: Path, config: Config, members: Population, sizes: dict[str, Any]
) -> None:
    layout.write_config(directory, config, members, sizes)
    lines = [*flags.lines(config), *flags.lines(members)]
    atomic_write(directory / FLAGFILE, "\n".join(lines) + "\n")


def _result(
    directory: Path,
    compiled: Compiled,
    rows: list[dict[str, Any]],
    seconds: float,
    inside: float,
    paces: list[float],
) -> dict[str, Any]:
    """What result.json holds; `step_seconds` is the median time of one model step."""
    spec = compiled.program.task.spec
    cost = program.cost(compiled.program.config)
    steps = sum(row["step"] for row in rows)
    return {
        "cell": directory.name,
        "seconds": seconds,
        "advance_seconds": inside,
        "compile_seconds": compiled.seconds,
        "steps_per_second": steps / seconds,
        "step_seconds": float(np.median(paces[1:] or paces)) if paces else None,
        "parameters": cost.params,
        "state_bytes": cost.state_bytes,
        "flops": cost.flops,
        "peak_bytes": compiled.peak_bytes,
        "environment": environment.facts(),
        "metric": spec.metrics[0],
        "goal": spec.goal,
        "chance": spec.chance,
        "per_sequence": spec.per_sequence,
        "members": rows,
    }
