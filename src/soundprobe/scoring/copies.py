"""Recordings that hold copies of each other's clips count as one. No torch.

Letters: N clips.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def copy_numbers(sha256: np.ndarray) -> np.ndarray:
    """(N,) int64, equal for clips with the same bytes; a clip without a digest ('') is like no other."""
    digests = np.asarray(sha256, dtype=np.str_)
    _, number = np.unique(digests, return_inverse=True)
    unread = digests == ""
    number[unread] = len(digests) + np.arange(int(unread.sum()))
    return number


def linked_recordings(groups: np.ndarray, *alike: np.ndarray | None) -> tuple[tuple[str, ...], ...]:
    """Sets of two or more recordings that hold copies of each other's clips.

    Args:
        alike: (N,) of each kind of copies, equal for clips that count as one; None where it isn't known.
    """
    names, recording = np.unique(groups, return_inverse=True)
    links = []  # clips that count as one, as pairs of nodes; nodes are recordings
    for same in alike:
        if same is not None:
            _, first, where = np.unique(same, return_index=True, return_inverse=True)
            links.append(np.stack([recording, recording[first[where]]]))
    if not links:
        return ()
    first, second = np.concatenate(links, axis=1)
    component = connected(first, second, len(names))
    several = np.flatnonzero(np.bincount(component) > 1)
    return tuple(tuple(names[component == one].tolist()) for one in several)


def connected(first: np.ndarray, second: np.ndarray, nodes: int) -> np.ndarray:
    """(nodes,) int32, equal for nodes that links from `first` to `second`, (n,) each, connect."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    graph = coo_array((np.ones(len(first), dtype=bool), (first, second)), shape=(nodes, nodes))
    component: np.ndarray = connected_components(graph, directed=False)[1]
    return component


def join_copies(groups: np.ndarray, sha256: np.ndarray) -> np.ndarray:
    """(N,) str: `groups` with recordings that hold clips of the same bytes under the name of the first."""
    numbers = copy_numbers(sha256)
    are_copies = len(np.unique(numbers)) < len(numbers)
    return join_recordings(groups, linked_recordings(groups, numbers) if are_copies else ())


def join_recordings(groups: np.ndarray, linked: Sequence[Sequence[str]]) -> np.ndarray:
    """(N,) str: `groups` with each linked set of recordings under the name of its first.

    With these as groups, leaving out training clips of tested recordings leaves out copies and near copies, too, and
    the inner selection keeps them on one side.
    """
    first = {name: names[0] for names in linked for name in names}
    return np.array([first.get(name, name) for name in np.asarray(groups, dtype=np.str_).tolist()], dtype=np.str_)
