"""The instrumentor: how OpenTelemetry's own start-up switches the capture on."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Any

from scorespan.instrumentation import switch
from scorespan.startup import start

if TYPE_CHECKING:

    class BaseInstrumentor:
        """What OpenTelemetry calls; its package may be missing where types are checked."""

else:
    try:
        from opentelemetry.instrumentation.instrumentor import BaseInstrumentor
    except ImportError:

        class BaseInstrumentor:
            """What OpenTelemetry calls, where somebody else than its start-up does."""

            def instrument(self, **options: Any) -> None:
                """Switch on."""
                self._instrument(**options)

            def uninstrument(self, **options: Any) -> None:
                """Switch off."""
                self._uninstrument(**options)


class ScorespanInstrumentor(BaseInstrumentor):
    """The entry point `opentelemetry_instrumentor: scorespan`. Never raises.

    Without a `SCORESPAN_*` variable it does nothing. It needs nothing of others: what it
    instruments is looked for when it is imported.
    """

    def instrumentation_dependencies(self) -> Collection[str]:
        """None: where one were missing, OpenTelemetry would not call."""
        return ()

    def _instrument(self, **_options: Any) -> None:
        start(asked=True)

    def _uninstrument(self, **_options: Any) -> None:
        switch.off()
