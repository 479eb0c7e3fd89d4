// {{name}}: closes addresses, stamps messages, writes a footer below them, and slows down who sends too much.
//
// Settings: `closed` (an address that takes no mail any more), `footer` (a line of text), `per-hour` (messages of one sender in an
// hour; 0 for as many as there are). Grants: `kv`, for `per-hour`.
//
// What a hook is given and what an imported function returns is freed with the _free functions of bindings/plugin.h; what a hook
// returns comes from the heap (plugin_string_dup). Passing a literal to an imported function copies nothing and frees nothing.

#include <stdlib.h>
#include <string.h>

#include "plugin.h"
#include "rules.h"

static plugin_string_t literal(const char *text) {
  return (plugin_string_t){(uint8_t *)text, strlen(text)};
}

static struct slice slice(plugin_string_t text) { return (struct slice){(const char *)text.ptr, text.len}; }

// A setting; false when it is not there. The text is freed by the caller.
static bool setting(const char *key, plugin_string_t *value) {
  plugin_string_t name = literal(key);
  return waxwing_mail_config_get(&name, value);
}

// The number of messages in an hour; false when the setting is none.
static bool per_hour(int64_t *most) {
  plugin_string_t text;
  *most = 0;
  if (!setting("per-hour", &text)) return true;
  bool good = read_number(slice(text), most);
  plugin_string_free(&text);
  return good;
}

bool exports_waxwing_mail_lifecycle_init(plugin_string_t *error) {
  int64_t most;
  if (per_hour(&most)) return true;
  plugin_string_dup(error, "per-hour is a number of messages, 0 for as many as there are");
  return false;
}

static void refuse(waxwing_mail_types_verdict_t *verdict, uint16_t code, waxwing_mail_types_enhanced_status_t status,
                   const char *text) {
  verdict->tag = code < 500 ? WAXWING_MAIL_TYPES_VERDICT_TEMPFAIL : WAXWING_MAIL_TYPES_VERDICT_REJECT;
  verdict->val.reject.code = code; // tempfail has the same form in the same place
  verdict->val.reject.status.is_some = true;
  verdict->val.reject.status.val = status;
  plugin_string_dup(&verdict->val.reject.text, text);
}

void exports_waxwing_mail_on_rcpt_rcpt(exports_waxwing_mail_on_rcpt_mailbox_t *recipient,
                                       exports_waxwing_mail_on_rcpt_list_param_t *params,
                                       exports_waxwing_mail_on_rcpt_verdict_t *verdict) {
  plugin_string_t closed;
  verdict->tag = WAXWING_MAIL_TYPES_VERDICT_PROCEED;
  if (setting("closed", &closed)) {
    if (is_address(slice(recipient->local), slice(recipient->domain), slice(closed)))
      refuse(verdict, 550, (waxwing_mail_types_enhanced_status_t){5, 1, 1}, "nobody reads this address any more");
    plugin_string_free(&closed);
  }
  exports_waxwing_mail_on_rcpt_mailbox_free(recipient);
  exports_waxwing_mail_on_rcpt_list_param_free(params);
}

static void say(waxwing_mail_log_level_t level, plugin_string_t text) {
  plugin_list_tuple2_string_string_t no_fields = {NULL, 0};
  waxwing_mail_log_log(level, &text, &no_fields);
}

// "PREFIXlocal@domain" from the heap.
static plugin_string_t with_address(const char *prefix, waxwing_mail_transaction_mailbox_t *mailbox) {
  size_t before = strlen(prefix);
  plugin_string_t text = {NULL, before + mailbox->local.len + 1 + mailbox->domain.len};
  text.ptr = malloc(text.len);
  if (!text.ptr) abort();
  memcpy(text.ptr, prefix, before);
  memcpy(text.ptr + before, mailbox->local.ptr, mailbox->local.len);
  text.ptr[before + mailbox->local.len] = '@';
  memcpy(text.ptr + before + mailbox->local.len + 1, mailbox->domain.ptr, mailbox->domain.len);
  return text;
}

static bool sends_too_much(waxwing_mail_transaction_mailbox_t *sender) {
  int64_t most, sent;
  uint32_t hour_s = 3600;
  waxwing_mail_kv_error_t error;
  if (!per_hour(&most) || most == 0) return false;
  plugin_string_t key = with_address("sent/", sender);
  for (size_t i = 0; i < key.len; i++)
    if (key.ptr[i] >= 'A' && key.ptr[i] <= 'Z') key.ptr[i] += 'a' - 'A';
  bool counted = waxwing_mail_kv_increment(&key, 1, &hour_s, &sent, &error);
  plugin_string_free(&key);
  if (!counted) {
    waxwing_mail_kv_error_free(&error);
    say(WAXWING_MAIL_LOG_LEVEL_WARN, literal("messages are not counted: the store does not answer"));
    return false;
  }
  if (sent <= most) return false;
  plugin_string_t line = with_address("too many messages from ", sender);
  say(WAXWING_MAIL_LOG_LEVEL_INFO, line);
  plugin_string_free(&line);
  return true;
}

// An edit that the server refuses is a fault of this plugin: the trap is logged, and on-failure decides.
static void must(bool done) {
  if (!done) abort();
}

static void add_footer(void) {
  plugin_string_t footer;
  waxwing_mail_transaction_list_part_t parts;
  waxwing_mail_transaction_error_t error;
  if (!setting("footer", &footer)) return;
  waxwing_mail_transaction_parts(&parts);
  if (parts.len > 0 && footer.len > 0 && takes_footer(slice(parts.ptr[0].media_type), slice(parts.ptr[0].encoding))) {
    plugin_string_t before = literal("-- \r\n"), behind = literal("\r\n");
    plugin_string_t pieces[] = {before, footer, behind};
    // The body stays where it is: only the footer is written.
    must(waxwing_mail_transaction_start_body(&error));
    must(waxwing_mail_transaction_copy_body(0, waxwing_mail_transaction_body_size(), &error));
    for (size_t i = 0; i < 3; i++) {
      waxwing_mail_transaction_bytes_t octets = {pieces[i].ptr, pieces[i].len};
      must(waxwing_mail_transaction_write_body(&octets, &error));
    }
  }
  waxwing_mail_transaction_list_part_free(&parts);
  plugin_string_free(&footer);
}

void exports_waxwing_mail_on_message_message(exports_waxwing_mail_on_message_verdict_t *verdict) {
  waxwing_mail_transaction_mailbox_t sender;
  waxwing_mail_transaction_error_t error;
  verdict->tag = WAXWING_MAIL_TYPES_VERDICT_PROCEED;
  if (waxwing_mail_transaction_sender(&sender)) {
    bool too_much = sends_too_much(&sender);
    waxwing_mail_transaction_mailbox_free(&sender);
    if (too_much) {
      refuse(verdict, 451, (waxwing_mail_types_enhanced_status_t){4, 7, 1},
             "too many messages in one hour, please try again later");
      return;
    }
  }
  plugin_string_t name = literal("X-Checked-By"), value = literal("{{name}}");
  waxwing_mail_transaction_bytes_t octets = {value.ptr, value.len};
  uint32_t on_top = 0;
  must(waxwing_mail_transaction_add_header(&name, &octets, &on_top, &error));
  add_footer();
}
