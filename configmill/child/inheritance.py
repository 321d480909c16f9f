"""What a fork of the fork server finds ready-made: the list of configs, the modules' code, random generators.

The server fills `current.inherited` before it forks anything; elsewhere that is None and everything is made anew.
"""

from __future__ import annotations

TYPE_CHECKING = False  # `typing` costs a cold start several ms; type checkers honour this name
if TYPE_CHECKING:
    from collections.abc import Sequence

    from configmill.child.generators import Generators
    from configmill.config import Config
    from configmill.measure.provenance import ProjectCode


class Inheritance:
    """All that the server has made; forks may change their own copy of it."""

    def __init__(
        self,
        *,
        config_builder: str,
        configs: Sequence[Config],
        code: ProjectCode,
        generators: Generators,
        pristine_path: list[str],
        environment: dict[str, str | None],
    ) -> None:
        self.config_builder = config_builder
        self.configs = configs
        #: The project's files, as they were when the server imported them.
        self.code = code
        self.generators = generators
        #: `sys.path` as a Python that was just started has it.
        self.pristine_path = pristine_path
        #: What the variables that the server alone has set were before; None for those that were not there.
        self.environment = environment
