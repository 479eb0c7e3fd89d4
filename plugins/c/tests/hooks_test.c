// Runs the plugin's hooks against a made-up session. Settings are read once an instance, so that every case
// is a process of its own, as every session is an instance of its own.
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "address.h"
#include "session_double.h"

static int passed, failed;
static const char *current;

static bool expect_text(const char *what, const char *found, const char *wanted) {
  if (strcmp(found, wanted) == 0) return true;
  printf("FAILED %s\n  %s: found  %s\n  %*s  wanted %s\n", current, what, found, (int)strlen(what), "", wanted);
  return false;
}

// "proceed", or the reply as it goes over the wire.
static void render(waxwing_mail_types_verdict_t *verdict, char *line, size_t size) {
  if (verdict->tag == WAXWING_MAIL_TYPES_VERDICT_PROCEED) {
    snprintf(line, size, "proceed");
    return;
  }
  bool reject = verdict->tag == WAXWING_MAIL_TYPES_VERDICT_REJECT;
  waxwing_mail_types_reply_t *reply = reject ? &verdict->val.reject : &verdict->val.tempfail;
  char status[20] = "";
  if (reply->status.is_some)
    snprintf(status, sizeof status, " %d.%d.%d", reply->status.val.class_, reply->status.val.subject,
             reply->status.val.detail);
  snprintf(line, size, "%d%s %.*s", reply->code, status, (int)reply->text.len, reply->text.ptr);
  helo_policy_string_free(&reply->text);
}

struct dialogue {
  const char *name;
  const char *peer_ip;
  const char *helo;
  const char *local_part; // of the recipient
  const char *auth_user;
  struct setting settings[4];
  const char *at_ehlo; // what the hooks answer
  const char *at_rcpt;
  const char *logged;
};

static bool hold(const struct dialogue *dialogue) {
  size_t settings = 0;
  while (settings < 4 && dialogue->settings[settings].key != NULL) settings++;
  session_double = (struct session_double){
      .peer_ip = dialogue->peer_ip,
      .helo = dialogue->helo,
      .auth_user = dialogue->auth_user,
      .settings = dialogue->settings,
      .setting_count = settings,
  };
  helo_policy_string_t problem;
  if (!exports_waxwing_mail_lifecycle_init(&problem)) {
    printf("FAILED %s\n  init: %.*s\n", current, (int)problem.len, problem.ptr);
    return false;
  }

  char line[400];
  waxwing_mail_types_verdict_t verdict;
  helo_policy_string_t name;
  helo_policy_string_dup_n(&name, dialogue->helo, strlen(dialogue->helo));
  exports_waxwing_mail_on_ehlo_ehlo(&name, &verdict);
  render(&verdict, line, sizeof line);
  bool right = expect_text("EHLO", line, dialogue->at_ehlo);

  exports_waxwing_mail_on_rcpt_mailbox_t recipient;
  const char *local = dialogue->local_part ? dialogue->local_part : "someone";
  helo_policy_string_dup_n(&recipient.local, local, strlen(local));
  helo_policy_string_dup_n(&recipient.domain, "example.org", strlen("example.org"));
  exports_waxwing_mail_on_rcpt_list_param_t params = {NULL, 0};
  exports_waxwing_mail_on_rcpt_rcpt(&recipient, &params, &verdict);
  render(&verdict, line, sizeof line);
  right &= expect_text("RCPT", line, dialogue->at_rcpt);
  return right & expect_text("log", session_double.log_fields, dialogue->logged);
}

static void in_a_process_of_its_own(const char *name, bool (*test)(const struct dialogue *), const struct dialogue *of) {
  current = name;
  fflush(stdout);
  pid_t child = fork();
  if (child == 0) {
    bool right = test(of);
    fflush(stdout);
    _exit(right ? 0 : 1);
  }
  int status = 1;
  if (child < 0 || waitpid(child, &status, 0) < 0 || status != 0) failed++;
  else passed++;
}

#define REASON_OURS "it is one of our own"
#define REASON_BAD "it is neither a domain nor an address literal"
#define REASON_LITERAL "it is not the address that you connect from"

