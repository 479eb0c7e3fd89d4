package rules

import (
	"strings"
	"testing"
)

const people = `{"people": {"Ann Director": ["ann@example.org", "example.net"], "Bérénice Ö": "b@example.org"}}`

func settings(t *testing.T, text string) *Settings {
	t.Helper()
	settings, err := Read(text)
	if err != nil {
		t.Fatal(err)
	}
	return settings
}

func TestANameWithAnAddressOfSomebodyElseIsImpersonated(t *testing.T) {
	s := settings(t, people)
	for _, field := range []string{
		"Ann Director <ceo@evil.example>",
		`"Director, Ann" <ceo@evil.example>`,
		"=?utf-8?q?ANN_D=69rector?= <ceo@evil.example>",
		"=?utf-8?b?QsOpcsOpbmljZSDDlg==?=\r\n <x@evil.example>",
		"\"ann@example.org\" <ceo@evil.example>",
	} {
		if s.Impersonated(field) == "" {
			t.Errorf("%q passes", field)
		}
	}
}

func TestTheirOwnAddressesAndOtherPeoplePass(t *testing.T) {
	s := settings(t, people)
	for _, field := range []string{
		"Ann Director <Ann@Example.org>",
		"Ann Director <anything@example.net>",
		"Ann Other <ann@elsewhere.example>",
		"ann@elsewhere.example",
		"",
		"no address at all",
	} {
		if name := s.Impersonated(field); name != "" {
			t.Errorf("%q is %q", field, name)
		}
	}
}

func TestSettingsThatMakeNoSenseAreNamed(t *testing.T) {
	for text, word := range map[string]string{
		`{"peple": {}}`:           "peple",
		`{"action": "shout"}`:     "action",
		`{"field": "a b"}`:        "field",
		`{"people": {"": "x@y"}}`: "people",
		`{"people": {"Ann": []}}`: "Ann",
	} {
		if _, err := Read(text); err == nil || !strings.Contains(err.Error(), word) {
			t.Errorf("%s: %v", text, err)
		}
	}
	if settings(t, "{}").Impersonated("Ann Director <x@y.example>") != "" {
		t.Error("nobody is there to be impersonated")
	}
}
