"""The memory of this process: what becomes of freed arrays, and whether there is enough."""

import ctypes

import numpy as np

# Numbers of glibc's malloc.h: how much freed memory stays at most, and from which size on an array
# is taken from the system by itself, and given back when it is freed.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
# Bytes that a decoder asks for a pixel, at most. On images of 16 bits with much noise JPEG 2000,
# JPEG-LS and lossless JPEG failed with less than 24, RLE with 12; a JPEG of 8 bits with 5.
DECODING = 32


def keep_freed_memory(most: int, large: int) -> None:
    """Let this process use again the memory that it freed: at most `most` bytes (below 2 GiB).

    large: arrays of at least so many bytes go back all the same. By default every large array is
    taken anew, empty page by empty page, which takes a good part of the time of what is done with
    it. Without glibc, no effect.
    """
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):
        libc.mallopt(M_TRIM_THRESHOLD, most)
        libc.mallopt(M_MMAP_THRESHOLD, large)


def require_room(height: int, width: int) -> None:
    """Raise MemoryError unless this process could take what it takes to decode so many pixels.

    A decoder that gets no memory reports a damaged file, or crashes. What fails after this call is
    therefore the fault of the file. Nothing is touched, so that it takes microseconds.
    """
    np.empty(DECODING * height * width, dtype=np.uint8)
