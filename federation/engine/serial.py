"""A client at a time, where a breakpoint works. The reference for all engines."""

from collections.abc import Callable, Iterable, Sequence

from flwr.app import Message
from flwr.clientapp import ClientApp

from federation.engine.local import LocalGrid, Visit, described, in_order, refusal
from federation.tensors import threads_for
from federation.timing.availability import AvailabilityRule


class SerialGrid(LocalGrid):
    """Calls a ClientApp for one message after another, with one thread, as every engine."""

    def __init__(
        self,
        client_app: ClientApp,
        clients: int,
        run_config: dict[str, str | int],
        *,
        availability: AvailabilityRule | None = None,
        visit: Visit = in_order,
        on_reply: Callable[[int], None] = lambda answered: None,
    ) -> None:
        super().__init__(clients, run_config, availability=availability, visit=visit, on_reply=on_reply)
        self._app = client_app

    def serve(self, messages: Sequence[Message]) -> Iterable[Message]:
        for message in messages:
            node = message.metadata.dst_node_id
            context = self.context(node)
            try:
                with threads_for(0):
                    reply = self._app(message, context)
                if context.state:
                    self.states[node] = context.state
            except Exception as error:
                reply = refusal(message, described(node, error))
            self.on_reply(1)
            yield reply
