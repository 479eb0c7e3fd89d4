// A session that a test makes up: what the plugin's imports answer, so that its hooks run natively, without wasm.
#ifndef SESSION_DOUBLE_H
#define SESSION_DOUBLE_H

#include "helo_policy.h"

struct setting {
  const char *key;
  const char *value;
};

struct session_double {
  const char *peer_ip;
  const char *helo;      // NULL: none was given
  const char *auth_user; // NULL: not authenticated
  const struct setting *settings;
  size_t setting_count;
  int lines_logged;
  char log_fields[400]; // of the last line: key=value, each with a space after it
};

extern struct session_double session_double;

#endif
