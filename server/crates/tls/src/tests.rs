//! Handshakes in memory, with certificates that the tests make.

mod authority;
mod files;
mod handshakes;
mod peers;
