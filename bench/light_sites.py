"""Sites that train nothing: each answers at once, by a connection of its own.

Each with other numbers near those that it was sent: the same again would not travel at all.

    python light_sites.py FOLDER ADDRESS NAME ...

FOLDER: the coordinator's, with the key of each site under its name.
"""

import sys
import threading
from functools import partial
from pathlib import Path

from flwr.app import Array, ArrayRecord, Message, RecordDict

sys.path.insert(0, str(Path(__file__).parents[1] / "workflow"))
from chexviz.federation.network import bundle, credentials
from chexviz.federation.network.messages import NUMBERS, ROUND, START, Content, content_of, record
from chexviz.federation.network.node import Node, serve

TRAINED = {"learning_rate": 1e-3, "loss": 0.7, "images": 100}
SAID = {START: {"size": 100, "known": [1]}, ROUND: TRAINED}  # beside the number of the round


def answer(number: int, message: Message) -> Message:
    """What a site answers that has trained nothing, to a question of a study or mere arrays."""
    kind = message.metadata.message_type
    if kind not in NUMBERS:
        return Message(others(message.content), reply_to=message)
    asked = content_of(message, "the coordinator")
    numbers = {"round": asked.numbers["round"], **SAID.get(kind, {})}
    vectors = [one + 1e-4 * number for one in asked.vectors] if kind == ROUND else []
    return Message(record(Content(numbers, vectors)), reply_to=message)


def others(content: RecordDict) -> RecordDict:
    """Arrays near those that came."""
    return RecordDict(
        {
            name: ArrayRecord({key: Array(one.numpy() + 1e-4) for key, one in arrays.items()})
            for name, arrays in content.array_records.items()
        }
    )


def take_part(folder: Path, address: str, number: int, name: str) -> None:
    """Answer until the process ends."""
    with Node(address, folder / name / "key", folder / credentials.AUTHORITY) as node:
        serve(node, partial(answer, number), bundle.sha256(), threading.Event())


def main() -> None:
    folder, address, *names = sys.argv[1:]
    threads = [
        threading.Thread(target=take_part, args=(Path(folder), address, number, name))
        for number, name in enumerate(names, 1)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


if __name__ == "__main__":
    main()
