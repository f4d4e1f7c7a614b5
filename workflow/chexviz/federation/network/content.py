"""Messages out of the parts that Flower sends them in."""

from typing import cast

from flwr.app import Error, Message
from flwr.app.message import make_message
from flwr.common.constant import ErrorCode
from flwr.proto.message_pb2 import ObjectTree
from flwr.supercore.inflatable.inflatable_utils import inflate_object_from_contents


def opened(announced: Message, tree: ObjectTree, contents: dict[str, bytes]) -> Message:
    """A message of its parts; from whom it is and what it replies to are as the SuperLink knows.

    What the parts themselves say of that counts for nothing. One that cannot be read is an error in
    its place.
    """
    try:
        inflated = cast(Message, inflate_object_from_contents(tree.object_id, contents))
        if inflated.has_error():
            return make_message(announced.metadata, error=inflated.error)
        return make_message(announced.metadata, content=inflated.content)
    except Exception as error:  # whatever the parts of a stranger make of Flower's decoders
        reason = f"the message cannot be read: {type(error).__name__}"
        return failed(announced, ErrorCode.CLIENT_APP_RAISED_EXCEPTION, reason)


def failed(announced: Message, code: int, reason: str) -> Message:
    """An error in place of a message."""
    return make_message(announced.metadata, error=Error(code, reason))
