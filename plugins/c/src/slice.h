// A run of octets that somebody else owns. WIT strings have a length and no NUL at the end, so C's string
// functions do not fit them; these few do. Nothing here allocates.
#ifndef SLICE_H
#define SLICE_H

#include <stdbool.h>
#include <stddef.h>

struct slice {
  const char *at;
  size_t len;
};

// A string literal as a slice.
#define SLICE(literal) ((struct slice){(literal), sizeof(literal) - 1})

static inline char ascii_lower(char c) { return c >= 'A' && c <= 'Z' ? (char)(c + ('a' - 'A')) : c; }

static inline bool ascii_digit(char c) { return c >= '0' && c <= '9'; }

static inline bool ascii_alphanumeric(char c) {
  char lower = ascii_lower(c);
  return ascii_digit(c) || (lower >= 'a' && lower <= 'z');
}

// Equal without regard to the case of ASCII letters: how domains, keywords and the local part postmaster compare.
static inline bool slice_same(struct slice a, struct slice b) {
  if (a.len != b.len) return false;
  for (size_t i = 0; i < a.len; i++)
    if (ascii_lower(a.at[i]) != ascii_lower(b.at[i])) return false;
  return true;
}

static inline struct slice slice_from(struct slice s, size_t start) {
  return (struct slice){s.at + start, s.len - start};
}

static inline bool slice_starts_with(struct slice s, struct slice prefix) {
  return s.len >= prefix.len && slice_same((struct slice){s.at, prefix.len}, prefix);
}

// Takes the next word off the front of a list; false at its end. Words stand between white space, commas, quotes
// and square brackets, so "a, b", "a b" and ["a", "b"] are the same list.
bool slice_next_word(struct slice *list, struct slice *word);

#endif
