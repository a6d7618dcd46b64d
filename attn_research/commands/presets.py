"""`--architecture` and `--scale`: many fields at once, and what they set is said."""

import dataclasses
from typing import Protocol

from attn_research import flags
from attn_research.config import Config, Population
from attn_research.studies import scale
from attn_research.studies.study import Study


class Options(Protocol):
    """The options of a command that has both."""

    @property
    def architecture(self) -> str | None: ...

    @property
    def scale(self) -> str | None: ...


def of_run(
    options: Options, config: Config, population: Population
) -> tuple[Config, Population]:
    """A run with its architecture and at its scale; flags go before both."""
    given = flags.names_given()
    if options.architecture is not None:
        from attn_research.studies import blueprint

        config = blueprint.config(
            config, blueprint.architecture(options.architecture), given
        )
    if options.scale is not None:
        size = scale.scale(options.scale)
        config = scale.config(config, size, given)
        population = scale.population(population, size, given)
    return _whole(options, config), population


def of_study(options: Options, study: Study) -> Study:
    """A study with one architecture in each cell and at its scale."""
    given = flags.names_given()
    if options.architecture is not None:
        from attn_research.studies import blueprint

        study = blueprint.study(
            study, blueprint.architecture(options.architecture), given
        )
    if options.scale is not None:
        study = scale.study(study, scale.scale(options.scale), given)
    if "model.layers" in study.axes:
        return study
    return dataclasses.replace(study, base=_whole(options, study.base))


def _whole(options: Options, config: Config) -> Config:
    """With an architecture: the depth of a scale, rounded up to whole passes."""
    if options.architecture is None or "model.layers" in flags.names_given():
        return config
    from attn_research.studies import blueprint

    return blueprint.whole(config)


def say(options: Options) -> None:
    """Prints what the architecture and the scale set."""
    if options.architecture is not None:
        from attn_research.studies import blueprint

        built = blueprint.architecture(options.architecture)
        print(blueprint.sentence(options.architecture, built))
    if options.scale is not None:
        print(scale.sentence(options.scale, scale.scale(options.scale)))
