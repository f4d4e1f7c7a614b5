"""Sites that train nothing: each answers at once with what it was sent, by a connection of its own.

    python light_sites.py FOLDER ADDRESS NAME ...

FOLDER: the coordinator's, with the key of each site under its name.
"""

import sys
import threading
from pathlib import Path

from flwr.app import Message

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.federation.network import bundle, credentials
from chexviz.federation.network.messages import NUMBERS, ROUND, START, Content, content_of, record
from chexviz.federation.network.node import Node, serve

TRAINED = {"learning_rate": 1e-3, "loss": 0.7, "images": 100}
SAID = {START: {"size": 100, "known": [1]}, ROUND: TRAINED}  # beside the number of the round


def answer(message: Message) -> Message:
    """What a site answers that has trained nothing; what is no question of a study comes back."""
    kind = message.metadata.message_type
    if kind not in NUMBERS:
        return Message(message.content, reply_to=message)
    asked = content_of(message, "the coordinator")
    numbers = {"round": asked.numbers["round"], **SAID.get(kind, {})}
    vectors = asked.vectors if kind == ROUND else []
    return Message(record(Content(numbers, vectors)), reply_to=message)


def take_part(folder: Path, address: str, name: str) -> None:
    """Answer until the process ends."""
    with Node(address, folder / name / "key", folder / credentials.AUTHORITY) as node:
        serve(node, answer, bundle.sha256(), threading.Event())


def main() -> None:
    folder, address, *names = sys.argv[1:]
    threads = [
        threading.Thread(target=take_part, args=(Path(folder), address, name)) for name in names
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
