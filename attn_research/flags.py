"""Absl flags made from dataclasses, and the one `main` of every script.

A leaf of a dataclass tree becomes one dotted flag (`--model.width=128`); `--task.NAME`
sets an option of the task's spec. An unknown flag or value is one sentence and exit
code 65. Nothing here imports jax, so `--help` answers at once.
"""

import dataclasses
import difflib
import sys
import typing
from collections.abc import Callable, Sequence
from typing import Any, NoReturn, TypeVar

from absl import flags

from attn_research.config import Config, Population, edit
from attn_research.host import exits, streams
from attn_research.options import BadInput, check, convert, leaves
from attn_research.options.specs import word

FLAGS = flags.FLAGS
T = TypeVar("T")


class _Option(flags.ArgumentParser):
    """Parses one flag by the type and bounds of its dataclass field."""

    def __init__(self, name: str, kind: Any, metadata: Any):
        self.name, self.kind, self.metadata = name, kind, metadata

    def parse(self, argument: Any) -> Any:
        value = convert(argument, self.kind, f"--{self.name}", self.metadata)
        check(value, self.metadata, f"--{self.name}")
        return value


class _Text(flags.ArgumentSerializer):
    def serialize(self, value: Any) -> str:
        return text(value)


def text(value: Any) -> str:
    """A value as it is written after `--flag=`."""
    return word(value).strip('"') if not isinstance(value, str) else value


def define(cls: type, prefix: str = "") -> None:
    """Defines one flag for every leaf of a dataclass tree.

    A field whose name is a word of Python ends in an underscore; its flag does not.
    """
    hints = typing.get_type_hints(cls)
    for field_name, field, kind in leaves(cls):
        name = field_name.removesuffix("_")
        flags.DEFINE(
            _Option(prefix + name, kind, field.metadata),
            prefix + name,
            field.default,
            field.metadata["help"],
            serializer=_Text(),
        )
    for field in dataclasses.fields(cls):
        if dataclasses.is_dataclass(hints[field.name]):
            define(hints[field.name], f"{prefix}{field.name}.")  # type: ignore


def given(cls: type[T], prefix: str = "") -> T:
    """The dataclass tree that the parsed flags describe."""
    hints = typing.get_type_hints(cls)
    values: dict[str, Any] = {}
    for field in dataclasses.fields(cls):  # type: ignore
        kind, name = hints[field.name], prefix + field.name.removesuffix("_")
        nested = dataclasses.is_dataclass(kind)
        values[field.name] = given(kind, f"{name}.") if nested else FLAGS[name].value  # type: ignore
    return cls(**values)


def names_given() -> set[str]:
    """The names of the flags that the user gave."""
    return {flag.name for flag in map(FLAGS.__getitem__, FLAGS) if flag.present}


def unused(names: Sequence[str], without: str) -> None:
    """Raises `BadInput` if one of these flags was given, which nothing would read.

    `without` says when: `without --pretrain`, or `with --status`.
    """
    for name in names:
        if FLAGS[name].value != FLAGS[name].default:
            raise BadInput(f"--{name} does nothing {without}; it must be left out")


def lines(tree: Any, prefix: str = "") -> list[str]:
    """The flags that describe a dataclass tree, one `--name=value` a line."""
    written = []
    for field in dataclasses.fields(tree):
        value, name = getattr(tree, field.name), prefix + field.name
        if dataclasses.is_dataclass(value):
            written += lines(value, f"{name}.")
        else:
            written.append(f"--{name}={text(value)}")
    return written


def define_run() -> None:
    """Defines the flags of a `Config`, of a `Population`, and `--task.OPTION`."""
    define(Config)
    define(Population)
    flags.DEFINE_alias("init_from", "init.path")
    flags.DEFINE_multi_string("task_option", [], "An option of the task (repeatable).")


def define_plugins() -> None:
    """Defines --plugin."""
    flags.DEFINE_multi_string(
        "plugin",
        [],
        "Python file, module or installed plugin with mixers, tasks, metrics, "
        "optimizers or analyses (repeatable).",
    )


def given_run() -> tuple[Config, Population]:
    """The config and population that the parsed flags describe."""
    config = given(Config)
    for item in FLAGS.task_option:
        name, equals, value = item.partition("=")
        if not equals:
            raise BadInput(
                f"--task.{name} lacks a value; it must be --task.{name}=VALUE"
            )
        config = edit(config, {f"task.{name}": value})
    return config, given(Population)