static const struct dialogue dialogues[] = {
    {.name = "an ordinary name passes", .peer_ip = "192.0.2.7", .helo = "mail.example.net",
     .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = ""},
    {.name = "a name of ours is refused at RCPT", .peer_ip = "192.0.2.7", .helo = "MX.example.org",
     .settings = {{"our-names", "example.org, mx.example.org"}}, .at_ehlo = "proceed",
     .at_rcpt = "550 5.7.1 HELO name <MX.example.org> refused: " REASON_OURS,
     .logged = "helo=MX.example.org fault=our-name action=reject "},
    {.name = "a list in JSON is read as well", .peer_ip = "192.0.2.7", .helo = "mx.example.org",
     .settings = {{"our-names", "[\"example.org\",\"mx.example.org\"]"}}, .at_ehlo = "proceed",
     .at_rcpt = "550 5.7.1 HELO name <mx.example.org> refused: " REASON_OURS,
     .logged = "helo=mx.example.org fault=our-name action=reject "},
    {.name = "a name that ends like ours is not ours", .peer_ip = "192.0.2.7", .helo = "notexample.org",
     .settings = {{"our-names", "example.org"}}, .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = ""},
    {.name = "our address as a literal is ours", .peer_ip = "192.0.2.7", .helo = "[192.0.2.25]",
     .settings = {{"our-names", "192.0.2.25"}}, .at_ehlo = "proceed",
     .at_rcpt = "550 5.7.1 HELO name <[192.0.2.25]> refused: " REASON_OURS,
     .logged = "helo=[192.0.2.25] fault=our-name action=reject "},
    {.name = "a literal of another address is refused", .peer_ip = "192.0.2.7", .helo = "[192.0.2.8]",
     .at_ehlo = "proceed", .at_rcpt = "550 5.7.1 HELO name <[192.0.2.8]> refused: " REASON_LITERAL,
     .logged = "helo=[192.0.2.8] fault=literal-mismatch action=reject "},
    {.name = "the client's own address passes", .peer_ip = "192.0.2.7", .helo = "[192.0.2.7]",
     .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = ""},
    {.name = "an IPv4 client seen through an IPv6 socket is the same", .peer_ip = "::ffff:192.0.2.7",
     .helo = "[192.0.2.7]", .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = ""},
    {.name = "an IPv6 literal may be written in another way", .peer_ip = "2001:db8::1",
     .helo = "[IPv6:2001:0DB8:0:0::1]", .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = ""},
    {.name = "an IPv6 literal without its tag is bad", .peer_ip = "2001:db8::1", .helo = "[2001:db8::1]",
     .at_ehlo = "proceed", .at_rcpt = "550 5.7.1 HELO name <[2001:db8::1]> refused: " REASON_BAD,
     .logged = "helo=[2001:db8::1] fault=bad-name action=reject "},
    {.name = "an address without brackets is no domain", .peer_ip = "192.0.2.7", .helo = "192.0.2.7",
     .at_ehlo = "proceed", .at_rcpt = "550 5.7.1 HELO name <192.0.2.7> refused: " REASON_BAD,
     .logged = "helo=192.0.2.7 fault=bad-name action=reject "},
    {.name = "what a client sends cannot break the reply", .peer_ip = "192.0.2.7", .helo = "a b\033[31m\r\nX",
     .at_ehlo = "proceed", .at_rcpt = "550 5.7.1 HELO name <a b?[31m??X> refused: " REASON_BAD,
     .logged = "helo=a b?[31m??X fault=bad-name action=reject "},
    {.name = "a single label passes unless asked for", .peer_ip = "192.0.2.7", .helo = "localhost",
     .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = ""},
    {.name = "a single label is refused when asked for", .peer_ip = "192.0.2.7", .helo = "localhost",
     .settings = {{"unqualified", "tempfail"}}, .at_ehlo = "proceed",
     .at_rcpt = "450 4.7.1 HELO name <localhost> refused: it is not fully qualified",
     .logged = "helo=localhost fault=unqualified action=tempfail "},
    {.name = "a reply to EHLO has no enhanced status", .peer_ip = "192.0.2.7", .helo = "-bad-",
     .settings = {{"refuse-at", "ehlo"}}, .at_ehlo = "550 HELO name <-bad-> refused: " REASON_BAD,
     .at_rcpt = "proceed", .logged = "helo=-bad- fault=bad-name action=reject "},
    {.name = "an action of log only logs", .peer_ip = "192.0.2.7", .helo = "a..b", .settings = {{"bad-name", "log"}},
     .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = "helo=a..b fault=bad-name action=log "},
    {.name = "an exempt client is not asked", .peer_ip = "10.1.2.3", .helo = "a..b",
     .settings = {{"exempt", "::1 10.0.0.0/8"}}, .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = ""},
    {.name = "an authenticated client may be called anything", .peer_ip = "192.0.2.7", .helo = "[192.168.1.2]",
     .auth_user = "ann", .at_ehlo = "proceed", .at_rcpt = "proceed",
     .logged = "helo=[192.168.1.2] fault=literal-mismatch action=reject "},
    {.name = "postmaster can always be written to", .peer_ip = "192.0.2.7", .helo = "a..b", .local_part = "PostMaster",
     .at_ehlo = "proceed", .at_rcpt = "proceed", .logged = "helo=a..b fault=bad-name action=reject "},
};

