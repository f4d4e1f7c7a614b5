"""What the C library does with freed memory: by default large arrays go back to the system."""

import ctypes

# Numbers of glibc's malloc.h: how much freed memory stays at most, and from which size on an array
# is taken from the system by itself, and given back when it is freed.
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3


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
