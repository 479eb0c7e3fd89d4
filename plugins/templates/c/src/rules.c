#include "rules.h"

static char lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

static struct slice literal(const char *text) {
  struct slice slice = {text, 0};
  while (text[slice.len]) slice.len++;
  return slice;
}

bool slice_same(struct slice a, struct slice b) {
  if (a.len != b.len) return false;
  for (size_t i = 0; i < a.len; i++)
    if (lower(a.at[i]) != lower(b.at[i])) return false;
  return true;
}

bool is_address(struct slice local, struct slice domain, struct slice address) {
  if (address.len != local.len + 1 + domain.len || address.at[local.len] != '@') return false;
  struct slice before = {address.at, local.len};
  struct slice behind = {address.at + local.len + 1, domain.len};
  return slice_same(local, before) && slice_same(domain, behind);
}

bool read_number(struct slice text, int64_t *number) {
  *number = 0;
  if (text.len == 0 || text.len > 9) return false;
  for (size_t i = 0; i < text.len; i++) {
    if (text.at[i] < '0' || text.at[i] > '9') return false;
    *number = *number * 10 + (text.at[i] - '0');
  }
  return true;
}

bool takes_footer(struct slice media_type, struct slice encoding) {
  return slice_same(media_type, literal("text/plain")) &&
         (slice_same(encoding, literal("7bit")) || slice_same(encoding, literal("8bit")));
}
