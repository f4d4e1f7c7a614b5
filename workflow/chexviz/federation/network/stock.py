"""What Flower finds in our app where somebody starts it by Flower's own commands: a refusal.

The app is shipped so that sites can compare its SHA-256 with what they approved. Both sides run
their own installed code, by `chexviz server` and `chexviz site`.
"""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid, ServerApp

server, client = ServerApp(), ClientApp()


@server.main()
def refuse_to_serve(grid: Grid, context: Context) -> None:
    """Raises RuntimeError: `chexviz server run` has the rounds."""
    raise RuntimeError("start this federation by `chexviz server run`")


@client.query()
@client.train()
@client.evaluate()
def refuse_to_answer(message: Message, context: Context) -> Message:
    """Raises RuntimeError: a site never runs code that it was sent."""
    raise RuntimeError("join this federation by `chexviz site join`, which runs its own code")
