"""Durations for people."""


def format_duration(seconds: float) -> str:
    """Two units at most, as in `1h12m`, `3m20s` or `8s`; rounded to whole seconds."""
    whole = max(0, round(seconds))
    days, hours, minutes = whole // 86_400, whole // 3600 % 24, whole // 60 % 60
    if days:
        return f"{days}d{hours}h"
    if hours:
        return f"{hours}h{minutes}m"
    return f"{minutes}m{whole % 60}s" if minutes else f"{whole}s"
