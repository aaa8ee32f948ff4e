"""The multi-model-server hook: the scorings of any handler that it serves.

Nothing is printed here: the server reads the standard output of its workers.
"""

from __future__ import annotations

import functools
from types import ModuleType
from typing import Any

from scorespan.instrumentation.sagemaker import scored

NAME = "multi-model-server"


def instrument(module: ModuleType) -> None:
    """Capture what the handlers of `mms.service.Service` answer."""
    original = module.Service.__init__

    @functools.wraps(original)
    def __init__(  # noqa: N807, PLR0913, PLR0917 - it takes the place of one with these arguments
        self: Any,
        model_name: Any,
        model_dir: Any,
        manifest: Any,
        entry_point: Any,
        gpu: Any,
        batch_size: Any,
    ) -> None:
        @functools.wraps(entry_point)
        def handle(data: Any, context: Any) -> Any:
            return scored(NAME, entry_point, data, context)

        original(self, model_name, model_dir, manifest, handle, gpu, batch_size)

    module.Service.__init__ = __init__
