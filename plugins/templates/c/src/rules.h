// What the plugin decides, without the server: the tests compile this natively. Texts have a length and no NUL at the end.
#ifndef RULES_H
#define RULES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct slice {
  const char *at;
  size_t len;
};

// Equal without regard to the case of ASCII letters.
bool slice_same(struct slice a, struct slice b);

// Whether local@domain is this address; an empty one is nobody's.
bool is_address(struct slice local, struct slice domain, struct slice address);

// A number of at most nine digits; false when the text is none.
bool read_number(struct slice text, int64_t *number);

// Whether a part is text as it stands.
bool takes_footer(struct slice media_type, struct slice encoding);

#endif
