//! Writes the fields of a message of the contract, one after the other and in the order of their numbers, without
//! making the generated message. What is zero or empty is left out, as proto3 has it.

/// The fields of one message, as far as they are written.
pub(super) struct Fields<'a>(pub &'a mut Vec<u8>);

/// How a field is written: the lowest three bits of its key.
const VARINT: u32 = 0;
const LENGTH: u32 = 2;

impl Fields<'_> {
    /// An unsigned number or a `bool`.
    pub(super) fn number(&mut self, field: u32, value: u64) {
        if value != 0 {
            self.key(field, VARINT);
            self.varint(value);
        }
    }

    /// An `int64`.
    pub(super) fn signed(&mut self, field: u32, value: i64) {
        self.number(field, value.cast_unsigned());
    }

    /// A value of an enum.
    pub(super) fn choice(&mut self, field: u32, value: i32) {
        self.signed(field, value.into());
    }

    /// Text that is left out when it is empty.
    pub(super) fn text(&mut self, field: u32, text: &str) {
        if !text.is_empty() {
            self.bytes(field, text.as_bytes());
        }
    }

    /// One of several values of a field, or bytes; empty ones too.
    pub(super) fn bytes(&mut self, field: u32, bytes: &[u8]) {
        self.key(field, LENGTH);
        self.varint(bytes.len() as u64);
        self.0.extend_from_slice(bytes);
    }

    /// A message within this one.
    pub(super) fn message(&mut self, field: u32, write: impl FnOnce(&mut Fields<'_>)) {
        self.key(field, LENGTH);
        // Its length is known afterwards, and nearly always one byte.
        let at = self.0.len();
        self.0.push(0);
        write(&mut Fields(self.0));
        let length = self.0.len() - at - 1;
        if let Ok(short @ 0..0x80) = u8::try_from(length) {
            self.0[at] = short;
        } else {
            let mut long = Vec::new();
            Fields(&mut long).varint(length as u64);
            self.0.splice(at..=at, long);
        }
    }

    fn key(&mut self, field: u32, how: u32) {
        self.varint(u64::from(field << 3 | how));
    }

    #[inline]
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.0.push(value.to_le_bytes()[0]);
    }
}
