"""Completion of the command line: a script for bash or zsh, made from the flags.

source <(attn-research --completion=bash)
"""

import importlib
import typing
from collections.abc import Mapping
from typing import NamedTuple

from attn_research import flags
from attn_research.options import BadInput

SHELLS = ("bash", "zsh")


class Flag(NamedTuple):
    """A flag as it is typed, and its values if they are few; `--out=` takes one."""

    typed: str
    values: tuple[str, ...]


def script(shell: str, commands: Mapping[str, str]) -> str:
    """The script that completes these commands; raises `BadInput`."""
    if shell not in SHELLS:
        raise BadInput(
            f"--completion is {shell!r}; it must be one of {', '.join(SHELLS)}"
        )
    known = {name: _flags(name) for name in commands}
    return _bash(known) if shell == "bash" else _zsh(known)


def _flags(command: str) -> list[Flag]:
    """The flags of a command, in the order of the alphabet."""
    module = importlib.import_module(f"attn_research.commands.{command}")
    before = set(flags.FLAGS)
    module.define()
    flags.define_plugins()
    own = set(flags.FLAGS) - before
    found = [_flag(name) for name in sorted(own) if name != "task_option"]
    if "task_option" in own:
        found.append(Flag("--task.", ()))
    for name in own:  # the next command has flags of the same names
        delattr(flags.FLAGS, name)
    return [*found, Flag("--flagfile=", ()), Flag("--help", ())]


def _flag(name: str) -> Flag:
    parser = flags.FLAGS[name].parser
    kind = getattr(parser, "kind", None)
    if kind is bool:
        return Flag(f"--{name}", ("true", "false"))
    if typing.get_origin(kind) is typing.Literal:
        return Flag(f"--{name}=", typing.get_args(kind))
    return Flag(f"--{name}=", ())


def _values(known: Mapping[str, list[Flag]]) -> list[str]:
    """Lines of a case: `command --flag)` and the values of that flag."""
    return [
        f"    '{command} {one.typed.rstrip('=')}') values='{' '.join(one.values)}' ;;"
        for command, all_flags in known.items()
        for one in all_flags
        if one.values
    ]


def _bash(known: Mapping[str, list[Flag]]) -> str:
    flags_of = [
        f"    {command}) flags='{' '.join(one.typed for one in all_flags)}' ;;"
        for command, all_flags in known.items()
    ]
    return "\n".join(
        [
            "# Completion of attn-research: source <(attn-research --completion=bash)",
            "_attn_research() {",
            "  local command=${COMP_WORDS[1]} word=${COMP_WORDS[COMP_CWORD]}",
            "  local before=${COMP_WORDS[COMP_CWORD-1]} flag= flags= values=",
            "  COMPREPLY=()",
            '  if [ "$COMP_CWORD" = 1 ]; then',
            "    COMPREPLY=($(compgen -W "
            f"'{' '.join(known)} --help --version --completion=' -- \"$word\"))",
            "    return",
            "  fi",
            "  # = may end a word: --flag, =, value",
            '  if [ "$word" = = ]; then',
            "    flag=$before word=",
            '  elif [ "$before" = = ]; then',
            "    flag=${COMP_WORDS[COMP_CWORD-2]}",
            "  elif [[ $word == --*=* ]]; then",
            "    flag=${word%%=*} word=${word#*=}",
            "  fi",
            '  if [ -n "$flag" ]; then',
            '    case "$command $flag" in',
            *_values(known),
            "    esac",
            '    if [ -n "$values" ]; then',
            '      COMPREPLY=($(compgen -W "$values" -- "$word"))',
            "    else",
            "      compopt -o filenames 2>/dev/null",
            '      COMPREPLY=($(compgen -f -- "$word"))',
            "    fi",
            "    return",
            "  fi",
            "  case $command in",
            *flags_of,
            "  esac",
            "  if [[ $word == -* ]]; then",
            '    COMPREPLY=($(compgen -W "$flags" -- "$word"))',
            "    [[ ${COMPREPLY[0]-} != *[=.] ]] || compopt -o nospace 2>/dev/null",
            "  else",
            "    compopt -o filenames 2>/dev/null",
            '    COMPREPLY=($(compgen -f -- "$word"))',
            "  fi",
            "}",
            "complete -F _attn_research attn-research",
        ]
    )


def _zsh(known: Mapping[str, list[Flag]]) -> str:
    flags_of = [
        f"    {command}) flags=({' '.join(one.typed for one in all_flags)}) ;;"
        for command, all_flags in known.items()
    ]
    return "\n".join(
        [
            "#compdef attn-research",
            "# Completion of attn-research: source <(attn-research --completion=zsh)",
            "_attn_research() {",
            "  local flag values",
            "  local -a flags",
            "  if (( CURRENT == 2 )); then",
            f"    compadd -- {' '.join(known)} --help --version --completion=",
            "    return",
            "  fi",
            "  if [[ $PREFIX == --*=* ]]; then",
            "    flag=${PREFIX%%=*}",
            "    compset -P '*='",
            '    case "$words[2] $flag" in',
            *_values(known),
            "    esac",
            "    if [[ -n $values ]]; then compadd -- ${=values}; else _files; fi",
            "    return",
            "  fi",
            "  case $words[2] in",
            *flags_of,
            "  esac",
            "  if [[ $PREFIX == -* ]]; then",
            "    compadd -S '' -- $flags",
            "  else",
            "    _files",
            "  fi",
            "}",
            "(( $+functions[compdef] )) || { autoload -Uz compinit && compinit }",
            "compdef _attn_research attn-research",
        ]
    )
