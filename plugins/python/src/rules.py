"""What is wrong with a message's header, by RFC 5322, without the server: the tests call this with any Python."""

import dataclasses
import json
from email.utils import getaddresses, parsedate_to_datetime
from typing import Optional

# Fields that a message has at most once, and those that it must have: RFC 5322 section 3.6.
ONCE = ("from", "sender", "reply-to", "to", "cc", "bcc", "message-id", "in-reply-to", "references", "subject", "date")
NEEDED = ("from", "date")


@dataclasses.dataclass
class Settings:
    action: str = "tag"
    field: str = "X-Header-Lint"
    ahead_s: int = 86_400
    behind_s: int = 0
    ignore: list[str] = dataclasses.field(default_factory=list)


def read_settings(text: str) -> Settings:
    """The settings as they are used; a ValueError names the one that makes no sense."""
    given = json.loads(text or "{}")
    names = {"action": "action", "field": "field", "ahead-s": "ahead_s", "behind-s": "behind_s", "ignore": "ignore"}
    for key in given:
        if key not in names:
            raise ValueError(f"unknown setting {key}; there are {', '.join(names)}")
    settings = Settings(**{names[key]: value for key, value in given.items()})
    if settings.action not in ("tag", "reject", "quarantine"):
        raise ValueError("action is tag, reject or quarantine")
    if not isinstance(settings.field, str) or not settings.field or any(not "!" <= c <= "~" or c == ":" for c in settings.field):
        raise ValueError("field is the name of a header field")
    for key, value in (("ahead-s", settings.ahead_s), ("behind-s", settings.behind_s)):
        if isinstance(value, bool) or not isinstance(value, int) or value < 0:
            raise ValueError(f"{key} is a number of seconds, 0 for any")
    if not isinstance(settings.ignore, list) or not all(isinstance(name, str) for name in settings.ignore):
        raise ValueError("ignore is a list of names of header fields")
    settings.ignore = [name.lower() for name in settings.ignore]
    return settings


def faults(settings: Settings, fields: list[tuple[str, str]], now_s: float) -> list[str]:
    """What is wrong, in words; `fields` are names and raw values from the top."""
    values: dict[str, list[str]] = {}
    for name, value in fields:
        values.setdefault(name.lower(), []).append(value)
    found = [f"no {name.title()}" for name in NEEDED if name not in values and name not in settings.ignore]
    for name in ONCE:
        if len(values.get(name, ())) > 1 and name not in settings.ignore:
            found.append(f"{len(values[name])} times {name.title()}")
    if "from" in values and "from" not in settings.ignore and not has_address(values["from"][0]):
        found.append("From without an address")
    if "date" in values and "date" not in settings.ignore:
        fault = date_fault(settings, values["date"][0], now_s)
        found += [fault] if fault else []
    return found


def has_address(value: str) -> bool:
    return any("@" in address.strip("@") for _, address in getaddresses([unfolded(value)]))


def date_fault(settings: Settings, value: str, now_s: float) -> Optional[str]:
    try:
        then_s = parsedate_to_datetime(unfolded(value)).timestamp()
    except (TypeError, ValueError, OverflowError, IndexError):
        return "Date that is none"
    if settings.ahead_s and then_s > now_s + settings.ahead_s:
        return "Date in the future"
    if settings.behind_s and then_s < now_s - settings.behind_s:
        return "Date long ago"
    return None


def unfolded(value: str) -> str:
    return value.replace("\r\n", "").replace("\n", "")
