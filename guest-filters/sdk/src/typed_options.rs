//! Options as a struct: its fields are the options, their types say what is taken, their docs are the manual's, and reading
//! it finds every mistake at once. What is written where in the pipeline file, and Logstash's rules of what passes for
//! what, are left to `options`.

use std::time::Duration;

use serde::de::DeserializeOwned;
use serde_json::Value as Json;

use crate::field_reference::FieldReference;
use crate::options::{OptionKind, Options, did_you_mean, pointer, text_of};
use crate::problems::Problems;
use crate::template::Template;

/// Declares a filter's options as a struct, or the words of a choice as an enum.
///
/// A field is an option: its doc says what it does and may end with an example as code, its type is an [`OptionType`], and
/// after `=` stands its default, as JSON has it. An option without a default must be set, unless its type is an
/// [`Option`], a list, a table or a `bool`. The struct gets `OPTIONS` for [`crate::Filter::OPTIONS`], and `read`.
///
/// ```
/// use weir_filter::{Environment, FieldReference, Options};
///
/// weir_filter::options! {
///     /// What is counted.
///     enum Unit { Bytes = "bytes", Letters = "letters" }
/// }
///
/// weir_filter::options! {
///     struct Settings {
///         /// The field that is measured. `source = "[http][body]"`
///         source: FieldReference = "message",
///         /// What is counted. `unit = "letters"`
///         unit: Unit = "bytes",
///         /// Longer ones fail. `longest = 1000`
///         longest: Option<u64>,
///     }
/// }
///
/// let (options, _) = Options::read(r#"{"longest": 10}"#, Settings::OPTIONS, Environment::default()).expect("no mistake");
/// let settings = Settings::read(&options).expect("no mistake");
/// assert_eq!((settings.source.to_string().as_str(), settings.unit, settings.longest), ("[message]", Unit::Bytes, Some(10)));
/// ```
#[macro_export]
macro_rules! options {
    (
        $(#[$attribute:meta])*
        $visibility:vis struct $name:ident {
            $($(#[doc = $doc:literal])* $field:ident : $type:ty $(= $default:expr)?),* $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Debug)]
        $visibility struct $name {
            $($(#[doc = $doc])* $visibility $field: $type,)*
        }

        impl $name {
            /// What the filter says of its options.
            $visibility const OPTIONS: &'static [$crate::OptionDescription] = &[$(
                $crate::OptionDescription {
                    name: ::core::stringify!($field),
                    kind: <$type as $crate::OptionType>::KIND,
                    default: $crate::options!(@default $($default)?),
                    required: $crate::options!(@default $($default)?).is_none()
                        && <$type as $crate::OptionType>::REQUIRED,
                    doc: ::core::concat!($($doc, "\n",)*),
                    example: "",
                },
            )*];

            /// The options, as they are written or by default.
            ///
            /// # Errors
            /// Everything that is wrong with them.
            $visibility fn read(options: &$crate::Options) -> ::core::result::Result<Self, $crate::Problems> {
                let mut problems = $crate::Problems::new();
                $(let $field = $crate::typed_options::read::<$type>(
                    options,
                    ::core::stringify!($field),
                    &mut problems,
                );)*
                match ($($field,)*) {
                    ($(::core::option::Option::Some($field),)*) => problems.into_result($name { $($field,)* }),
                    #[allow(unreachable_patterns, reason = "a struct without fields has but one pattern")]
                    _ => ::core::result::Result::Err(problems),
                }
            }
        }
    };
    (
        $(#[$attribute:meta])*
        $visibility:vis enum $name:ident {
            $($(#[$variant_attribute:meta])* $variant:ident = $word:literal),+ $(,)?
        }
    ) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        $visibility enum $name {
            $($(#[$variant_attribute])* #[doc = ::core::concat!("`", $word, "`")] $variant,)+
        }

        impl $crate::OptionType for $name {
            const KIND: $crate::OptionKind = $crate::OptionKind::Choice(&[$($word),+]);

            fn read(
                options: &$crate::Options,
                name: &'static str,
                _: &mut $crate::Problems,
            ) -> ::core::option::Option<Self> {
                match options.text(name)? {
                    $($word => ::core::option::Option::Some($name::$variant),)+
                    _ => ::core::option::Option::None,
                }
            }
        }
    };
    (@default) => { ::core::option::Option::<&'static str>::None };
    (@default $default:expr) => { ::core::option::Option::<&'static str>::Some(::core::stringify!($default)) };
}

/// What the value of an option can be.
pub trait OptionType: Sized {
    /// How it is written.
    const KIND: OptionKind;
    /// Whether there must be one, where there is no default.
    const REQUIRED: bool = true;

    /// The value; `None` where there is none, or where `problems` say why not. Kinds are checked before.
    fn read(options: &Options, name: &'static str, problems: &mut Problems) -> Option<Self>;
}

/// A value that is written as a text: also what lists and tables are made of.
pub trait TextType: Sized {
    /// Reads it.
    ///
    /// # Errors
    /// What is wrong with the text, and how to mend it.
    fn from_text(text: &str) -> Result<Self, (String, String)>;
}

/// A list of tables, each read by `serde`: `[[filter.rule]]`.
#[derive(Clone, Debug)]
pub struct Tables<T>(pub Vec<T>);

/// Reads an option for [`crate::options!`]; says so where one that must be there is not.
#[doc(hidden)]
pub fn read<T: OptionType>(options: &Options, name: &'static str, problems: &mut Problems) -> Option<T> {
    let before = problems.iter().count();
    let value = T::read(options, name, problems);
    if value.is_none() && problems.iter().count() == before {
        let message = format!("the option {name} has no value");
        problems.push(pointer(&[name]), message, "its default, after `=`, must be written as in JSON");
    }
    value
}

impl TextType for String {
    fn from_text(text: &str) -> Result<Self, (String, String)> {
        Ok(text.to_owned())
    }
}

impl TextType for FieldReference {
    fn from_text(text: &str) -> Result<Self, (String, String)> {
        FieldReference::parse(text)
            .map_err(|message| (message, "write a name, or [a][b] for a field within a field".to_owned()))
    }
}

impl TextType for Template {
    fn from_text(text: &str) -> Result<Self, (String, String)> {
        let template = Template::parse(text);
        match template.problem() {
            None => Ok(template),
            Some(problem) => {
                let fix = "write fields as %{name} or %{[a][b]}, dates as %{+YYYY.MM.dd}".to_owned();
                Err((problem.to_owned(), fix))
            }
        }
    }
}

impl TextType for Duration {
    fn from_text(text: &str) -> Result<Self, (String, String)> {
        let fix = || "write a number and a unit: us, ms, s, m, h or d, such as \"5s\"".to_owned();
        let text = text.trim();
        let unit = text.find(char::is_alphabetic).unwrap_or(text.len());
        let (number, unit) = text.split_at(unit);
        let seconds = match unit {
            "us" => 1e-6,
            "ms" => 1e-3,
            "" | "s" => 1.0,
            "m" | "min" => 60.0,
            "h" => 3600.0,
            "d" => 86_400.0,
            _ => return Err((format!("{text:?} is no length of time"), fix())),
        };
        let number: Option<f64> = number.trim_end().parse().ok();
        number
            .and_then(|number| Duration::try_from_secs_f64(number * seconds).ok())
            .ok_or_else(|| (format!("{text:?} is no length of time"), fix()))
    }
}

impl OptionType for bool {
    const KIND: OptionKind = OptionKind::Boolean;
    const REQUIRED: bool = false;

    fn read(options: &Options, name: &'static str, _: &mut Problems) -> Option<Self> {
        Some(options.boolean(name))
    }
}

impl OptionType for f64 {
    const KIND: OptionKind = OptionKind::Number;

    fn read(options: &Options, name: &'static str, _: &mut Problems) -> Option<Self> {
        options.number(name)
    }
}

/// Options of a type that is written as a text.
macro_rules! text_options {
    ($($type:ty),*) => {$(
        impl OptionType for $type {
            const KIND: OptionKind = OptionKind::Text;

            fn read(options: &Options, name: &'static str, problems: &mut Problems) -> Option<Self> {
                from_text(options.text(name)?, pointer(&[name]), problems)
            }
        }
    )*};
}

text_options!(String, FieldReference, Template, Duration);

/// Options that are whole numbers.
macro_rules! whole_number_options {
    ($($type:ty),*) => {$(
        impl OptionType for $type {
            const KIND: OptionKind = OptionKind::Number;

            fn read(options: &Options, name: &'static str, problems: &mut Problems) -> Option<Self> {
                let number = options.number(name)?;
                // Every whole number up to 2^53 is a double; larger ones are no sensible options.
                let whole = (number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0).then_some(number as i64);
                let value = whole.and_then(|whole| <$type>::try_from(whole).ok());
                if value.is_none() {
                    let least = <$type>::MIN;
                    let message = format!("the option {name} must be a whole number from {least}, but is {number}");
                    problems.push(pointer(&[name]), message, "");
                }
                value
            }
        }
    )*};
}

whole_number_options!(i32, i64, u8, u16, u32, u64, usize);

impl<T: OptionType> OptionType for Option<T> {
    const KIND: OptionKind = T::KIND;
    const REQUIRED: bool = false;

    fn read(options: &Options, name: &'static str, problems: &mut Problems) -> Option<Self> {
        let before = problems.iter().count();
        let value = T::read(options, name, problems);
        (value.is_some() || problems.iter().count() == before).then_some(value)
    }
}

impl<T: TextType> OptionType for Vec<T> {
    const KIND: OptionKind = OptionKind::List;
    const REQUIRED: bool = false;

    fn read(options: &Options, name: &'static str, problems: &mut Problems) -> Option<Self> {
        let mut values = Vec::new();
        let texts = options.texts(name);
        for (number, text) in texts.iter().enumerate() {
            values.extend(from_text::<T>(text, pointer(&[name, &number.to_string()]), problems));
        }
        (values.len() == texts.len()).then_some(values)
    }
}

impl<K: TextType, V: TextType> OptionType for Vec<(K, V)> {
    const KIND: OptionKind = OptionKind::Map;
    const REQUIRED: bool = false;

    fn read(options: &Options, name: &'static str, problems: &mut Problems) -> Option<Self> {
        let mut pairs = Vec::new();
        let written = options.map(name);
        for (key, value) in written {
            let at = pointer(&[name, key]);
            let left = from_text::<K>(key, at.clone(), problems);
            let right = from_text::<V>(&text_of(value), at, problems);
            pairs.extend(left.zip(right));
        }
        (pairs.len() == written.len()).then_some(pairs)
    }
}

impl<T: DeserializeOwned> OptionType for Tables<T> {
    const KIND: OptionKind = OptionKind::List;
    const REQUIRED: bool = false;

    fn read(options: &Options, name: &'static str, problems: &mut Problems) -> Option<Self> {
        let mut tables = Vec::new();
        let written = options.list(name);
        for (number, table) in written.iter().enumerate() {
            match serde_json::from_value(table.clone()) {
                Ok(table) => tables.push(table),
                Err(error) => {
                    let message = format!("item {number} of {name}: {error}");
                    let fix = unknown_key_fix(&error.to_string(), table);
                    problems.push(pointer(&[name, &number.to_string()]), message, fix);
                }
            }
        }
        (tables.len() == written.len()).then_some(Tables(tables))
    }
}

fn from_text<T: TextType>(text: &str, at: String, problems: &mut Problems) -> Option<T> {
    match T::from_text(text) {
        Ok(value) => Some(value),
        Err((message, fix)) => {
            problems.push(at, message, fix);
            None
        }
    }
}

/// serde says "unknown field `a`, expected one of `b`, `c`"; the one that was meant is mostly near.
fn unknown_key_fix(message: &str, table: &Json) -> String {
    let words: Vec<&str> = message.split('`').skip(1).step_by(2).collect();
    match words.split_first() {
        Some((unknown, known)) if table.get(unknown).is_some() => {
            did_you_mean(unknown, known.iter().copied())
                .map(|near| format!("did you mean {near}?"))
                .unwrap_or_default()
        }
        _ => String::new(),
    }
}
