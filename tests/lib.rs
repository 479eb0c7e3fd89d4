//! Drives the real server from outside; everything is in the one test binary, `main.rs`.
