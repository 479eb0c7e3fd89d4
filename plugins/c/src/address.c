#include "address.h"

#include <string.h>

enum { GROUPS = 8, IPV4_BITS = 32, ALL_BITS = 128 };

// A decimal number of at most three digits, without leading zeros, up to `most`; takes it off the front of `text`.
static bool take_decimal(struct slice *text, unsigned most, unsigned *number) {
  size_t digits = 0;
  *number = 0;
  while (digits < text->len && ascii_digit(text->at[digits])) {
    if (++digits > 3) return false;
    *number = *number * 10 + (unsigned)(text->at[digits - 1] - '0');
  }
  if (digits == 0 || *number > most || (digits > 1 && text->at[0] == '0')) return false;
  *text = slice_from(*text, digits);
  return true;
}

// "192.0.2.1" into four octets: RFC 5321 section 4.1.3, IPv4-address-literal.
static bool parse_ipv4(struct slice text, unsigned char octets[4]) {
  for (int i = 0; i < 4; i++) {
    unsigned number;
    if (i > 0) {
      if (text.len == 0 || text.at[0] != '.') return false;
      text = slice_from(text, 1);
    }
    if (!take_decimal(&text, 255, &number)) return false;
    octets[i] = (unsigned char)number;
  }
  return text.len == 0;
}

// One to four hexadecimal digits off the front of `text`.
static bool take_group(struct slice *text, unsigned *group) {
  size_t digits = 0;
  *group = 0;
  while (digits < text->len && digits < 4) {
    char c = ascii_lower(text->at[digits]);
    if (ascii_digit(c)) *group = *group * 16 + (unsigned)(c - '0');
    else if (c >= 'a' && c <= 'f') *group = *group * 16 + (unsigned)(c - 'a') + 10;
    else break;
    digits++;
  }
  *text = slice_from(*text, digits);
  return digits > 0;
}

static bool parse_ipv6(struct slice text, unsigned char octets[16]) {
  unsigned char groups[2 * GROUPS] = {0};
  int count = 0;
  int gap = -1; // how many groups stand before "::"

  if (slice_starts_with(text, SLICE("::"))) {
    gap = 0;
    text = slice_from(text, 2);
  }
  while (text.len > 0) {
    if (count <= GROUPS - 2 && parse_ipv4(text, groups + 2 * count)) { // the last 32 bits may be dotted
      count += 2;
      break;
    }
    unsigned group;
    if (count == GROUPS || !take_group(&text, &group)) return false;
    groups[2 * count] = (unsigned char)(group >> 8);
    groups[2 * count + 1] = (unsigned char)(group & 0xff);
    count++;
    if (text.len == 0) break;
    if (slice_starts_with(text, SLICE("::"))) {
      if (gap >= 0) return false; // only once
      gap = count;
      text = slice_from(text, 2);
    } else if (text.at[0] == ':' && text.len > 1) {
      text = slice_from(text, 1);
    } else {
      return false;
    }
  }
  if (gap < 0 ? count != GROUPS : count == GROUPS) return false;

  size_t before = gap < 0 ? 2 * GROUPS : 2 * (size_t)gap;
  size_t after = 2 * (size_t)count - before;
  memset(octets, 0, 16);
  memcpy(octets, groups, before);
  memcpy(octets + 16 - after, groups + before, after);
  return true;
}

bool address_parse(struct slice text, struct address *address) {
  static const unsigned char mapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  memcpy(address->octets, mapped, sizeof mapped);
  return parse_ipv4(text, address->octets + sizeof mapped) || parse_ipv6(text, address->octets);
}

bool address_equal(const struct address *a, const struct address *b) {
  return memcmp(a->octets, b->octets, sizeof a->octets) == 0;
}

// The base address and how many of its 128 bits count.
static bool parse_network(struct slice text, struct address *base, unsigned *bits) {
  size_t slash = 0;
  while (slash < text.len && text.at[slash] != '/') slash++;
  struct slice host = {text.at, slash};
  if (!address_parse(host, base)) return false;
  *bits = ALL_BITS;
  if (slash == text.len) return true;

  bool dotted = memchr(host.at, ':', host.len) == NULL;
  struct slice rest = slice_from(text, slash + 1);
  if (!take_decimal(&rest, dotted ? IPV4_BITS : ALL_BITS, bits) || rest.len > 0) return false;
  if (dotted) *bits += ALL_BITS - IPV4_BITS;
  return true;
}

bool network_valid(struct slice network) {
  struct address base;
  unsigned bits;
  return parse_network(network, &base, &bits);
}

bool network_contains(struct slice network, const struct address *address) {
  struct address base;
  unsigned bits;
  if (!parse_network(network, &base, &bits)) return false;
  unsigned whole = bits / 8;
  if (memcmp(base.octets, address->octets, whole) != 0) return false;
  if (bits % 8 == 0) return true;
  unsigned char mask = (unsigned char)(0xff << (8 - bits % 8));
  return ((base.octets[whole] ^ address->octets[whole]) & mask) == 0;
}
