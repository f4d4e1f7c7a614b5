"""What a method with `privacy` may not be: the config is refused for it, and so is a study."""

from chexviz.base.errors import InputError

ALGORITHMS = ("fedavg", "fedadam")  # by which a site does nothing to its gradients


def check_private(
    where: str, *, algorithm: str, batchnorm: str, precision: str, compiled: bool
) -> None:
    """Raise InputError if sites would tell more than privacy promises, or could not train so.

    where: of the method. The others: as the config calls them, `compile` too.
    """
    fix = "change it, or leave `privacy` out"
    if algorithm not in ALGORITHMS:
        raise InputError(
            where,
            expected=f"the algorithm {' or '.join(ALGORITHMS)}: by others sites tell or use "
            "gradients without noise",
            found=algorithm,
            fix=fix,
        )
    if batchnorm != "frozen":
        raise InputError(
            where,
            expected="`batchnorm: frozen`: its statistics would be of images, without noise",
            found=f"batchnorm: {batchnorm}",
            fix="write `batchnorm: frozen`; what has no BatchNorm trains as ever",
        )
    if compiled or precision == "bfloat16":
        raise InputError(
            where,
            expected="`compile: false` and no bfloat16: gradients of each image are taken layer by "
            "layer, and what is clipped is exact",
            found=f"compile: {str(compiled).lower()}, precision: {precision}",
            fix=fix,
        )
