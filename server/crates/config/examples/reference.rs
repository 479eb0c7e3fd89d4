//! Prints the reference of all keys, which `reference.md` holds.

#![expect(clippy::print_stdout, reason = "printing is all that this does")]

fn main() {
    print!("{}", config::reference());
}
