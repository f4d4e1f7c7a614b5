"""An average that is private for each whole site (McMahan et al. 2018).

The server shortens the step of each site and adds noise to their sum: the simpler way than noise
at the sites, for those who trust the server with what they send.
"""

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from chexviz.base.randomness import generator
from chexviz.federation.accountant import noise_multiplier, spent
from chexviz.federation.exchange import Combination, digest
from chexviz.federation.privacy_rules import check_delta
from chexviz.federation.settings import Privacy


class PrivateAverage:
    """What a server does so that no site spends more than the method's epsilon.

    A site's record is its step of a round, in it or zero. rounds: of the whole training, all of
    which count. sites: that take part in all. secret: what noise is drawn from; who knows it can
    take the noise away. Raises InputError.
    """

    def __init__(self, privacy: Privacy, rounds: int, sites: int, secret: int):
        check_delta(privacy.delta, "the federation", sites, "sites")
        self.privacy, self.secret = privacy, secret
        self.sigma = noise_multiplier(privacy, 1.0, rounds)

    def __call__(
        self, combination: Combination, shared: Tensor, updates: Sequence[Tensor], number: int
    ) -> Tensor:
        """What the updates of round `number` combine to (p,), from the average they began with.

        combination: their plain mean. Noise is for their sum, so a number that fewer of them have a
        say in gets more. It is keyed by what it hides: the same noise over two averages, of a round
        that is combined again or of another study, would be gone from their difference.
        """
        steps = [self.shortened(update - shared) for update in updates]
        mean, counts = shared + combination(steps), combination.counts(shared)
        hidden = digest([mean, counts, *steps])
        deviation = self.sigma * self.privacy.clip
        drawn = generator(self.secret, "server noise", number, str(deviation), hidden)
        noise = torch.from_numpy(drawn.standard_normal(len(mean), dtype=np.float32))
        return mean + noise.to(mean.device).mul_(deviation) / counts

    def shortened(self, step: Tensor) -> Tensor:
        """A step (p,) of at most the length `clip`."""
        return step * (self.privacy.clip / max(step.double().norm().item(), self.privacy.clip))

    def epsilon(self, rounds: int) -> float:
        """What a site has spent at most after so many rounds."""
        return spent(self.sigma, 1.0, rounds, self.privacy.delta)
