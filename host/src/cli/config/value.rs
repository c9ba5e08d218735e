//! Values of the configuration as `serde` reads them, with errors in the words of the configuration.
//!
//! `serde` describes what a type expects in the words of Rust (`u64`, `f64`, `path string`), and
//! passes that to the error type of the deserializer. So the deserializer
//! is our own: the errors of all keys have the same form, also of one that is added later.

use std::fmt::{self, Display};

use serde::de::value::{MapDeserializer, SeqDeserializer};
use serde::de::{Deserializer, Error, Expected, IntoDeserializer, Unexpected, Visitor};
use serde::forward_to_deserialize_any;
use toml::Spanned;
use toml::de::{DeString, DeValue};

/// A mistake in a value or a key.
#[derive(Debug)]
pub(super) struct Wrong {
    pub(super) what: String,
    /// Whether the mistake is in the key.
    pub(super) is_key: bool,
}

/// A value of the file.
#[derive(Clone, Copy)]
pub(super) struct Value<'a>(pub(super) &'a DeValue<'a>);

/// A key of the file, and its value.
pub(super) type Entry<'a> = (&'a Spanned<DeString<'a>>, &'a Spanned<DeValue<'a>>);

/// A table of these entries.
pub(super) fn table<'a>(
    entries: impl Iterator<Item = Entry<'a>>,
) -> impl Deserializer<'a, Error = Wrong> {
    MapDeserializer::new(entries.map(|(key, value)| (&**key.get_ref(), Value(value.get_ref()))))
}

impl<'de> Deserializer<'de> for Value<'de> {
    type Error = Wrong;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        match self.0 {
            DeValue::String(text) => visitor.visit_borrowed_str(text),
            DeValue::Integer(number) => {
                match i64::from_str_radix(number.as_str(), number.radix()) {
                    Ok(number) => visitor.visit_i64(number),
                    Err(_) => Err(Wrong::custom(format_args!(
                        "{} has more than 64 bits",
                        number.as_str()
                    ))),
                }
            }
            DeValue::Float(number) => match number.as_str().parse() {
                Ok(number) => visitor.visit_f64(number),
                Err(_) => Err(Wrong::custom(format_args!("{} is not a number", number.as_str()))),
            },
            DeValue::Boolean(flag) => visitor.visit_bool(*flag),
            DeValue::Datetime(_) => {
                Err(Wrong::invalid_type(Unexpected::Other("a date or a time"), &visitor))
            }
            DeValue::Array(items) => {
                let items = items.iter().map(|item| Value(item.get_ref()));
                visitor.visit_seq(SeqDeserializer::new(items))
            }
            DeValue::Table(entries) => table(entries.iter()).deserialize_any(visitor),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Wrong> {
        visitor.visit_some(self)
    }

    forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf unit unit_struct
        newtype_struct seq tuple tuple_struct map struct enum identifier ignored_any
    }
}

impl<'a> IntoDeserializer<'a, Wrong> for Value<'a> {
    type Deserializer = Self;

    fn into_deserializer(self) -> Self {
        self
    }
}

impl Error for Wrong {
    fn custom<T: Display>(what: T) -> Self {
        Self { what: what.to_string(), is_key: false }
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        Self::custom(format_args!("expected {}, found {}", named(expected), kind(&found)))
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn Expected) -> Self {
        let found = match found {
            Unexpected::Signed(number) => number.to_string(),
            Unexpected::Unsigned(number) => number.to_string(),
            Unexpected::Float(number) => number.to_string(),
            Unexpected::Str(text) => format!("\"{text}\""),
            other => kind(&other).to_owned(),
        };
        Self::custom(format_args!("expected {}, found {found}", named(expected)))
    }

    fn unknown_field(key: &str, keys: &'static [&'static str]) -> Self {
        Self { what: unknown(key, keys), is_key: true }
    }

    fn missing_field(key: &'static str) -> Self {
        Self::custom(missing(key))
    }
}

/// The error for a key that is not one of `keys`.
pub(super) fn unknown(key: &str, keys: &[&str]) -> String {
    let alike = keys.iter().map(|known| (strsim::jaro_winkler(key, known), known));
    let alike = alike.max_by(|one, other| one.0.total_cmp(&other.0));
    let meant = match alike {
        Some((likeness, meant)) if likeness > 0.8 => format!(" (a similar key exists: `{meant}`)"),
        Some(_) | None => String::new(),
    };
    format!("unknown key `{key}`{meant}, expected one of `{}`", keys.join("`, `"))
}

pub(super) fn missing(key: &str) -> String {
    format!("the key `{key}` is missing")
}

/// The words for what is expected; `expected` may be a type of Rust.
fn named(expected: &dyn Expected) -> String {
    match expected.to_string().as_str() {
        "i8" | "i16" | "i32" | "i64" | "i128" | "isize" => "a whole number".to_owned(),
        "u8" => "a whole number from 0 to 255".to_owned(),
        "u16" => "a whole number from 0 to 65535".to_owned(),
        "u32" => "a whole number from 0 to 4294967295".to_owned(),
        "u64" | "u128" | "usize" => "a whole number from 0 up".to_owned(),
        "f32" | "f64" => "a number".to_owned(),
        "a boolean" => "true or false".to_owned(),
        "a borrowed string" | "path string" | "os string" | "a character" => "a string".to_owned(),
        "a sequence" => "an array".to_owned(),
        text if text.starts_with("struct ") || text == "a map" => "a table".to_owned(),
        text => text.to_owned(),
    }
}

fn kind<'u>(found: &Unexpected<'u>) -> &'u str {
    match *found {
        Unexpected::Bool(_) => "true or false",
        Unexpected::Unsigned(_) | Unexpected::Signed(_) => "a whole number",
        Unexpected::Float(_) => "a number with a fraction",
        Unexpected::Char(_) | Unexpected::Str(_) | Unexpected::Bytes(_) => "a string",
        Unexpected::Seq => "an array",
        Unexpected::Map | Unexpected::StructVariant => "a table",
        Unexpected::Other(what) => what,
        Unexpected::Unit
        | Unexpected::Option
        | Unexpected::NewtypeStruct
        | Unexpected::Enum
        | Unexpected::UnitVariant
        | Unexpected::NewtypeVariant
        | Unexpected::TupleVariant => "something else",
    }
}

impl Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Wrong {}
