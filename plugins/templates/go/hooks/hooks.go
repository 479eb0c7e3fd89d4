// Package hooks answers the server. {{name}} closes addresses, stamps messages, writes a footer below them, and slows down
// who sends too much.
//
// Settings: closed (an address that takes no mail any more), footer (a line of text), per-hour (messages of one sender in
// an hour; 0 for as many as there are). Grants: kv, for per-hour.
//
// One instance serves one session: a variable here is the session's memory. There are no files and no sockets; the time
// is waxwing:mail/clock, not time.Now.
package hooks

import (
	"fmt"
	"strings"

	"example.com/{{name}}/bindings/config"
	"example.com/{{name}}/bindings/kv"
	"example.com/{{name}}/bindings/log"
	"example.com/{{name}}/bindings/transaction"
	"example.com/{{name}}/bindings/types"
	wit "example.com/{{name}}/bindings/wit/types"
	"example.com/{{name}}/rules"
)

var settings *rules.Settings // read once a session

func get(key string) (string, bool) {
	value := config.Get(key)
	return value.SomeOr(""), value.IsSome()
}

func ready() rules.Settings {
	if settings == nil {
		read, err := rules.Read(get)
		if err != nil {
			panic(err)
		}
		settings = &read
	}
	return *settings
}

// Init is asked once when the file is loaded; the error is the reason why it is refused.
func Init() wit.Result[wit.Unit, string] {
	if _, err := rules.Read(get); err != nil {
		return wit.Err[wit.Unit](err.Error())
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}

// Rcpt is asked once for each recipient.
func Rcpt(recipient types.Mailbox, params []types.Param) types.Verdict {
	defer logPanic()
	if ready().IsClosed(address(recipient)) {
		return types.MakeVerdictReject(reply(550, 5, 1, 1, "nobody reads this address any more"))
	}
	return types.MakeVerdictProceed()
}

// Message is asked when the whole message is here.
func Message() types.Verdict {
	defer logPanic()
	if sender := transaction.Sender(); sender.IsSome() && sendsTooMuch(address(sender.Some())) {
		return types.MakeVerdictTempfail(reply(451, 4, 7, 1, "too many messages in one hour, please try again later"))
	}
	transaction.AddHeader("X-Checked-By", []byte("{{name}}"), wit.Some[uint32](0))
	first := transaction.Parts()[0]
	if footer := ready().FooterFor(first.MediaType, first.Encoding); footer != nil {
		// The body stays where it is: only the footer is written.
		transaction.StartBody()
		transaction.CopyBody(0, transaction.BodySize())
		transaction.WriteBody(footer)
	}
	return types.MakeVerdictProceed()
}

func address(mailbox types.Mailbox) string { return mailbox.Local + "@" + mailbox.Domain }

func reply(code uint16, class uint8, subject, detail uint16, text string) types.Reply {
	status := types.EnhancedStatus{Class: class, Subject: subject, Detail: detail}
	return types.Reply{Code: code, Status: wit.Some(status), Text: text}
}

func sendsTooMuch(sender string) bool {
	most := ready().PerHour
	if most == 0 {
		return false
	}
	sent := kv.Increment(strings.ToLower("sent/"+sender), 1, wit.Some[uint32](3600))
	if sent.IsErr() {
		log.Log(log.LevelWarn, fmt.Sprintf("messages are not counted: error %d", sent.Err().Tag()), nil)
		return false
	}
	if sent.Ok() <= most {
		return false
	}
	log.Log(log.LevelInfo, "too many messages from "+sender, nil)
	return true
}

// A panic is a trap, and its text would be lost.
func logPanic() {
	if reason := recover(); reason != nil {
		log.Log(log.LevelError, fmt.Sprint(reason), nil)
		panic(reason)
	}
}
