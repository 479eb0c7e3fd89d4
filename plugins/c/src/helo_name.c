#include "helo_name.h"

enum { DOMAIN_OCTETS = 255, LABEL_OCTETS = 63 }; // RFC 5321 section 4.5.3.1.2; RFC 1035 section 2.3.4

// Letters, digits, inner hyphens. The underscore is let through: names with one are common in the field, and harmless.
static bool valid_label(struct slice label) {
  if (label.len == 0 || label.len > LABEL_OCTETS) return false;
  if (label.at[0] == '-' || label.at[label.len - 1] == '-') return false;
  for (size_t i = 0; i < label.len; i++)
    if (!ascii_alphanumeric(label.at[i]) && label.at[i] != '-' && label.at[i] != '_') return false;
  return true;
}

static bool all_digits(struct slice s) {
  for (size_t i = 0; i < s.len; i++)
    if (!ascii_digit(s.at[i])) return false;
  return true;
}

// How many labels the domain has; 0 when it is none. A name in another script arrives here as A-labels (RFC 6531
// section 3.7.1), so that an octet above 127 is a fault. "192.0.2.1" is no domain: no top-level domain is a number.
static size_t count_labels(struct slice name) {
  if (name.len > DOMAIN_OCTETS) return 0;
  size_t labels = 0;
  for (;;) {
    struct slice label = {name.at, 0};
    while (label.len < name.len && name.at[label.len] != '.') label.len++;
    if (!valid_label(label)) return 0;
    labels++;
    if (label.len == name.len) return all_digits(label) ? 0 : labels;
    name = slice_from(name, label.len + 1);
  }
}

// "[192.0.2.1]" or "[IPv6:2001:db8::1]": RFC 5321 section 4.1.3. No other kind of literal has ever been registered.
static bool parse_literal(struct slice name, struct address *address) {
  if (name.len < 2 || name.at[0] != '[' || name.at[name.len - 1] != ']') return false;
  struct slice inner = {name.at + 1, name.len - 2};
  bool ipv6 = slice_starts_with(inner, SLICE("IPv6:"));
  if (ipv6) inner = slice_from(inner, sizeof("IPv6:") - 1);
  bool has_colon = false;
  for (size_t i = 0; i < inner.len; i++) has_colon |= inner.at[i] == ':';
  return ipv6 == has_colon && address_parse(inner, address);
}

static bool is_ours(struct slice name, const struct address *literal, struct slice our_names) {
  struct slice ours;
  while (slice_next_word(&our_names, &ours)) {
    struct address address;
    if (slice_same(name, ours)) return true;
    if (literal != NULL && address_parse(ours, &address) && address_equal(literal, &address)) return true;
  }
  return false;
}

enum helo_fault helo_judge(struct slice name, const struct address *peer, struct slice our_names) {
  struct address literal;
  if (name.len > 0 && name.at[0] == '[') {
    if (!parse_literal(name, &literal)) return HELO_BAD_NAME;
    if (address_equal(&literal, peer)) return HELO_FINE;
    return is_ours(name, &literal, our_names) ? HELO_OUR_NAME : HELO_LITERAL_MISMATCH;
  }
  size_t labels = count_labels(name);
  if (labels == 0) return HELO_BAD_NAME;
  if (is_ours(name, NULL, our_names)) return HELO_OUR_NAME;
  return labels == 1 ? HELO_UNQUALIFIED : HELO_FINE;
}
