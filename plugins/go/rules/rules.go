// Package rules knows who is who: whether a From field shows one of our people's names with an address that is not theirs.
package rules

import (
	"encoding/json"
	"errors"
	"fmt"
	"mime"
	"net/mail"
	"slices"
	"strings"
	"unicode"
)

// MostPeople is how many people there can be.
const MostPeople = 1000

// Settings as they are written; README.md lists them.
type Settings struct {
	People map[string]Addresses `json:"people"`
	Action string               `json:"action"`
	Field  string               `json:"field"`

	names map[string]Addresses
}

// Addresses are a person's own: addresses, or domains in which every address is; one, or a list.
type Addresses []string

// UnmarshalJSON takes a text for a list of one.
func (a *Addresses) UnmarshalJSON(text []byte) error {
	var one string
	if json.Unmarshal(text, &one) == nil {
		*a = Addresses{one}
		return nil
	}
	return json.Unmarshal(text, (*[]string)(a))
}

// Read reads the settings; the error names what makes no sense.
func Read(text string) (*Settings, error) {
	settings := &Settings{Action: "tag", Field: "X-Impersonation"}
	decoder := json.NewDecoder(strings.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(settings); err != nil {
		return nil, fmt.Errorf("settings: %w", err)
	}
	if !slices.Contains([]string{"tag", "reject", "quarantine"}, settings.Action) {
		return nil, errors.New("action is tag, reject or quarantine")
	}
	if settings.Field == "" || strings.ContainsFunc(settings.Field, func(c rune) bool { return c <= ' ' || c > '~' || c == ':' }) {
		return nil, errors.New("field is the name of a header field")
	}
	if len(settings.People) > MostPeople {
		return nil, fmt.Errorf("people are at most %d", MostPeople)
	}
	settings.names = map[string]Addresses{}
	for name, addresses := range settings.People {
		if plain(name) == "" || len(addresses) == 0 {
			return nil, fmt.Errorf("people: %q needs a name and an address", name)
		}
		settings.names[plain(name)] = addresses
	}
	return settings, nil
}

// Impersonated is whose name a From field shows with an address of somebody else; empty when it does not.
func (s *Settings) Impersonated(field string) string {
	for _, author := range authors(field) {
		// An address in the place of a name is a trick of its own: the eye reads the first one.
		shown := plain(author.Name)
		for name, own := range s.names {
			if (shown == name || s.shows(author.Name, own)) && !owns(own, author.Address) {
				return author.Name
			}
		}
	}
	return ""
}

func (s *Settings) shows(name string, own Addresses) bool {
	return slices.ContainsFunc(own, func(address string) bool {
		return strings.Contains(address, "@") && strings.Contains(strings.ToLower(name), strings.ToLower(address))
	})
}

func owns(own Addresses, address string) bool {
	address = strings.ToLower(address)
	return slices.ContainsFunc(own, func(entry string) bool {
		entry = strings.ToLower(entry)
		if strings.Contains(entry, "@") {
			return address == entry
		}
		_, domain, _ := strings.Cut(address, "@")
		return domain == entry
	})
}

// The authors of a From field, their names decoded (RFC 2047). What is no address list has none.
func authors(field string) []*mail.Address {
	unfolded := strings.NewReplacer("\r\n", "", "\n", "").Replace(field)
	parser := mail.AddressParser{WordDecoder: &mime.WordDecoder{}}
	list, err := parser.ParseList(unfolded)
	if err == nil {
		return list
	}
	// Many mailers write names that need quotes without them.
	if start := strings.LastIndex(unfolded, "<"); start >= 0 {
		name, err := parser.WordDecoder.DecodeHeader(strings.TrimSpace(unfolded[:start]))
		address := strings.TrimSuffix(strings.TrimSpace(unfolded[start+1:]), ">")
		if err == nil {
			return []*mail.Address{{Name: strings.Trim(name, `"`), Address: address}}
		}
	}
	return nil
}

// A name as a person compares it: its words in order of the alphabet, without case, marks and points. "Doe, Ann" is "Ann Doe".
func plain(name string) string {
	words := strings.FieldsFunc(strings.ToLower(name), func(c rune) bool { return !unicode.IsLetter(c) && !unicode.IsDigit(c) })
	slices.Sort(words)
	return strings.Join(words, " ")
}
