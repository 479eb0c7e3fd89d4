import sys
import unittest
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "src"))

from rules import footer_for, is_closed, read_settings


class Rules(unittest.TestCase):
    def test_a_closed_address_is_closed_however_it_is_written(self):
        settings = read_settings({"closed": "nobody@example.org"}.get)
        self.assertTrue(is_closed(settings, "Nobody@Example.org"))
        self.assertFalse(is_closed(settings, "alice@example.org"))

    def test_only_plain_text_gets_a_footer(self):
        settings = read_settings({"footer": "hi"}.get)
        self.assertEqual(footer_for(settings, "text/plain", "7bit"), b"-- \r\nhi\r\n")
        self.assertEqual(footer_for(settings, "text/html", "7bit"), b"")
        self.assertEqual(footer_for(read_settings({}.get), "text/plain", "7bit"), b"")

    def test_a_number_of_messages_is_a_whole_one(self):
        with self.assertRaisesRegex(ValueError, "per-hour"):
            read_settings({"per-hour": "many"}.get)


if __name__ == "__main__":
    unittest.main()
