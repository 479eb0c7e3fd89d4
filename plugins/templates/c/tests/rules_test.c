// cc -std=c17 -Isrc src/rules.c tests/rules_test.c -o build/rules_test && build/rules_test

#include <stdio.h>
#include <string.h>

#include "rules.h"

static struct slice of(const char *text) { return (struct slice){text, strlen(text)}; }

static int failures = 0;

static void check(bool holds, const char *claim) {
  if (!holds) {
    failures++;
    fprintf(stderr, "does not hold: %s\n", claim);
  }
}

int main(void) {
  int64_t number;
  check(is_address(of("Nobody"), of("Example.org"), of("nobody@example.org")), "an address is one however it is written");
  check(!is_address(of("alice"), of("example.org"), of("nobody@example.org")), "another address is another");
  check(!is_address(of("a"), of("b"), of("")), "an empty address is nobody's");
  check(read_number(of("12"), &number) && number == 12, "a number is read");
  check(!read_number(of("many"), &number) && !read_number(of(""), &number), "what is no number is refused");
  check(!read_number(of("12345678901234567890"), &number), "a number that is too long is refused");
  check(takes_footer(of("text/plain"), of("7bit")) && !takes_footer(of("text/html"), of("7bit")), "only plain text gets a footer");
  return failures == 0 ? 0 : 1;
}
