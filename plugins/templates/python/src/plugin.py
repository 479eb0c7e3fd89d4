"""{{name}}: closes addresses, stamps messages, writes a footer below them, and slows down who sends too much.

Settings: `closed` (an address that takes no mail any more), `footer` (a line of text), `per-hour` (messages of one sender in an
hour; 0 for as many as there are). Grants: `kv`, for `per-hour`.

This module is run when the component is built, and its state is frozen into it: nothing at its top may call the server. One
instance serves one session. A hook is the class of its interface's name, which componentize-py looks for here.
"""

from typing import Optional

from componentize_py_types import Err
from wit_world.imports import config, kv, log, transaction, types

from rules import Settings, footer_for, is_closed, read_settings

_settings: Optional[Settings] = None  # read once a session


def settings() -> Settings:
    global _settings
    if _settings is None:
        _settings = read_settings(config.get)
    return _settings


class Lifecycle:
    def init(self) -> None:
        """Asked once when the file is loaded; the error is the reason why it is refused."""
        try:
            read_settings(config.get)
        except ValueError as error:
            raise Err(str(error))


class OnRcpt:
    def rcpt(self, recipient: types.Mailbox, params: list[types.Param]) -> types.Verdict:
        if is_closed(settings(), address(recipient)):
            return types.Verdict_Reject(reply(550, (5, 1, 1), "nobody reads this address any more"))
        return types.Verdict_Proceed()


class OnMessage:
    def message(self) -> types.Verdict:
        sender = transaction.sender()
        if sender is not None and sends_too_much(address(sender)):
            return types.Verdict_Tempfail(reply(451, (4, 7, 1), "too many messages in one hour, please try again later"))
        transaction.add_header("X-Checked-By", b"{{name}}", 0)
        parts = transaction.parts()
        footer = footer_for(settings(), parts[0].media_type, parts[0].encoding)
        if footer:
            # The body stays where it is: only the footer is written.
            transaction.start_body()
            transaction.copy_body(0, transaction.body_size())
            transaction.write_body(footer)
        return types.Verdict_Proceed()


def address(mailbox: types.Mailbox) -> str:
    return f"{mailbox.local}@{mailbox.domain}"


def reply(code: int, status: tuple[int, int, int], text: str) -> types.Reply:
    return types.Reply(code, types.EnhancedStatus(*status), text)


def sends_too_much(sender: str) -> bool:
    most = settings().per_hour
    if most == 0:
        return False
    try:
        if kv.increment(f"sent/{sender}".lower(), 1, 3600) <= most:
            return False
    except Err as error:
        log.log(log.Level.WARN, "messages are not counted", [("error", str(error.value))])
        return False
    log.log(log.Level.INFO, f"too many messages from {sender}", [])
    return True
