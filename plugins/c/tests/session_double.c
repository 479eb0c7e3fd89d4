// Stands in for the generated bindings: their imported functions and the string helpers, with the same signatures.
#include "session_double.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct session_double session_double;

void helo_policy_string_dup_n(helo_policy_string_t *ret, const char *s, size_t len) {
  ret->ptr = malloc(len + 1);
  if (ret->ptr == NULL) abort();
  memcpy(ret->ptr, s, len);
  ret->len = len;
}

// An empty string may point anywhere in the real bindings; here every one is from the heap, so that a
// double free shows.
void helo_policy_string_free(helo_policy_string_t *ret) {
  free(ret->ptr);
  *ret = (helo_policy_string_t){NULL, 0};
}

static bool give(const char *value, helo_policy_string_t *ret) {
  if (value != NULL) helo_policy_string_dup_n(ret, value, strlen(value));
  return value != NULL;
}

void waxwing_mail_session_peer_ip(helo_policy_string_t *ret) { give(session_double.peer_ip, ret); }
bool waxwing_mail_session_helo(helo_policy_string_t *ret) { return give(session_double.helo, ret); }
bool waxwing_mail_session_auth_user(helo_policy_string_t *ret) { return give(session_double.auth_user, ret); }

bool waxwing_mail_config_get(helo_policy_string_t *key, helo_policy_string_t *ret) {
  for (size_t i = 0; i < session_double.setting_count; i++) {
    const struct setting *setting = &session_double.settings[i];
    if (strlen(setting->key) == key->len && memcmp(setting->key, key->ptr, key->len) == 0)
      return give(setting->value, ret);
  }
  return false;
}

void waxwing_mail_log_log(waxwing_mail_log_level_t level, helo_policy_string_t *message,
                          helo_policy_list_tuple2_string_string_t *fields) {
  (void)level;
  (void)message;
  session_double.lines_logged++;
  size_t used = 0;
  for (size_t i = 0; i < fields->len; i++)
    used += (size_t)snprintf(session_double.log_fields + used, sizeof session_double.log_fields - used, "%.*s=%.*s ",
                             (int)fields->ptr[i].f0.len, fields->ptr[i].f0.ptr, (int)fields->ptr[i].f1.len,
                             fields->ptr[i].f1.ptr);
}

void exports_waxwing_mail_on_rcpt_mailbox_free(exports_waxwing_mail_on_rcpt_mailbox_t *ptr) {
  helo_policy_string_free(&ptr->local);
  helo_policy_string_free(&ptr->domain);
}

void exports_waxwing_mail_on_rcpt_list_param_free(exports_waxwing_mail_on_rcpt_list_param_t *ptr) {
  if (ptr->len != 0) abort(); // the tests give no parameters
}