def _spelled(argv: Sequence[str]) -> list[str]:
    """Options of the task as one flag each, switches alone as true or false."""
    spelled = []
    for arg, following in zip(argv, [*argv[1:], ""], strict=True):
        name = arg.lstrip("-")
        if arg.startswith("-") and name.startswith("task."):
            arg = f"--task_option={name[5:]}"
        elif arg.startswith("--") and _switch(name):
            if following.lower() not in ("true", "false"):
                arg = f"{arg}=true"
        elif arg.startswith("--no") and "." not in name and _switch(name[2:]):
            arg = f"--{name[2:]}=false"
        spelled.append(arg)
    return spelled


def _switch(name: str) -> bool:
    """Whether a flag is true or false."""
    parser = FLAGS[name].parser if name in FLAGS else None
    return isinstance(parser, _Option) and parser.kind is bool


def _show_help(doc: str) -> None:
    print(doc.strip(), "\n\nFlags:")
    own = {"flagfile", "undefok", "helpfull", "helpshort", "helpxml", "only_check_args"}
    for name in FLAGS:
        flag = FLAGS[name]
        if name in own or "absl" in str(FLAGS.find_module_defining_flag(name)):
            continue
        if name != flag.name:
            continue
        shown = "--task.OPTION=VALUE" if name == "task_option" else f"--{name}"
        kind = flag.parser.kind if isinstance(flag.parser, _Option) else None
        allowed = ""
        if typing.get_origin(kind) is typing.Literal:
            allowed = f" One of {', '.join(typing.get_args(kind))}."
        default = "" if flag.default in (None, []) else f" (default {text(flag.value)})"
        about = flag.help.partition(";\n")[0]  # absl adds that a flag may be repeated
        print(f"  {shown}{default}\n      {about}{allowed}")
    print("  --flagfile=FILE\n      Read flags from a file, such as a run's flags.txt.")


def _nearest(name: str) -> str:
    """Names the closest flag, also if its group was left out (`widht`)."""
    whole = {flag.rpartition(".")[2]: f"--{flag}" for flag in FLAGS}
    whole |= {flag: f"--{flag}" for flag in FLAGS}
    close = difflib.get_close_matches(name, list(whole), n=1)
    return f"; did you mean {whole[close[0]]!r}?" if close else ""


def _parse(argv: Sequence[str], doc: str, takes: str, many: bool = False) -> list[str]:
    if {"--help", "-h", "-help", "--helpfull"} & set(argv[1:]):
        FLAGS.mark_as_parsed()
        _show_help(doc)
        sys.exit(streams.finish(exits.DONE))
    try:
        expanded = FLAGS.read_flags_from_files(list(argv))
        rest = FLAGS(_spelled(expanded))
    except flags.UnrecognizedFlagError as error:
        raise BadInput(
            f"Unknown flag --{error.flagname}{_nearest(error.flagname)}"
        ) from None
    except RecursionError:  # absl looks for names like this one letter by letter
        names = (arg.lstrip("-").partition("=")[0] for arg in argv if arg[:1] == "-")
        raise BadInput(f"Unknown flag --{max(names, key=len)}") from None
    except UnicodeError:
        files = [arg for arg in argv if arg.lstrip("-").startswith("flagfile")]
        raise BadInput(f"{' '.join(files)} is not text; it must be UTF-8") from None
    except flags.Error as error:
        message = str(error)
        for marker in (": --", ": flag --"):
            if message.startswith("flag --") and marker in message:
                message = "--" + message.split(marker, 1)[1]
        raise BadInput(" ".join(message.split())) from None
    if rest[1:] and not takes:
        raise BadInput(f"Unknown argument {rest[1]!r}; every option is a flag")
    if takes and not many and len(rest) != 2:
        raise BadInput(
            f"{len(rest) - 1} arguments are given; there must be one {takes}"
        )
    return rest[1:]


def main(
    run: Callable[..., int | None],
    doc: str | None,
    *,
    define: Callable[[], None] | None = None,
    takes: str = "",
    many: bool = False,
) -> NoReturn:
    """Declares the flags by `define`, parses them, calls `run`, exits with its code.

    `takes` names the one argument that `run` is called with, if it has one; with `many`
    there may be any number of them. A failure ends in one sentence and the exit code of
    its kind (see `exits`), anything unforeseen in a traceback and 70.
    """
    try:
        if define is not None:
            define()
        arguments = _parse(sys.argv, doc or "", takes, many)
        code = run(*arguments) or exits.DONE
    except KeyboardInterrupt:
        print("Interrupted.", file=sys.stderr)
        code = exits.INTERRUPTED
    except Exception as error:
        _, code = exits.tell(error)
    sys.exit(streams.finish(code))
