package rules

import (
	"strings"
	"testing"
)

func settings(t *testing.T, values map[string]string) Settings {
	t.Helper()
	settings, err := Read(func(key string) (string, bool) { value, given := values[key]; return value, given })
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestAClosedAddressIsClosedHoweverItIsWritten(t *testing.T) {
	s := settings(t, map[string]string{"closed": "nobody@example.org"})
	if !s.IsClosed("Nobody@Example.org") || s.IsClosed("alice@example.org") || settings(t, nil).IsClosed("") {
		t.Fail()
	}
}

func TestOnlyPlainTextGetsAFooter(t *testing.T) {
	s := settings(t, map[string]string{"footer": "hi"})
	if string(s.FooterFor("text/plain", "7bit")) != "-- \r\nhi\r\n" || s.FooterFor("text/html", "7bit") != nil {
		t.Fail()
	}
}

func TestANumberOfMessagesIsAWholeOne(t *testing.T) {
	_, err := Read(func(string) (string, bool) { return "many", true })
	if err == nil || !strings.Contains(err.Error(), "per-hour") {
		t.Fatal(err)
	}
}
