//! `convert_datatype`: texts to whole numbers and exact decimals.

use weir_filter::{Decimal, Event, Field, FieldReference, Outcome, Plan, Value, float_text};

/// What a field is turned into.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum NumberType {
    /// A whole number of any size, cut toward zero.
    Int,
    /// An exact decimal: `12.50` stays `12.50`.
    Float,
}

/// One entry of `convert_datatype`.
#[derive(Debug)]
pub(crate) struct Conversion {
    field: Field,
    number_type: NumberType,
    /// The tag for a field that is not there, or null.
    no_value: String,
    /// The tag for a value that is no number.
    no_number: String,
}

impl Conversion {
    /// Checks an entry. The problem comes with a way to mend it.
    pub(crate) fn new(name: &str, written: &str, plan: &mut Plan) -> Result<Self, (String, String)> {
        let number_type = match written.to_ascii_lowercase().as_str() {
            "int" => NumberType::Int,
            "float" => NumberType::Float,
            _ => {
                let message = format!("{name} cannot be converted to {written:?}");
                return Err((message, "the types are int and float".to_owned()));
            }
        };
        let reference = FieldReference::parse(name).map_err(|message| (message, String::new()))?;
        Ok(Conversion {
            field: plan.read_write(&reference),
            number_type,
            // The tags have the reference and the type as they were written.
            no_value: format!("_dataconversionnullvalue_{name}_{written}"),
            no_number: format!("_dataconversionuncoercible_{name}_{written}"),
        })
    }

    fn convert(&self, event: &mut Event<'_>) -> Result<(), &str> {
        let mut written = String::new();
        let text = match event.get(self.field) {
            None | Some(Value::Null) => return Err(&self.no_value),
            Some(Value::Text(text) | Value::Json(text)) => text,
            Some(Value::Integer(number)) => {
                written = number.to_string();
                &written
            }
            Some(Value::Float(number)) => {
                float_text::write_java(number, &mut written);
                &written
            }
            Some(Value::Boolean(_) | Value::Timestamp(_) | Value::Object) => return Err(&self.no_number),
        };
        let decimal = Decimal::parse(text).ok_or(self.no_number.as_str())?;
        let number = match self.number_type {
            NumberType::Int => decimal.whole_text(),
            NumberType::Float => decimal.java_text(),
        };
        let value = match self.number_type {
            NumberType::Int => Value::from_json_number(&number),
            NumberType::Float => Value::Json(&number),
        };
        event.set(self.field, value).map_err(|_| self.no_number.as_str())
    }
}

/// Converts all; what cannot be converted stays, with a tag.
pub(crate) fn convert_all(conversions: &[Conversion], event: &mut Event<'_>) -> Outcome {
    let mut outcome = Outcome::Ignored;
    for conversion in conversions {
        if let Err(tag) = conversion.convert(event) {
            event.tag(tag);
            outcome = Outcome::Tagged;
        }
    }
    outcome
}
