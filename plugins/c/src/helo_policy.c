// helo-policy: refuses clients whose HELO or EHLO name cannot be right. A model for plugins in C.
//
// The three functions that begin with `exports_` are the plugin: the server calls them because the component exports
// their interfaces. They are declared in bindings/helo_policy.h, which is generated from the WIT; everything they
// may call is declared there too.
//
// Three habits of the component model, which every plugin in C needs:
// - What a hook is given is the hook's to free (`..._free`), and so is what an imported function returns.
// - What a hook returns must come from the heap (`..._string_dup_n`): the caller frees it.
// - One instance serves one session. A static variable remembers from hook to hook, and is gone with the session.
#include <stdlib.h>

#include "settings.h"
#include "text.h"

enum { NAME_OCTETS_SHOWN = 100 };

static const struct slice fault_words[HELO_FAULTS] = {
    [HELO_FINE] = SLICE("none"),
    [HELO_OUR_NAME] = SLICE("our-name"),
    [HELO_BAD_NAME] = SLICE("bad-name"),
    [HELO_UNQUALIFIED] = SLICE("unqualified"),
    [HELO_LITERAL_MISMATCH] = SLICE("literal-mismatch"),
};

static const struct slice fault_reasons[HELO_FAULTS] = {
    [HELO_FINE] = SLICE(""),
    [HELO_OUR_NAME] = SLICE("it is one of our own"),
    [HELO_BAD_NAME] = SLICE("it is neither a domain nor an address literal"),
    [HELO_UNQUALIFIED] = SLICE("it is not fully qualified"),
    [HELO_LITERAL_MISMATCH] = SLICE("it is not the address that you connect from"),
};

static struct slice view(const helo_policy_string_t *s) { return (struct slice){(const char *)s->ptr, s->len}; }

// A string for an imported function, which only looks at it: nothing is copied, nothing to free.
static helo_policy_string_t lend(struct slice s) { return (helo_policy_string_t){(uint8_t *)s.at, s.len}; }

// The settings, read once a session. `init` has refused bad ones before any session could meet them; should they
// be bad all the same, the trap makes the server apply the plugin's on-failure policy.
static const struct settings *settings(void) {
  static struct settings loaded;
  static bool done;
  helo_policy_string_t problem;
  if (!done && !settings_load(&loaded, &problem)) abort();
  done = true;
  return &loaded;
}

static bool exempt(const struct settings *settings, const struct address *peer) {
  struct slice rest = settings->exempt;
  struct slice network;
  while (slice_next_word(&rest, &network))
    if (network_contains(network, peer)) return true;
  return false;
}

// What is wrong with the name that this session's client gave; HELO_FINE for clients that are not asked.
static enum helo_fault judge(struct slice name) {
  helo_policy_string_t ip;
  waxwing_mail_session_peer_ip(&ip);
  struct address peer;
  bool known = address_parse(view(&ip), &peer);
  helo_policy_string_free(&ip);
  if (!known || exempt(settings(), &peer)) return HELO_FINE;
  return helo_judge(name, &peer, settings()->our_names);
}

static void log_fault(struct slice name, enum helo_fault fault, enum action action) {
  struct text shown = {.len = 0};
  text_add_foreign(&shown, name, NAME_OCTETS_SHOWN);
  helo_policy_tuple2_string_string_t fields[] = {
      {lend(SLICE("helo")), lend((struct slice){shown.octets, shown.len})},
      {lend(SLICE("fault")), lend(fault_words[fault])},
      {lend(SLICE("action")), lend(action_word(action))},
  };
  helo_policy_list_tuple2_string_string_t list = {fields, sizeof fields / sizeof fields[0]};
  helo_policy_string_t message = lend(SLICE("HELO name at fault"));
  waxwing_mail_log_log(WAXWING_MAIL_LOG_LEVEL_INFO, &message, &list);
}

// The verdict for a fault: 550 5.7.1 or 450 4.7.1 with the reason. Replies to HELO and EHLO carry no enhanced
// status code (RFC 2034 section 4).
static waxwing_mail_types_verdict_t verdict_for(struct slice name, enum helo_fault fault, bool at_ehlo) {
  waxwing_mail_types_verdict_t verdict = {.tag = WAXWING_MAIL_TYPES_VERDICT_PROCEED};
  enum action action = settings()->actions[fault];
  if (action != ACTION_REJECT && action != ACTION_TEMPFAIL) return verdict;

  struct text text = {.len = 0};
  text_add(&text, SLICE("HELO name <"));
  text_add_foreign(&text, name, NAME_OCTETS_SHOWN);
  text_add(&text, SLICE("> refused: "));
  text_add(&text, fault_reasons[fault]);

  bool reject = action == ACTION_REJECT;
  waxwing_mail_types_reply_t reply = {.code = reject ? 550 : 450};
  reply.status.is_some = !at_ehlo;
  reply.status.val = (waxwing_mail_types_enhanced_status_t){.class_ = reject ? 5 : 4, .subject = 7, .detail = 1};
  helo_policy_string_dup_n(&reply.text, text.octets, text.len);
  if (reject) {
    verdict.tag = WAXWING_MAIL_TYPES_VERDICT_REJECT;
    verdict.val.reject = reply;
  } else {
    verdict.tag = WAXWING_MAIL_TYPES_VERDICT_TEMPFAIL;
    verdict.val.tempfail = reply;
  }
  return verdict;
}

// Asked once when the file is loaded: a setting that makes no sense keeps the plugin from being put to work.
bool exports_waxwing_mail_lifecycle_init(helo_policy_string_t *problem) {
  struct settings checked;
  return settings_load(&checked, problem);
}

// HELO, EHLO or LHLO: the name is judged and logged here; refused here only if the settings say so.
void exports_waxwing_mail_on_ehlo_ehlo(helo_policy_string_t *name, exports_waxwing_mail_on_ehlo_verdict_t *verdict) {
  enum helo_fault fault = judge(view(name));
  enum action action = settings()->actions[fault];
  if (action != ACTION_OFF) log_fault(view(name), fault, action);

  verdict->tag = WAXWING_MAIL_TYPES_VERDICT_PROCEED;
  if (settings()->refuse_at_ehlo) *verdict = verdict_for(view(name), fault, true);
  helo_policy_string_free(name);
}

// Who has proved to be a user may call the computer anything: mail programs behind NAT cannot know better.
static bool authenticated(void) {
  helo_policy_string_t user;
  if (!waxwing_mail_session_auth_user(&user)) return false;
  helo_policy_string_free(&user);
  return true;
}

// RCPT: by now the client may have authenticated, and mail to postmaster is never refused (RFC 5321 section 4.5.1).
void exports_waxwing_mail_on_rcpt_rcpt(exports_waxwing_mail_on_rcpt_mailbox_t *recipient,
                                       exports_waxwing_mail_on_rcpt_list_param_t *params,
                                       exports_waxwing_mail_on_rcpt_verdict_t *verdict) {
  verdict->tag = WAXWING_MAIL_TYPES_VERDICT_PROCEED;
  bool postmaster = slice_same(view(&recipient->local), SLICE("postmaster"));
  helo_policy_string_t name;
  if (!settings()->refuse_at_ehlo && !postmaster && !authenticated() && waxwing_mail_session_helo(&name)) {
    *verdict = verdict_for(view(&name), judge(view(&name)), false);
    helo_policy_string_free(&name);
  }
  exports_waxwing_mail_on_rcpt_mailbox_free(recipient);
  exports_waxwing_mail_on_rcpt_list_param_free(params);
}
