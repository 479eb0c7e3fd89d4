// Package hooks ties the rules to the server. README.md says what the plugin does.
//
// One instance serves one session: a variable here is the session's memory. There are no files and no sockets, and the
// time is waxwing:mail/clock, not time.Now.
package hooks

import (
	"fmt"

	"waxwing.example/impersonation/bindings/config"
	"waxwing.example/impersonation/bindings/log"
	"waxwing.example/impersonation/bindings/transaction"
	"waxwing.example/impersonation/bindings/types"
	wit "waxwing.example/impersonation/bindings/wit/types"
	"waxwing.example/impersonation/rules"
)

var settings *rules.Settings // read once a session

// Init is asked once when the file is loaded; the error is the reason why it is refused.
func Init() wit.Result[wit.Unit, string] {
	if _, err := rules.Read(config.AllJson()); err != nil {
		return wit.Err[wit.Unit](err.Error())
	}
	return wit.Ok[wit.Unit, string](wit.Unit{})
}

// Message is asked when the whole message is here.
func Message() types.Verdict {
	defer logPanic()
	if settings == nil {
		read, err := rules.Read(config.AllJson())
		if err != nil {
			panic(err)
		}
		settings = read
	}
	// What the sender says of itself here counts for nothing.
	transaction.RemoveHeader(settings.Field, wit.None[uint32]())
	for _, field := range transaction.HeaderAll("From") {
		if name := settings.Impersonated(string(field)); name != "" {
			log.Log(log.LevelInfo, "a message shows a name of ours", []wit.Tuple2[string, string]{{F0: "name", F1: name}})
			return verdict(name)
		}
	}
	return types.MakeVerdictProceed()
}

func verdict(name string) types.Verdict {
	switch settings.Action {
	case "reject":
		status := wit.Some(types.EnhancedStatus{Class: 5, Subject: 7, Detail: 1})
		text := "message refused: its From field shows the name of one of us with another address"
		return types.MakeVerdictReject(types.Reply{Code: 550, Status: status, Text: text})
	case "quarantine":
		return types.MakeVerdictQuarantine("shows the name of one of us: " + name)
	}
	transaction.AddHeader(settings.Field, []byte("the name in From is one of ours, its address is not"), wit.Some[uint32](0))
	return types.MakeVerdictProceed()
}

// A panic is a trap, and its text would be lost.
func logPanic() {
	if reason := recover(); reason != nil {
		log.Log(log.LevelError, fmt.Sprint(reason), nil)
		panic(reason)
	}
}
