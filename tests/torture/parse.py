"""Reads cases as JSON from standard input, and prints what Python's email package makes of them: the other side of differential.rs.

{"addresses": [text...], "messages": [octets in Latin-1...]} becomes {"addresses": [[local, domain] or null...],
"messages": [{"fields": [[name, value]...], "body": text}...]}.
"""

import email
import email.policy
import json
import sys
from email.headerregistry import Address


def address(text):
    try:
        read = Address(addr_spec=text)
    except Exception:
        # The package answers bad input with several kinds, IndexError among them.
        return None
    return [read.username, read.domain] if read.username and read.domain else None


def message(text):
    read = email.message_from_bytes(text.encode("latin-1"), policy=email.policy.compat32)
    fields = [[latin(name), latin(value)] for name, value in read._headers]
    return {"fields": fields, "body": latin(read._payload)}


def latin(text):
    """Octets beyond ASCII, which the package keeps as surrogates, as characters of Latin-1."""
    return text.encode("ascii", "surrogateescape").decode("latin-1")


cases = json.load(sys.stdin)
json.dump({"addresses": [*map(address, cases["addresses"])], "messages": [*map(message, cases["messages"])]}, sys.stdout)
