"""How a peer is asked: pickled calls on its standard input, pickled answers on its standard output."""

from __future__ import annotations

import os
import pickle
import sys
import time


def serve(peers: dict[str, type]) -> None:
    """Builds the peer that the first message names, then answers (method, arguments) with (seconds, result).

    A peer has `epoch()`, `encode(x)` [n, 28, 28, 1] → [n, 2J] and `decode(z)` [n, J] → [n, 28, 28, 1] logits.
    """
    requests, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what a library prints must not stand between the answers
    name, *arguments = pickle.load(requests)
    peer = peers[name](*arguments)
    while True:
        try:
            method, arguments = pickle.load(requests)
        except EOFError:
            return
        start = time.perf_counter()
        result = getattr(peer, method)(*arguments)
        pickle.dump((time.perf_counter() - start, result), answers)
        answers.flush()
