// subject-policy: refuses or tags messages by patterns in their header. A model for plugins in JavaScript.
//
// This file only ties knots: the server's interfaces are imported by their WIT names, the hooks are exported as
// objects named like their interface in camel case (on-message: onMessage). The component exports what this file
// exports, and that is what the server asks.
//
// One instance serves one session. What stands at the top level runs when the component is *built*, and its
// result is frozen into the file: nothing there may call the server.

import transaction from "waxwing:mail/transaction@0.1.0";
import config from "waxwing:mail/config@0.1.0";
import log from "waxwing:mail/log@0.1.0";
import kv from "waxwing:mail/kv@0.1.0";

import { judgeMessage } from "./policy.js";
import { readSettings } from "./settings.js";

let settings; // read once a session

export const lifecycle = {
  /** Asked once when the file is loaded. What is thrown is the reason why the server refuses the plugin. */
  init() {
    try {
      readSettings(config.allJson());
    } catch (error) {
      throw error.message; // result<_, string>: the error is a plain string
    }
  },
};

export const onMessage = {
  message() {
    settings ??= readSettings(config.allJson());
    return judgeMessage(settings, { transaction, kv, log });
  },
};
