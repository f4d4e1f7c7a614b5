"""The architectures that a configuration can name: a file and an entry here for each."""

from chexviz.models.architectures.densenet121 import DenseNet121
from chexviz.models.architectures.representation import Representation
from chexviz.models.architectures.standard import Standard
from chexviz.models.architectures.standard_group_norm import StandardGroupNorm

ARCHITECTURES: dict[str, type[Representation]] = {
    "standard": Standard,
    "standardgn": StandardGroupNorm,
    "densenet121": DenseNet121,
}
