"""What the plugin decides, without the server: the tests call this with any Python."""

from dataclasses import dataclass
from typing import Callable, Optional


@dataclass
class Settings:
    closed: str
    footer: str
    per_hour: int


def read_settings(get: Callable[[str], Optional[str]]) -> Settings:
    """The settings as they are used; a ValueError names the one that makes no sense."""
    per_hour = get("per-hour") or "0"
    if not per_hour.isdecimal():
        raise ValueError("per-hour is a number of messages, 0 for as many as there are")
    return Settings((get("closed") or "").lower(), get("footer") or "", int(per_hour))


def is_closed(settings: Settings, address: str) -> bool:
    return settings.closed != "" and address.lower() == settings.closed


def footer_for(settings: Settings, media_type: str, encoding: str) -> bytes:
    """The octets that go below a text; none when it has no footer, or is not text as it stands."""
    if settings.footer == "" or media_type != "text/plain" or encoding not in ("7bit", "8bit"):
        return b""
    return f"-- \r\n{settings.footer}\r\n".encode()
