"""Whether a request comes on: a head within its time, a body at a rate.

Known from samples that the sweep takes, so that no call and no piece pays for it.
"""

LEAST_BYTES_PER_S = 240
"""Of a body: less than a modem. As Kestrel, "Minimum request body data rate"
(learn.microsoft.com/aspnet/core/fundamentals/servers/kestrel/options)."""


class Progress:
    """What the sweep saw of the request that a connection is reading."""

    __slots__ = ("_bytes", "_request", "_since_s")

    def __init__(self) -> None:
        self._request: object = None
        self._since_s = 0.0
        self._bytes = 0

    def is_head_late(self, request: object, now_s: float, *, within_s: float) -> bool:
        """Tell whether this request's head was begun longer ago; `request` is its identity."""
        if request is not self._request:
            self._begin(request, now_s, received=0)
        return now_s - self._since_s > within_s

    def is_body_late(
        self, request: object, now_s: float, *, received: int, within_s: float, is_paused: bool
    ) -> bool:
        """Tell whether the last such time brought too few bytes, where we took them.

        `request` is another identity than the head's, so that the body's time begins anew.
        """
        if is_paused or request is not self._request:
            self._begin(request, now_s, received=received)
            return False
        if now_s - self._since_s <= within_s:
            return False
        is_late = received - self._bytes < LEAST_BYTES_PER_S * within_s
        self._begin(request, now_s, received=received)
        return is_late

    def _begin(self, request: object, now_s: float, *, received: int) -> None:
        self._request = request
        self._since_s = now_s
        self._bytes = received
