"""Training of one population, from a config to its results: the one visible loop.

    members_P = init(hypers_P)
    members_P = advance(members_P, (arrays, count))     # many steps in one dispatch
    sums_P = evaluate(members_P, (arrays, testing))

`run` is the only function of a run that does IO. Validation chooses, the test split is
measured once, at the end. A run that was killed or asked to stop resumes at its newest
checkpoint and ends with the same bits as one that never stopped.
"""

import os
import time
from pathlib import Path
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh

from attn_research import hypers, tasks
from attn_research.checkpoint import Writer
from attn_research.config import Config, Population
from attn_research.decoding import judging
from attn_research.host import environment, exits, layout, memory
from attn_research.host.durable import clear, write_json
from attn_research.host.heartbeat import Heartbeat
from attn_research.host.interrupt import Interrupt
from attn_research.host.journal import Journal
from attn_research.host.progress import Progress
from attn_research.loop import claim, feed
from attn_research.modules import pattern
from attn_research.options.specs import parse
from attn_research.training import metrics, outcome, placed, program
from attn_research.training.outcome import Account
from attn_research.training.population import RUNNING, mesh
from attn_research.transfer import start

DISPATCH = 1.0  # seconds that one dispatch should take: a signal waits no longer


def run(
    config: Config,
    population: Population,
    directory: str | os.PathLike[str],
    *,
    allow_inexact_resume: bool = False,
) -> int:
    """Trains a population into `directory`, or resumes it there; returns an exit code.

    0: done, 3: every member diverged, 75: stopped by a signal after a checkpoint.
    Raises `BadInput` before any work if the config does not fit the task or the
    devices, another run holds the directory, or the predicted memory is not available.
    """
    directory = Path(directory)
    config = claim.resolved(directory, config, population)
    train, count = config.train, population.size
    environment.code()  # as it is now: a later change of the source is another code
    checkpoints = Writer(directory / layout.CHECKPOINTS, train.keep)
    beat = Heartbeat(directory, train.steps)
    with checkpoints as writer, Interrupt() as interrupt, beat:
        clear(directory)
        if (code := claim.ended(directory, config)) is not None:
            return code
        devices, around = mesh(train.mesh, count), outcome.facts(config)
        task = tasks.make(config.task)
        fed = feed.opened(config, population, task)
        described = claim.described(directory, config, population, task, fed.content)
        notes = task.notes(fed.content) if tasks.noted(task) else []
        _print(notes)
        beat.phase("compiling")
        compiled = placed.prepare(config, count, fed.shapes)
        memory.require(
            compiled.peak_bytes, memory.available(jax.local_devices()[0]), "The run"
        )
        hypers_P = hypers.grid(population)
        fed.place(devices)
        found = writer.restore(placed.targets(compiled, count))
        if found is None:
            members_P = _first(config, compiled, hypers_P, devices)
            account = Account()
        else:
            layout.check_identity(writer.directory, found[2], described)
            members_P, account = _resumed(
                found, compiled, hypers_P, devices, allow_inexact_resume, around
            )
        at = time.monotonic()
        clock, saved = at - account.seconds, account.step
        pace, paces = 0.0, []
        with (
            Journal(
                directory / layout.METRICS, lambda row: row["step"] <= account.step
            ) as journal,
            _progress(config, count, account.step, task.spec, beat) as progress,
        ):
            claim.check_log(journal, found)

            def save(members_P: program.Member, account: Account) -> None:
                account = account._replace(seconds=time.monotonic() - clock)
                facts = {"run": described.identity, "log": journal.seal}
                facts |= {**account._asdict(), "environment": around}
                writer.save(account.step, placed.items(members_P), facts)

            if found is None and config.init.path:
                # A run that has begun asks nothing of its source.
                save(members_P, account)
            status_P = np.asarray(members_P.status)
            while account.step < train.steps and RUNNING in status_P:
                boundary = (account.step // train.eval_every + 1) * train.eval_every
                boundary = min(boundary, train.steps)
                ahead = max(1, int(DISPATCH / pace)) if pace else 4
                ahead = min(boundary - account.step, ahead, fed.most(account.step))
                coming = fed.steps(account.step), np.int32(ahead)
                began, running_P = time.monotonic(), status_P == RUNNING
                members_P = compiled.advance(members_P, coming)
                jax.block_until_ready(members_P.step)
                pace = (time.monotonic() - began) / ahead
                paces.append(pace / np.sum(running_P))
                account = account.advanced(ahead, pace * ahead)
                progress.step(account.step)
                if account.step == boundary:
                    members_P, account = _evaluated(
                        compiled, fed, members_P, account, devices, journal, progress
                    )
                    status_P = np.asarray(members_P.status)
                    if account.step - saved >= train.checkpoint_every:
                        save(members_P, account)
                        saved, at = account.step, time.monotonic()
                if 0 < train.checkpoint_minutes <= (time.monotonic() - at) / 60:
                    save(members_P, account)
                    saved, at = account.step, time.monotonic()
                if interrupt.asked:
                    save(members_P, account)
                    writer.wait()
                    progress.note(
                        f"Stopped by {interrupt.asked} at step {account.step}; the "
                        "same command resumes."
                    )
                    return exits.REQUEUE
            beat.phase("testing")
            sums_P = jax.device_get(
                compiled.evaluate(members_P, (fed.judged(True), np.bool_(True)))
            )
            save(members_P, account)
            writer.wait()
        account = account._replace(seconds=time.monotonic() - clock)
        result = outcome.result(compiled, members_P, account, sums_P, paces)
        result = {"cell": directory.name, **result, "notes": notes}
        result |= {"data": described.data, "log": journal.seal}
        _print([outcome.pace(result)])
        beat.phase("decoding")
        return _end(directory, compiled, fed, members_P, account, result)


def _print(notes: list[str]) -> None:
    for note in notes:
        print(note, flush=True)


def _progress(
    config: Config, members: int, step: int, spec: tasks.Spec, beat: Heartbeat
) -> Progress:
    name = f"{parse(config.task)[0]} {pattern.brief(config.model.pattern)}"
    steps, metric = config.train.steps, spec.metrics[0]
    return Progress(name, steps, step, metric, spec.goal, members, beat)


def _first(
    config: Config, compiled: placed.Compiled, hypers_P: hypers.Hypers, devices: Mesh
) -> program.Member:
    """The population before its first step, from the trunk that the config names."""
    model = compiled.program.model
    trunk = start.load_trunk(config, model)
    _print(start.notes(config, model, compiled.program.task.spec.causal))
    return placed.initial(compiled, hypers_P, devices, trunk)


def _resumed(
    found: tuple[int, dict[str, Any], dict[str, Any]],
    compiled: placed.Compiled,
    hypers_P: hypers.Hypers,
    devices: Mesh,
    allow_inexact_resume: bool,
    around: dict[str, Any],
) -> tuple[program.Member, Account]:
    """The population and the account of a checkpoint that was found."""
    step, kept, facts = found
    if not allow_inexact_resume:
        environment.require_same(facts["environment"], around)
    members_P = placed.resumed(compiled, hypers_P, kept, devices)
    known = {name: facts[name] for name in Account._fields if name in facts}
    return members_P, Account(**{**known, "step": step})


def _evaluated(
    compiled: placed.Compiled,
    fed: feed.Feed,
    members_P: program.Member,
    account: Account,
    devices: Mesh,
    journal: Journal,
    progress: Progress,
) -> tuple[program.Member, Account]:
    """The population judged on validation, and the account with its metrics.

    The journal gets a line for each member, the progress one for all.
    """
    spec, train = compiled.program.spec, compiled.program.config.train
    since = (account.step - 1) % train.eval_every + 1  # steps since the last one
    loss_P = np.asarray(members_P.loss_sum) / since
    judged = fed.judged(False), np.bool_(False)
    sums_P = jax.device_get(compiled.evaluate(members_P, judged))
    latest = [
        metrics.values(sums, spec.metrics, spec.target)
        for sums in outcome.each(sums_P, placed.count(members_P))
    ]
    status_P = outcome.judged(np.asarray(members_P.status), latest, spec, train.stop_at)
    account = account._replace(latest=latest, best=outcome.best(latest, status_P, spec))
    for index, values in enumerate(latest):
        record = {"step": account.step, "member": index, **values}
        journal.append({**record, "train_loss": float(loss_P[index])})
    journal.commit()
    headlines = [values[spec.metrics[0]] for values in latest]
    statuses = outcome.summary(status_P[: len(latest)])
    progress.evaluated(account.step, headlines, statuses)
    return placed.marked(members_P, status_P, devices), account


def _end(
    directory: Path,
    compiled: placed.Compiled,
    fed: feed.Feed,
    members_P: program.Member,
    account: Account,
    result: dict[str, Any],
) -> int:
    """Writes the result, with what the best member decodes; returns the exit code."""
    diverged = outcome.all_diverged(result["members"])
    if not diverged:
        params = jax.tree.map(
            lambda leaf: np.asarray(leaf)[account.best], members_P.params
        )
        made = compiled.program
        shown = fed.shown(*judging.asked(made))
        result |= judging.decoded(made, params, shown)
    write_json(directory / layout.RESULT, result)
    (directory / layout.ERROR).unlink(missing_ok=True)
    return exits.ALL_DIVERGED if diverged else exits.DONE
