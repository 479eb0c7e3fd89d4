#include "text.h"

static void add_octet(struct text *text, char c) {
  if (text->len < TEXT_OCTETS) text->octets[text->len++] = c;
}

void text_add(struct text *text, struct slice piece) {
  for (size_t i = 0; i < piece.len; i++) add_octet(text, piece.at[i]);
}

void text_add_foreign(struct text *text, struct slice piece, size_t most) {
  for (size_t i = 0; i < piece.len && i < most; i++) {
    char c = piece.at[i];
    add_octet(text, c >= ' ' && c <= '~' ? c : '?');
  }
  if (piece.len > most) text_add(text, SLICE("..."));
}
