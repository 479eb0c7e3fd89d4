#include "slice.h"

static bool separates(char c) {
  switch (c) {
  case ' ': case '\t': case '\r': case '\n': case ',': case '"': case '[': case ']':
    return true;
  default:
    return false;
  }
}

bool slice_next_word(struct slice *list, struct slice *word) {
  size_t start = 0;
  while (start < list->len && separates(list->at[start])) start++;
  size_t end = start;
  while (end < list->len && !separates(list->at[end])) end++;
  *word = (struct slice){list->at + start, end - start};
  *list = slice_from(*list, end);
  return word->len > 0;
}
