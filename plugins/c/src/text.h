// A line of text of bounded length, put together from pieces. What does not fit is left out, never written past the end.
#ifndef TEXT_H
#define TEXT_H

#include "slice.h"

enum { TEXT_OCTETS = 320 }; // below the 512 octets of a reply line (RFC 5321 section 4.5.3.1.5), code and CRLF included

struct text {
  char octets[TEXT_OCTETS];
  size_t len;
};

void text_add(struct text *text, struct slice piece);

// Adds what a client sent: at most `most` octets, and only printable ASCII, so that nothing it sends can end a
// line or paint a terminal.
void text_add_foreign(struct text *text, struct slice piece, size_t most);

#endif
