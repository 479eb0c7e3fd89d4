// Package rules has what the plugin decides, without the server: its tests need no WebAssembly.
package rules

import (
	"errors"
	"strconv"
	"strings"
)

// Settings as they are used.
type Settings struct {
	Closed  string
	Footer  string
	PerHour int64
}

// Read reads the settings; the error names the one that makes no sense.
func Read(get func(key string) (string, bool)) (Settings, error) {
	closed, _ := get("closed")
	footer, _ := get("footer")
	settings := Settings{Closed: strings.ToLower(closed), Footer: footer}
	if text, given := get("per-hour"); given {
		number, err := strconv.ParseInt(text, 10, 64)
		if err != nil || number < 0 {
			return settings, errors.New("per-hour is a number of messages, 0 for as many as there are")
		}
		settings.PerHour = number
	}
	return settings, nil
}

// IsClosed tells whether an address takes no mail any more.
func (s Settings) IsClosed(address string) bool {
	return s.Closed != "" && strings.ToLower(address) == s.Closed
}

// FooterFor gives the octets that go below a text; none when it has no footer, or is not text as it stands.
func (s Settings) FooterFor(mediaType, encoding string) []byte {
	if s.Footer == "" || mediaType != "text/plain" || (encoding != "7bit" && encoding != "8bit") {
		return nil
	}
	return []byte("-- \r\n" + s.Footer + "\r\n")
}