static void init_refuses(const char *key, const char *value, const char *wanted) {
  struct setting setting = {key, value};
  session_double = (struct session_double){.peer_ip = "192.0.2.7", .settings = &setting, .setting_count = 1};
  current = "a setting that makes no sense is refused";
  helo_policy_string_t problem = {NULL, 0};
  char text[400] = "(nothing)";
  if (!exports_waxwing_mail_lifecycle_init(&problem))
    snprintf(text, sizeof text, "%.*s", (int)problem.len, problem.ptr);
  if (expect_text("init", text, wanted)) passed++;
  else failed++;
  helo_policy_string_free(&problem);
}

static void address_is(const char *text, const char *wanted_hex) {
  static char name[80];
  snprintf(name, sizeof name, "address %s", text);
  current = name;
  struct address address;
  char hex[40] = "none";
  if (address_parse((struct slice){text, strlen(text)}, &address))
    for (int i = 0; i < 16; i++) snprintf(hex + 2 * i, 3, "%02x", address.octets[i]);
  if (expect_text("octets", hex, wanted_hex)) passed++;
  else failed++;
}

static void network_holds(const char *network, const char *text, bool wanted) {
  static char name[120];
  snprintf(name, sizeof name, "%s in %s", text, network);
  current = name;
  struct address address;
  bool holds = address_parse((struct slice){text, strlen(text)}, &address) &&
               network_contains((struct slice){network, strlen(network)}, &address);
  if (expect_text("holds", holds ? "yes" : "no", wanted ? "yes" : "no")) passed++;
  else failed++;
}

int main(void) {
  for (size_t i = 0; i < sizeof dialogues / sizeof dialogues[0]; i++)
    in_a_process_of_its_own(dialogues[i].name, hold, &dialogues[i]);

  init_refuses("bad-name", "rejct", "setting bad-name is \"rejct\"; it takes reject, tempfail, log or off");
  init_refuses("refuse-at", "data", "setting refuse-at is \"data\"; it takes ehlo or rcpt");
  init_refuses("exempt", "10.0.0.0/33",
               "setting exempt is \"10.0.0.0/33\"; it takes addresses and networks such as 10.0.0.0/8");

  address_is("192.0.2.255", "00000000000000000000ffffc00002ff");
  address_is("192.0.2.256", "none");
  address_is("192.0.2.01", "none");
  address_is("192.0.2", "none");
  address_is("", "none");
  address_is("::", "00000000000000000000000000000000");
  address_is("::1", "00000000000000000000000000000001");
  address_is("2001:db8::", "20010db8000000000000000000000000");
  address_is("1:2:3:4:5:6:7:8", "00010002000300040005000600070008");
  address_is("1:2:3:4:5:6:7:8:9", "none");
  address_is("1:2:3:4:5:6:7::8", "none");
  address_is("1::2::3", "none");
  address_is("1:2:3:4:5:6:7:", "none");
  address_is(":1:2:3:4:5:6:7", "none");
  address_is("12345::", "none");
  address_is("64:ff9b::192.0.2.1", "0064ff9b0000000000000000c0000201");
  address_is("1:2:3:4:5:6:7:192.0.2.1", "none");

  network_holds("10.0.0.0/8", "10.255.0.1", true);
  network_holds("10.0.0.0/8", "11.0.0.1", false);
  network_holds("192.0.2.128/25", "192.0.2.129", true);
  network_holds("192.0.2.128/25", "192.0.2.127", false);
  network_holds("192.0.2.1", "192.0.2.1", true);
  network_holds("0.0.0.0/0", "203.0.113.9", true);
  network_holds("0.0.0.0/0", "2001:db8::1", false);
  network_holds("2001:db8::/33", "2001:db8:7fff::1", true);
  network_holds("2001:db8::/33", "2001:db8:8000::1", false);
  network_holds("10.0.0.0/8x", "10.0.0.1", false);

  printf("%d passed, %d failed\n", passed, failed);
  return failed == 0 ? 0 : 1;
}
