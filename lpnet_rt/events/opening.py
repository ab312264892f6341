"""Opening the events of a run."""

from __future__ import annotations

from lpnet_rt.clock import Clock
from lpnet_rt.events.archive import EventArchive
from lpnet_rt.events.following import Origin
from lpnet_rt.events.hub import EventHub
from lpnet_rt.events.sink import EventSink
from lpnet_rt.settings import Settings
from lpnet_rt.sources import Source
from lpnet_rt.sources.states import StateLog

__all__ = ["RunEvents"]


class RunEvents:
    """The events of all sources of a run.

    Attributes:
        hub: Passes notices on to other outputs of the run.
    """

    def __init__(self, settings: Settings, model: str, engine: str, clock: Clock) -> None:
        """Open the folder.

        Args:
            settings: Settings of the run; ``events.folder`` is given.
            model: Name of the model.
            engine: Name and precision of the engine.
            clock: Clock of the run.

        Raises:
            SinkError: The folder cannot be written, or another run writes it.
        """
        self._settings, self._model, self._engine, self._clock = settings, model, engine, clock
        self._archive = EventArchive(settings.events, clock)
        self.hub: EventHub = self._archive.hub

    def sink(self, source: Source, log: StateLog, session: str) -> EventSink:
        """Return the output of one source.

        Args:
            source: The source.
            log: What is known of it beside its frames.
            session: As in the messages of the source.
        """
        origin = Origin(source.name, session, self._model, self._engine)
        wanted = self._settings.events, self._settings.alarm
        return EventSink(self._archive, origin, wanted, log.packets, source.live, self._clock)
