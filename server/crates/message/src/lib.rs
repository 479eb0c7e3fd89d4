//! What a message is made of: its header block, its body as ranges of stored bytes, its MIME parts; and what
//! a mail server writes into one: trace fields and reports of delivery.
//!
//! Nothing here waits for anything but the message's own bytes ([`model::Source`]), reads a file or looks at
//! a clock. A body is never copied to be edited: an edited message is a list of old ranges and new bytes.
//!
//! Standards: RFC 5322 (header fields), RFC 5321 (4.4 trace fields, 6.3 loops), RFC 2045 to 2047 and 2231
//! (MIME), RFC 6152 section 3 (conversion to 7 bits), RFC 3464, 6522 and 6533 (delivery status notifications), RFC 3848 and 6531 (transmission types).

mod conversion;
mod date;
mod draft;
mod dsn;
mod field;
mod header_block;
mod letter;
mod mime;
mod shape;
mod splice;
mod trace;

pub use conversion::{ConversionError, to_seven_bit};
pub use date::{format_date, message_id};
pub use draft::Draft;
pub use dsn::{
    Action, Dsn, DsnRecipient, MAX_DIAGNOSTIC_OCTETS, MAX_RETURNED_OCTETS, MAX_TEMPLATE_OCTETS, Report, Ret,
    Template, TemplateError,
};
pub use field::{HeaderError, MAX_LINE_OCTETS, write_field};
pub use header_block::{Field, HeaderBlock};
pub use letter::{Letter, LetterPart};
pub use mime::{MAX_MIME_OCTETS, MAX_PARTS, Part, PartError, Structure};
pub use shape::{ShapeError, ShapeLimits, check_shape};
pub use splice::BodyError;
pub use trace::{
    Received, Transmission, count_received, delivered_to, prepend, received_from_plugin, return_path,
};
