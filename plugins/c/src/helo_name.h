// What may be said about a HELO or EHLO name by looking at it: RFC 5321 sections 4.1.1.1 and 4.1.3.
//
// Deliberately absent: a look into DNS. RFC 5321 section 4.1.4 forbids refusing mail because the name does not
// lead back to the client's address.
#ifndef HELO_NAME_H
#define HELO_NAME_H

#include "address.h"

enum helo_fault {
  HELO_FINE,
  HELO_OUR_NAME,         // a name or an address of ours, which nobody else can have
  HELO_BAD_NAME,         // neither a domain nor an address literal
  HELO_UNQUALIFIED,      // a domain of a single label, as in "localhost"
  HELO_LITERAL_MISMATCH, // an address literal of another address than the client's
  HELO_FAULTS,           // how many there are
};

// The first fault of a name that the client at `peer` gave. `our_names` is a list of domains and addresses.
enum helo_fault helo_judge(struct slice name, const struct address *peer, struct slice our_names);

#endif
