"""header-lint: finds headers that RFC 5322 forbids. README.md says what it does; rules.py knows the rules.

This module is run when the component is built, and its state is frozen into it: nothing at its top may call the server. One
instance serves one session. A hook is the class of its interface's name, which componentize-py looks for here.
"""

from typing import Optional

from componentize_py_types import Err
from wit_world.imports import clock, config, log, transaction, types

from rules import Settings, faults, read_settings

PAGE = 200  # header fields that are asked for at once
MOST_FIELDS = 2000

_settings: Optional[Settings] = None  # read once a session


class Lifecycle:
    def init(self) -> None:
        """Asked once when the file is loaded; the error is the reason why it is refused."""
        try:
            read_settings(config.all_json())
        except (TypeError, ValueError) as error:
            raise Err(str(error))


class OnMessage:
    def message(self) -> types.Verdict:
        global _settings
        if _settings is None:
            _settings = read_settings(config.all_json())
        settings = _settings
        found = faults(settings, all_fields(), clock.now_unix_ms() / 1000)
        # What the sender says of itself here counts for nothing.
        transaction.remove_header(settings.field, None)
        if not found:
            return types.Verdict_Proceed()
        log.log(log.Level.INFO, "a header has faults", [("faults", ", ".join(found))])
        if settings.action == "reject":
            text = f"message refused: its header has faults ({', '.join(found)})"
            return types.Verdict_Reject(types.Reply(550, types.EnhancedStatus(5, 6, 0), text))
        if settings.action == "quarantine":
            return types.Verdict_Quarantine(f"header: {', '.join(found)}")
        transaction.add_header(settings.field, ", ".join(found).encode("ascii"), 0)
        return types.Verdict_Proceed()


def all_fields() -> list[tuple[str, str]]:
    fields: list[tuple[str, str]] = []
    while len(fields) < MOST_FIELDS:
        page = transaction.headers(len(fields), PAGE)
        fields += [(header.name, header.value.decode("utf-8", "replace")) for header in page]
        if len(page) < PAGE:
            break
    return fields
