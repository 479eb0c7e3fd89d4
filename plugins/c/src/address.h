// IP addresses and networks as text, without a resolver and without libc (wasi-libc has no inet_pton).
//
// Every address is kept in 16 octets; IPv4 as ::ffff:a.b.c.d (RFC 4291 section 2.5.5.2), so that a peer seen through
// an IPv6 socket and the same peer in dotted form are equal.
#ifndef ADDRESS_H
#define ADDRESS_H

#include "slice.h"

struct address {
  unsigned char octets[16];
};

// "192.0.2.1" or "2001:db8::1" (RFC 4291 section 2.2); no brackets, no zone. False: it is neither.
bool address_parse(struct slice text, struct address *address);
bool address_equal(const struct address *a, const struct address *b);

// Whether `network` is an address or a prefix as in "10.0.0.0/8" and "2001:db8::/32".
bool network_valid(struct slice network);
// Whether the address lies in it; an invalid network holds nothing.
bool network_contains(struct slice network, const struct address *address);

#endif
