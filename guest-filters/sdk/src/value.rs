//! The value of a field, as filters and the host see it. How values are stored and sent is left to the columns.

/// A value of a field. Text and JSON are borrowed from the batch.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// An explicit null: the field exists.
    Null,
    /// `true` or `false`.
    Boolean(bool),
    /// A whole number of 64 bits.
    Integer(i64),
    /// A double.
    Float(f64),
    /// UTF-8 text.
    Text(&'a str),
    /// Nanoseconds since 1970-01-01T00:00:00Z.
    Timestamp(i64),
    /// JSON text of what no other kind holds: a list, an empty map, a whole number over 64 bits, an exact decimal
    /// such as `1E+3`, or (where a map is read or set as a whole) a map.
    Json(&'a str),
    /// The field is a map; what is in it was not asked for.
    Object,
}
