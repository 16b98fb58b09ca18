"""What the rates of a run count: requests, or journeys of several."""

from collections.abc import Sequence

from reports.documents import ALIKE, Document, requests_per_arrival
from reports.wording import Words


def counted(stages: Sequence[Document], words: Words) -> str:
    """The word for an axis of rates. Requests that belong to no journey of several: one arrival each."""
    each = max((requests_per_arrival(stage) for stage in stages), default=1.0)
    return words("unit.short_journeys" if each > ALIKE else "unit.short_requests")
