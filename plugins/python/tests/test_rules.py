import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from rules import faults, read_settings

NOON = 1_767_614_400  # 5 January 2026, 12:00 UTC
GOOD = [("From", "Ann <ann@example.com>"), ("Date", "Mon, 05 Jan 2026 12:00:00 +0000"), ("Subject", "x")]


class Rules(unittest.TestCase):
    def found(self, fields, settings="{}"):
        return faults(read_settings(settings), fields, NOON)

    def test_a_sound_header_has_no_fault(self):
        self.assertEqual(self.found(GOOD), [])
        folded = [("From", "Ann\r\n <ann@example.com>"), ("date", " Mon,\r\n 05 Jan 2026 12:00:00 +0000 (noon)")]
        self.assertEqual(self.found(folded), [])

    def test_what_is_missing_twice_or_wrong_is_named(self):
        self.assertEqual(self.found([]), ["no From", "no Date"])
        self.assertEqual(self.found(GOOD + [("subject", "y"), ("FROM", "b@example.com")]), ["2 times From", "2 times Subject"])
        self.assertEqual(self.found([("From", "nobody"), ("Date", "soon")]), ["From without an address", "Date that is none"])

    def test_dates_are_held_against_the_clock(self):
        future = [("From", "a@example.com"), ("Date", "Wed, 07 Jan 2026 12:00:01 +0000")]
        self.assertEqual(self.found(future), ["Date in the future"])
        self.assertEqual(self.found(future, '{"ahead-s": 0}'), [])
        past = [("From", "a@example.com"), ("Date", "Mon, 05 Jan 2015 12:00:00 +0000")]
        self.assertEqual(self.found(past), [])
        self.assertEqual(self.found(past, '{"behind-s": 3600}'), ["Date long ago"])
        for odd in ("Mon, 99 Jan 2026 12:00:00 +0000", "Mon, 05 Jan 99999 12:00:00 +0000", "", "\x00"):
            self.assertEqual(len(self.found([("From", "a@example.com"), ("Date", odd)])), 1, odd)

    def test_fields_can_be_left_alone(self):
        self.assertEqual(self.found([], '{"ignore": ["Date", "from"]}'), [])

    def test_settings_that_make_no_sense_are_named(self):
        for text, word in (
            ('{"acton": "tag"}', "acton"),
            ('{"action": "shout"}', "action"),
            ('{"field": "a b"}', "field"),
            ('{"ahead-s": -1}', "ahead-s"),
            ('{"ignore": "date"}', "ignore"),
        ):
            with self.assertRaisesRegex(ValueError, word):
                read_settings(text)


if __name__ == "__main__":
    unittest.main()
