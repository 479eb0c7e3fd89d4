// The plugin's settings, as the server's configuration gives them under [plugins.helo-policy]; README.md lists them.
#ifndef SETTINGS_H
#define SETTINGS_H

#include "helo_name.h"
#include "helo_policy.h"

enum action { ACTION_REJECT, ACTION_TEMPFAIL, ACTION_LOG, ACTION_OFF };

struct settings {
  struct slice our_names;           // domains and addresses that only we may give
  struct slice exempt;              // networks whose clients are never asked
  enum action actions[HELO_FAULTS]; // what happens for each fault
  bool refuse_at_ehlo;              // otherwise at RCPT, where AUTH and the recipient are known
};

// Reads every setting. False: one of them makes no sense, and `problem` says which and why; the caller frees it.
// The slices live as long as the instance, that is one session: they are never freed.
bool settings_load(struct settings *settings, helo_policy_string_t *problem);

// The word that stands for an action in the settings and in the log.
struct slice action_word(enum action action);

#endif
