#include "settings.h"

#include "text.h"

static const struct slice action_words[] = {
    [ACTION_REJECT] = SLICE("reject"),
    [ACTION_TEMPFAIL] = SLICE("tempfail"),
    [ACTION_LOG] = SLICE("log"),
    [ACTION_OFF] = SLICE("off"),
};

// Which setting chooses the action for a fault, and what it is when the setting is not there.
static const struct {
  struct slice key;
  enum action otherwise;
} action_settings[HELO_FAULTS] = {
    [HELO_FINE] = {{"", 0}, ACTION_OFF}, // no fault, no setting
    [HELO_OUR_NAME] = {SLICE("our-name"), ACTION_REJECT},
    [HELO_BAD_NAME] = {SLICE("bad-name"), ACTION_REJECT},
    [HELO_UNQUALIFIED] = {SLICE("unqualified"), ACTION_OFF},
    [HELO_LITERAL_MISMATCH] = {SLICE("literal-mismatch"), ACTION_REJECT},
};

struct slice action_word(enum action action) { return action_words[action]; }

// The value of a setting; `otherwise` when it is not there.
static struct slice get(struct slice key, struct slice otherwise) {
  helo_policy_string_t name = {(uint8_t *)key.at, key.len};
  helo_policy_string_t value;
  if (!waxwing_mail_config_get(&name, &value)) return otherwise;
  return (struct slice){(const char *)value.ptr, value.len};
}

// Says what is wrong with a setting; always false, so that callers can return it.
static bool refuse(helo_policy_string_t *problem, struct slice key, struct slice value, struct slice wanted) {
  struct text text = {.len = 0};
  text_add(&text, SLICE("setting "));
  text_add(&text, key);
  text_add(&text, SLICE(" is \""));
  text_add_foreign(&text, value, 60);
  text_add(&text, SLICE("\"; it takes "));
  text_add(&text, wanted);
  helo_policy_string_dup_n(problem, text.octets, text.len);
  return false;
}

static bool load_actions(struct settings *settings, helo_policy_string_t *problem) {
  settings->actions[HELO_FINE] = ACTION_OFF;
  for (int fault = HELO_FINE + 1; fault < HELO_FAULTS; fault++) {
    struct slice key = action_settings[fault].key;
    struct slice value = get(key, action_words[action_settings[fault].otherwise]);
    int action = ACTION_REJECT;
    while (action <= ACTION_OFF && !slice_same(value, action_words[action])) action++;
    if (action > ACTION_OFF) return refuse(problem, key, value, SLICE("reject, tempfail, log or off"));
    settings->actions[fault] = (enum action)action;
  }
  return true;
}

bool settings_load(struct settings *settings, helo_policy_string_t *problem) {
  settings->our_names = get(SLICE("our-names"), SLICE(""));
  settings->exempt = get(SLICE("exempt"), SLICE(""));

  struct slice rest = settings->exempt;
  struct slice network;
  while (slice_next_word(&rest, &network))
    if (!network_valid(network))
      return refuse(problem, SLICE("exempt"), network, SLICE("addresses and networks such as 10.0.0.0/8"));

  struct slice stage = get(SLICE("refuse-at"), SLICE("rcpt"));
  settings->refuse_at_ehlo = slice_same(stage, SLICE("ehlo"));
  if (!settings->refuse_at_ehlo && !slice_same(stage, SLICE("rcpt")))
    return refuse(problem, SLICE("refuse-at"), stage, SLICE("ehlo or rcpt"));

  return load_actions(settings, problem);
}
